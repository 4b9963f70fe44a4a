"""Who am I, and who am I as a role? Usage: whoami.py [ROLE_ARN]. Endpoint and credentials come from the environment."""

import sys

import boto3

session = boto3.session.Session()
print(session.client("sts").get_caller_identity()["Arn"])
if sys.argv[1:]:
    answer = session.client("sts").assume_role(RoleArn=sys.argv[1], RoleSessionName="example")
    credentials = answer["Credentials"]
    role = boto3.session.Session(
        credentials["AccessKeyId"], credentials["SecretAccessKey"], credentials["SessionToken"]
    )
    print(role.client("sts").get_caller_identity()["Arn"])
