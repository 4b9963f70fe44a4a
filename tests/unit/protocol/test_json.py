"""Answers of query services in JSON, as clients read them that accept nothing else."""

import json

import pytest

from broker.errors import Refusal
from broker.protocol.json import refuse_for_json_clients, render_json_refusal, render_json_result
from broker.protocol.model import load_service
from broker.protocol.shapes import iam, sts

STS, IAM = load_service("sts"), load_service("iam")


def test_an_answer_has_the_names_of_the_xml_and_the_request_id_beside_its_result() -> None:
    result = sts.GetCallerIdentityResponse(user_id="AIDA", account="111122223333", arn="arn:aws:iam::1:root")
    assert json.loads(render_json_result(STS, "GetCallerIdentity", result, "id-1")) == {
        "GetCallerIdentityResponse": {
            "GetCallerIdentityResult": {
                "UserId": "AIDA",
                "Account": "111122223333",
                "Arn": "arn:aws:iam::1:root",
            },
            "ResponseMetadata": {"RequestId": "id-1"},
        }
    }


def test_times_are_whole_seconds_and_what_is_absent_is_null() -> None:
    credentials = sts.Credentials(
        access_key_id="ASIA", secret_access_key="s", session_token="t", expiration=1_800_003_600.9
    )
    answer = render_json_result(STS, "AssumeRole", sts.AssumeRoleResponse(credentials=credentials), "r")
    assert b'"Expiration":1800003600}' in answer
    shown = json.loads(answer)["AssumeRoleResponse"]["AssumeRoleResult"]
    assert (shown["PackedPolicySize"], shown["AssumedRoleUser"]) == (None, None)


def test_lists_are_arrays_without_members_maps_are_objects_and_blobs_base64() -> None:
    group = iam.Group(path="/", group_name="g", group_id="AGPA", arn="arn", create_date=0)
    listed = render_json_result(IAM, "ListGroups", iam.ListGroupsResponse(groups=(group,)), "r")
    shown = json.loads(listed)["ListGroupsResponse"]["ListGroupsResult"]
    assert shown == {
        "Groups": [{"Path": "/", "GroupName": "g", "GroupId": "AGPA", "Arn": "arn", "CreateDate": 0}],
        "IsTruncated": None,
        "Marker": None,
    }
    empty = render_json_result(IAM, "ListGroups", iam.ListGroupsResponse(groups=(), is_truncated=False), "r")
    assert b'"Groups":[],"IsTruncated":false' in empty
    summary = iam.GetAccountSummaryResponse(summary_map={"Users": 3})
    assert b'"SummaryMap":{"Users":3}' in render_json_result(IAM, "GetAccountSummary", summary, "r")
    device = iam.VirtualMFADevice(serial_number="arn:aws:iam::1:mfa/a", base32_string_seed=b"\x00\xff")
    made = iam.CreateVirtualMFADeviceResponse(virtual_mfa_device=device)
    assert b'"Base32StringSeed":"AP8="' in render_json_result(IAM, "CreateVirtualMFADevice", made, "r")


def test_policy_documents_are_percent_encoded_as_in_xml() -> None:
    result = iam.GetUserPolicyResponse(user_name="u", policy_name="p", policy_document='{"a": "b/c"}')
    assert b'"PolicyDocument":"%7B%22a%22%3A%20%22b%2Fc%22%7D"' in render_json_result(
        IAM, "GetUserPolicy", result, "r"
    )


def test_an_operation_without_output_answers_with_its_request_id() -> None:
    assert render_json_result(IAM, "DeleteUser", None, "id-1") == (
        b'{"DeleteUserResponse":{"ResponseMetadata":{"RequestId":"id-1"}}}'
    )


def test_a_result_of_another_operation_is_a_fault_of_ours() -> None:
    with pytest.raises(TypeError):
        render_json_result(STS, "GetCallerIdentity", None, "r")
    with pytest.raises(TypeError):
        render_json_result(IAM, "DeleteUser", iam.ListGroupsResponse(groups=()), "r")


@pytest.mark.parametrize(
    ("code", "status", "fault"), [("AccessDenied", 403, "Sender"), ("NotImplemented", 501, "Receiver")]
)
def test_a_refusal_says_who_is_at_fault(code: str, status: int, fault: str) -> None:
    for service in (STS, None):
        answered, body = render_json_refusal(service, Refusal(code, 'No "x" <&>'), "id-1")
        error = {"Code": code, "Message": 'No "x" <&>', "Type": fault}
        assert (answered, json.loads(body)) == (status, {"Error": error, "RequestId": "id-1"})


def test_a_refusal_without_a_message_has_a_null() -> None:
    assert b'"Message":null' in render_json_refusal(STS, Refusal("MalformedInput", ""), "r")[1]


def test_bytes_that_were_no_text_are_replaced_in_what_a_refusal_quotes() -> None:
    refusal = Refusal("SignatureDoesNotMatch", "a\udcffb\x00")
    assert json.loads(render_json_refusal(STS, refusal, "r")[1])["Error"]["Message"] == "a\ufffdb\x00"
    assert json.loads(refuse_for_json_clients(STS, refusal, "r").body)["message"] == "a\ufffdb\x00"
