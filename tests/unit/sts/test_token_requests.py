"""Requests to the OAuth endpoints: forms, and what they may ask for."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.errors import Refusal
from broker.sts.token_requests import (
    ACCESS_TOKEN,
    CREDENTIALS,
    JWT,
    SAML2,
    TOKEN_EXCHANGE,
    find,
    read_exchange,
    read_parameters,
    required,
)
from tests.unit.sts.conftest import ACCOUNT, OTHER

ROLE = f"arn:aws:iam::{ACCOUNT}:role/path/worker"
POLICY = "arn:aws:iam::aws:policy/ReadOnlyAccess"


def asked(**changed):
    usual = {
        "grant_type": TOKEN_EXCHANGE,
        "subject_token": "x.y.z",
        "subject_token_type": JWT,
        "resource": ROLE,
        "audience": "service",
        **changed,
    }
    given = {name: value for name, value in usual.items() if value is not None}
    return {name: value if isinstance(value, list) else [value] for name, value in given.items()}


def refusal(call, *arguments):
    with pytest.raises(Refusal) as refused:
        call(*arguments)
    return refused.value


def test_a_form_is_read_and_a_parameter_without_a_value_counts_as_left_out():
    parameters = read_parameters(b"audience=a%20b&audience=c&scope=&resource=x+y&&=nameless")
    assert parameters == {"audience": ["a b", "c"], "resource": ["x y"]}
    assert (find(parameters, "scope"), required(parameters, "resource")) == (None, "x y")
    assert refusal(required, parameters, "scope").code == "invalid_request"


@pytest.mark.parametrize(
    "body",
    [b"a=1&a=2", b"a=%zz", b"a=%ff", b"\xff=1", b"&".join([b"a=1"] * 101), b"resource=a&%72esource=b"],
    ids=lambda body: str(body[:24]),
)
def test_what_is_no_form_or_repeats_a_parameter_is_refused(body):
    assert refusal(read_parameters, body).code == "invalid_request"


@given(st.binary(max_size=200))
def test_any_body_is_read_or_refused(body):
    try:
        parameters = read_parameters(body)
    except Refusal as refused:
        assert refused.code == "invalid_request"
    else:
        assert all(parameters.values())


def test_a_request_says_what_is_asked_for():
    request = read_exchange(asked(audience=["a", "b"], scope=f"{POLICY} {POLICY}", duration="60"), ACCOUNT)
    assert (request.issued_token_type, request.role_arn) == (ACCESS_TOKEN, ROLE)
    assert (request.audience, request.policy_arns) == (("a", "b"), (POLICY, POLICY))
    assert (request.duration, request.role_session_name) == (60, None)
    assert "x.y.z" not in repr(request)


def test_credentials_and_saml_have_parameters_of_their_own():
    request = read_exchange(
        asked(
            requested_token_type=CREDENTIALS,
            audience=None,
            subject_token_type=SAML2,
            principal_arn="arn",
            duration="43200",
        ),
        ACCOUNT,
    )
    assert (request.audience, request.provider_arn, request.duration) == ((), "arn", 43200)


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"grant_type": "password"}, "unsupported_grant_type"),
        ({"grant_type": TOKEN_EXCHANGE.upper()}, "unsupported_grant_type"),
        ({"grant_type": None}, "invalid_request"),
        ({"actor_token": "x"}, "invalid_request"),
        ({"actor_token_type": JWT}, "invalid_request"),
        ({"subject_token_type": CREDENTIALS}, "invalid_request"),
        ({"requested_token_type": SAML2}, "invalid_request"),
        ({"resource": f"arn:aws:iam::{OTHER}:role/worker"}, "invalid_target"),
        ({"resource": f"arn:aws:iam::{ACCOUNT}:user/worker"}, "invalid_target"),
        ({"resource": "https://service.example.com"}, "invalid_target"),
        ({"resource": f"arn:aws:iam::{ACCOUNT}:role/{'x' * 2048}"}, "invalid_request"),
        ({"role_session_name": "x" * 2049}, "invalid_request"),
        ({"audience": None}, "invalid_request"),
        ({"audience": ["x"] * 11}, "invalid_target"),
        ({"audience": "x" * 1001}, "invalid_target"),
        ({"requested_token_type": CREDENTIALS}, "invalid_request"),
        ({"scope": " ".join([POLICY] * 11)}, "invalid_scope"),
        ({"scope": f"{POLICY}  {POLICY}"}, "invalid_scope"),
        ({"scope": f"{POLICY} "}, "invalid_scope"),
        ({"scope": "openid"}, "invalid_scope"),
        ({"scope": f'{POLICY}"'}, "invalid_scope"),
        ({"duration": "59"}, "invalid_request"),
        ({"duration": "3601"}, "invalid_request"),
        ({"duration": "0060"}, "invalid_request"),
        ({"duration": "٣٠٠"}, "invalid_request"),
        ({"subject_token_type": SAML2}, "invalid_request"),
        ({"subject_token_type": SAML2, "principal_arn": "x", "role_session_name": "y"}, "invalid_request"),
        ({"principal_arn": "x"}, "invalid_request"),
    ],
    ids=lambda value: str(value)[:60],
)
def test_what_is_not_given_is_refused_and_not_passed_over(changed, code):
    refused = refusal(read_exchange, asked(**changed), ACCOUNT)
    assert refused.code == code
    assert "x.y.z" not in f"{refused.message} {refused.reason}"


def test_a_parameter_that_is_not_known_is_ignored():
    assert read_exchange(asked(client_id="cli", state="1"), ACCOUNT) == read_exchange(asked(), ACCOUNT)
