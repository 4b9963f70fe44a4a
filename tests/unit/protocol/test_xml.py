"""Answers: what AWS's layout holds, and that no text can break out of it."""

from urllib.parse import quote
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.errors import Refusal
from broker.protocol.markup import format_timestamp, percent_encoded
from broker.protocol.model import load_service
from broker.protocol.shapes import iam as shapes
from broker.protocol.shapes.sts import Credentials, GetCallerIdentityResponse
from broker.protocol.xml import FAULT_NAMESPACE, escape, render_refusal, render_result

STS, IAM = load_service("sts"), load_service("iam")


def test_a_result_has_awss_layout() -> None:
    result = GetCallerIdentityResponse(
        user_id="AIDA", account="123456789012", arn="arn:aws:iam::123456789012:root"
    )
    assert render_result(STS, "GetCallerIdentity", result, "id-1") == (
        b'<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult>'
        b"<UserId>AIDA</UserId><Account>123456789012</Account><Arn>arn:aws:iam::123456789012:root</Arn>"
        b"</GetCallerIdentityResult><ResponseMetadata><RequestId>id-1</RequestId></ResponseMetadata>"
        b"</GetCallerIdentityResponse>"
    )


def test_an_operation_without_output_has_no_result_element() -> None:
    assert render_result(IAM, "DeleteUser", None, "id-1") == (
        b'<DeleteUserResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/">'
        b"<ResponseMetadata><RequestId>id-1</RequestId></ResponseMetadata></DeleteUserResponse>"
    )


def test_another_operations_result_is_an_error_of_ours() -> None:
    with pytest.raises(TypeError, match="GetCallerIdentity answers GetCallerIdentityResponse, not NoneType"):
        render_result(STS, "GetCallerIdentity", None, "id-1")
    with pytest.raises(TypeError):
        render_result(IAM, "DeleteUser", shapes.GetUserResponse, "id-1")


def test_an_empty_list_is_an_empty_element_but_no_tags_are_none() -> None:
    answer = render_result(IAM, "ListAttachedRolePolicies", shapes.ListAttachedRolePoliciesResponse(), "id-1")
    assert b"<AttachedPolicies/>" in answer
    user = shapes.User(path="/", user_name="a", user_id="AIDA", arn="arn", create_date=0.0)
    assert b"Tags" not in render_result(IAM, "GetUser", shapes.GetUserResponse(user=user), "id-1")
    assert b"<Tags/>" in render_result(IAM, "ListUserTags", shapes.ListUserTagsResponse(tags=()), "id-1")


def test_the_result_of_a_simulation_has_details_and_that_on_one_resource_only_where_there_are_some() -> None:
    one = shapes.ResourceSpecificResult(eval_resource_name="a", eval_resource_decision="allowed")
    result = shapes.EvaluationResult(
        eval_action_name="s3:GetObject", eval_decision="allowed", resource_specific_results=(one,)
    )
    answer = shapes.SimulatePolicyResponse(evaluation_results=(result,))
    assert render_result(IAM, "SimulateCustomPolicy", answer, "id-1").count(b"<EvalDecisionDetails") == 1


def test_a_member_that_is_not_there_has_no_element_though_the_model_requires_it() -> None:
    root = shapes.User(path="/", user_name=None, user_id="1", arn="arn", create_date=0.0)  # type: ignore[arg-type]
    answer = render_result(IAM, "GetUser", shapes.GetUserResponse(user=root), "id-1")
    assert b"UserName" not in answer and b"<UserId>1</UserId>" in answer


@given(st.text(st.characters(exclude_categories=["Cs"])) | st.text(st.characters(max_codepoint=127)))
def test_every_text_is_percent_encoded_as_the_standard_library_does(text: str) -> None:
    assert percent_encoded(text) == quote(text, safe="")


def test_policy_documents_in_answers_are_percent_encoded() -> None:
    result = shapes.GetUserPolicyResponse(user_name="a", policy_name="p", policy_document='{"a": "é/~_.-"}')
    answer = render_result(IAM, "GetUserPolicy", result, "id-1")
    assert b"<PolicyDocument>%7B%22a%22%3A%20%22%C3%A9%2F~_.-%22%7D</PolicyDocument>" in answer


def test_timestamps_are_whole_seconds_in_utc() -> None:
    assert format_timestamp(1767225600.999) == "2026-01-01T00:00:00Z"
    assert format_timestamp(0) == "1970-01-01T00:00:00Z"


def test_a_refusal_has_awss_layout() -> None:
    assert render_refusal(IAM, Refusal("NoSuchEntity", "The user <x> & co"), "id-1") == (
        404,
        b'<ErrorResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/"><Error><Type>Sender</Type>'
        b"<Code>NoSuchEntity</Code><Message>The user &lt;x&gt; &amp; co</Message></Error>"
        b"<RequestId>id-1</RequestId></ErrorResponse>",
    )


def test_a_refusal_before_the_service_is_known_has_the_fault_namespace() -> None:
    status, body = render_refusal(None, Refusal("InvalidAction", "x"), "id-1")
    assert status == 400
    assert f'xmlns="{FAULT_NAMESPACE}"'.encode() in body


def test_a_refusal_without_a_message_has_no_message_element() -> None:
    assert b"Message" not in render_refusal(STS, Refusal("MalformedInput", ""), "id-1")[1]


@pytest.mark.parametrize(
    ("refusal", "status", "fault"),
    [
        (Refusal("AccessDenied", ""), 403, "Sender"),
        (Refusal("PackedPolicyTooLarge", ""), 400, "Sender"),
        (Refusal("IDPRejectedClaim", ""), 403, "Sender"),
        (Refusal("InternalFailure", ""), 500, "Receiver"),
        (Refusal("NobodyKnowsThisCode", ""), 400, "Sender"),
        (Refusal("IDPRejectedClaim", "", status=418, fault="Receiver"), 418, "Receiver"),
    ],
)
def test_status_and_fault_come_from_the_refusal_the_model_or_the_common_errors(
    refusal: Refusal, status: int, fault: str
) -> None:
    answered, body = render_refusal(STS, refusal, "id-1")
    assert answered == status
    assert f"<Type>{fault}</Type>".encode() in body


@given(st.text(st.characters(exclude_categories=[])))
def test_no_text_breaks_out_of_its_element(text: str) -> None:
    parsed = ElementTree.fromstring(f"<a>{escape(text)}</a>")
    legal = "".join(char if is_xml_character(char) else "\ufffd" for char in text)
    assert (parsed.text or "") == legal
    assert len(parsed) == 0


def is_xml_character(char: str) -> bool:
    code = ord(char)
    return char in "\t\n\r" or 0x20 <= code <= 0xD7FF or 0xE000 <= code <= 0xFFFD or code >= 0x10000


def test_a_struct_with_a_secret_does_not_print_it() -> None:
    credentials = Credentials(
        access_key_id="ASIA", secret_access_key="hush", session_token="t", expiration=0.0
    )
    assert "hush" not in repr(credentials)
    assert "ASIA" in repr(credentials)
