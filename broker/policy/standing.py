"""How a Principal element speaks of the one who asks: the standing that a resource policy gives.

IAM User Guide, "AWS JSON policy elements: Principal", "... NotPrincipal" and "Policy evaluation for requests
within a single account". Names are compared whole: there are no partial wildcards. A role's ARN or unique id
speaks of all its sessions, a session's ARN only of that session.

NotPrincipal works with Deny only, as AWS documents; with Allow it gives nothing. A Deny with NotPrincipal spares
a principal whose account is listed and, where narrower names of that account are listed, whose user or role
(and then session) is listed too: AWS checks the account, the role and the session one after the other.
"""

import enum
from collections.abc import Callable
from functools import lru_cache
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
    is_role_session: bool = False


Grants = Callable[[Names], Standing]


def names_of(principal: Principal, federated_by: str = "", canonical_user_id: str = "") -> Names:
    if federated_by or canonical_user_id:
        return _names_of(principal, federated_by, canonical_user_id)
    return _usual_names[principal]


def _names_of(principal: Principal, federated_by: str = "", canonical_user_id: str = "") -> Names:
    if isinstance(principal, Service):
        return Names(service=principal.name)
    if isinstance(principal, WebIdentity | SamlSubject):
        return Names(federated=principal.provider)
    if isinstance(principal, Anonymous):
        return Names(is_anonymous=True)
    account = (principal.account, iam_arn(principal.account, "root"))
    entity, itself = _entity_and_self(principal, federated_by)
    return Names(
        account,
        entity,
        itself,
        canonical_user=canonical_user_id,
        is_role_session=isinstance(principal, AssumedRole),
    )


_usual_names = Memo(_names_of)


def _entity_and_self(
    principal: Root | User | AssumedRole | FederatedUser, federated_by: str
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    if isinstance(principal, User):
        return (), (principal.arn, principal.unique_id)
    if isinstance(principal, AssumedRole):
        return (principal.role_arn, principal.role_id), (principal.arn, principal.user_id)
    if isinstance(principal, FederatedUser):
        return (federated_by,) if federated_by else (), (principal.arn,)
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
    if principals.everyone or not denies:
        return nobody
    aws, service, federated = map(frozenset, (principals.aws, principals.service, principals.federated))

    def grants(names: Names) -> Standing:
        if names.service or names.federated:
            spared = names.service in service or names.federated in federated
        elif names.account:
            spared = _is_spared(names, aws)
        else:
            spared = False
        return NONE if spared else DIRECT

    return grants


def _is_spared(names: Names, listed: frozenset[str]) -> bool:
    if listed.isdisjoint(names.account):
        return False
    account = names.account[0]
    if not names.itself or not any(_is_narrower(name, account) for name in listed):
        return True
    if not names.is_role_session:
        return not listed.isdisjoint(names.itself)
    if listed.isdisjoint(names.entity):
        return False
    sessions = names.itself[0].rpartition("/")[0] + "/"
    return not listed.isdisjoint(names.itself) or not any(name.startswith(sessions) for name in listed)


def _is_narrower(name: str, account: str) -> bool:
    """Whether `name` speaks of less than the whole account; a unique id may belong to any account."""
    parts = name.split(":", 5)
    return (len(parts) != 6 and len(name) > 12) or (
        len(parts) == 6 and parts[4] == account and parts[5] != "root"
    )
