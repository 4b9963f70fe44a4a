"""What the journal is shown."""

from broker.protocol.model import load_service
from broker.protocol.redaction import HIDDEN, audit_answer, audit_parameters, gives_secret
from broker.protocol.request import read_request
from broker.protocol.shapes.iam import AcquireRoleRequest, ReplacementValueEntry
from broker.protocol.shapes.sts import (
    AssumeRoleResponse,
    Credentials,
    GetCallerIdentityResponse,
    GetScopedCredentialsResponse,
    GetSessionTokenResponse,
)

STS, IAM = load_service("sts"), load_service("iam")


def test_parameters_are_shown_in_cloudtrails_spelling() -> None:
    form = {
        "RoleArn": "arn:aws:iam::123456789012:role/demo",
        "RoleSessionName": "session",
        "DurationSeconds": "900",
        "Tags.member.1.Key": "team",
        "Tags.member.1.Value": "",
        "TransitiveTagKeys.member.1": "team",
    }
    assert audit_parameters(STS, "AssumeRole", read_request(STS, "AssumeRole", form)) == {
        "roleArn": "arn:aws:iam::123456789012:role/demo",
        "roleSessionName": "session",
        "durationSeconds": 900,
        "tags": [{"key": "team", "value": ""}],
        "transitiveTagKeys": ["team"],
    }


def test_a_password_is_hidden() -> None:
    form = {"UserName": "alice", "Password": "correct horse", "PasswordResetRequired": "false"}
    shown = audit_parameters(IAM, "CreateLoginProfile", read_request(IAM, "CreateLoginProfile", form))
    assert shown == {"userName": "alice", "password": HIDDEN, "passwordResetRequired": False}


def test_a_one_time_code_is_hidden_and_its_device_is_not() -> None:
    serial = "arn:aws:iam::123456789012:mfa/phone"
    form = {"SerialNumber": serial, "TokenCode": "123456"}
    shown = audit_parameters(STS, "GetSessionToken", read_request(STS, "GetSessionToken", form))
    assert shown == {"serialNumber": serial, "tokenCode": HIDDEN}
    codes = {"AuthenticationCode1": "123456", "AuthenticationCode2": "654321"}
    form = {"UserName": "alice", "SerialNumber": serial, **codes}
    shown = audit_parameters(IAM, "EnableMFADevice", read_request(IAM, "EnableMFADevice", form))
    assert shown is not None
    assert (shown["authenticationCode1"], shown["authenticationCode2"]) == (HIDDEN, HIDDEN)


def test_an_operation_without_input_has_no_parameters() -> None:
    assert audit_parameters(IAM, "GetAccountSummary", None) is None
    assert audit_parameters(STS, "AssumeRole", None) is None  # refused before it was read


def test_maps_of_structures_are_shown_whole() -> None:
    request = AcquireRoleRequest(
        template_arn="arn", replacement_values={"team": ReplacementValueEntry(values=("a", "b"))}
    )
    assert audit_parameters(IAM, "AcquireRole", request) == {
        "templateArn": "arn",
        "replacementValues": {"team": {"values": ["a", "b"]}},
    }


def test_what_was_made_is_shown_and_no_secret_of_it() -> None:
    credentials = Credentials(
        access_key_id="ASIAEXAMPLE",
        secret_access_key="s3cr3t",
        session_token="t0k3n",
        expiration=1_767_225_600.0,
    )
    assert audit_answer(STS, "AssumeRole", AssumeRoleResponse(credentials=credentials)) == {
        "credentials": {
            "accessKeyId": "ASIAEXAMPLE",
            "secretAccessKey": HIDDEN,
            "sessionToken": HIDDEN,
            "expiration": "2026-01-01T00:00:00Z",
        }
    }
    assert audit_answer(STS, "GetSessionToken", GetSessionTokenResponse(credentials=credentials)) is not None
    scoped = GetScopedCredentialsResponse(credentials=credentials)
    assert audit_answer(STS, "GetScopedCredentials", scoped) is not None


def test_what_was_only_read_is_no_event() -> None:
    answer = GetCallerIdentityResponse(user_id="AIDA", account="123456789012", arn="arn")
    assert audit_answer(STS, "GetCallerIdentity", answer) is None
    assert audit_answer(IAM, "DeleteUser", None) is None


def test_operations_whose_answers_hold_a_secret_are_known_by_their_models() -> None:
    giving = {name for service in (IAM, STS) for name in service.operations if gives_secret(service, name)}
    assert {"CreateAccessKey", "CreateVirtualMFADevice", "AssumeRole", "GetSessionToken"} <= giving
    assert not giving & {"CreateUser", "ListAccessKeys", "UpdateAccessKey", "CreateLoginProfile", "GetUser"}
