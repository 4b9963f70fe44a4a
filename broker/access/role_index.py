"""The index of trust policies by principal: which roles may a person take, without looking at all roles.

Law:
- An entry is a hint: it says that a role's trust policy has named a principal. Whether the role may be assumed, the
  gate decides, on the role's present record. So a leftover entry does not show a role.
- Entries are written in the transaction that writes the role's record, and committed before it; those of principals
  that are no longer named are deleted after it (`broker.storage.transaction`). So a process that is killed in between
  leaves an entry too many, never one too few. An entry is deleted only if it is the one that was read before the
  role's commit: where a change that comes after that commit names the principal again, it has written another.
- The index names principals as the engine does: the ids that a trust policy was bound to, ARNs where there is none. A
  user who was renamed is looked up by the id and by the present ARN, so a rename changes no entry.
- `broker.access.role_index_upkeep` adds what is missing: the roles of an earlier version's store, and those that an
  earlier version writes beside this one.

Services are not indexed: no person is one.
"""

from collections.abc import Iterable, Sequence

import msgspec

from broker.access.caller import Caller
from broker.names.arn import is_account_id, parse_arn
from broker.names.principal import FederatedUser, account_of
from broker.policy import MalformedPolicy, PolicyKind, named_principals, names_of, parse_policy
from broker.storage.records import Role
from broker.storage.role_index_records import TrustingRole
from broker.storage.store import ROLE_INDEX, TRUSTING_ROLES, Transaction

# Which entries there are, and under which keys. When that changes, stores are indexed again.
LAYOUT = 2

# Owners that are no accounts: of "*", and of providers that are not of one account, whose people are found in all.
EVERYONE, PROVIDERS = "everyone", "providers"
_ROOT, _OPEN_ID_CONNECT = ":root", ":oidc-provider/"


class Trustee(msgspec.Struct, frozen=True):
    """A principal as trust policies name it; `owner` says which partition has the roles that trust it."""

    owner: str
    name: str


_ANYBODY = Trustee(EVERYONE, "*")


class Candidates(msgspec.Struct, frozen=True):
    """Roles that a person may perhaps take, each once; `is_complete` says whether there are no others."""

    roles: tuple[TrustingRole, ...]
    is_complete: bool


def trustees_of(role: Role) -> frozenset[Trustee]:
    """The principals in the role's trust policy; none where it cannot be read, for then it grants nothing."""
    try:
        named = named_principals(parse_policy(role.assume_role_policy, PolicyKind.TRUST))
    except MalformedPolicy:
        return frozenset()
    anybody = {_ANYBODY} if named.everyone else set()
    return frozenset(
        anybody.union(
            (_aws_trustee(name, role) for name in named.aws if name != "*"),
            map(_provider_trustee, named.federated),
        )
    )


def trustees_like(caller: Caller) -> tuple[Trustee, ...]:
    """Every name by which a trust policy may name the caller, the narrowest first."""
    federated_by: tuple[str, ...] = ()
    if isinstance(caller.principal, FederatedUser) and caller.user is not None:
        federated_by = (caller.user.arn, caller.user.user_id)
    names = names_of(caller.principal, federated_by=federated_by)
    account = account_of(caller.principal)
    if account is not None:
        own = (*names.itself, *names.entity, account)
        return (*(Trustee(account, name) for name in own), _ANYBODY)
    if names.federated:
        return (_provider_trustee(names.federated), _ANYBODY)
    return (_ANYBODY,)


def trustees_from(issuer: str) -> tuple[Trustee, ...]:
    """Every name by which trust policies, of whatever account, may name people of an OpenID Connect issuer."""
    return (Trustee(PROVIDERS, issuer.rpartition("://")[2]), _ANYBODY)


async def index_role(store: Transaction, role: Role, mark: bytes, former: Role | None = None) -> None:
    """Index a role that is put in the same transaction; `former` is the record that it replaces, `mark` is random."""
    wanted, present = trustees_of(role), trustees_of(former) if former is not None else frozenset()
    for trustee in wanted - present:
        put_entry(store, trustee, role, mark)
    await _delete_entries(store, present - wanted, role)


async def unindex_role(store: Transaction, role: Role) -> None:
    """The same for a role that is deleted."""
    await _delete_entries(store, trustees_of(role), role)


def put_entry(store: Transaction, trustee: Trustee, role: Role, mark: bytes = b"") -> None:
    entry = TrustingRole(account_id=role.account_id, role_name=role.role_name, mark=mark)
    store.put(TRUSTING_ROLES, trustee.owner, entry, key=entry_key(trustee, role))


def entry_key(trustee: Trustee, role: Role) -> str:
    return f"{_prefix(trustee)}{role.account_id}/{role.role_name.lower()}"


async def find_candidates(
    store: Transaction, trustees: Sequence[Trustee], limit: int, account: str | None = None
) -> Candidates | None:
    """At most `limit` roles, of all accounts or of one, whose trust policies name one of `trustees`.

    None where the index is not complete yet.
    """
    index = await store.find(ROLE_INDEX, "")
    if index is None or index.layout != LAYOUT:
        return None
    found: dict[tuple[str, str], TrustingRole] = {}
    for trustee in trustees:
        prefix = _prefix(trustee) if account is None else f"{_prefix(trustee)}{account}/"
        entries = await store.scan(TRUSTING_ROLES, trustee.owner, prefix, limit=limit + 1)
        found.update({(one.account_id, one.role_name.lower()): one for one in entries})
        if len(found) > limit:
            return Candidates(tuple(found.values())[:limit], is_complete=False)
    return Candidates(tuple(found.values()), is_complete=True)


async def _delete_entries(store: Transaction, trustees: Iterable[Trustee], role: Role) -> None:
    for trustee in trustees:
        key = entry_key(trustee, role)
        # Read, so that an entry which is written again meanwhile, for a change after this one, is not deleted.
        if await store.find(TRUSTING_ROLES, trustee.owner, key) is not None:
            store.delete(TRUSTING_ROLES, trustee.owner, key)


def _prefix(trustee: Trustee) -> str:
    """A name has no space; one that had would only find too much."""
    return f"{trustee.name} "


def _aws_trustee(name: str, role: Role) -> Trustee:
    """A unique id is in the role's own account: IAM takes no other in a trust policy."""
    if is_account_id(name):
        return Trustee(name, name)
    account = _account_in(name)
    if account is None:
        return Trustee(role.account_id, name)
    if name.endswith(_ROOT):
        return Trustee(account, account)
    return Trustee(account, role.trusted_ids.get(name, name))


def _provider_trustee(name: str) -> Trustee:
    """Accounts that know the same OpenID Connect issuer have ARNs of their own for it, and the same people."""
    account = _account_in(name)
    if account is None:
        return Trustee(PROVIDERS, name)
    _, is_issuer, issuer = name.partition(_OPEN_ID_CONNECT)
    return Trustee(PROVIDERS, issuer) if is_issuer else Trustee(account, name)


def _account_in(name: str) -> str | None:
    """The account in an ARN; None where `name` is no ARN, or its account is none."""
    try:
        account = parse_arn(name).account
    except ValueError:
        return None
    return account if is_account_id(account) else None
