"""The list of minted sessions that have not expired, for operators. No session depends on it.

It is written behind: a mint adds a note in memory, which the next flush writes. It is bounded: the newest MOST_LISTED
unexpired sessions of an account are listed, and a record says where there were more. Each process writes its sessions
as one record per flush; after each COUNT_EVERY sessions it counts what all processes have written, and deletes the
oldest records beyond the bound. So an account has at most the bound, one record more, and what the processes have
written since they counted last.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from types import TracebackType
from typing import Self

import msgspec

from broker.sealing.claims import claims_from_bytes
from broker.storage.engine import Engine, EngineUnavailable, Write, sessions_partition
from broker.storage.flush_groups import write_groups
from broker.storage.pauses import Pauses
from broker.storage.session_records import ListedSession, ListedSessions, UnlistedSessions
from broker.storage.store import LISTED_SESSIONS, UNLISTED_SESSIONS, Transaction

MOST_LISTED = 1000  # of an account
COUNT_EVERY = 250  # sessions of an account that a process has written

_COUNT_WIDTH = 32  # accounts at a time
_PAGE = 100
_LAST_FLUSH_SECONDS = 2.0

Note = tuple[bytes, bytes]  # the claims, encoded, and the id of the key that sealed them


class SessionList:
    """The sessions that this process has minted and not yet written. `engine` is a sealing one.

    Leaving the context writes the rest. `entropy(n)` returns n random bytes.
    """

    def __init__(self, engine: Engine, clock: Callable[[], float], entropy: Callable[[int], bytes]) -> None:
        self._engine = engine
        self._clock = clock
        self._entropy = entropy
        self._notes: dict[str, deque[Note]] = {}
        self._uncounted: dict[str, int] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            async with asyncio.timeout(_LAST_FLUSH_SECONDS):
                await self.flush()
        except TimeoutError:
            raise EngineUnavailable("the last sessions could not be listed in time") from None

    def note(self, account: str, claims: bytes, sealed_by: bytes) -> None:
        """Note that a session with these encoded claims was minted; never waits, and never fails.

        The claims are stored as bytes: a thousand of them as objects would take a megabyte.
        """
        notes = self._notes.get(account)
        if notes is None:
            # One more than are listed, to know that there were more.
            notes = self._notes[account] = deque(maxlen=MOST_LISTED + 1)
        notes.append((claims, sealed_by))

    async def flush(self) -> None:
        """Write the notes; those that cannot be written stay for the next flush. Raises EngineUnavailable."""
        accounts = sorted(self._notes)  # in order they are near one another in the engine
        await write_groups(((account, self._notes[account]) for account in accounts), self._flush_some)

    async def _flush_some(self, group: Sequence[tuple[str, Collection[Note]]]) -> list[EngineUnavailable]:
        """Returns the error of each account whose notes were not written, and stay, or that was not counted."""
        accounts = [account for account, _ in group]
        taken = {account: self._notes.pop(account) for account in accounts}
        try:
            written, errors = await self._write(taken)
        except BaseException:
            self._put_back(taken)
            raise
        self._put_back({account: taken[account] for account in accounts if account in errors})
        for account, number in written.items():
            self._uncounted[account] = self._uncounted.get(account, COUNT_EVERY) + number
        full = [account for account in written if self._uncounted[account] >= COUNT_EVERY]
        uncounted: list[EngineUnavailable | None] = []
        for start in range(0, len(full), _COUNT_WIDTH):
            uncounted += await asyncio.gather(*map(self._count, full[start : start + _COUNT_WIDTH]))
        return [*errors.values(), *filter(None, uncounted)]

    def _put_back(self, taken: Mapping[str, Iterable[Note]]) -> None:
        for account, notes in taken.items():
            newer = self._notes.get(account, ())
            self._notes[account] = deque([*notes, *newer], maxlen=MOST_LISTED + 1)

    async def _count(self, account: str) -> EngineUnavailable | None:
        """Returns the error, after which the account is counted once more sessions of it were written."""
        try:
            await self._delete_oldest(account)
        except EngineUnavailable as error:
            return error
        self._uncounted[account] = 0
        return None

    async def _write(
        self, taken: Mapping[str, Collection[Note]]
    ) -> tuple[dict[str, int], dict[str, EngineUnavailable]]:
        """Write the sessions of each account as one record; returns how many were written of each, and the errors."""
        now = self._clock()
        # Records sort by time, in the order in which they were written.
        key = LISTED_SESSIONS.stored_key(f"{int(now * 1000):015d}-{self._entropy(8).hex()}")
        written: dict[str, int] = {}
        writes: dict[str, list[Write]] = {}
        errors: dict[str, EngineUnavailable] = {}
        pauses = Pauses(_PAGE)
        for account, notes in taken.items():
            unexpired = await _unexpired_of(notes, now, pauses)
            if not unexpired:
                continue
            try:
                own = await self._writes_of(account, key, unexpired)
            except EngineUnavailable as unread:
                errors[account] = unread
                continue
            written[account], writes[sessions_partition(account)] = min(len(unexpired), MOST_LISTED), own
        failed = await self._engine.commit_each(writes) if writes else {}
        for account in list(written):
            error = failed.get(sessions_partition(account))
            if error is not None:
                errors[account] = error
                del written[account]
        return written, errors

    async def _writes_of(self, account: str, key: str, unexpired: list[ListedSession]) -> list[Write]:
        missing, listed = unexpired[:-MOST_LISTED], unexpired[-MOST_LISTED:]
        record = ListedSessions(sessions=tuple(listed))
        ends = max(session.expires_at for session in listed)
        writes = [Write(key, LISTED_SESSIONS.encode(record), ends)]
        if missing:
            writes.append(await self._unlisted(account, missing))
        return writes

    async def _delete_oldest(self, account: str) -> None:
        """Delete the records whose sessions are all older than the newest MOST_LISTED ones."""
        partition, now = sessions_partition(account), self._clock()
        records: list[tuple[str, int]] = []
        after = ""
        while True:
            page = await self._engine.scan(partition, LISTED_SESSIONS.prefix, after, _PAGE)
            records += [(key, len(_unexpired(_decoded(partition, key, value), now))) for key, value in page]
            if len(page) < _PAGE:
                break
            after = page[-1][0]
            await asyncio.sleep(0)
        surplus = _surplus(records)
        for start in range(0, len(surplus), _PAGE):
            await self._delete(account, surplus[start : start + _PAGE], now)

    async def _delete(self, account: str, keys: list[str], now: float) -> None:
        partition = sessions_partition(account)
        _, values = await self._engine.fetch(partition, keys)
        found = [(key, value) for key, value in zip(keys, values, strict=True) if value is not None]
        lost = [one for key, value in found for one in _unexpired(_decoded(partition, key, value), now)]
        writes = [Write(key, None) for key in keys]
        if lost:
            writes.append(await self._unlisted(account, lost))
        await self._engine.commit(partition, writes, None)

    async def _unlisted(self, account: str, sessions: list[ListedSession]) -> Write:
        """The write that says that these sessions are missing, and those that were missing before."""
        key, partition = UNLISTED_SESSIONS.stored_key(""), sessions_partition(account)
        record = UnlistedSessions(
            issued_until=max(one.issued_at for one in sessions),
            expires_at=max(one.expires_at for one in sessions),
        )
        known = await self._engine.get(partition, key)
        if known is not None:
            before = UNLISTED_SESSIONS.decode(partition, key, known)
            record = UnlistedSessions(
                issued_until=max(before.issued_until, record.issued_until),
                expires_at=max(before.expires_at, record.expires_at),
            )
        return Write(key, UNLISTED_SESSIONS.encode(record), record.expires_at)


class Listing(msgspec.Struct, frozen=True):
    """The unexpired sessions of an account, the newest first; `unlisted` where there are more."""

    sessions: tuple[ListedSession, ...]
    unlisted: UnlistedSessions | None


async def list_sessions(store: Transaction, account: str, now: float) -> Listing:
    """At most MOST_LISTED sessions of `account`, each once, although a retried flush may have written some twice."""
    records = await store.scan(LISTED_SESSIONS, account)
    by_key_id = {one.access_key_id: one for record in records for one in _unexpired(record, now)}
    newest_first = sorted(
        by_key_id.values(), key=lambda one: (one.issued_at, one.access_key_id), reverse=True
    )
    unlisted = await store.find(UNLISTED_SESSIONS, account)
    if len(newest_first) > MOST_LISTED:
        lost = newest_first[MOST_LISTED:]
        unlisted = UnlistedSessions(
            issued_until=max(lost[0].issued_at, unlisted.issued_until if unlisted else 0),
            expires_at=max(one.expires_at for one in lost),
        )
    return Listing(tuple(newest_first[:MOST_LISTED]), unlisted)


async def _unexpired_of(notes: Collection[Note], now: float, pauses: Pauses) -> list[ListedSession]:
    unexpired: list[ListedSession] = []
    for note in notes:
        session = _listed(*note)
        if session.expires_at > now:
            unexpired.append(session)
        await pauses.count()
    return unexpired


def _surplus(records: list[tuple[str, int]]) -> list[str]:
    """Keys of the records beyond the newest MOST_LISTED sessions; `records` are keys and counts, the oldest first."""
    counted = 0
    for index in range(len(records) - 1, -1, -1):
        if counted >= MOST_LISTED:
            return [key for key, _ in records[: index + 1]]
        counted += records[index][1]
    return []


def _decoded(partition: str, key: str, value: bytes) -> ListedSessions:
    return LISTED_SESSIONS.decode(partition, key, value)


def _unexpired(record: ListedSessions, now: float) -> list[ListedSession]:
    return [session for session in record.sessions if session.expires_at > now]


def _listed(encoded: bytes, sealed_by: bytes) -> ListedSession:
    claims = claims_from_bytes(encoded)
    return ListedSession(
        access_key_id=claims.access_key_id,
        kind=type(claims).__name__.removesuffix("Claims"),
        arn=claims.principal.arn,
        identity_id=claims.identity_id,
        issued_at=claims.issued_at,
        expires_at=claims.expires_at,
        issued_by=claims.issued_by,
        sealed_by=sealed_by.hex(),
        ancestors=claims.ancestors,
    )
