"""Sessions that have not expired, as the store lists them, and whether each of them is accepted now."""

from typing import TYPE_CHECKING, Any

import msgspec

from broker.access.revocations import find_revocation
from broker.access.trust import find_unique_id
from broker.app import clock
from broker.commands.refusing import CommandRefused
from broker.credentials.session_list import list_sessions
from broker.names.arn import iam_arn, is_account_id, parse_arn
from broker.names.ids import ROLE, USER
from broker.storage.engine import sessions_partition
from broker.storage.session_records import ListedSession, UnlistedSessions
from broker.storage.store import ACCOUNTS, REVOCATIONS, ROLES, USERS, Transaction

if TYPE_CHECKING:
    from broker.app import Broker

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


async def list_unexpired_sessions(broker: "Broker", account: str | None = None) -> UnexpiredSessions:
    """The sessions of one account, or of all."""
    accounts = [account] if account is not None else await _accounts_with_sessions(broker)
    store, now = broker.store.transaction(), clock()
    found: list[UnexpiredSession] = []
    unlisted: dict[str, UnlistedSessions] = {}
    for each in accounts:
        listing = await list_sessions(store, each, now)
        found += await _with_states(broker, store, each, listing.sessions)
        if listing.unlisted is not None:
            unlisted[each] = listing.unlisted
    found.sort(key=lambda one: (one.session.issued_at, one.session.access_key_id), reverse=True)
    return UnexpiredSessions(tuple(found), unlisted)


async def _accounts_with_sessions(broker: "Broker") -> list[str]:
    prefix = sessions_partition("")
    return [partition.removeprefix(prefix) for partition in await broker.engine.partitions(prefix)]


async def _with_states(
    broker: "Broker", store: Transaction, account: str, sessions: tuple[ListedSession, ...]
) -> list[UnexpiredSession]:
    if not sessions:
        return []
    revocations = await store.find(REVOCATIONS, account)
    identities = await _identities(store, account, sessions)
    keys = {key.id.hex() for key in broker.keyrings.sessions().keys}

    def state_of(one: ListedSession) -> str:
        if find_revocation(revocations, one.access_key_id, one.identity_id, one.issued_at, one.ancestors):
            return REVOKED
        if one.identity_id not in identities:
            return PRINCIPAL_GONE
        return LIVE if one.sealed_by in keys else KEY_DROPPED

    return [UnexpiredSession(account, one, state_of(one)) for one in sessions]


async def _identities(store: Transaction, account: str, sessions: tuple[ListedSession, ...]) -> set[str]:
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


async def find_identity(store: Transaction, arn: str) -> Identity:
    """The role, user or root user that `arn` names; raises CommandRefused where there is none."""
    try:
        parts = parse_arn(arn)
    except ValueError as error:
        raise CommandRefused(str(error)) from None
    kind = parts.resource.partition("/")[0]
    if parts.service != "iam" or kind not in ("role", "user", "root"):
        raise CommandRefused(f"{arn} is the ARN of no role, no user and no root user")
    if kind == "root":
        return await find_root(store, parts.account)
    identity_id = await find_unique_id(store, arn)
    if identity_id is None:
        raise CommandRefused(f"there is no {kind} {arn}")
    user = await store.find(USERS, parts.account, arn.rpartition("/")[2]) if kind == "user" else None
    return Identity(parts.account, identity_id, arn, user.access_key_ids if user is not None else ())


async def find_root(store: Transaction, account: str) -> Identity:
    """The root user of an account; raises CommandRefused where there is no such account."""
    await require_account(store, account)
    return Identity(account, account, iam_arn(account, "root"))


async def require_account(store: Transaction, account: str) -> None:
    """Raises CommandRefused."""
    if not is_account_id(account) or await store.find(ACCOUNTS, "", account) is None:
        raise CommandRefused(f"there is no account {account}")


def shown_session(one: UnexpiredSession) -> dict[str, Any]:
    """For JSON: names in CloudTrail's style, times in ISO 8601."""
    from broker.audit.event import iso_time

    session = one.session
    return {
        "accessKeyId": session.access_key_id,
        "kind": session.kind,
        "account": one.account,
        "arn": session.arn,
        "identityId": session.identity_id,
        "issuedAt": iso_time(session.issued_at),
        "expiresAt": iso_time(session.expires_at),
        "issuedBy": session.issued_by,
        "sealedBy": session.sealed_by,
        "state": one.state,
    }
