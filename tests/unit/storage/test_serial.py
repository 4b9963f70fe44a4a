"""The law of transactions, tried with random interleavings.

Three transactions in two stores (two processes, as it were) read and write the same few records. Whatever each
has read, it must have been so at one moment after it began; and what it commits must rest on what is so at its commit.
"""

import asyncio
import os
import tempfile
import time
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from broker.cache import Cache
from broker.storage.records import User
from broker.storage.sqlite import SqliteEngine
from broker.storage.store import USERS, Conflict, Store, Transaction

HERE = "111111111111"
NAMES = ("a", "ab", "b")
State = dict[str, int]

steps = st.lists(
    st.tuples(
        st.sampled_from(["find", "scan", "page", "cached", "put", "delete", "commit", "abandon"]),
        st.integers(0, 2),
        st.sampled_from(NAMES),
    ),
    max_size=40,
)


class Attempt:
    """One transaction, and what it has read: records by name, listings by their arguments."""

    def __init__(self, transaction: Transaction, cache: Cache[str, tuple[int | None]], began: int) -> None:
        self.transaction = transaction
        self.cache = cache
        self.began = began
        self.writes: dict[str, int | None] = {}
        self.seen: list[tuple[str, str, object]] = []

    async def find(self, name: str) -> int | None:
        user = await self.transaction.find(USERS, HERE, name.upper())
        return user and user.created_at

    async def find_to_cache(self, name: str) -> tuple[int | None]:
        return (await self.find(name),)

    def agrees_with(self, state: State) -> bool:
        return all(answer(state | {}, kind, name) == value for kind, name, value in self.seen)


def answer(state: State, kind: str, name: str) -> object:
    if kind in ("find", "cached"):
        return state.get(name)
    pairs = sorted((key, value) for key, value in state.items() if key.startswith(name) or kind == "page")
    return pairs if kind == "scan" else [pair for pair in pairs if pair[0] > name][:1]


def with_writes(state: State, writes: dict[str, int | None]) -> State:
    merged = state | writes
    return {key: value for key, value in merged.items() if value is not None}


class World:
    """The model that the stores must agree with: every state that there was."""

    def __init__(self, stores: list[Store]) -> None:
        self.stores = stores
        self.caches = [Cache[str, tuple[int | None]](100) for _ in stores]
        self.states: list[State] = [{}]
        self.attempts: dict[int, Attempt] = {}
        self.written = 0

    async def step(self, kind: str, who: int, name: str) -> None:
        if who not in self.attempts:
            transaction = self.stores[who % 2].transaction()
            self.attempts[who] = Attempt(transaction, self.caches[who % 2], len(self.states) - 1)
        attempt = self.attempts[who]
        try:
            await self.perform(attempt, kind, name)
        except Conflict:
            assert len(self.states) - 1 > attempt.began, "a conflict without a concurrent commit"
            del self.attempts[who]
        if kind in ("commit", "abandon"):
            self.attempts.pop(who, None)

    async def perform(self, attempt: Attempt, kind: str, name: str) -> None:
        transaction = attempt.transaction
        if kind == "put":
            self.written += 1
            attempt.writes[name] = self.written
            user = User(account_id=HERE, user_name=name, user_id="AIDA", created_at=self.written)
            transaction.put(USERS, HERE, user)
        elif kind == "delete":
            attempt.writes[name] = None
            transaction.delete(USERS, HERE, name)
        elif kind == "commit":
            await transaction.commit()
            if attempt.writes:
                assert attempt.agrees_with(self.states[-1])
                self.states.append(with_writes(self.states[-1], attempt.writes))
        elif kind != "abandon":
            await self.look(attempt, kind, name)

    async def look(self, attempt: Attempt, kind: str, name: str) -> None:
        """Except for own writes, all that was read so far is one state, no older than the transaction."""
        seen: object
        if kind == "find":
            seen = await attempt.find(name)
        elif kind == "cached":
            (seen,) = await attempt.cache.at(attempt.transaction, name, lambda: attempt.find_to_cache(name))
        else:
            found = await (
                attempt.transaction.scan(USERS, HERE, name)
                if kind == "scan"
                else attempt.transaction.scan(USERS, HERE, after=name, limit=1)
            )
            seen = [(user.user_name, user.created_at) for user in found]
        if attempt.writes:
            candidates = [with_writes(state, attempt.writes) for state in self.states[attempt.began :]]
            assert any(answer(state, kind, name) == seen for state in candidates)
            return
        attempt.seen.append((kind, name, seen))
        assert any(attempt.agrees_with(state) for state in self.states[attempt.began :])


@settings(max_examples=60, deadline=None)
@given(steps)
def test_transactions_are_serializable(taken: list[tuple[str, int, str]]) -> None:
    async def run() -> None:
        with tempfile.TemporaryDirectory() as folder:
            engines = [SqliteEngine(Path(folder) / "store.db", time.time, os.urandom) for _ in range(2)]
            # The second caches next to nothing: eviction must make no difference.
            world = World([Store(engines[0], time.time), Store(engines[1], time.time, cache_limit=900)])
            for kind, who, name in taken:
                await world.step(kind, who, name)
            for store in world.stores:
                users = await store.transaction().scan(USERS, HERE)
                assert {user.user_name: user.created_at for user in users} == world.states[-1]
            for engine in engines:
                await engine.close()

    asyncio.run(run())
