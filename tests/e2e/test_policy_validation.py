"""Access Analyzer's ValidatePolicy, with boto3 on the other side."""

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.e2e.conftest import Account, Keys, Server
from tests.e2e.scenes import records_of

TEXT = """{
  "Version": "2012-10-17",
  "Statement": [
    {"Effect": "Allow", "Action": ["s3:GetObjekt", "s3:GetObject"], "Resource": "*", "Colour": "red"}
  ]
}"""


def validated(server: Server, account: Account, text: str, kind: str, **more: Any) -> list[dict[str, Any]]:
    client = server.client("accessanalyzer", account.root)
    found: list[dict[str, Any]] = client.validate_policy(policyDocument=text, policyType=kind, **more)[
        "findings"
    ]
    return found


def test_findings_have_code_path_and_span(server: Server, account: Account) -> None:
    element, action = validated(server, account, TEXT, "IDENTITY_POLICY")[::-1]
    assert (action["issueCode"], action["findingType"]) == ("INVALID_ACTION", "ERROR")
    assert action["findingDetails"].endswith("Write: s3:GetObject")
    (place,) = action["locations"]
    assert place["path"] == [{"value": "Statement"}, {"index": 0}, {"value": "Action"}, {"index": 0}]
    start, end = place["span"]["start"], place["span"]["end"]
    assert TEXT[start["offset"] : end["offset"]] == '"s3:GetObjekt"'
    assert TEXT.splitlines()[start["line"] - 1][start["column"] : end["column"]] == '"s3:GetObjekt"'
    assert element["issueCode"] == "INVALID_POLICY_ELEMENT"
    assert element["locations"][0]["path"][-1] == {"key": "Colour"}
    assert element["learnMoreLink"].endswith("policy-checks-error-invalid-policy-element")


@pytest.mark.parametrize("written", ["s3:GetObjekt", "Version", "Allow"])
def test_half_a_character_is_no_json(server: Server, account: Account, written: str) -> None:
    """No answer could show it, neither in a sentence nor in a path."""
    text = TEXT.replace(written, f"{written}\\ud83d")
    (found,) = validated(server, account, text, "IDENTITY_POLICY")
    assert found["issueCode"] == "JSON_SYNTAX_ERROR"
    assert found["findingDetails"] == r"This is no JSON: '\ud83d' is half of a character"
    offset = found["locations"][0]["span"]["start"]["offset"]
    assert text[offset:].startswith(f'"{written}\\ud83d"')


def test_pages_lead_to_all_findings_of_the_same_text_only(server: Server, account: Account) -> None:
    actions = [f"s3:GetNothing{number}" for number in range(5)]
    statement = {"Effect": "Allow", "Action": actions, "Resource": "*"}
    text = json.dumps({"Version": "2012-10-17", "Statement": statement})
    pages = server.client("accessanalyzer", account.root).get_paginator("validate_policy")
    found = [
        page["findings"]
        for page in pages.paginate(
            policyDocument=text, policyType="IDENTITY_POLICY", PaginationConfig={"PageSize": 2}
        )
    ]
    assert [len(page) for page in found] == [2, 2, 1]
    assert [one for page in found for one in page] == validated(server, account, text, "IDENTITY_POLICY")
    first = server.client("accessanalyzer", account.root).validate_policy(
        policyDocument=text, policyType="IDENTITY_POLICY", maxResults=2
    )
    with pytest.raises(ClientError, match="ValidationException"):
        validated(server, account, TEXT, "IDENTITY_POLICY", nextToken=first["nextToken"])


def test_a_trust_policy_is_told_from_other_policies_of_resources(server: Server, account: Account) -> None:
    statement = {"Effect": "Allow", "Principal": {"AWS": account.account_id}, "Action": "s3:GetObject"}
    text = json.dumps({"Version": "2012-10-17", "Statement": statement})
    role = {"validatePolicyResourceType": "AWS::IAM::AssumeRolePolicyDocument"}
    (of_role,) = validated(server, account, text, "RESOURCE_POLICY", **role)
    assert of_role["issueCode"] == "UNSUPPORTED_ACTION_IN_POLICY"
    (of_resource,) = validated(server, account, text, "RESOURCE_POLICY")
    assert of_resource["issueCode"] == "MISSING_RESOURCE"


def test_a_resource_control_policy_has_findings_of_its_own(server: Server, account: Account) -> None:
    organization = {"StringNotEqualsIfExists": {"aws:PrincipalOrgID": "o-a1b2c3d4e5"}}
    deny = {"Effect": "Deny", "Principal": "*", "Action": "*", "Resource": "*", "Condition": organization}
    allow = {"Effect": "Allow", "Principal": {"AWS": "111122223333"}, "Action": "s3:*", "Resource": "*"}
    text = json.dumps({"Version": "2012-10-17", "Statement": [deny, allow]})
    found = validated(server, account, text, "RESOURCE_CONTROL_POLICY")
    assert [(one["findingType"], one["issueCode"]) for one in found] == [
        ("ERROR", "RCP_SYNTAX_ERROR_ACTION"),
        ("ERROR", "RCP_SYNTAX_ERROR_ALLOW"),
        ("ERROR", "RCP_SYNTAX_ERROR_PRINCIPAL"),
        ("WARNING", "RCP_MISSING_RELATED_PRINCIPAL_CONDITION_KEY"),
    ]
    path = found[-1]["locations"][0]["path"]
    assert path[-2:] == [{"value": "StringNotEqualsIfExists"}, {"key": "aws:PrincipalOrgID"}]
    assert found[-1]["learnMoreLink"].endswith("general-warning-rcp-missing-related-principal-condition-key")


@pytest.mark.parametrize(
    "parameters",
    [
        {"policyType": "IDENTITY_POLICY", "validatePolicyResourceType": "AWS::S3::Bucket"},
        {"policyType": "NO_POLICY"},
        {"policyType": "IDENTITY_POLICY", "maxResults": 0},
        {"policyType": "IDENTITY_POLICY", "nextToken": "bm8="},
        {"policyType": "IDENTITY_POLICY", "policyDocument": " " * 32_769},
    ],
)
def test_bad_parameters_are_refused(server: Server, account: Account, parameters: dict[str, Any]) -> None:
    client = server.client("accessanalyzer", account.root)
    with pytest.raises(ClientError) as refused:
        client.validate_policy(**{"policyDocument": TEXT, **parameters})
    assert refused.value.response["Error"]["Code"] == "ValidationException"


def test_the_permission_is_needed_and_the_record_names_access_analyzer(
    server: Server, account: Account
) -> None:
    iam = server.client("iam", account.root)
    iam.create_user(UserName="author")
    key = iam.create_access_key(UserName="author")["AccessKey"]
    client = server.client("accessanalyzer", Keys(key["AccessKeyId"], key["SecretAccessKey"]))
    with pytest.raises(ClientError) as refused:
        client.validate_policy(policyDocument=TEXT, policyType="IDENTITY_POLICY")
    assert refused.value.response["Error"]["Code"] == "AccessDeniedException"
    assert "access-analyzer:ValidatePolicy" in refused.value.response["Error"]["Message"]
    (record,) = records_of(server, refused.value.response["ResponseMetadata"]["RequestId"])
    assert (record["eventSource"], record["eventName"]) == ("access-analyzer.amazonaws.com", "ValidatePolicy")
    statement = {"Effect": "Allow", "Action": "access-analyzer:ValidatePolicy", "Resource": "*"}
    document = json.dumps({"Version": "2012-10-17", "Statement": statement})
    iam.put_user_policy(UserName="author", PolicyName="validate", PolicyDocument=document)
    assert client.validate_policy(policyDocument=TEXT, policyType="IDENTITY_POLICY")["findings"]
