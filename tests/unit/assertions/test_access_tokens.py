"""What providers say of access tokens, good and bad."""

import json
from typing import Any

import pytest

from broker.assertions.access_tokens import TokenOwner, read_id, read_token_info
from broker.assertions.checks import CheckFailed, Checks

GOOD: dict[str, Any] = {
    "iss": "https://www.amazon.com",
    "app_id": "amzn1.application.1",
    "aud": "amzn1.application-oa2-client.1",
    "user_id": "amzn1.account.1",
    "exp": 818,
    "iat": 1475349936,
}


def info(status: int = 200, **changed: Any) -> TokenOwner:
    told = {name: value for name, value in {**GOOD, **changed}.items() if value is not ...}
    return read_token_info(status, json.dumps(told).encode(), Checks())


def test_tokeninfo_names_the_user_and_the_application():
    assert info() == TokenOwner("amzn1.application.1", "amzn1.account.1")


@pytest.mark.parametrize(
    ("changed", "check"),
    [
        ({"iss": "https://www.amazon.com.example"}, "issuer"),
        ({"iss": ...}, "issuer"),
        ({"exp": 0}, "expiry"),
        ({"exp": "818"}, "expiry"),
        ({"exp": True}, "expiry"),
        ({"exp": ...}, "expiry"),
        ({"app_id": ...}, "application"),
        ({"app_id": ["amzn1.application.1"]}, "application"),
        ({"app_id": "x" * 256}, "application"),
        ({"user_id": ""}, "subject"),
        ({"user_id": "a\nb"}, "subject"),
    ],
)
def test_what_proves_nothing_fails_its_check(changed: dict[str, Any], check: str):
    with pytest.raises(CheckFailed) as caught:
        info(**changed)
    assert caught.value.check.name == check


@pytest.mark.parametrize("status", [400, 401, 403])
def test_a_token_that_the_provider_does_not_know_is_refused(status: int):
    with pytest.raises(CheckFailed) as caught:
        info(status)
    assert caught.value.check.name == "token"


@pytest.mark.parametrize("status", [201, 302, 404, 429, 500])
def test_another_status_is_no_answer(status: int):
    with pytest.raises(ValueError, match=str(status)):
        info(status)


@pytest.mark.parametrize("body", [b"", b"[]", b'{"id": "1", "id": "2"}'])
def test_what_is_no_object_is_no_answer(body: bytes):
    with pytest.raises(ValueError):
        read_id(200, body, "subject", Checks())


def test_an_id_is_a_text():
    assert read_id(200, b'{"id": "17", "name": "x"}', "subject", Checks()) == "17"
    with pytest.raises(CheckFailed):
        read_id(200, b'{"id": 17}', "subject", Checks())
