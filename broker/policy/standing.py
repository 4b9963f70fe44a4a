"""How a Principal element speaks of the one who asks: the standing that a resource policy gives.

IAM User Guide, "AWS JSON policy elements: Principal", "... NotPrincipal" and "Policy evaluation for requests
within a single account". Names are compared whole: there are no partial wildcards. A role's ARN or unique id
speaks of all its sessions, a session's ARN only of that session.

NotPrincipal works with Deny only, as AWS documents; with Allow it gives nothing. A Deny with NotPrincipal spares
whom it lists with every name that AWS checks, one after the other: the root user with its account, a user with
account and user, a role's session with account, role and session, a federated user with account, user and federated
user. A caller with a permissions boundary is never spared.

# INVARIANT: whom a list spares depends on that caller's own names alone, so a longer list spares no fewer.
"""

import enum
from collections.abc import Callable
from functools import lru_cache, partial
from types import MethodType

import msgspec

from broker.memo import Memo
from broker.names.arn import iam_arn
from broker.names.principal import (
    Anonymous,
    AssumedRole,
    FederatedUser,
    Principal,
    Root,
    SamlSubject,
    Service,
    User,
    WebIdentity,
)
from broker.policy.elements import Principals


class Standing(enum.IntEnum):
    """What a grant is worth, weakest first."""

    NONE = 0
    ACCOUNT = 1  # the account is named: it may hand the permission on by its identity policies
    ROLE = 2  # the role, or the user behind a federated session: boundary and session policies still limit
    DIRECT = 3  # the very principal, or everyone: no implicit deny of another policy limits


# Python 3.11 takes long to find a member by way of its class, and every decision names some.
NONE, ACCOUNT, ROLE, DIRECT = Standing


class Names(msgspec.Struct, frozen=True):
    """Every name by which policies may call one principal."""

    account: tuple[str, ...] = ()
    entity: tuple[str, ...] = ()  # the user, the role, the user behind a federated session
    itself: tuple[str, ...] = ()
    service: str = ""
    federated: str = ""
    canonical_user: str = ""
    is_anonymous: bool = False
    has_boundary: bool = False  # a permissions boundary limits it


Grants = Callable[[Names], Standing]


def names_of(
    principal: Principal,
    has_boundary: bool = False,
    federated_by: tuple[str, ...] = (),
    canonical_user_id: str = "",
) -> Names:
    """`federated_by`: the names of the user who made a federated session; empty where the root user did."""
    if isinstance(principal, Service):
        return Names(service=principal.name)
    if isinstance(principal, WebIdentity | SamlSubject):
        return Names(federated=principal.provider)
    if isinstance(principal, Anonymous):
        return Names(is_anonymous=True)
    account = (principal.account, iam_arn(principal.account, "root"))
    entity, itself = _entity_and_self(principal, federated_by)
    return Names(account, entity, itself, canonical_user=canonical_user_id, has_boundary=has_boundary)


# The names of principals of whom nothing else is known, and of those with a permissions boundary.
usual_names = Memo(names_of)
bounded_names = Memo(partial(names_of, has_boundary=True))


def _entity_and_self(
    principal: Root | User | AssumedRole | FederatedUser, federated_by: tuple[str, ...]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    if isinstance(principal, User):
        return (), (principal.arn, principal.unique_id)
    if isinstance(principal, AssumedRole):
        return (principal.role_arn, principal.role_id), (principal.arn, principal.user_id)
    if isinstance(principal, FederatedUser):
        return federated_by, (principal.arn,)
    return (), ()


def everyone(names: Names) -> Standing:
    """`"Principal": "*"`."""
    return DIRECT


def nobody(names: Names) -> Standing:
    """An Allow that names no principal, or says NotPrincipal."""
    return NONE


def compile_principals(principals: Principals, *, denies: bool) -> Grants:
    """The standing that a Principal element gives; a type-wide `*` counts in a Deny only."""
    if principals.everyone:
        return everyone
    if len(principals.aws) == 1 and not (
        principals.service or principals.federated or principals.canonical_user
    ):
        return _only_to(principals.aws[0])
    aws, service = frozenset(principals.aws), frozenset(principals.service)
    federated, canonical = frozenset(principals.federated), frozenset(principals.canonical_user)

    def grants(names: Names) -> Standing:
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

    return grants


@lru_cache(maxsize=4096)
def _only_to(name: str) -> Grants:
    """Very many policies name the same account."""
    return MethodType(_only, name)  # as `partial` would, in a third of its memory


def _only(name: str, names: Names) -> Standing:
    """The usual Principal element, one AWS name: as `grants` with nothing else listed."""
    if name in names.itself:
        return DIRECT
    if name in names.entity:
        return ROLE
    return ACCOUNT if name in names.account else NONE


def _is_canonical(names: Names, canonical: frozenset[str], denies: bool) -> bool:
    """An account of which no canonical id is known cannot be told apart: then a Deny counts."""
    if names.canonical_user:
        return names.canonical_user in canonical
    return denies and not names.is_anonymous


def compile_not_principals(principals: Principals, *, denies: bool) -> Grants:
    if not denies:
        return nobody
    if principals.everyone:
        return _bounded
    aws, service, federated = map(frozenset, (principals.aws, principals.service, principals.federated))

    def grants(names: Names) -> Standing:
        if names.account:
            spared = _is_spared(names, aws)
        elif names.service:
            spared = names.service in service
        else:
            spared = bool(names.federated) and names.federated in federated
        return NONE if spared else DIRECT

    return grants


def _bounded(names: Names) -> Standing:
    """Whom a list denies that names everyone."""
    return DIRECT if names.has_boundary else NONE


def _is_spared(names: Names, listed: frozenset[str]) -> bool:
    """Account, entity and the caller itself, each by one of its names, as far as there is one."""
    if names.has_boundary or listed.isdisjoint(names.account):
        return False
    if names.entity and listed.isdisjoint(names.entity):
        return False
    return not names.itself or not listed.isdisjoint(names.itself)
