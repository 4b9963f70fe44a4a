"""REST-JSON: a path names the operation, a body is read strictly, and every refusal has its code in a header."""

import json

import msgspec
import pytest

from broker.errors import Refusal
from broker.protocol.dispatch import find_protocol
from broker.protocol.json_bodies import LARGEST_BODY
from broker.protocol.model import load_service
from broker.protocol.query import name_operation
from broker.protocol.rest_json import JSON, PATHS, REST_JSON, oauth_name
from broker.protocol.rest_paths import ROOTS
from broker.protocol.shapes import sso, sso_oidc
from broker.protocol.wire import Message, parse_message
from broker.sigv4.authorization import UnverifiedRequest

SSO, OIDC = load_service("sso"), load_service("sso-oidc")
SERVICES = {
    service.signing_name: service
    for service in map(
        load_service,
        ("iam", "sts", "sso", "sso-oidc", "signin", "accessanalyzer", "eks", "eks-auth", "rolesanywhere"),
    )
}
REGISTER = {"clientName": "a client", "clientType": "public"}


def request(
    method: str, target: str, body: object = None, headers: tuple[tuple[str, str], ...] = ()
) -> Message:
    path, _, query = target.partition("?")
    sent = (
        body
        if isinstance(body, bytes)
        else b""
        if body is None
        else json.dumps(body, ensure_ascii=False).encode()
    )
    return parse_message(UnverifiedRequest(method, path, query, headers, sent), JSON)


def register(body: object) -> msgspec.Struct | None:
    return REST_JSON.read(OIDC, "RegisterClient", request("POST", "/client/register", body))


def refused(body: object) -> Refusal:
    with pytest.raises(Refusal) as caught:
        register(body)
    return caught.value


def test_the_paths_are_those_of_the_models() -> None:
    modelled = {
        operation.http.request_uri.partition("?")[0]
        for service in SERVICES.values()
        if service.protocol == "rest-json"
        for operation in service.operations.values()
        if "{" not in operation.http.request_uri
    }
    assert modelled == PATHS
    assert all(find_protocol(path, ()) is REST_JSON for path in PATHS)


def test_the_first_segments_of_paths_with_labels_are_those_of_the_models() -> None:
    modelled = {
        operation.http.request_uri.split("/")[1]
        for service in SERVICES.values()
        if service.protocol == "rest-json"
        for operation in service.operations.values()
        if "{" in operation.http.request_uri
    }
    assert modelled == ROOTS
    assert all(find_protocol(f"/{root}/a", ()) is REST_JSON for root in ROOTS)


@pytest.mark.parametrize(
    ("method", "target", "service", "operation"),
    [
        ("POST", "/token", "sso-oidc", "CreateToken"),
        ("POST", "/token?aws_iam=t", "sso-oidc", "CreateTokenWithIAM"),
        ("POST", "/token?aws_iam=f", "sso-oidc", "CreateToken"),
        ("GET", "/federation/credentials?role_name=a", "sso", "GetRoleCredentials"),
        ("POST", "/logout", "sso", "Logout"),
        ("POST", "/policy/validation?maxResults=5", "accessanalyzer", "ValidatePolicy"),
        ("POST", "/clusters/a/assume-role-for-pod-identity", "eks-auth", "AssumeRoleForPodIdentity"),
        ("GET", "/clusters/a", "eks", "DescribeCluster"),
        ("DELETE", "/clusters/a/pod-identity-associations/b", "eks", "DeletePodIdentityAssociation"),
    ],
)
def test_method_and_path_name_the_operation(method: str, target: str, service: str, operation: str) -> None:
    named, name = REST_JSON.name(SERVICES, None, request(method, target))
    assert (named.name, name) == (service, operation)


def test_a_path_with_another_method_is_no_operation() -> None:
    with pytest.raises(Refusal) as caught:
        REST_JSON.name(SERVICES, None, request("GET", "/token"))
    assert (caught.value.code, caught.value.status) == ("UnknownOperationException", 404)


@pytest.mark.parametrize("signed_for", [None, "sso-oauth"])
def test_no_form_names_an_operation_of_rest_json(signed_for: str | None) -> None:
    with pytest.raises(Refusal, match="InvalidAction"):
        name_operation(SERVICES, signed_for, "RegisterClient", OIDC.api_version)


def test_what_the_model_does_not_know_is_ignored_and_null_is_absent() -> None:
    assert register({**REGISTER, "more": [1, {"a": None}], "scopes": None}) == sso_oidc.RegisterClientRequest(
        client_name="a client", client_type="public"
    )


@pytest.mark.parametrize(
    "body",
    [
        b'{"clientName": "a", "clientName": "b", "clientType": "public"}',
        b'{"clientName": "a", "clientType": "public", "more": ' + b"[" * 17 + b"]" * 17 + b"}",
        b'{"clientName": "\\ud800", "clientType": "public"}',
        b'{"clientName": "\xff", "clientType": "public"}',
        b'{"clientName": NaN, "clientType": "public"}',
        b'["clientName"]',
        b"{",
        b"{" + b" " * LARGEST_BODY + b"}",
    ],
    ids=["twice", "deep", "surrogate", "not UTF-8", "NaN", "array", "unfinished", "large"],
)
def test_a_body_that_can_be_read_in_two_ways_or_costs_too_much_is_refused(body: bytes) -> None:
    refusal = refused(body)
    assert refusal.code == "InvalidRequestException"
    assert "The body" in refusal.message


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"clientName": 1}, "The value at 'clientName' is not a string."),
        ({"scopes": "a"}, "The value at 'scopes' is not an array."),
        ({"scopes": [True]}, "The value at 'scopes.1.member' is not a string."),
        (
            {"clientName": None},
            "1 validation error detected: Value null at 'clientName' failed to satisfy constraint: "
            "Member must not be null",
        ),
        (
            {"scopes": [None]},
            "1 validation error detected: Value null at 'scopes.1.member' failed to satisfy constraint: "
            "Member must not be null",
        ),
    ],
)
def test_a_member_of_the_wrong_kind_is_named(change: dict[str, object], message: str) -> None:
    refusal = refused({**REGISTER, **change})
    assert (refusal.code, refusal.message) == ("InvalidRequestException", message)


def test_members_are_read_from_header_and_query_string() -> None:
    message = request(
        "GET",
        "/assignment/roles?account_id=111122223333&max_result=7",
        headers=(("x-amz-sso_bearer_token", "t"),),
    )
    assert REST_JSON.read(SSO, "ListAccountRoles", message) == sso.ListAccountRolesRequest(
        access_token="t", account_id="111122223333", max_results=7
    )


@pytest.mark.parametrize("number", ["0", "101", "1e1", "", "9" * 40])
def test_a_number_out_of_bounds_in_the_query_string_is_refused(number: str) -> None:
    message = request(
        "GET", f"/assignment/accounts?max_result={number}", headers=(("x-amz-sso_bearer_token", "t"),)
    )
    with pytest.raises(Refusal, match="InvalidRequestException"):
        REST_JSON.read(SSO, "ListAccounts", message)


def test_absent_members_are_left_out_of_an_answer_which_nobody_may_store() -> None:
    result = sso_oidc.CreateTokenResponse(access_token="a", expires_in=3)
    answer = REST_JSON.render(OIDC, "CreateToken", result, "r")
    assert json.loads(answer.body) == {"accessToken": "a", "expiresIn": 3}
    assert ("Cache-Control", "no-store") in answer.headers


def test_a_result_of_another_operation_is_a_fault_of_ours() -> None:
    with pytest.raises(TypeError):
        REST_JSON.render(OIDC, "CreateToken", None, "r")
    with pytest.raises(TypeError):
        REST_JSON.render(SSO, "Logout", sso_oidc.CreateTokenResponse(), "r")


@pytest.mark.parametrize(
    ("service", "refusal", "status", "body"),
    [
        (
            OIDC,
            Refusal("InvalidGrantException", "No."),
            400,
            {"error": "invalid_grant", "error_description": "No."},
        ),
        (
            OIDC,
            Refusal("InvalidClientException", "No."),
            401,
            {"error": "invalid_client", "error_description": "No."},
        ),
        (SSO, Refusal("UnauthorizedException", "No."), 401, {"message": "No."}),
        (SSO, Refusal("NotImplemented", "No."), 501, {"message": "No."}),
        (None, Refusal("UnsupportedHttpVerb", "No.", status=405), 405, {"message": "No."}),
    ],
)
def test_a_refusal_has_its_code_in_a_header_and_the_members_of_the_model(
    service: object, refusal: Refusal, status: int, body: dict[str, str]
) -> None:
    answer = REST_JSON.refuse(service, refusal, "r")
    assert (answer.status, json.loads(answer.body)) == (status, body)
    assert ("x-amzn-ErrorType", refusal.code) in answer.headers


def test_errors_that_all_services_share_are_called_as_the_service_calls_them() -> None:
    answer = REST_JSON.refuse(OIDC, Refusal("InternalFailure", "Broken."), "r")
    assert answer.status == 500
    assert json.loads(answer.body) == {"error": "server_error", "error_description": "Broken."}
    answer = REST_JSON.refuse(SSO, Refusal("Throttling", "Rate exceeded"), "r")
    assert (answer.status, answer.headers[0]) == (429, ("x-amzn-ErrorType", "TooManyRequestsException"))


def test_oauths_names_of_errors() -> None:
    assert oauth_name("AuthorizationPendingException") == "authorization_pending"
    assert oauth_name("SlowDownException") == "slow_down"
    assert oauth_name("UnsupportedGrantTypeException") == "unsupported_grant_type"
