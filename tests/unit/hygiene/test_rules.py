"""Each rule, found and not found."""

import json
from typing import Any

import msgspec
import pytest

import broker.app  # noqa: F401  # declares the operations of all services
from broker.hygiene.rules import RULES, Limits, Place, find_hygiene
from broker.hygiene.states import (
    EntityState,
    PasswordRules,
    ResourceState,
    RoleState,
    RootState,
    State,
    UserCredentials,
    UserKey,
    UserPassword,
)
from broker.permission_use.account_use import AccountUse
from broker.permission_use.unused_permissions import EntityPermissions
from broker.policy import Zone
from broker.storage.records import ManagedPolicy, PolicyVersion, Role, Usage, User
from broker.storage.resource_records import ForeignResource, PublicAccessBlock

HERE, OTHER = "111122223333", "444455556666"
DAY = 86_400
NOW = 1_800_000_000
ADMINISTRATOR = "arn:aws:iam::aws:policy/AdministratorAccess"


def document(**statement: Any) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", **statement}]})


EVERYTHING = document(Action="*", Resource="*")
TRUST = document(Principal={"AWS": HERE}, Action="sts:AssumeRole")
ZONE = Zone(frozenset({HERE}))
EMPTY = EntityState(HERE, (), (), (), {}, ZONE)


def found(state: State, limits: Limits | None = None) -> list[tuple[str, Place]]:
    return [(one.rule.name, one.place) for one in find_hygiene([state], NOW, limits or Limits())]


def key(name: str, age: int, used: int | None, *, is_active: bool = True) -> UserKey:
    """`age` and `used` in days before now."""
    return UserKey(
        name, f"AKIA{name}", is_active, NOW - age * DAY, None if used is None else NOW - used * DAY
    )


def role(name: str, *, path: str = "/", created: int = 0, trust: str = TRUST, **more: Any) -> Role:
    return Role(
        account_id=HERE,
        role_name=name,
        role_id=name,
        path=path,
        created_at=NOW - created * DAY,
        assume_role_policy=trust,
        **more,
    )


def test_root_has_no_keys_and_a_second_factor_where_it_has_a_password() -> None:
    assert found(RootState(True, True, False)) == [
        ("root_keys", Place("root")),
        ("root_without_second_factor", Place("root")),
    ]
    assert found(RootState(False, True, True)) == []
    assert found(RootState(False, False, False)) == []


def test_an_account_has_a_password_policy() -> None:
    assert found(PasswordRules(False)) == [("no_password_policy", Place("account"))]
    assert found(PasswordRules(True)) == []


def test_active_keys_of_more_than_ninety_days_are_old_the_oldest_first() -> None:
    keys = (key("exact", 90, 0), key("old", 91, 0), key("older", 365, 0), key("off", 999, 0, is_active=False))
    assert found(UserCredentials(keys, ())) == [
        ("old_keys", Place("user", "older", "AKIAolder", 365)),
        ("old_keys", Place("user", "old", "AKIAold", 91)),
    ]


def test_a_key_is_unused_since_its_last_use_or_since_it_was_made() -> None:
    keys = (key("never", 40, None), key("seldom", 50, 31), key("often", 50, 1), key("new", 1, None))
    limits = Limits(key_age=1000, unused=30)
    assert found(UserCredentials(keys, ()), limits) == [
        ("unused_keys", Place("user", "never", "AKIAnever", 40)),
        ("unused_keys", Place("user", "seldom", "AKIAseldom", 31)),
    ]


def test_a_user_with_a_password_alone_is_found() -> None:
    assert found(UserCredentials((), ("alice",))) == [("without_second_factor", Place("user", "alice"))]


def test_a_role_is_unused_since_it_was_assumed_or_since_it_was_made() -> None:
    roles = (
        RoleState(role("never", created=91), None),
        RoleState(role("long-ago", created=999), NOW - 100 * DAY),
        RoleState(role("today", created=999), NOW),
        RoleState(role("new", created=90), None),
        RoleState(role("AWSServiceRoleForX", path="/aws-service-role/x/", created=999), None),
    )
    assert found(msgspec.structs.replace(EMPTY, roles=roles)) == [
        ("unused_roles", Place("role", "long-ago", days=100)),
        ("unused_roles", Place("role", "never", days=91)),
    ]


def test_a_policy_that_allows_everything_is_found_by_itself_or_with_who_has_it() -> None:
    version = PolicyVersion(version_id="v1", document=EVERYTHING, created_at=0)
    policy = ManagedPolicy(
        account_id=HERE, policy_name="all", policy_id="1", versions=(version,), created_at=0, updated_at=0
    )
    alice = User(
        account_id=HERE,
        user_name="alice",
        user_id="1",
        created_at=0,
        inline_policies={"mine": EVERYTHING, "less": document(Action="s3:*", Resource="*")},
        attached_policies=(ADMINISTRATOR, policy.arn),
    )
    state = EntityState(HERE, (alice,), (policy,), (), {ADMINISTRATOR: EVERYTHING}, ZONE)
    assert found(state) == [
        ("everything_allowed", Place("policy", "all")),
        ("everything_allowed", Place("user", "alice", "mine")),
        ("everything_allowed", Place("user", "alice", ADMINISTRATOR)),
    ]


def test_trust_in_other_accounts_is_found_and_in_its_own_is_not() -> None:
    other = document(Principal={"AWS": [f"arn:aws:iam::{OTHER}:root", HERE]}, Action="sts:AssumeRole")
    everyone = document(Principal="*", Action="sts:AssumeRole")
    roles = (
        RoleState(role("other", trust=other), NOW),
        RoleState(role("everyone", trust=everyone), NOW),
        RoleState(role("own"), NOW),
    )
    assert found(msgspec.structs.replace(EMPTY, roles=roles)) == [
        ("everyone_trusted", Place("role", "everyone")),
        ("account_trusted", Place("role", "other", OTHER)),
    ]


PARTNER = f"arn:aws:iam::{OTHER}:role/deploy"
FROM_OUTSIDE = {"StringEquals": {"sts:ExternalId": "x"}}
FROM_INSIDE = {"StringEquals": {"aws:PrincipalOrgID": "o-own"}}


@pytest.mark.parametrize(
    ("principal", "condition", "outside"),
    [
        ({"AWS": PARTNER}, {}, [PARTNER]),
        ({"AWS": [PARTNER, f"arn:aws:iam::{HERE}:user/ann"]}, FROM_OUTSIDE, [PARTNER]),
        ({"AWS": OTHER}, FROM_OUTSIDE, [OTHER]),
        ("*", FROM_OUTSIDE, ["*"]),
        ("*", FROM_INSIDE, ["*"]),  # it is of no organization
        ({"AWS": OTHER}, {}, []),  # another rule has it
        ("*", {}, []),
        ({"Federated": f"arn:aws:iam::{HERE}:saml-provider/idp"}, {}, []),
        ({"Service": "ec2.amazonaws.com"}, {}, []),
        ({"AWS": HERE}, {}, []),
    ],
)
def test_trust_that_reaches_outside_is_found_by_name(
    principal: Any, condition: dict[str, Any], outside: list[str]
) -> None:
    trust = document(
        Principal=principal, Action="sts:AssumeRole", **({"Condition": condition} if condition else {})
    )
    state = msgspec.structs.replace(EMPTY, roles=(RoleState(role("app", trust=trust), NOW),))
    places = [place for name, place in found(state) if name == "outside_trusted"]
    assert places == [Place("role", "app", one) for one in outside]
    within = msgspec.structs.replace(state, zone=Zone(frozenset({HERE, OTHER}), "o-own"))
    left = [place.detail for name, place in found(within) if name == "outside_trusted"]
    assert left == (["*"] if principal == "*" and condition is FROM_OUTSIDE else [])


def bucket(name: str, *statements: dict[str, Any], is_restricted: bool = False) -> ForeignResource:
    block = PublicAccessBlock(restrict_public_buckets=True) if is_restricted else None
    text = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", **one} for one in statements]}
    return ForeignResource(
        account_id=HERE,
        arn=f"arn:aws:s3:::{name}",
        created_at=1,
        updated_at=1,
        policy=json.dumps(text) if statements else None,
        public_access_block=block,
    )


def test_resources_that_are_public_or_shared_outside_are_found() -> None:
    def read(name: str, principal: Any, **more: Any) -> dict[str, Any]:
        return {
            "Principal": principal,
            "Action": "s3:GetObject",
            "Resource": f"arn:aws:s3:::{name}/*",
            **more,
        }

    resources = (
        bucket("open", read("open", "*")),
        bucket("restricted", read("restricted", "*"), is_restricted=True),
        bucket("shared", read("shared", {"AWS": [OTHER, HERE]}), read("shared", "*", Condition=FROM_OUTSIDE)),
        bucket("own", read("own", {"AWS": HERE})),
        bucket("plain"),
    )
    assert found(ResourceState(resources, ZONE)) == [
        ("public_resources", Place("resource", "arn:aws:s3:::open")),
        ("outside_shared", Place("resource", "arn:aws:s3:::shared", OTHER)),
        ("outside_shared", Place("resource", "arn:aws:s3:::shared", "*")),
    ]


def test_a_password_is_unused_since_it_was_used_or_since_it_was_made() -> None:
    passwords = (
        UserPassword("never", NOW - 91 * DAY, None),
        UserPassword("seldom", NOW - 999 * DAY, NOW - 100 * DAY),
        UserPassword("often", NOW - 999 * DAY, NOW),
        UserPassword("new", NOW - 90 * DAY, None),
    )
    assert found(UserCredentials((), (), passwords)) == [
        ("unused_passwords", Place("user", "seldom", days=100)),
        ("unused_passwords", Place("user", "never", days=91)),
    ]


def test_what_a_used_role_did_not_use_of_its_policies_is_found_by_service() -> None:
    text = document(Action=["iam:GetUser", "iam:ListUsers", "organizations:List*"], Resource="*")
    used = role("worker", created=999, inline_policies={"p": text})
    mark = Usage(last_used_at=NOW - 31 * DAY, service="iam", action="GetUser")
    use = AccountUse((used,), (), (), {}, {}, EntityPermissions({}, {}, {used.role_id: (mark,)}))
    place = Place("role", "worker", "iam (1 action), organizations")
    assert found(use) == [("unused_permissions", place)]
    assert found(use, Limits(unused=30)) == []  # the role itself is unused


def test_every_rule_has_a_name_of_its_own() -> None:
    assert len({rule.name for rule in RULES}) == len(RULES)
