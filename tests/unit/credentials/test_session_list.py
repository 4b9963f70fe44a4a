"""Minted sessions are listed by the next flush: each once, the newest first, within a bound, until it ends."""

import os
import secrets
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from pathlib import Path

import pytest

from broker.credentials import session_list
from broker.credentials.mint import Mint
from broker.credentials.session_list import COUNT_EVERY, MOST_LISTED, Listing, SessionList, list_sessions
from broker.names.principal import AssumedRole, IamUser, Root
from broker.sealing.key import KEY_ENTROPY
from broker.sealing.keyring import new_keyring
from broker.storage.engine import Engine, EngineUnavailable, Write, sessions_partition
from broker.storage.sealed import SealedEngine
from broker.storage.session_records import ListedSession
from broker.storage.sqlite import SqliteEngine
from broker.storage.store import LISTED_SESSIONS, Store
from tests.unit.storage.turns import Work

ACCOUNT, OTHER = "111122223333", "444455556666"
NOW = 1_800_000_000.0
RING = new_keyring(NOW, secrets.token_bytes(KEY_ENTROPY))
ROLE = AssumedRole(ACCOUNT, "worker", "AROA1", "night", "/team/")


class World:
    """Two processes on one store, at `now`; each mints and lists."""

    def __init__(self, path: Path) -> None:
        self.now, self.path = NOW, path
        self.store = Store(SqliteEngine(path, lambda: self.now, os.urandom), lambda: self.now)
        self.lists = [SessionList(self.store.engine, lambda: self.now, os.urandom) for _ in range(2)]
        self.mints = [Mint(lambda: RING, secrets.token_bytes, each.note) for each in self.lists]

    def mint(self, number: int = 1, process: int = 0, duration: int = 900) -> list[str]:
        """The access key ids, in the order in which they were minted."""
        assumed_role = self.mints[process].assumed_role
        return [assumed_role(ROLE, now=self.now, duration=duration).access_key_id for _ in range(number)]

    async def listing(self, account: str = ACCOUNT) -> Listing:
        return await list_sessions(self.store.transaction(), account, self.now)

    async def listed(self) -> set[str]:
        return {one.access_key_id for one in (await self.listing()).sessions}

    async def stored(self) -> int:
        records = await self.store.transaction().scan(LISTED_SESSIONS, ACCOUNT)
        return sum(len(record.sessions) for record in records)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    world = World(tmp_path / "broker.db")
    async with world.store:
        yield world


async def test_every_kind_of_session_is_listed_with_its_principal_and_its_issuer(world: World) -> None:
    mint, key = world.mints[0], "AKIAIOSFODNN7EXAMPLE"
    alice = IamUser(ACCOUNT, "alice", "AIDA1")
    times = {"now": world.now, "duration": 900}
    mint.assumed_role(ROLE, **times, issuer_access_key_id=key)
    mint.assumed_role(ROLE, **times, federated_provider="arn:provider")
    mint.assumed_role(ROLE, **times, role_delivery="2.0", instance_id="i-1")
    mint.session_token(alice, **times, issuer_access_key_id=key)
    mint.federated_user(alice, "guest", **times, issuer_access_key_id=key)
    mint.federated_user(Root(ACCOUNT), "guest", **times)
    mint.root_task(ACCOUNT, **times, task_policy_arn="arn:task", issuer_arn="arn:issuer")
    await world.lists[0].flush()
    listing = await world.listing()
    sts, iam = f"arn:aws:sts::{ACCOUNT}:", f"arn:aws:iam::{ACCOUNT}:"
    assert listing.unlisted is None
    assert sorted((one.kind, one.arn, one.identity_id, one.issued_by) for one in listing.sessions) == [
        ("AssumedRole", f"{sts}assumed-role/worker/night", "AROA1", key),
        ("AssumedRole", f"{sts}assumed-role/worker/night", "AROA1", "arn:provider"),
        ("AssumedRole", f"{sts}assumed-role/worker/night", "AROA1", "i-1"),
        ("FederatedUser", f"{sts}federated-user/guest", ACCOUNT, ""),
        ("FederatedUser", f"{sts}federated-user/guest", "AIDA1", key),
        ("Root", f"{iam}root", ACCOUNT, "arn:issuer"),
        ("SessionToken", f"{iam}user/alice", "AIDA1", key),
    ]
    assert {(one.issued_at, one.expires_at) for one in listing.sessions} == {(int(NOW), int(NOW) + 900)}
    assert {one.sealed_by for one in listing.sessions} == {RING.primary.id.hex()}


async def test_what_is_minted_is_listed_with_the_next_flush_of_any_process(world: World) -> None:
    first, second = world.mint(3), world.mint(2, process=1)
    assert await world.listed() == set()
    await world.lists[0].flush()
    assert await world.listed() == set(first)
    await world.lists[1].flush()
    assert await world.listed() == {*first, *second}
    revision = await world.store.engine.revision(f"sessions/{ACCOUNT}")
    await world.lists[0].flush()
    assert await world.store.engine.revision(f"sessions/{ACCOUNT}") == revision, "there was nothing to write"


async def test_the_newest_session_comes_first(world: World) -> None:
    expected = []
    for _ in range(3):
        expected[:0] = world.mint()
        world.now += 1
        await world.lists[0].flush()
    assert [one.access_key_id for one in (await world.listing()).sessions] == expected


async def test_a_session_is_listed_until_it_ends_and_deleted_from_the_engine_with_the_last_of_its_record(
    world: World,
) -> None:
    short, long = world.mint(duration=900), world.mint(duration=3600)
    await world.lists[0].flush()
    world.now = NOW + 899
    assert await world.listed() == {*short, *long}
    world.now = NOW + 900
    assert await world.listed() == set(long)
    assert await world.stored() == 2
    world.now = NOW + 3600
    assert await world.stored() == 0


async def test_a_session_that_has_ended_before_the_flush_is_not_written(world: World) -> None:
    world.mint(duration=900)
    world.now = NOW + 900
    await world.lists[0].flush()
    assert await world.store.engine.partitions("sessions/") == []


async def test_of_more_than_the_bound_in_one_flush_the_newest_are_listed_and_the_overflow_says_so(
    world: World,
) -> None:
    minted = world.mint(MOST_LISTED + 50)
    await world.lists[0].flush()
    listing = await world.listing()
    assert {one.access_key_id for one in listing.sessions} == set(minted[-MOST_LISTED:])
    assert listing.unlisted is not None
    assert listing.unlisted.issued_until == int(NOW)


async def test_over_many_flushes_the_newest_are_listed_and_what_is_stored_is_bounded(world: World) -> None:
    last: list[str] = []
    for turn in range(30):
        last = [*last, *world.mint(100, process=turn % 2)][-MOST_LISTED:]
        await world.lists[turn % 2].flush()
        assert await world.stored() <= MOST_LISTED + 100 + 2 * (COUNT_EVERY + 100)
        world.now += 1
    listing = await world.listing()
    assert len(listing.sessions) == MOST_LISTED
    assert {one.access_key_id for one in listing.sessions} == set(last)
    assert listing.unlisted is not None
    assert listing.unlisted.issued_until == int(NOW) + 19
    world.now = NOW + 29 + 900
    assert await world.listing() == Listing((), None), (
        "neither the list nor its overflow outlives the sessions"
    )


async def test_short_sessions_that_have_ended_do_not_push_out_a_long_one(world: World) -> None:
    long = world.mint(duration=43_200)
    await world.lists[0].flush()
    for _ in range(5):
        world.now += 901
        world.mint(400)
        await world.lists[0].flush()
    listing = await world.listing()
    assert set(long) <= {one.access_key_id for one in listing.sessions}
    assert listing.unlisted is None


async def test_one_accounts_many_sessions_push_out_none_of_another(world: World) -> None:
    (own,) = [
        world.mints[0]
        .assumed_role(AssumedRole(OTHER, "r", "AROA2", "s"), now=NOW, duration=900)
        .access_key_id
    ]
    world.mint(MOST_LISTED + 50)
    await world.lists[0].flush()
    assert [one.access_key_id for one in (await world.listing(OTHER)).sessions] == [own]


async def test_sessions_that_could_not_be_written_are_written_by_the_next_flush_and_still_bounded(
    world: World,
) -> None:
    first = world.mint(5)

    file = world.path.rename(world.path.with_suffix(".away"))
    with pytest.raises(EngineUnavailable):
        await world.lists[0].flush()
    second = world.mint(3)
    with pytest.raises(EngineUnavailable):
        await world.lists[0].flush()
    file.rename(world.path)
    await world.lists[0].flush()
    assert await world.listed() == {*first, *second}


async def test_the_sessions_of_many_accounts_are_listed_by_one_flush_also_where_the_one_before_failed(
    world: World,
) -> None:
    accounts = [f"{number:012}" for number in range(250)]
    minted = {}
    for account in accounts:
        role = AssumedRole(account, "worker", "AROA1", "night", "/")
        credentials = world.mints[0].assumed_role(role, now=world.now, duration=900)
        minted[account] = {credentials.access_key_id}
    file = world.path.rename(world.path.with_suffix(".away"))
    with pytest.raises(EngineUnavailable):
        await world.lists[0].flush()
    file.rename(world.path)
    await world.lists[0].flush()
    for account in accounts:
        assert {one.access_key_id for one in (await world.listing(account)).sessions} == minted[account]


async def test_where_a_part_of_the_engine_is_away_the_sessions_of_the_others_are_listed_once(
    world: World,
) -> None:
    away = {sessions_partition(ACCOUNT)}

    class PartlyAway(SealedEngine):
        async def commit_each(self, writes: Mapping[str, Sequence[Write]]) -> dict[str, EngineUnavailable]:
            there = {name: some for name, some in writes.items() if name not in away}
            return {**await super().commit_each(there), **{name: EngineUnavailable(name) for name in away}}

    sessions = SessionList(
        PartlyAway(world.store.engine, lambda: RING, os.urandom), lambda: world.now, os.urandom
    )
    mint = Mint(lambda: RING, secrets.token_bytes, sessions.note)
    for account in (ACCOUNT, OTHER):
        mint.assumed_role(AssumedRole(account, "worker", "AROA1", "night", "/"), now=world.now, duration=900)
    for _ in range(2):
        with pytest.raises(EngineUnavailable, match=ACCOUNT):
            await sessions.flush()
    away.clear()
    await sessions.flush()
    for account in (ACCOUNT, OTHER):
        assert (await world.store.engine.revision(sessions_partition(account))).number == 1


async def test_the_event_loop_runs_while_the_sessions_of_many_accounts_are_read_and_few_thousand_are_one_commit(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, listed, groups = Work(), session_list._listed, []
    commit_each = world.store.engine.commit_each

    def noted(claims: bytes, sealed_by: bytes) -> ListedSession:
        read.note()
        return listed(claims, sealed_by)

    async def seen(writes: Mapping[str, Sequence[Write]]) -> dict[str, EngineUnavailable]:
        groups.append(len(writes))
        return await commit_each(writes)

    monkeypatch.setattr(session_list, "_listed", noted)
    monkeypatch.setattr(world.store.engine, "commit_each", seen)
    for number in range(40):
        role = AssumedRole(f"{number:012}", "worker", "AROA1", "night", "/")
        for _ in range(60):
            world.mints[0].assumed_role(role, now=world.now, duration=900)
    async with read.watched():
        await world.lists[0].flush()
    assert read.noted == 2400
    assert read.most <= 100
    assert groups == [33, 7], "33 accounts have 1,980 sessions"


class PartlyUnreadable(SealedEngine):
    """Partitions that are `away` cannot be read; they can be written where `is_written` is true."""

    def __init__(self, inner: Engine, away: Collection[str], *, is_written: bool) -> None:
        super().__init__(inner, lambda: RING, os.urandom)
        self.away, self.is_written = away, is_written

    async def get(self, partition: str, key: str) -> bytes | None:
        self._refuse(partition)
        return await super().get(partition, key)

    async def scan(
        self, partition: str, prefix: str, after: str = "", limit: int | None = None
    ) -> list[tuple[str, bytes]]:
        self._refuse(partition)
        return await super().scan(partition, prefix, after, limit)

    async def commit_each(self, writes: Mapping[str, Sequence[Write]]) -> dict[str, EngineUnavailable]:
        away = () if self.is_written else self.away
        there = {name: some for name, some in writes.items() if name not in away}
        failed = {name: EngineUnavailable(name) for name in writes if name in away}
        return {**await super().commit_each(there), **failed}

    async def stored(self, account: str) -> list[int]:
        """How many sessions each record of the account has."""
        partition = sessions_partition(account)
        pairs = await self.scan(partition, LISTED_SESSIONS.prefix)
        return [len(LISTED_SESSIONS.decode(partition, key, value).sessions) for key, value in pairs]

    def _refuse(self, partition: str) -> None:
        if partition in self.away:
            raise EngineUnavailable(partition)


@pytest.mark.parametrize("noted", [1, MOST_LISTED])
@pytest.mark.parametrize("is_written", [False, True])
async def test_an_account_whose_part_is_away_keeps_no_other_from_being_listed_and_counted_however_many_it_has(
    world: World, noted: int, is_written: bool
) -> None:
    away = {sessions_partition(ACCOUNT)}
    engine = PartlyUnreadable(world.store.engine, away, is_written=is_written)
    sessions = SessionList(engine, lambda: world.now, os.urandom)
    mint = Mint(lambda: RING, secrets.token_bytes, sessions.note)
    others = [f"{200_000_000_000 + number}" for number in range(150)]  # behind the one that is away
    busy, flushes = others[-1], MOST_LISTED // COUNT_EVERY + 2

    def mint_some(account: str, number: int) -> None:
        for _ in range(number):
            role = AssumedRole(account, "worker", "AROA1", "night", "/")
            mint.assumed_role(role, now=world.now, duration=900)

    mint_some(ACCOUNT, noted)
    for _ in range(flushes):
        for account in (ACCOUNT, *others):
            mint_some(account, COUNT_EVERY if account == busy else 1)
        with pytest.raises(EngineUnavailable, match=ACCOUNT):
            await sessions.flush()
        world.now += 1
    for account in others[:-1]:
        assert await engine.stored(account) == [1] * flushes
    assert sum(await engine.stored(busy)) == MOST_LISTED, "the surplus was counted and deleted"
    away.clear()
    await sessions.flush()
    assert sum(await engine.stored(ACCOUNT)) == min(noted + flushes, MOST_LISTED)


async def test_leaving_writes_what_was_noted(world: World) -> None:
    async with world.lists[0]:
        minted = world.mint(2)
    assert await world.listed() == set(minted)
