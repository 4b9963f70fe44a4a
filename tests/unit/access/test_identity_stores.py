"""What names a person in an identity store: proven, single, and the provider's own."""

from typing import Any

import pytest

from broker.access.identity_stores import ProvenPerson, matched_value
from broker.storage.identity_store_records import IdentityStoreRecord


def named(claim: str, subject: str = "sub-1", **claims: Any) -> str | None:
    record = IdentityStoreRecord(account_id="1", store_id="d-1", provider="p", claim=claim)
    return matched_value(record, ProvenPerson(subject, claims))


def test_without_a_claim_the_providers_own_identifier_counts() -> None:
    assert named("") == "sub-1"
    assert named("", subject="") is None
    assert named("", email="x@example.com") == "sub-1"


def test_a_claim_has_one_value() -> None:
    assert named("oid", oid="7") == "7"
    assert named("oid", oid=("7",)) == "7"
    assert named("oid", oid=["7"]) == "7"


@pytest.mark.parametrize("value", [None, "", [], ["a", "b"], ("a", "b"), {"a": 1}, 7, True, [7]])
def test_a_claim_that_is_none_or_several_names_nobody(value: Any) -> None:
    assert named("oid", oid=value) is None


def test_an_address_that_the_provider_has_not_verified_names_nobody() -> None:
    assert named("email", email="a@example.com", email_verified=False) is None
    assert named("email", email="a@example.com", email_verified="false") is None
    assert named("email", email="a@example.com", email_verified=True) == "a@example.com"
    assert named("email", email="a@example.com") == "a@example.com"
