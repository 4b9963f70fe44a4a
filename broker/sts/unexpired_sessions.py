"""Sessions that have not expired, as the store lists them: whether each is accepted now, and whose they are."""

import msgspec

from broker.access.revocations import find_revocation
from broker.access.trust import find_unique_id
from broker.credentials.session_list import list_sessions
from broker.names.arn import iam_arn, is_account_id, parse_arn
from broker.names.ids import ROLE, USER
from broker.sealing.keyring import Keyring
from broker.storage.session_records import ListedSession, UnlistedSessions
from broker.storage.store import REVOCATIONS, ROLES, USERS, Transaction

LIVE, REVOKED, PRINCIPAL_GONE, KEY_DROPPED = "live", "revoked", "principal gone", "key dropped"


class UnexpiredSession(msgspec.Struct, frozen=True):
    """A listed session of `account`; `state` is LIVE where it is accepted, else why it is refused."""

    account: str
    session: ListedSession
    state: str

    @property
    def is_live(self) -> bool:
        return self.state == LIVE


class UnexpiredSessions(msgspec.Struct, frozen=True):
    """The newest first; `unlisted` by account, for accounts that have more sessions than are listed."""

    sessions: tuple[UnexpiredSession, ...]
    unlisted: dict[str, UnlistedSessions]


class Identity(msgspec.Struct, frozen=True):
    """The owner of sessions: a role or user by its unique id, a root user by its account's id."""

    account: str
    identity_id: str
    arn: str
    access_key_ids: tuple[str, ...] = ()


async def find_unexpired_sessions(
    store: Transaction, account: str, keyring: Keyring, now: float
) -> UnexpiredSessions:
    """Those of one account; `keyring` is the one that opens session tokens."""
    listing = await list_sessions(store, account, now)
    unlisted = {} if listing.unlisted is None else {account: listing.unlisted}
    if not listing.sessions:
        return UnexpiredSessions((), unlisted)
    revocations = await store.find(REVOCATIONS, account)
    identities = await _existing_identities(store, account, listing.sessions)
    keys = {key.id.hex() for key in keyring.keys}

    def state_of(one: ListedSession) -> str:
        if find_revocation(revocations, one.access_key_id, one.identity_id, one.issued_at, one.ancestors):
            return REVOKED
        if one.identity_id not in identities:
            return PRINCIPAL_GONE
        return LIVE if one.sealed_by in keys else KEY_DROPPED

    return UnexpiredSessions(
        tuple(UnexpiredSession(account, one, state_of(one)) for one in listing.sessions), unlisted
    )


async def _existing_identities(
    store: Transaction, account: str, sessions: tuple[ListedSession, ...]
) -> set[str]:
    """The ids in `sessions` whose role or user still exists. Roles are looked up singly: an account may have many."""
    found = {account}
    role_names = {one.arn.split("/")[1] for one in sessions if one.identity_id.startswith(ROLE)}
    for name in role_names:
        role = await store.find(ROLES, account, name)
        if role is not None:
            found.add(role.role_id)
    if any(one.identity_id.startswith(USER) for one in sessions):
        found.update(user.user_id for user in await store.scan(USERS, account))
    return found


def parse_identity_arn(arn: str) -> tuple[str, str]:
    """Account and kind (role, user, root) of whom `arn` names; raises ValueError where it is none of these."""
    parts = parse_arn(arn)
    kind = parts.resource.partition("/")[0]
    is_root = arn == iam_arn(parts.account, "root")
    if (
        parts.service != "iam"
        or not (kind in ("role", "user") or is_root)
        or not is_account_id(parts.account)
    ):
        raise ValueError(f"{arn} is the ARN of no role, no user and no root user")
    return parts.account, kind


async def find_identity(store: Transaction, arn: str) -> Identity | None:
    """The role, user or root user that `arn` names; that its account exists is not looked for.

    Raises ValueError where it is the ARN of none of these.
    """
    account, kind = parse_identity_arn(arn)
    if kind == "root":
        return root_identity(account)
    identity_id = await find_unique_id(store, arn)
    if identity_id is None:
        return None
    user = await store.find(USERS, account, arn.rpartition("/")[2]) if kind == "user" else None
    return Identity(account, identity_id, arn, user.access_key_ids if user is not None else ())


def root_identity(account: str) -> Identity:
    return Identity(account, account, iam_arn(account, "root"))
