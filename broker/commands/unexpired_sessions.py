"""Unexpired sessions for commands: those of all accounts, and the owner that an ARN names, or CommandRefused."""

from typing import TYPE_CHECKING, Any

from broker.app import clock
from broker.commands.refusing import CommandRefused
from broker.names.arn import is_account_id
from broker.storage.engine import sessions_partition
from broker.storage.store import ACCOUNTS, Transaction
from broker.sts import unexpired_sessions as sessions_of
from broker.sts.unexpired_sessions import Identity, UnexpiredSession, UnexpiredSessions, root_identity

if TYPE_CHECKING:
    from broker.app import Broker


async def list_unexpired_sessions(broker: "Broker", account: str | None = None) -> UnexpiredSessions:
    """The sessions of one account, or of all."""
    accounts = [account] if account is not None else await _accounts_with_sessions(broker)
    store, now, keyring = broker.store.transaction(), clock(), broker.keyrings.sessions()
    of_each = [await sessions_of.find_unexpired_sessions(store, each, keyring, now) for each in accounts]
    found = [one for each in of_each for one in each.sessions]
    found.sort(key=lambda one: (one.session.issued_at, one.session.access_key_id), reverse=True)
    unlisted = {name: one for each in of_each for name, one in each.unlisted.items()}
    return UnexpiredSessions(tuple(found), unlisted)


async def _accounts_with_sessions(broker: "Broker") -> list[str]:
    prefix = sessions_partition("")
    return [partition.removeprefix(prefix) for partition in await broker.engine.partitions(prefix)]


async def find_identity(store: Transaction, arn: str) -> Identity:
    """The role, user or root user that `arn` names; raises CommandRefused where there is none."""
    try:
        account, kind = sessions_of.parse_identity_arn(arn)
    except ValueError as error:
        raise CommandRefused(str(error)) from None
    if kind == "root":
        return await find_root(store, account)
    identity = await sessions_of.find_identity(store, arn)
    if identity is None:
        raise CommandRefused(f"there is no {kind} {arn}")
    return identity


async def find_root(store: Transaction, account: str) -> Identity:
    """The root user of an account; raises CommandRefused where there is no such account."""
    await require_account(store, account)
    return root_identity(account)


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
