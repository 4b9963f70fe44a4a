"""Principal and NotPrincipal, compiled: what a statement of a resource policy grants to a caller.

IAM User Guide, "AWS JSON policy elements: Principal", "... NotPrincipal" and "Policy evaluation for requests
within a single account". Names are compared as a whole: there are no partial wildcards. A role's ARN or unique id
names all its sessions, a session's ARN only that session.

NotPrincipal works with Deny only, as AWS documents; with Allow it grants nothing. A Deny with NotPrincipal spares a
caller that is listed with every name that AWS checks: the root user with its account, a user with account and user, a
role's session with account, role and session, a federated user with account, user and federated user. A caller with a
permissions boundary is never spared.

# INVARIANT: whether a list spares a caller depends on that caller's own names alone, so a longer list spares no fewer.
"""

import enum
from collections.abc import Callable
from functools import lru_cache, partial
from types import MethodType

import msgspec

from broker.names.arn import iam_arn
from broker.names.principal import (
    Anonymous,
    AssertedSubject,
    AssumedRole,
    FederatedUser,
    IamUser,
    Principal,
    Root,
    Service,
)
from broker.policy.elements import Effect, Policy, Principals


class Grant(enum.IntEnum):
    """What a statement that names a caller grants to it, weakest first. In a Deny, all but NONE deny."""

    NONE = 0
    ACCOUNT = 1  # the account is named: its identity policies must allow, too
    ROLE = 2  # the role, or the user behind a federated session: limited by boundary and session policies
    DIRECT = 3  # the principal itself, or everyone: not limited by an implicit deny of another policy


# Python 3.11 is slow to find a member through its class, and every decision uses some.
NONE, ACCOUNT, ROLE, DIRECT = Grant


class Names(msgspec.Struct, frozen=True, gc=False):
    """Every name by which policies can name one principal."""

    account: tuple[str, ...] = ()
    entity: tuple[str, ...] = ()  # the user, the role, the user behind a federated session
    itself: tuple[str, ...] = ()
    service: str = ""
    federated: str = ""
    canonical_user: str = ""
    is_anonymous: bool = False
    has_boundary: bool = False  # a permissions boundary limits it


GrantTo = Callable[[Names], Grant]


def names_of(
    principal: Principal,
    has_boundary: bool = False,
    federated_by: tuple[str, ...] = (),
    canonical_user_id: str = "",
) -> Names:
    """`federated_by`: ARN and unique id of the user who made a federated session; empty where the root user did."""
    if isinstance(principal, Service):
        return Names(service=principal.name)
    if isinstance(principal, AssertedSubject):
        return Names(federated=principal.provider)
    if isinstance(principal, Anonymous):
        return Names(is_anonymous=True)
    account = (principal.account, iam_arn(principal.account, "root"))
    entity, itself = _entity_and_self(principal, federated_by)
    return Names(account, entity, itself, canonical_user=canonical_user_id, has_boundary=has_boundary)


# The names of principals without and with a permissions boundary, cached.
usual_names = lru_cache(maxsize=4096)(names_of)
bounded_names = lru_cache(maxsize=4096)(partial(names_of, has_boundary=True))


def _entity_and_self(
    principal: Root | IamUser | AssumedRole | FederatedUser, federated_by: tuple[str, ...]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    if isinstance(principal, IamUser):
        return (), (principal.arn, principal.unique_id)
    if isinstance(principal, AssumedRole):
        return (principal.role_arn, principal.role_id), (principal.arn, principal.user_id)
    if isinstance(principal, FederatedUser):
        return federated_by, (principal.arn,)
    return (), ()


def grant_everyone(names: Names) -> Grant:
    """`"Principal": "*"`."""
    return DIRECT


def grant_nobody(names: Names) -> Grant:
    """An Allow that names no principal, or says NotPrincipal."""
    return NONE


def compile_principals(principals: Principals, *, denies: bool) -> GrantTo:
    """The grant of a Principal element; a `*` for a whole type of principals counts in a Deny only."""
    if principals.everyone:
        return grant_everyone
    if len(principals.aws) == 1 and not (
        principals.service or principals.federated or principals.canonical_user
    ):
        return _grant_to_name(principals.aws[0])
    aws, service = frozenset(principals.aws), frozenset(principals.service)
    federated, canonical = frozenset(principals.federated), frozenset(principals.canonical_user)

    def grant_to(names: Names) -> Grant:
        if not aws.isdisjoint(names.itself):
            return DIRECT
        if not aws.isdisjoint(names.entity):
            return ROLE
        if not aws.isdisjoint(names.account):
            return ACCOUNT
        if names.service:
            found = names.service in service or (denies and "*" in service)
        elif names.federated:
            found = names.federated in federated or (denies and "*" in federated)
        else:
            found = bool(canonical) and _is_canonical(names, canonical, denies)
        return DIRECT if found else NONE

    return grant_to


@lru_cache(maxsize=4096)
def _grant_to_name(name: str) -> GrantTo:
    """Cached, because very many policies name the same account."""
    return MethodType(_grant_by_name, name)  # a bound method takes a third of the memory of a `partial`


def _grant_by_name(name: str, names: Names) -> Grant:
    """The grant of the usual Principal element, a single AWS name."""
    if name in names.itself:
        return DIRECT
    if name in names.entity:
        return ROLE
    return ACCOUNT if name in names.account else NONE


def _is_canonical(names: Names, canonical: frozenset[str], denies: bool) -> bool:
    """Where the canonical id of the caller's account is not known, a Deny applies and an Allow does not."""
    if names.canonical_user:
        return names.canonical_user in canonical
    return denies and not names.is_anonymous


def compile_not_principals(principals: Principals, *, denies: bool) -> GrantTo:
    if not denies:
        return grant_nobody
    if principals.everyone:
        return _grant_bounded
    aws, service, federated = map(frozenset, (principals.aws, principals.service, principals.federated))

    def grant_to(names: Names) -> Grant:
        if names.account:
            spared = _is_spared(names, aws)
        elif names.service:
            spared = names.service in service
        else:
            spared = bool(names.federated) and names.federated in federated
        return NONE if spared else DIRECT

    return grant_to


def _grant_bounded(names: Names) -> Grant:
    """The grant of a NotPrincipal that lists everyone: only callers with a boundary are denied."""
    return DIRECT if names.has_boundary else NONE


def _is_spared(names: Names, listed: frozenset[str]) -> bool:
    """Whether account, entity and the caller itself are each listed by one of their names, where they have one."""
    if names.has_boundary or listed.isdisjoint(names.account):
        return False
    if names.entity and listed.isdisjoint(names.entity):
        return False
    return not names.itself or not listed.isdisjoint(names.itself)


def named_principals(policy: Policy) -> Principals:
    """Every name in a Principal of an Allow. Whoever the policy grants something to has one of them, or the policy
    names everyone: for NotPrincipal grants nothing.
    """
    named = [
        statement.principals
        for statement in policy.statements
        if statement.effect is Effect.ALLOW and statement.principals is not None
    ]
    return Principals(
        any(one.everyone for one in named),
        tuple(name for one in named for name in one.aws),
        tuple(name for one in named for name in one.service),
        tuple(name for one in named for name in one.federated),
        tuple(name for one in named for name in one.canonical_user),
    )
