"""What an identity plugin answers, good and bad."""

import json
from typing import Any

import pytest

from broker.assertions.checks import CheckFailed, Checks
from broker.assertions.custom_token import TokenHolder, TokenRefused, read_plugin_answer

GOOD: dict[str, Any] = {"user": "Alice", "maxValiditySeconds": 3600, "claims": {"team": "blue"}}


def read(status: int = 200, **changed: Any) -> TokenHolder:
    answer = {name: value for name, value in {**GOOD, **changed}.items() if value is not ...}
    return read_plugin_answer(status, json.dumps(answer).encode(), Checks())


def test_an_approval_names_its_user_and_gives_claims_as_keys():
    claims = {"Team": "blue", "groups": ["a", "b"], "level": 3, "ok": True, "of": {"org": "x"}, "none": None}
    assert read(claims=claims) == TokenHolder(
        "Alice",
        3600,
        {
            "custom:user": ("Alice",),
            "custom:team": ("blue",),
            "custom:groups": ("a", "b"),
            "custom:level": ("3",),
            "custom:ok": ("true",),
            "custom:of/org": ("x",),
        },
    )


def test_claims_may_be_missing():
    assert read(claims=...).keys == {"custom:user": ("Alice",)}


def test_reserved_claims_say_nothing():
    claims = {"exp": 1, "parent": "root", "Sub": "x", "user": "root", "USER": "root"}
    assert read(claims=claims).keys == {"custom:user": ("Alice",)}


@pytest.mark.parametrize(
    ("changed", "check"),
    [
        ({"user": ""}, "user"),
        ({"user": 7}, "user"),
        ({"user": ...}, "user"),
        ({"maxValiditySeconds": 899}, "longest validity"),
        ({"maxValiditySeconds": 365 * 24 * 3600}, "longest validity"),
        ({"maxValiditySeconds": 3600.0}, "longest validity"),
        ({"maxValiditySeconds": True}, "longest validity"),
        ({"maxValiditySeconds": "3600"}, "longest validity"),
        ({"maxValiditySeconds": ...}, "longest validity"),
        ({"claims": ["a"]}, "claims"),
        ({"claims": {"team": "a", "TEAM": "b"}}, "claims"),
        ({"claims": {f"c{number}": "x" for number in range(501)}}, "claims"),
    ],
)
def test_an_approval_that_cannot_be_used_fails_its_check(changed: dict[str, Any], check: str):
    with pytest.raises(CheckFailed) as caught:
        read(**changed)
    assert caught.value.check.name == check


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b'{"reason": "too old"}', "too old"),
        (b'{"reason": "a\\nb\\u0000c"}', "a b c"),
        (json.dumps({"reason": "x" * 300}).encode(), "x" * 256),
        (b'{"reason": 7}', ""),
        (b"no JSON", ""),
        (b"", ""),
    ],
)
def test_a_refusal_gives_its_reason_as_far_as_it_can_be_shown(body: bytes, reason: str):
    with pytest.raises(TokenRefused) as caught:
        read_plugin_answer(403, body, Checks())
    assert str(caught.value) == reason


@pytest.mark.parametrize("status", [201, 204, 302, 400, 401, 404, 500])
def test_another_status_is_no_answer(status: int):
    with pytest.raises(ValueError, match=str(status)):
        read(status)


@pytest.mark.parametrize("body", [b"", b"[]", b'{"user": "a", "user": "b"}', b"{" * 100, b"\xff"])
def test_what_is_no_object_is_no_answer(body: bytes):
    with pytest.raises(ValueError):
        read_plugin_answer(200, body, Checks())
