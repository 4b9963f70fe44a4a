"""What `broker revoke` does: finds what the operator named, writes a revocation to the store and the journal."""

import asyncio
from typing import TYPE_CHECKING

import msgspec

from broker.access.revocations import find_revocation
from broker.audit.event import Event, iso_time
from broker.commands.records import command_event, open_journal
from broker.commands.refusing import CommandRefused
from broker.commands.unexpired_sessions import (
    find_identity,
    find_root,
    list_unexpired_sessions,
    require_account,
)
from broker.credentials.keyrings import MOST_SKEW
from broker.credentials.revoking import TooManyRevocations, latest_end, revoke
from broker.names.ids import LONG_TERM_KEY, TEMPORARY_KEY, account_of_access_key_id
from broker.storage.session_records import WHOLE_ACCOUNT, Revocation, Revocations
from broker.storage.store import ACCOUNTS, REVOCATIONS, ROLES, USERS, Transaction
from broker.sts.unexpired_sessions import UnexpiredSession, UnexpiredSessions

if TYPE_CHECKING:
    from broker.app import Broker


class RevocationTarget(msgspec.Struct, frozen=True, kw_only=True):
    """What is revoked: `subject` is its id in the store, `shown` its description for the operator.

    `ends_at`, for a listed session, is when the revocation can be deleted. `access_key_ids` are those of a user.
    """

    account: str
    subject: str
    shown: str
    ends_at: int | None = None
    access_key_ids: tuple[str, ...] = ()

    @property
    def is_session(self) -> bool:
        return self.subject.startswith(TEMPORARY_KEY)


class RevocationResult(msgspec.Struct, frozen=True):
    """What was done, in a sentence, and the listed sessions that it has ended."""

    message: str
    ended: tuple[UnexpiredSession, ...] = ()


async def find_target(broker: "Broker", kind: str, named: str) -> RevocationTarget:
    """Raises CommandRefused where there is nothing of that name."""
    store = broker.store.transaction()
    if kind == "session":
        return await _find_session(broker, store, named)
    if kind == "account":
        await require_account(store, named)
        return RevocationTarget(
            account=named, subject=WHOLE_ACCOUNT, shown=f"all sessions of account {named}"
        )
    identity = await (find_root(store, named) if kind == "root" else find_identity(store, named))
    if kind != "root" and f":{kind}/" not in named:
        raise CommandRefused(f"{named} is not the ARN of a {kind}")
    return RevocationTarget(
        account=identity.account,
        subject=identity.identity_id,
        shown=f"sessions of {identity.arn}",
        access_key_ids=identity.access_key_ids,
    )


async def _find_session(broker: "Broker", store: Transaction, key_id: str) -> RevocationTarget:
    if key_id.startswith(LONG_TERM_KEY):
        raise CommandRefused(
            f"{key_id} is a long-term access key and no session: aws iam update-access-key --status Inactive"
        )
    account = account_of_access_key_id(key_id) if key_id.startswith(TEMPORARY_KEY) else None
    if account is None:
        raise CommandRefused(
            f"{key_id} is no access key id of a session of this broker: ASIA and 16 characters"
        )
    if await store.find(ACCOUNTS, "", account) is None:
        raise CommandRefused(f"{key_id} is of account {account}, which does not exist")
    unexpired = await list_unexpired_sessions(broker, account)
    listed = next((one.session for one in unexpired.sessions if one.session.access_key_id == key_id), None)
    if listed is None:
        return RevocationTarget(account=account, subject=key_id, shown=f"session {key_id}")
    shown = f"session {key_id} ({listed.arn})"
    return RevocationTarget(
        account=account, subject=key_id, shown=shown, ends_at=listed.expires_at + int(MOST_SKEW)
    )


async def revoke_target(
    broker: "Broker", kind: str, target: RevocationTarget, before: int | None
) -> RevocationResult:
    """Revoke, and journal it. `before` None is now. Raises CommandRefused."""
    unexpired = await list_unexpired_sessions(broker, target.account)
    moment = await _moment(broker, target, before)
    now = await broker.engine.now()
    ends_at = target.ends_at or latest_end(target.subject, moment)
    if ends_at <= now:
        return RevocationResult(
            f"nothing to do: none of the {target.shown} issued before {iso_time(moment)} can still be unexpired"
        )
    wanted = Revocation(issued_before=moment, ends_at=ends_at, revoked_at=int(now))
    with open_journal(broker.settings.audit) as journal:
        written = await _write(broker, target, wanted, now)
        ended = _ended_by(target, written, unexpired)
        journal.write(_event(kind, target, written, len(ended)))
    before_text = "" if target.is_session else f" issued before {iso_time(written.issued_before)}"
    return RevocationResult(f"revoked: {target.shown}{before_text}", ended)


async def _write(broker: "Broker", target: RevocationTarget, wanted: Revocation, now: float) -> Revocation:
    try:
        return await broker.store.transact(
            lambda store: revoke(store, target.account, target.subject, wanted, now)
        )
    except TooManyRevocations as error:
        wider = "its role, its user or the whole account" if target.is_session else "the whole account"
        raise CommandRefused(f"{error}: revoke {wider}") from None


def _event(kind: str, target: RevocationTarget, written: Revocation, ended: int) -> Event:
    parameters = {
        "subject": target.subject,
        "revoked": target.shown,
        "issuedBefore": None if target.is_session else iso_time(written.issued_before),
        "endsAt": iso_time(written.ends_at),
        "listedSessions": ended,
    }
    return command_event(f"revoke {kind}", target.account, "broker:RevokeSessions", parameters)


async def _moment(broker: "Broker", target: RevocationTarget, before: int | None) -> int:
    """The time (exclusive) before which issued sessions are revoked; raises CommandRefused for one in the future.

    A session records its time of issue in whole seconds. Without `before`, this is the end of the current second, and
    the function waits until then: all sessions issued before the command began are revoked, and none issued after it
    returned. The clock is the store's.
    """
    now = await broker.engine.now()
    if before is not None:
        if before > now:
            raise CommandRefused(
                f"{iso_time(before)} is in the future: the store's clock says {iso_time(now)}"
            )
        return before
    moment = int(now) + 1
    while not target.is_session and now < moment:
        await asyncio.sleep(moment - now)
        now = await broker.engine.now()
    return moment


def _ended_by(
    target: RevocationTarget, written: Revocation, unexpired: UnexpiredSessions
) -> tuple[UnexpiredSession, ...]:
    revocations = Revocations(by_subject={target.subject: written})
    return tuple(
        one
        for one in unexpired.sessions
        if one.is_live
        and find_revocation(
            revocations,
            one.session.access_key_id,
            one.session.identity_id,
            one.session.issued_at,
            one.session.ancestors,
        )
    )


async def revocation_rows(broker: "Broker", account: str | None) -> list[list[str]]:
    """What `broker revoke list` shows: the revocations that can still concern an unexpired session, by account."""
    store = broker.store.transaction()
    if account is not None:
        await require_account(store, account)
    accounts = (
        [account] if account is not None else [one.account_id for one in await store.scan(ACCOUNTS, "")]
    )
    now = await broker.engine.now()
    rows = []
    for each in accounts:
        revocations = await store.find(REVOCATIONS, each)
        if revocations is not None:
            names = await _names(store, each)
            rows += [
                _row(each, names.get(subject, subject), one)
                for subject, one in revocations.by_subject.items()
                if one.ends_at > now
            ]
    return rows


def _row(account: str, name: str, one: Revocation) -> list[str]:
    is_session = name.startswith(TEMPORARY_KEY)
    moment = "-" if is_session else iso_time(one.issued_before)
    return [account, name, moment, iso_time(one.revoked_at), iso_time(one.ends_at)]


async def _names(store: Transaction, account: str) -> dict[str, str]:
    """The current names of subjects. A deleted role or user has none here, and is shown by its id."""
    roles, users = await store.scan(ROLES, account), await store.scan(USERS, account)
    named = {role.role_id: role.arn for role in roles} | {user.user_id: user.arn for user in users}
    return {**named, account: (await find_root(store, account)).arn, WHOLE_ACCOUNT: f"account {account}"}
