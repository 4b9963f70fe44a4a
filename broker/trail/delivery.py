"""Delivery: records from the journal to the buckets of trails, beside the requests.

A position says up to where a trail is delivered; it is committed after the upload. A crash in between repeats the
upload under the same name (`keys.log_key`), so nothing is lost and nothing is there twice. Trails at one position read
the journal together. A trail whose bucket cannot be written stays behind alone, and its part of the journal is kept.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence

import msgspec
from msgspec.structs import replace

from broker.access.gate import Gate
from broker.access.organization import find_organization
from broker.audit.undelivered import SERIES, KeptFile, UndeliveredFiles, read_lines
from broker.storage.store import DELIVERED_LOGS, TRAIL_ACCOUNTS, TRAIL_PROGRESS, TRAILS, Store, Transaction
from broker.storage.trail_records import JournalPosition, Trail, TrailProgress, trail_key
from broker.trail.buckets import find_bucket_fault
from broker.trail.digest_delivery import DigestDelivery
from broker.trail.log_files import Batch, LogFile, batch_of, log_files
from broker.trail.sink import DeliveryFailed, Sink

_FIRST_PAUSE, _LONGEST_PAUSE = 5.0, 900.0  # seconds, after a failed delivery
_UNCOMMITTED_SECONDS = (
    600.0  # how long a position may be ahead of the committed one where nothing was to be delivered
)

_WIDTH = 8  # trails that are delivered at the same time

_logger = logging.getLogger("broker.trail")


class DeliveryState(msgspec.Struct, frozen=True):
    """For the metrics: trails whose last delivery failed, and bytes of the journal that the last one has to get."""

    failing: int
    undelivered: int


class _Reached:
    """Where a trail is in the journal, and what was committed of it."""

    def __init__(self, trail: Trail, progress: TrailProgress) -> None:
        self.trail, self.progress = trail, progress
        self.positions: dict[str, JournalPosition] = dict(progress.positions)
        self.committed_at = 0.0
        self.failures, self.retry_at = 0, 0.0


class Delivery:
    """Delivers the journal of `files` for all trails. `clock` gives epoch seconds."""

    def __init__(
        self,
        store: Store,
        gate: Gate,
        files: UndeliveredFiles,
        sink: Sink,
        clock: Callable[[], float],
        entropy: Callable[[int], bytes],
        digest_seconds: int,
        note: Callable[[DeliveryState], None],
    ) -> None:
        self._store, self._gate, self._files, self._sink = store, gate, files, sink
        self._clock, self._entropy, self._note = clock, entropy, note
        self._digests = DigestDelivery(store, gate, sink, clock, digest_seconds)
        self._reached: dict[str, _Reached] = {}

    async def deliver(self) -> None:
        """One pass; nothing where another process delivers this journal. Raises OSError and what the store raises."""
        if not await asyncio.to_thread(self._files.is_ours):
            return
        trails = [one for one in await self._trails() if one.periods]
        journal_id = await asyncio.to_thread(self._files.journal_id, self._entropy)
        await self._find_progress(trails, journal_id)
        if self._reached:
            await asyncio.to_thread(self._files.keep, self._since())
            kept = await asyncio.to_thread(self._files.kept, self._clock())
            accounts = await self._accounts(trails)
            for series in SERIES:
                await self._deliver_series([one for one in kept if one.series == series], series, accounts)
            await self._digests.deliver(trails)
            self._note(self._state(await asyncio.to_thread(self._files.kept, self._clock())))
        await asyncio.to_thread(self._files.release, self._needed())

    async def _trails(self) -> list[Trail]:
        store = self._store.transaction()
        accounts = await store.scan(TRAIL_ACCOUNTS, "")
        return [trail for one in accounts for trail in await store.scan(TRAILS, one.account_id)]

    async def _accounts(self, trails: Sequence[Trail]) -> Mapping[str, tuple[str, ...]]:
        """Whose records each trail delivers, by the trail's id."""
        organization = await find_organization(self._store.transaction())
        members: tuple[str, ...] = ()
        if organization is not None:
            members = tuple({*organization.accounts, organization.management_account_id})
        return {one.id: members if one.organization_id else (one.account_id,) for one in trails}

    async def _find_progress(self, trails: Sequence[Trail], journal_id: str) -> None:
        store, reached = self._store.transaction(), {}
        for trail in trails:
            known = self._reached.get(trail.id)
            if known is None:
                key = f"{trail.id}/{journal_id}"
                found = await store.find(TRAIL_PROGRESS, trail.account_id, key)
                known = _Reached(trail, found or TrailProgress(trail_id=trail.id, journal_id=journal_id))
            if known.trail != trail:
                known.trail, known.retry_at = trail, 0.0
            reached[trail.id] = known
        self._reached = reached

    def _since(self) -> float:
        """Files that were written to before this moment have nothing for a trail that has no position yet."""
        new = [one.trail for one in self._reached.values() if not one.positions]
        return min((period.start for one in new for period in one.periods), default=float("inf"))

    async def _deliver_series(
        self, kept: Sequence[KeptFile], series: str, accounts: Mapping[str, tuple[str, ...]]
    ) -> None:
        """Until every trail is at the end of the series, or has failed."""
        if not kept:
            return
        for one in self._reached.values():
            one.positions[series] = _current(one, series, kept)
        waiting = [one for one in self._reached.values() if self._clock() >= one.retry_at]
        while waiting:
            position = min((one.positions[series] for one in waiting), key=_order)
            group = [one for one in waiting if one.positions[series] == position]
            file = next(one for one in kept if one.number == position.number)
            read = await asyncio.to_thread(_read, file, position.offset)
            end = JournalPosition(number=file.number, offset=read.end)
            if read.end == position.offset:
                end = _following(end, file, kept)
            if end == position:
                waiting = [one for one in waiting if one not in group]
                continue
            for some in (group[first : first + _WIDTH] for first in range(0, len(group), _WIDTH)):
                advanced = await asyncio.gather(
                    *(self._advance(one, series, end, read.batch, accounts[one.trail.id]) for one in some)
                )
                waiting = [one for one in waiting if one not in some or advanced[some.index(one)]]

    async def _advance(
        self, one: _Reached, series: str, end: JournalPosition, batch: Batch, accounts: Iterable[str]
    ) -> bool:
        """Deliver what the trail has of `batch`, then commit its position; False where that failed."""
        files = await asyncio.to_thread(log_files, one.trail, accounts, batch)
        try:
            await self._upload(one.trail, files)
        except DeliveryFailed as error:
            await self._note_failure(one, error)
            return False
        one.positions[series] = end
        now = self._clock()
        if files or now - one.committed_at > _UNCOMMITTED_SECONDS:
            delivered = int(now) if files else one.progress.delivered_at
            attempted = int(now) if files else one.progress.attempted_at
            progress = replace(
                one.progress,
                positions=dict(one.positions),
                attempted_at=attempted,
                delivered_at=delivered,
                error="" if files else one.progress.error,
            )
            await self._commit(one, progress, files)
            one.failures, one.retry_at, one.committed_at = 0, 0.0, now
        return True

    async def _upload(self, trail: Trail, files: Sequence[LogFile]) -> None:
        if not files:
            return
        keys = [one.log.key for one in files]
        store = self._store.transaction()
        fault = await find_bucket_fault(self._gate, store, trail.arn, trail.bucket, keys, self._clock())
        if fault:
            raise DeliveryFailed(fault, "the bucket's policy")
        for one in files:
            await self._sink.put(one.log.bucket, one.log.key, one.body, {})

    async def _note_failure(self, one: _Reached, error: DeliveryFailed) -> None:
        now = self._clock()
        if one.progress.error != error.code:
            _logger.warning("trail %s is not delivered: %s: %s", one.trail.arn, error.code, error.reason)
        one.retry_at = now + min(_FIRST_PAUSE * 2.0**one.failures, _LONGEST_PAUSE)
        one.failures = min(one.failures + 1, 10)
        await self._commit(one, replace(one.progress, attempted_at=int(now), error=error.code), ())

    async def _commit(self, one: _Reached, progress: TrailProgress, files: Sequence[LogFile]) -> None:
        async def write(store: Transaction) -> None:
            account = one.trail.account_id
            trail = await store.find(TRAILS, account, trail_key(one.trail.region, one.trail.name))
            if trail is None or trail.id != one.trail.id:
                return  # deleted meanwhile
            store.put(TRAIL_PROGRESS, account, progress)
            for file in files if trail.validated_since else ():
                store.put(DELIVERED_LOGS, account, file.log)

        await self._store.transact(write)
        one.progress = progress

    def _needed(self) -> dict[str, int]:
        """The first file that somebody needs, by series."""
        first: dict[str, int] = {}
        for one in self._reached.values():
            for series, position in one.positions.items():
                first[series] = min(first.get(series, position.number), position.number)
        return first

    def _state(self, kept: Sequence[KeptFile]) -> DeliveryState:
        failing = sum(bool(one.progress.error) for one in self._reached.values())
        behind = [_behind(one.positions, kept) for one in self._reached.values()]
        return DeliveryState(failing, max(behind, default=0))


class _Read(msgspec.Struct, frozen=True):
    batch: Batch
    end: int


def _read(file: KeptFile, start: int) -> _Read:
    found = read_lines(file, start)
    return _Read(batch_of(found.lines), found.end)


def _order(position: JournalPosition) -> tuple[int, int]:
    return position.number, position.offset


def _current(one: _Reached, series: str, kept: Sequence[KeptFile]) -> JournalPosition:
    """The position of the trail, in a file that is kept: those before it that are not had nothing for the trail."""
    position = one.positions.get(series)
    if position is None:
        started = min(period.start for period in one.trail.periods)
        fresh = [file for file in kept if file.changed_at >= started]
        return JournalPosition(number=(fresh or kept[-1:])[0].number, offset=0)
    if kept[0].number <= position.number <= kept[-1].number:
        return position
    return JournalPosition(number=kept[0].number, offset=0)


def _following(end: JournalPosition, file: KeptFile, kept: Sequence[KeptFile]) -> JournalPosition:
    """The beginning of the next file, where this one is at its end for ever."""
    later = [one.number for one in kept if one.number > file.number]
    if not file.is_closed or end.offset < file.size or not later:
        return end
    return JournalPosition(number=min(later), offset=0)


def _behind(positions: Mapping[str, JournalPosition], kept: Sequence[KeptFile]) -> int:
    """Bytes."""
    found = 0
    for file in kept:
        position = positions.get(file.series)
        if position is None or file.number > position.number:
            found += file.size
        elif file.number == position.number:
            found += max(0, file.size - position.offset)
    return found
