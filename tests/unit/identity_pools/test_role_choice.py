"""Which role an identity gets, as tables of claims and mappings."""

from typing import Any

import pytest

from broker.errors import Refusal
from broker.identity_pools.logins import ProvenLogin
from broker.identity_pools.role_choice import RULES, TOKEN, chosen_role, matches
from broker.storage.identity_pool_records import ClaimRoles, ClaimRule, IdentityPoolRecord

MEMBER, GUEST, ADMIN, READER = (f"arn:aws:iam::111111111111:role/{name}" for name in "MGAR")
ROLES = {"authenticated": MEMBER, "unauthenticated": GUEST}


def pool(**mappings: ClaimRoles) -> IdentityPoolRecord:
    return IdentityPoolRecord(
        account_id="111111111111",
        region="us-east-1",
        pool_id="us-east-1:pool",
        pool_name="app",
        roles=ROLES,
        role_mappings=mappings,
    )


def login(provider: str = "one", **claims: Any) -> ProvenLogin:
    named = {name.replace("__", ":"): value for name, value in claims.items()}
    return ProvenLogin(provider, provider, "alice", "web", named, "use", 0.0)


def rule(match_type: str, value: str, role_arn: str = ADMIN, claim: str = "group") -> ClaimRule:
    return ClaimRule(claim=claim, match_type=match_type, value=value, role_arn=role_arn)


def rules(*given: ClaimRule, strict: bool = True) -> ClaimRoles:
    return ClaimRoles(kind=RULES, is_denied_without=strict, rules=given)


def denied(*arguments: Any) -> str:
    with pytest.raises(Refusal) as refused:
        chosen_role(*arguments)
    return refused.value.code


def test_without_a_mapping_the_pool_says_the_role() -> None:
    assert chosen_role(pool(), [login()], None) == MEMBER
    assert chosen_role(pool(), [], None) == GUEST
    assert chosen_role(pool(), [login()], MEMBER) == MEMBER
    assert denied(pool(), [login()], ADMIN) == "NotAuthorizedException"
    assert denied(pool(), [], MEMBER) == "NotAuthorizedException"


@pytest.mark.parametrize(
    ("match_type", "value", "claim", "expected"),
    [
        ("Equals", "dev", "dev", True),
        ("Equals", "dev", "Dev", False),
        ("NotEqual", "dev", "ops", True),
        ("NotEqual", "dev", "dev", False),
        ("NotEqual", "dev", None, False),
        ("NotEqual", "dev", ["ops"], False),
        ("StartsWith", "de", "dev", True),
        ("StartsWith", "ev", "dev", False),
        ("Contains", "ev", "dev", True),
        ("Contains", "x", "dev", False),
        ("Contains", "dev", ["ops", "dev"], True),
        ("Contains", "de", ["ops", "dev"], False),
        ("Equals", "dev", ["dev"], False),
        ("Equals", "true", True, True),
        ("Equals", "7", 7, True),
        ("Contains", "dev", {"dev": True}, False),
        ("Contains", "dev", [{"dev": True}, "dev"], False),
    ],
)
def test_a_rule_matches_what_the_claim_says_and_nothing_else(
    match_type: str, value: str, claim: Any, expected: bool
) -> None:
    claims = {} if claim is None else {"group": claim}
    assert matches(rule(match_type, value), claims) is expected


def test_the_first_rule_that_matches_gives_the_role() -> None:
    given = pool(one=rules(rule("Equals", "ops", READER), rule("Contains", "o", ADMIN), rule("Equals", "x")))
    assert chosen_role(given, [login(group="ops")], None) == READER
    assert chosen_role(given, [login(group="ops")], ADMIN) == ADMIN
    assert denied(given, [login(group="ops")], MEMBER) == "NotAuthorizedException"


def test_no_rule_is_a_denial_unless_the_mapping_says_otherwise() -> None:
    assert denied(pool(one=rules(rule("Equals", "x"))), [login(group="y")], None) == "NotAuthorizedException"
    lax = pool(one=rules(rule("Equals", "x"), strict=False))
    assert chosen_role(lax, [login(group="y")], None) == MEMBER
    assert denied(lax, [login(group="y")], ADMIN) == "NotAuthorizedException"


@pytest.mark.parametrize(
    ("claims", "expected"),
    [
        ({"cognito__roles": [ADMIN]}, ADMIN),
        ({"cognito__roles": ADMIN}, ADMIN),
        ({"cognito__roles": [ADMIN, READER], "cognito__preferred_role": READER}, READER),
        ({"cognito__roles": [ADMIN, READER]}, None),
        ({"cognito__roles": [ADMIN], "cognito__preferred_role": READER}, None),
        ({"cognito__preferred_role": ADMIN}, None),
        ({}, None),
    ],
)
def test_a_token_gives_the_role_that_it_offers_and_says(claims: dict[str, Any], expected: str | None) -> None:
    strict = pool(one=ClaimRoles(kind=TOKEN))
    if expected is None:
        assert denied(strict, [login(**claims)], None) == "NotAuthorizedException"
    else:
        assert chosen_role(strict, [login(**claims)], None) == expected


def test_an_app_chooses_among_the_roles_of_the_token_only() -> None:
    given = pool(one=ClaimRoles(kind=TOKEN, is_denied_without=False))
    offered = login(cognito__roles=[ADMIN, READER])
    assert chosen_role(given, [offered], READER) == READER
    assert denied(given, [offered], MEMBER) == "NotAuthorizedException"


def test_logins_whose_mappings_disagree_get_nothing() -> None:
    given = pool(one=rules(rule("Equals", "x", ADMIN)), two=rules(rule("Equals", "x", READER)))
    assert denied(given, [login("one", group="x"), login("two", group="x")], None) == "NotAuthorizedException"
    same = pool(one=rules(rule("Equals", "x", ADMIN)), two=rules(rule("Equals", "x", ADMIN)))
    assert chosen_role(same, [login("one", group="x"), login("two", group="x")], None) == ADMIN


def test_a_pool_without_the_role_is_misconfigured() -> None:
    bare = IdentityPoolRecord(account_id="1", region="r", pool_id="r:1", pool_name="app")
    assert denied(bare, [login()], None) == "InvalidIdentityPoolConfigurationException"
