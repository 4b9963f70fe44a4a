"""Callers that stand for all that the Principal elements of two policies can tell apart.

Names in policies are whole, so a caller has each name that is listed, or one that is not: accounts, users, roles and
their unique ids, sessions, services, providers. What a statement grants to a caller is asked of the engine's functions.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import product

import msgspec

from broker.names.arn import is_account_id, parse_arn
from broker.names.principal import (
    Anonymous,
    AssumedRole,
    FederatedUser,
    IamUser,
    Principal,
    Root,
    Service,
    WebIdentity,
)
from broker.policy.elements import Principals, Statement
from broker.policy.principals import Names, names_of
from broker.policy.solver.budget import MOST_CALLERS, Undecided
from broker.policy.statement import CompiledStatement

_ACCOUNTS = ("999999999999", "888888888888", "777777777777")
_NAME, _SESSION = "unlisted", "unlisted-session"
_USER_ID, _ROLE_ID = "AIDAUNLISTEDUNLISTED", "AROAUNLISTEDUNLISTED"
_SERVICE, _PROVIDER = "unlisted.amazonaws.com", "unlisted.example.com"


class RepresentativeCaller(msgspec.Struct, frozen=True):
    """A caller with all its names. `is_public`: it is anybody, not somebody whom a policy names."""

    principal: Principal
    names: Names
    is_public: bool

    @property
    def account(self) -> str | None:
        return getattr(self.principal, "account", None)


class _Listed(msgspec.Struct):
    """What policies list, by kind. Users and roles are (path, name), sessions (role name, session name)."""

    accounts: dict[str, None] = msgspec.field(default_factory=dict)
    users: dict[str, list[tuple[str, str]]] = msgspec.field(default_factory=dict)
    roles: dict[str, list[tuple[str, str]]] = msgspec.field(default_factory=dict)
    federated_users: dict[str, list[str]] = msgspec.field(default_factory=dict)
    session_names: dict[str, None] = msgspec.field(default_factory=dict)
    user_ids: dict[str, None] = msgspec.field(default_factory=dict)
    role_ids: dict[str, None] = msgspec.field(default_factory=dict)


def representative_callers(
    statements: Sequence[CompiledStatement], more_accounts: Iterable[str] = ()
) -> list[RepresentativeCaller]:
    """Raises Undecided where there would be too many."""
    elements = list(_elements(one.statement for one in statements))
    listed = _listed(elements)
    listed.accounts |= dict.fromkeys(more_accounts)
    stranger = next(one for one in _ACCOUNTS if one not in listed.accounts)
    canonical = list(dict.fromkeys(name for one in elements for name in one.canonical_user))
    ids = ["", "unlisted", *canonical] if canonical else [""]
    has_exceptions = any(one.statement.not_principals is not None for one in statements)
    found: list[RepresentativeCaller] = []
    for principal, federated_by in _principals(elements, listed, stranger):
        is_in_account = hasattr(principal, "account")
        is_strange = isinstance(principal, Anonymous) or getattr(principal, "account", "") == stranger
        for has_boundary, canonical_id in product(
            (False, True) if has_exceptions and is_in_account else (False,), ids if is_in_account else [""]
        ):
            names = names_of(principal, has_boundary, federated_by, canonical_id)
            is_public = is_strange and canonical_id not in canonical and not has_boundary
            found.append(RepresentativeCaller(principal, names, is_public))
            if len(found) > MOST_CALLERS:
                raise Undecided("the policies name too many principals")
    return found


def _elements(statements: Iterable[Statement]) -> Iterator[Principals]:
    for statement in statements:
        for one in (statement.principals, statement.not_principals):
            if one is not None:
                yield one


def _listed(elements: Iterable[Principals]) -> _Listed:
    listed = _Listed()
    for element in elements:
        for name in element.aws:
            _list(name, listed)
    return listed


def _list(name: str, listed: _Listed) -> None:
    if is_account_id(name):
        listed.accounts[name] = None
        return
    if not name.startswith("arn:"):
        _list_id(name, listed)
        return
    try:
        arn = parse_arn(name)
    except ValueError:
        return  # nobody has this name
    kind, _, rest = arn.resource.partition("/")
    path, _, last = rest.rpartition("/")
    own = (f"/{path}/" if path else "/", last)
    listed.accounts[arn.account] = None
    if kind == "user":
        listed.users.setdefault(arn.account, []).append(own)
    elif kind == "role":
        listed.roles.setdefault(arn.account, []).append(own)
    elif kind == "assumed-role":
        listed.roles.setdefault(arn.account, []).append(("/", path))
        listed.session_names[last] = None
    elif kind == "federated-user":
        listed.federated_users.setdefault(arn.account, []).append(rest)


def _list_id(name: str, listed: _Listed) -> None:
    """A unique id of a role, one of a session behind it, or one of a user."""
    role_id, _, session = name.partition(":")
    if session:
        listed.session_names[session] = None
    if session or name.startswith("AROA"):
        listed.role_ids[role_id] = None
    else:
        listed.user_ids[name] = None


def _principals(
    elements: Sequence[Principals], listed: _Listed, stranger: str
) -> Iterator[tuple[Principal, tuple[str, ...]]]:
    """Principals, and the names of the user who made a federated session."""
    yield Anonymous(), ()
    for account in (stranger, *listed.accounts):
        users = _users(account, listed)
        yield Root(account), ()
        yield from ((user, ()) for user in users)
        yield from ((role, ()) for role in _roles(account, listed))
        for name in [_NAME, *listed.federated_users.get(account, ())]:
            yield FederatedUser(account, name), ()
            yield from ((FederatedUser(account, name), (user.arn, user.unique_id)) for user in users)
    for name in dict.fromkeys([_SERVICE, *(name for one in elements for name in one.service)]):
        yield Service(name), ()
    for name in dict.fromkeys([_PROVIDER, *(name for one in elements for name in one.federated)]):
        yield WebIdentity(name, "subject"), ()


def _users(account: str, listed: _Listed) -> list[IamUser]:
    return [
        IamUser(account, name, unique_id, path)
        for (path, name), unique_id in product(
            dict.fromkeys([("/", _NAME), *listed.users.get(account, ())]), [_USER_ID, *listed.user_ids]
        )
    ]


def _roles(account: str, listed: _Listed) -> list[AssumedRole]:
    return [
        AssumedRole(account, name, role_id, session, path)
        for (path, name), role_id, session in product(
            dict.fromkeys([("/", _NAME), *listed.roles.get(account, ())]),
            [_ROLE_ID, *listed.role_ids],
            [_SESSION, *listed.session_names],
        )
    ]
