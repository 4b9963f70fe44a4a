"""Condition keys, session tags and source identity of a web identity."""

from typing import Any

import pytest

from broker.assertions.checks import CheckFailed, Checks
from broker.assertions.web_identity import WebIdentityClaims
from broker.assertions.web_identity_attributes import (
    MOST_KEYS,
    RequestedSession,
    condition_keys,
    session_attributes,
)

TAGS = "https://aws.amazon.com/tags"


def identity(claims: dict[str, Any], audience: tuple[str, ...] = ("client-1",)) -> WebIdentityClaims:
    return WebIdentityClaims("https://Idp.example.com/Realm", "alice", audience, 0, 0, claims)


def keys_of(claims: dict[str, Any]) -> dict[str, tuple[str, ...]]:
    return condition_keys(identity(claims), Checks())


def attributes_of(claims: dict[str, Any]) -> RequestedSession:
    return session_attributes(identity(claims), Checks())


def test_each_claim_is_a_condition_key_of_the_provider() -> None:
    claims = {
        "sub": "alice",
        "amr": ["mfa", "pwd"],
        "Repository": "a/b",
        "email_verified": True,
        "run": 7,
        "ratio": 0.5,
    }
    assert keys_of(claims) == {
        "idp.example.com/realm:aud": ("client-1",),
        "idp.example.com/realm:sub": ("alice",),
        "idp.example.com/realm:amr": ("mfa", "pwd"),
        "idp.example.com/realm:repository": ("a/b",),
        "idp.example.com/realm:email_verified": ("true",),
        "idp.example.com/realm:run": ("7",),
        "idp.example.com/realm:ratio": ("0.5",),
    }


def test_members_of_an_object_are_condition_keys() -> None:
    claims = {"kubernetes.io": {"namespace": "prod", "serviceaccount": {"name": "web"}}}
    assert keys_of(claims) == {
        "idp.example.com/realm:aud": ("client-1",),
        "idp.example.com/realm:kubernetes.io/namespace": ("prod",),
        "idp.example.com/realm:kubernetes.io/serviceaccount/name": ("web",),
    }


@pytest.mark.parametrize(
    "value", [None, [None], [["a"]], [{"a": "b"}], {"a": {"b": {"c": {"d": "e"}}}}], ids=str
)
def test_a_value_that_no_condition_can_compare_is_no_key(value: Any) -> None:
    assert keys_of({"x": value}) == {"idp.example.com/realm:aud": ("client-1",)}


def test_the_audience_is_the_authorized_party_and_the_original_one_has_its_own_key() -> None:
    keys = keys_of({"aud": "account", "azp": "client-1"})
    assert keys["idp.example.com/realm:aud"] == ("client-1",)
    assert keys["idp.example.com/realm:oaud"] == ("account",)


@pytest.mark.parametrize(
    "claims",
    [{"sub": "alice", "SUB": "root"}, {"a": {"b": "1"}, "A": {"B": "2"}}, {"a/b": "1", "a": {"b": "2"}}],
    ids=str,
)
def test_a_claim_cannot_pass_for_another(claims: dict[str, Any]) -> None:
    with pytest.raises(CheckFailed, match="differ in more than case"):
        keys_of(claims)


def test_a_claim_cannot_name_a_global_key() -> None:
    assert all(key.startswith("idp.example.com/realm:") for key in keys_of({"aws:PrincipalTag/team": "x"}))


def test_very_many_claims_are_refused() -> None:
    with pytest.raises(CheckFailed, match=f"at most {MOST_KEYS}"):
        keys_of({str(number): "x" for number in range(MOST_KEYS + 1)})


def test_tags_and_the_source_identity_are_read_from_their_claims() -> None:
    claims = {
        TAGS: {"principal_tags": {"Project": ["one"], "Team": "two"}, "transitive_tag_keys": ["Project"]},
        "https://aws.amazon.com/source_identity": "alice",
    }
    assert attributes_of(claims) == RequestedSession({"Project": "one", "Team": "two"}, ("Project",), "alice")


def test_tags_are_read_from_flat_claims_too() -> None:
    claims = {
        f"{TAGS}/principal_tags/Project": ["one"],
        f"{TAGS}/transitive_tag_keys": ["Project"],
    }
    assert attributes_of(claims) == RequestedSession({"Project": "one"}, ("Project",))


def test_a_token_without_them_requests_nothing() -> None:
    assert attributes_of({"sub": "alice"}) == RequestedSession()


@pytest.mark.parametrize(
    ("claims", "check"),
    [
        ({TAGS: "Project=one"}, "session tags"),
        ({TAGS: {"principal_tags": ["Project"]}}, "session tags"),
        ({TAGS: {"principal_tags": {"Project": ["one", "two"]}}}, "session tags"),
        ({TAGS: {"principal_tags": {"Project": []}}}, "session tags"),
        ({TAGS: {"principal_tags": {"Project": 7}}}, "session tags"),
        ({TAGS: {"transitive_tag_keys": [7]}}, "transitive tag keys"),
        ({f"{TAGS}/transitive_tag_keys": {"a": 1}}, "transitive tag keys"),
        ({"https://aws.amazon.com/source_identity": ["alice"]}, "source identity"),
    ],
    ids=str,
)
def test_attributes_of_a_wrong_form_are_refused(claims: dict[str, Any], check: str) -> None:
    with pytest.raises(CheckFailed) as failed:
        attributes_of(claims)
    assert failed.value.check.name == check
