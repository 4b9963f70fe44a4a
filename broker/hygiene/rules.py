"""The rules, one row each: its name, how much it matters, what it says, and how it is found in a state."""

import enum
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import msgspec

from broker.hygiene.states import (
    Entity,
    EntityState,
    PasswordRules,
    ResourceState,
    RootState,
    State,
    UserCredentials,
)
from broker.permission_use.account_use import PATHS_OF_SERVICES, AccountUse, unused_permissions
from broker.policy import (
    ExternalGrant,
    PolicyKind,
    allows_everything,
    granted_outside,
    trusted_accounts,
    trusts_everyone,
    whole_account,
)
from broker.storage.analyzer_records import UnusedService
from broker.storage.records import Group, Role, User
from broker.storage.resource_records import ForeignResource

_DAY = 86_400


class Severity(enum.Enum):
    """How soon a finding should be mended."""

    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"


class Limits(msgspec.Struct, frozen=True):
    """In days: how old an access key may be, and how long a credential, role or permission may be without use."""

    key_age: int = 90
    unused: int = 90


DEFAULT_LIMITS = Limits()


class Place(msgspec.Struct, frozen=True):
    """What a finding is about: `kind` is root, account, user, group, role, policy or resource, whose name is an ARN;
    `detail` is part of it."""

    kind: str
    name: str = ""
    detail: str = ""
    days: int | None = None


class HygieneRule(msgspec.Struct, frozen=True):
    """`find` is given a `state` of that type, the limits and the time in epoch seconds."""

    name: str
    severity: Severity
    sentence: str
    state: type[State]
    find: Callable[[Any, Limits, float], Iterable[Place]]


class HygieneFinding(msgspec.Struct, frozen=True):
    """A place where a rule is broken."""

    rule: HygieneRule
    place: Place


def _root_keys(state: RootState, limits: Limits, now: float) -> Iterator[Place]:
    if state.has_access_keys:
        yield Place("root")


def _root_without_second_factor(state: RootState, limits: Limits, now: float) -> Iterator[Place]:
    if state.has_password and not state.has_second_factor:
        yield Place("root")


def _no_password_policy(state: PasswordRules, limits: Limits, now: float) -> Iterator[Place]:
    if not state.has_policy:
        yield Place("account")


def _without_second_factor(state: UserCredentials, limits: Limits, now: float) -> Iterator[Place]:
    for name in state.without_second_factor:
        yield Place("user", name)


def _old_keys(state: UserCredentials, limits: Limits, now: float) -> list[Place]:
    found = (
        Place("user", key.user_name, key.access_key_id, _days(now, key.created_at))
        for key in state.keys
        if key.is_active
    )
    return _longest_first(one for one in found if (one.days or 0) > limits.key_age)


def _unused_keys(state: UserCredentials, limits: Limits, now: float) -> list[Place]:
    found = (
        Place(
            "user",
            key.user_name,
            key.access_key_id,
            _days(now, key.created_at if key.last_used_at is None else key.last_used_at),
        )
        for key in state.keys
        if key.is_active
    )
    return _longest_first(one for one in found if (one.days or 0) > limits.unused)


def _unused_passwords(state: UserCredentials, limits: Limits, now: float) -> list[Place]:
    found = (
        Place(
            "user",
            one.user_name,
            days=_days(now, one.created_at if one.last_used_at is None else one.last_used_at),
        )
        for one in state.passwords
    )
    return _longest_first(one for one in found if (one.days or 0) > limits.unused)


def _unused_roles(state: EntityState, limits: Limits, now: float) -> list[Place]:
    found = (
        Place(
            "role",
            one.role.role_name,
            days=_days(now, one.role.created_at if one.last_used_at is None else one.last_used_at),
        )
        for one in state.roles
        if not one.role.path.startswith(PATHS_OF_SERVICES)
    )
    return _longest_first(one for one in found if (one.days or 0) > limits.unused)


def _everything_allowed(state: EntityState, limits: Limits, now: float) -> Iterator[Place]:
    """A policy of the account once, attached or not; AWS's own and inline ones where they are attached."""
    for policy in state.policies:
        if allows_everything(policy.document):
            yield Place("policy", policy.policy_name)
    for entity in state.entities:
        for name, document in entity.inline_policies.items():
            if allows_everything(document):
                yield _entity(entity, name)
        for arn in entity.attached_policies:
            if allows_everything(state.aws_managed.get(arn, "")):
                yield _entity(entity, arn)


def _everyone_trusted(state: EntityState, limits: Limits, now: float) -> Iterator[Place]:
    for one in state.roles:
        if trusts_everyone(one.role.assume_role_policy):
            yield Place("role", one.role.role_name)


def _accounts_trusted(state: EntityState, limits: Limits, now: float) -> Iterator[Place]:
    """Other accounts: in the role's own, the policies of its users and roles decide."""
    for one in state.roles:
        for account in trusted_accounts(one.role.assume_role_policy):
            if account != state.account:
                yield Place("role", one.role.role_name, account)


def _outside_trusted(state: EntityState, limits: Limits, now: float) -> Iterator[Place]:
    """Of identity providers the trust policy does not say whose people they sign in: they are not looked at."""
    for one in state.roles:
        grants = granted_outside(one.role.assume_role_policy, PolicyKind.TRUST, state.zone)
        for principal in dict.fromkeys(grant.principal for grant in grants if _is_of_this_rule(grant)):
            yield Place("role", one.role.role_name, principal)


def _is_of_this_rule(grant: ExternalGrant) -> bool:
    """Everyone, and accounts as a whole, are of other rules where there is no condition."""
    is_as_a_whole = not grant.conditions and whole_account(grant.principal) != ""
    return grant.principal_type == "AWS" and not grant.is_public and not is_as_a_whole


def _public_resources(state: ResourceState, limits: Limits, now: float) -> Iterator[Place]:
    for one in state.resources:
        if not _is_restricted(one) and any(grant.is_public for grant in _grants_of(one, state)):
            yield Place("resource", one.arn)


def _is_restricted(resource: ForeignResource) -> bool:
    """S3: of a bucket with a public policy, those outside are refused."""
    block = resource.public_access_block
    return block is not None and block.restrict_public_buckets


def _outside_shared(state: ResourceState, limits: Limits, now: float) -> Iterator[Place]:
    for one in state.resources:
        grants = [grant for grant in _grants_of(one, state) if not grant.is_public]
        for principal in dict.fromkeys(grant.principal for grant in grants):
            yield Place("resource", one.arn, principal)


def _grants_of(resource: ForeignResource, state: ResourceState) -> list[ExternalGrant]:
    text = resource.policy
    return [] if text is None else granted_outside(text, PolicyKind.RESOURCE, state.zone)


def _unused_permissions(state: AccountUse, limits: Limits, now: float) -> Iterator[Place]:
    for one in unused_permissions(state, unused_since(limits, now)):
        yield _entity(one.entity, ", ".join(map(_unused_of, one.services)))


def _unused_of(service: UnusedService) -> str:
    """The service alone where it was not used at all."""
    number = len(service.actions)
    return f"{service.service} ({number} action{'s' if number > 1 else ''})" if number else service.service


def unused_since(limits: Limits, now: float) -> float:
    """What was not used since then is unused: epoch seconds."""
    return now - limits.unused * _DAY


def _entity(entity: Entity, detail: str) -> Place:
    match entity:
        case User():
            return Place("user", entity.user_name, detail)
        case Group():
            return Place("group", entity.group_name, detail)
        case Role():
            return Place("role", entity.role_name, detail)


def _days(now: float, since: int) -> int:
    return int((now - since) // _DAY)


def _longest_first(places: Iterable[Place]) -> list[Place]:
    return sorted(places, key=lambda one: (-(one.days or 0), one.name.lower(), one.detail))


_HIGH, _MEDIUM, _LOW = Severity
# The most severe first: so they are shown.
RULES = (
    HygieneRule("root_keys", _HIGH, "the root user has access keys", RootState, _root_keys),
    HygieneRule(
        "root_without_second_factor",
        _HIGH,
        "the root user has a password and no second factor",
        RootState,
        _root_without_second_factor,
    ),
    HygieneRule("everyone_trusted", _HIGH, "everyone may assume the role", EntityState, _everyone_trusted),
    HygieneRule(
        "everything_allowed",
        _HIGH,
        "every action is allowed on every resource",
        EntityState,
        _everything_allowed,
    ),
    HygieneRule("public_resources", _HIGH, "everyone may use the resource", ResourceState, _public_resources),
    HygieneRule(
        "without_second_factor",
        _HIGH,
        "the user has a password and no second factor",
        UserCredentials,
        _without_second_factor,
    ),
    HygieneRule(
        "account_trusted",
        _MEDIUM,
        "another account is trusted as a whole, without a condition",
        EntityState,
        _accounts_trusted,
    ),
    HygieneRule(
        "outside_trusted",
        _MEDIUM,
        "somebody outside the organization or account is trusted",
        EntityState,
        _outside_trusted,
    ),
    HygieneRule(
        "outside_shared",
        _MEDIUM,
        "somebody outside the organization or account may use the resource",
        ResourceState,
        _outside_shared,
    ),
    HygieneRule("old_keys", _MEDIUM, "the access key is old", UserCredentials, _old_keys),
    HygieneRule("unused_keys", _MEDIUM, "the access key is not used", UserCredentials, _unused_keys),
    HygieneRule(
        "no_password_policy", _LOW, "there is no password policy", PasswordRules, _no_password_policy
    ),
    HygieneRule("unused_passwords", _LOW, "the password is not used", UserCredentials, _unused_passwords),
    HygieneRule("unused_roles", _LOW, "nobody assumes the role", EntityState, _unused_roles),
    HygieneRule(
        "unused_permissions", _LOW, "policies allow what is not used", AccountUse, _unused_permissions
    ),
)


def find_hygiene(
    states: Iterable[State], now: float, limits: Limits = DEFAULT_LIMITS
) -> list[HygieneFinding]:
    """The findings in the `states` that were gathered, in the order of RULES."""
    by_type = {type(one): one for one in states}
    return [
        HygieneFinding(rule, place)
        for rule in RULES
        if rule.state in by_type
        for place in rule.find(by_type[rule.state], limits, now)
    ]
