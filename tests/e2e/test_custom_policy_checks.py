"""Access Analyzer's custom policy checks, decided by a solver, with boto3 and the AWS CLI on the other side."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.e2e.conftest import REGION, Account, Server
from tests.e2e.scenes import document, refused, trust

READING = {"Effect": "Allow", "Action": "s3:Get*", "Resource": "arn:aws:s3:::reports/*"}
TRUST = "AWS::IAM::AssumeRolePolicyDocument"


def test_new_access_is_found_with_an_example_of_each_statement(server: Server, account: Account) -> None:
    analyzer = server.client("accessanalyzer", account.root)
    wider = {**READING, "Sid": "Wider", "Action": ["s3:Get*", "s3:PutObject"]}
    narrower = {**READING, "Condition": {"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}}
    found = analyzer.check_no_new_access(
        newPolicyDocument=document(narrower, wider),
        existingPolicyDocument=document(READING),
        policyType="IDENTITY_POLICY",
    )
    assert found["result"] == "FAIL"
    assert found["message"].endswith("grant new access compared to your existing policy.")
    (reason,) = found["reasons"]
    assert (reason["statementIndex"], reason["statementId"]) == (1, "Wider")
    assert "For example: s3:PutObject on arn:aws:s3:::reports/" in reason["description"]
    found = analyzer.check_no_new_access(
        newPolicyDocument=document(narrower),
        existingPolicyDocument=document(READING),
        policyType="IDENTITY_POLICY",
    )
    assert (found["result"], found["reasons"]) == ("PASS", [])


def test_access_that_a_policy_grants_is_found(server: Server, account: Account) -> None:
    analyzer = server.client("accessanalyzer", account.root)
    spared = {"Effect": "Deny", "Action": "s3:GetObject", "Resource": "*"}
    text = document(READING, spared)

    def result(**access: list[str]) -> str:
        found = analyzer.check_access_not_granted(
            policyDocument=text, access=[access], policyType="IDENTITY_POLICY"
        )
        return str(found["result"])

    assert result(actions=["s3:GetObject", "s3:PutObject"]) == "PASS"
    assert result(actions=["s3:getobjectacl"]) == "FAIL"
    assert result(resources=["arn:aws:s3:::other/*"]) == "PASS"
    assert result(resources=["arn:aws:s3:::reports/2026"]) == "FAIL"


def test_a_public_trust_policy_is_found(server: Server, account: Account) -> None:
    analyzer = server.client("accessanalyzer", account.root)

    def result(text: str, kind: str = TRUST) -> str:
        return str(analyzer.check_no_public_access(policyDocument=text, resourceType=kind)["result"])

    assert result(document(trust(account.account_id))) == "PASS"
    assert result(document(trust("*"))) == "FAIL"
    only = {"StringEquals": {"aws:PrincipalOrgID": "o-a1b2c3d4e5"}}
    assert result(document(trust("*", Condition=only))) == "PASS"
    public = {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::b/*"}
    assert result(document(public), "AWS::S3::Bucket") == "FAIL"


def test_what_cannot_be_checked_is_refused(server: Server, account: Account) -> None:
    analyzer = server.client("accessanalyzer", account.root)
    good = document(READING)
    policies = {"existingPolicyDocument": good, "policyType": "IDENTITY_POLICY"}
    code = refused(analyzer.check_no_new_access, newPolicyDocument="{", **policies)[1]
    assert code == "InvalidParameterException"
    code = refused(analyzer.check_no_new_access, newPolicyDocument=good + " " * 40_000, **policies)[1]
    assert code == "UnprocessableEntityException"
    asked = {"policyDocument": good, "policyType": "IDENTITY_POLICY"}
    for access in ([], [{"actions": ["nothing"]}], [{"resources": ["arn:aws:s3:*:*:reports"]}]):
        assert refused(analyzer.check_access_not_granted, access=access, **asked)[1] == "ValidationException"
    public = {"policyDocument": good, "resourceType": TRUST}
    assert refused(analyzer.check_no_public_access, **public)[1] == "InvalidParameterException"
    public = {"policyDocument": document(trust("*")), "resourceType": "AWS::EC2::Instance"}
    assert refused(analyzer.check_no_public_access, **public)[1] == "ValidationException"


@pytest.mark.parametrize("server", ["sqlite"], indirect=True)
def test_the_aws_cli_shows_the_answer(cli: Path, server: Server, account: Account) -> None:
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "BROKER_"))}
    files = dict.fromkeys(("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"), os.devnull)
    command = ["accessanalyzer", "check-no-public-access", "--resource-type", TRUST]
    done = subprocess.run(
        [str(cli), *command, "--policy-document", document(trust("*")), "--endpoint-url", server.url],
        env={**plain, **files, **account.root.environment, "AWS_DEFAULT_REGION": REGION, "AWS_PAGER": ""},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert (answer["result"], answer["reasons"][0]["statementIndex"]) == ("FAIL", 0)
