"""Typed collections over an engine: transactions that read, then write all or nothing.

`Store` caches the records of each partition together with the revision they were read at, so a read from the cache is
as current as a read from the engine. `transaction.py` states what a transaction guarantees.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterator
from itertools import islice, takewhile
from operator import itemgetter
from types import TracebackType
from typing import Self, TypeVar

from broker.cache import CacheSize
from broker.errors import Refusal
from broker.storage.cache import RecordCache
from broker.storage.collection import Collection
from broker.storage.collections import (
    ACCESS_KEYS,
    ACCOUNT_CREATIONS,
    ACCOUNTS,
    ACCUSTOMED_ADDRESSES,
    ANALYZER_FINDINGS,
    ANALYZERS,
    CONTAINERS,
    COUNTS,
    CREDENTIAL_REPORTS,
    DELEGATION_REQUESTS,
    DELIVERED_LOGS,
    DIGEST_CHAINS,
    DIGEST_KEYS,
    FAILED_ATTEMPTS,
    FOREIGN_ACCESS_KEYS,
    FOREIGN_RESOURCES,
    GROUPS,
    HANDSHAKES,
    INDEXED_ACCOUNTS,
    INSTANCE_BINDINGS,
    INSTANCE_PROFILES,
    INSTANCES,
    ISSUER_ACCOUNTS,
    LAST_ACCESSED_JOBS,
    LISTED_SESSIONS,
    LOGIN_PROFILES,
    LOGIN_SESSIONS,
    MFA_DEVICES,
    ONCE,
    OPEN_ID_CONNECT_PROVIDERS,
    ORGANIZATION,
    PASSKEY_USES,
    PASSKEYS,
    PASSWORD_POLICY,
    POLICIES,
    POLICY_GENERATIONS,
    POLICY_USES,
    PORTAL_PREFERENCES,
    PORTAL_SESSIONS,
    REFERENCES,
    RENAMED_USERS,
    RESOURCE_OWNERS,
    REVOCATION_LISTS,
    REVOCATIONS,
    ROLE_INDEX,
    ROLE_TEMPLATES,
    ROLES,
    ROOT_LOGIN_PROFILE,
    SAML_PROVIDERS,
    SAML_REQUEST_KEYS,
    SERVER_CERTIFICATES,
    SERVICE_LINKED_ROLE_DELETIONS,
    SERVICE_SPECIFIC_CREDENTIALS,
    SERVING,
    SETTINGS,
    SIGNING_CERTIFICATES,
    SIGNING_IDENTITY,
    SSH_PUBLIC_KEYS,
    SSO_CODES,
    SSO_DEVICES,
    SSO_SESSIONS,
    TOKEN_ISSUERS,
    TRAIL_ACCOUNTS,
    TRAIL_PROGRESS,
    TRAILS,
    TRUST_ANCHORS,
    TRUSTING_ROLES,
    UNLISTED_SESSIONS,
    USAGE,
    USERS,
    WORKLOAD_PROFILES,
    WORKLOAD_SUBJECTS,
)
from broker.storage.engine import Conflict, Engine, EngineUnavailable, Write, usage_partition
from broker.storage.flush_groups import MOST_ITEMS, write_groups
from broker.storage.last_accessed import LAST_ACCESSED_SECONDS
from broker.storage.lines import Batch, Lines, Turn
from broker.storage.pauses import Pauses
from broker.storage.records import Usage
from broker.storage.transaction import Transaction, commit_view
from broker.storage.view import View
from broker.storage.views import Views

__all__ = [
    "ACCESS_KEYS",
    "ACCOUNTS",
    "ACCOUNT_CREATIONS",
    "ACCUSTOMED_ADDRESSES",
    "ANALYZERS",
    "ANALYZER_FINDINGS",
    "CONTAINERS",
    "COUNTS",
    "CREDENTIAL_REPORTS",
    "DELEGATION_REQUESTS",
    "DELIVERED_LOGS",
    "DIGEST_CHAINS",
    "DIGEST_KEYS",
    "FAILED_ATTEMPTS",
    "FOREIGN_ACCESS_KEYS",
    "FOREIGN_RESOURCES",
    "GROUPS",
    "HANDSHAKES",
    "INDEXED_ACCOUNTS",
    "INSTANCES",
    "INSTANCE_BINDINGS",
    "INSTANCE_PROFILES",
    "ISSUER_ACCOUNTS",
    "LAST_ACCESSED_JOBS",
    "LISTED_SESSIONS",
    "LOGIN_PROFILES",
    "LOGIN_SESSIONS",
    "MFA_DEVICES",
    "ONCE",
    "OPEN_ID_CONNECT_PROVIDERS",
    "ORGANIZATION",
    "PASSKEYS",
    "PASSKEY_USES",
    "PASSWORD_POLICY",
    "POLICIES",
    "POLICY_GENERATIONS",
    "POLICY_USES",
    "PORTAL_PREFERENCES",
    "PORTAL_SESSIONS",
    "REFERENCES",
    "RENAMED_USERS",
    "RESOURCE_OWNERS",
    "REVOCATIONS",
    "REVOCATION_LISTS",
    "ROLES",
    "ROLE_INDEX",
    "ROLE_TEMPLATES",
    "ROOT_LOGIN_PROFILE",
    "SAML_PROVIDERS",
    "SAML_REQUEST_KEYS",
    "SERVER_CERTIFICATES",
    "SERVICE_LINKED_ROLE_DELETIONS",
    "SERVICE_SPECIFIC_CREDENTIALS",
    "SERVING",
    "SETTINGS",
    "SIGNING_CERTIFICATES",
    "SIGNING_IDENTITY",
    "SSH_PUBLIC_KEYS",
    "SSO_CODES",
    "SSO_DEVICES",
    "SSO_SESSIONS",
    "TOKEN_ISSUERS",
    "TRAILS",
    "TRAIL_ACCOUNTS",
    "TRAIL_PROGRESS",
    "TRUSTING_ROLES",
    "TRUST_ANCHORS",
    "UNLISTED_SESSIONS",
    "USAGE",
    "USERS",
    "WORKLOAD_PROFILES",
    "WORKLOAD_SUBJECTS",
    "Collection",
    "Conflict",
    "EngineUnavailable",
    "Store",
    "Transaction",
]

T = TypeVar("T")
Marks = list[tuple[str, Usage]]  # of an account: keys, and when they were used last

DEFAULT_CACHE_LIMIT = 112 * 1024 * 1024

# How often `transact` retries under its lock, and the backoff between two retries: a random part of a span that
# doubles from the first figure to the second, in seconds; about two seconds in all.
_MOST_RETRIES = 40
_FIRST_BACKOFF, _LONGEST_BACKOFF = 0.002, 0.1

# The same of a call that has its turn in a line.
_MOST_RETRIES_IN_LINE, _RETRIES_AT_ONCE = 500, 10
_BACKOFF_IN_LINE = 0.004

# How many usage marks are gathered, encoded or forgotten before the event loop serves other requests.
_GATHERED_AT_ONCE, _ENCODED_AT_ONCE = 2000, 200
_LAST_FLUSH_SECONDS = 2.0  # when the store is closed: a process that has to end has only a few seconds


class Store:
    """An engine, the cache of its records, and the usage marks that are not yet written.

    Leaving the context writes the marks and closes the engine.
    """

    def __init__(
        self,
        engine: Engine,
        clock: Callable[[], float],
        *,
        cache_limit: int = DEFAULT_CACHE_LIMIT,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        """`cache_limit` bounds the cached records, in bytes, by estimate; `jitter` (0 to 1) spreads retries."""
        self.engine = engine
        self._clock = clock
        self._jitter = jitter
        self._cache = RecordCache(engine, cache_limit)
        self._marks: dict[tuple[str, str], Usage] = {}
        self._flushed: dict[tuple[str, str], float] = {}
        self._retry_lock = asyncio.Lock()
        self._lines = Lines(self._write_batch)

    @property
    def cache_size(self) -> CacheSize:
        return self._cache.size

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            async with asyncio.timeout(_LAST_FLUSH_SECONDS):
                await self.flush_usage()
        except TimeoutError:
            raise EngineUnavailable("the last marks of use could not be written in time") from None
        finally:
            await self.engine.close()

    def transaction(self) -> Transaction:
        """A transaction that the caller commits, or not; `transact` begins, commits and retries one."""
        return Transaction(self.engine, Views(self._cache), self._latest)

    async def transact(self, work: Callable[[Transaction], Awaitable[T]]) -> T:
        """Run `work` in a transaction and commit it; retry after a Conflict, a bounded number of times.

        Where `work` raises, nothing is written. The exception are the transaction's unconditional writes, where it
        raises a Refusal. `work` may run several times, so all of its effects must be in the transaction.
        """
        turn = Turn(self._lines)
        try:
            try:
                return await self._attempt(work, turn)
            except Conflict:
                await turn.be_alone()
            if turn.has_stood_in_line:
                return await self._retry(work, turn, _backoffs_in_line())
            # Retries without a turn run one at a time, so that of many calls that write to one partition each succeeds.
            # Other processes have a queue of their own, which may be faster: the backoff lets them finish first.
            async with self._retry_lock:
                return await self._retry(work, turn, _backoffs())
        finally:
            turn.leave(asyncio.get_running_loop().time)

    async def _retry(
        self, work: Callable[[Transaction], Awaitable[T]], turn: Turn, backoffs: Iterator[float]
    ) -> T:
        for backoff in backoffs:
            await turn.take_again()
            try:
                return await self._attempt(work, turn)
            except Conflict:
                await turn.be_alone()
                await asyncio.sleep(self._jitter() * backoff)
        await turn.take_again()
        return await self._attempt(work, turn)

    async def _attempt(self, work: Callable[[Transaction], Awaitable[T]], turn: Turn) -> T:
        transaction = Transaction(self.engine, Views(self._cache), self._latest, _turn=turn)
        transaction.read_pending()
        try:
            answer = await work(transaction)
        except Refusal:
            await transaction.settle()
            await transaction.commit_unconditional()
            raise
        if transaction.is_dirty:
            await transaction.commit()
        else:
            await transaction.settle()
        return answer

    async def _write_batch(self, partition: str, batch: Batch) -> None:
        # Which records were read there is not known any more: so nothing may have changed.
        beside = {other: View(snapshot, is_pinned=True) for other, snapshot in batch.read.items()}
        await commit_view(self.engine, Views(self._cache), partition, batch.view, beside)

    def mark_used(self, account: str, key: str, usage: Usage) -> None:
        """Note that `key` was used; the next `flush_usage` writes it. See `Usage` for the keys."""
        self._marks[account, key] = usage

    async def flush_usage(self, interval: float = 0.0) -> None:
        """Write the marks gathered so far; those that could not be written stay for the next flush.

        A key that is used all the time is written once in `interval` seconds.
        """
        now = self._clock()
        await self._forget_flushed(now, interval)
        await write_groups(_in_parts(await self._unflushed()), lambda group: self._flush_some(group, now))

    async def _unflushed(self) -> list[tuple[str, Marks]]:
        """Accounts and their marks that have to be written; accounts in order are near one another in the engine."""
        by_account: dict[str, Marks] = {}
        pauses = Pauses(_GATHERED_AT_ONCE)
        for mark in list(self._marks):
            if mark in self._marks and mark not in self._flushed:
                account, key = mark
                by_account.setdefault(account, []).append((key, self._marks[mark]))
            await pauses.count()
        return sorted(by_account.items(), key=itemgetter(0))

    async def _forget_flushed(self, now: float, interval: float) -> None:
        """They are in the order in which they were written, unless the clock was set back: not each is looked at."""
        if next(reversed(self._flushed.values()), now) > now:
            self._flushed.clear()
        while True:
            rested = takewhile(lambda one: now >= one[1] + interval, self._flushed.items())
            some = list(islice(rested, _GATHERED_AT_ONCE))
            for mark, _ in some:
                del self._flushed[mark]
            if len(some) < _GATHERED_AT_ONCE:
                break
            await asyncio.sleep(0)

    async def _flush_some(self, group: list[tuple[str, Marks]], now: float) -> list[EngineUnavailable]:
        pauses = Pauses(_ENCODED_AT_ONCE)
        errors = await self.engine.commit_each(
            {usage_partition(account): await _usage_writes(marks, pauses) for account, marks in group}
        )
        for account, marks in group:
            if usage_partition(account) in errors:
                continue
            for key, usage in marks:
                self._flushed[account, key] = now
                if self._marks.get((account, key)) is usage:
                    del self._marks[account, key]
        return list(errors.values())

    def _latest(self, account: str, key: str, record: Usage | None) -> Usage | None:
        mark = self._marks.get((account, key))
        if record is None or (mark is not None and mark.last_used_at >= record.last_used_at):
            return mark
        return record


def _in_parts(accounts: list[tuple[str, Marks]]) -> Iterator[tuple[str, Marks]]:
    """An account of many marks several times: they are not written together."""
    for account, marks in accounts:
        for start in range(0, len(marks), MOST_ITEMS):
            yield account, marks[start : start + MOST_ITEMS]


async def _usage_writes(marks: Marks, pauses: Pauses) -> list[Write]:
    writes: list[Write] = []
    for key, usage in marks:
        writes.append(_usage_write(key, usage))
        await pauses.count()
    return writes


def _usage_write(key: str, usage: Usage) -> Write:
    # A cached one that has expired does no harm: it is too old to be shown.
    expires_at = usage.last_used_at + LAST_ACCESSED_SECONDS if usage.action else None
    return Write(USAGE.stored_key(key), USAGE.encode(usage), expires_at)


def _backoffs_in_line() -> Iterator[float]:
    """Of a call that has its turn: only other processes are in its way, and others wait behind it."""
    for number in range(_MOST_RETRIES_IN_LINE):
        yield 0.0 if number < _RETRIES_AT_ONCE else _BACKOFF_IN_LINE


def _backoffs() -> Iterator[float]:
    backoff = _FIRST_BACKOFF
    for _ in range(_MOST_RETRIES):
        yield backoff
        backoff = min(2 * backoff, _LONGEST_BACKOFF)
