"""What names a person in an identity store: proven, single, and the provider's own."""

import ast
from pathlib import Path
from typing import Any

import pytest

from broker.access.identity_stores import ProvenPerson, matched_value
from broker.storage.identity_store_records import IdentityStoreRecord

PACKAGE = Path(__file__).parents[3] / "broker"


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


# Who makes a caller of what a provider has proven.
MAKERS = ("web_identity_caller_in", "saml_caller_of", "ldap_caller_of")
ASKING = ("with_store_users", "admitted")
# Everybody who does, each a way in which people of a provider get into an account: AssumeRoleWithWebIdentity, -SAML and
# -LDAPIdentity, which token exchange, forward authentication and AuthZEN perform; the portal and `aws sso login`;
# identity pools, whose logins are admitted where they are proven.
WAYS_IN = {
    "sts/assume_role_with_web_identity.py",
    "sts/assume_role_with_saml.py",
    "sts/assume_role_with_ldap_identity.py",
    "access/federated_people.py",
    "identity_pools/get_credentials.py",
}
ADMITTED_BEFORE = {"identity_pools/get_credentials.py": "identity_pools/logins.py"}


def calls_in(path: Path) -> set[str]:
    tree = ast.parse(path.read_text("utf-8"))
    return {
        node.func.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }


def test_every_way_in_asks_the_identity_store() -> None:
    found = {
        path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py") if calls_in(path) & set(MAKERS)
    }
    assert found == WAYS_IN
    for way in WAYS_IN:
        asked = calls_in(PACKAGE / ADMITTED_BEFORE.get(way, way))
        assert asked & set(ASKING), f"{way} does not ask the identity store"
