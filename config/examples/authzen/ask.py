"""May PRINCIPAL do ACTION on RESOURCE? Usage: ask.py PRINCIPAL ACTION RESOURCE. Needs botocore, which boto3 brings."""

import json
import os
import sys

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.httpsession import URLLib3Session
from botocore.session import Session

principal, action, resource = sys.argv[1:]
question = {
    "subject": {"type": "principal", "id": principal},
    "action": {"name": action},
    "resource": {"type": "resource", "id": resource},
    "context": {"aws:SecureTransport": True},
}
url = os.environ["AWS_ENDPOINT_URL"] + "/access/v1/evaluation"
request = AWSRequest("POST", url, {"Content-Type": "application/json"}, json.dumps(question).encode())
credentials = Session().get_credentials()
if credentials is None:
    sys.exit("no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE")
SigV4Auth(credentials, "broker", os.environ["AWS_REGION"]).add_auth(request)
answer = URLLib3Session().send(request.prepare())
print(answer.text)
sys.exit(answer.status_code != 200)
