"""Deliveries: everything once, whatever fails in between."""

import asyncio
import gzip
import json
import os
import secrets
from collections.abc import AsyncIterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from broker.access.foreign_resources import put_resource_policy, register_resource
from broker.access.gate import Gate
from broker.access.library import PolicyLibrary
from broker.audit.event import Event
from broker.audit.journal import Journal
from broker.audit.undelivered import UndeliveredFiles
from broker.sealing.key import KEY_ENTROPY
from broker.sealing.keyring import new_keyring
from broker.storage.sqlite import SqliteEngine
from broker.storage.store import TRAIL_ACCOUNTS, TRAIL_PROGRESS, TRAILS, Store, Transaction
from broker.storage.trail_records import LoggingPeriod, Trail, TrailAccount
from broker.trail.delivery import Delivery, DeliveryState
from broker.trail.sink import DeliveryFailed
from tests.e2e.trails import bucket_policy
from tests.unit.trail.test_selecting import ACCOUNT, event, trail

NOW = 1_800_000_000


class Bucket:
    """What is delivered, by key. `fails` is what the store answers instead."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.metadata: dict[str, Mapping[str, str]] = {}
        self.puts = 0
        self.fails = ""
        self.is_full_of = ""

    async def put(self, bucket: str, key: str, body: bytes, metadata: Mapping[str, str]) -> None:
        if self.fails and (not self.is_full_of or self.is_full_of in key):
            raise DeliveryFailed(self.fails, "as told")
        self.puts += 1
        self.objects[f"{bucket}/{key}"], self.metadata[key] = body, metadata

    def names(self, bucket: str = "logs") -> list[str]:
        """Of the events, in the order of the files' names."""
        files = [
            body
            for key, body in self.objects.items()
            if key.startswith(f"{bucket}/") and "/CloudTrail/" in key
        ]
        return [one["eventName"] for body in files for one in json.loads(gzip.decompress(body))["Records"]]

    def digests(self) -> list[dict[str, Any]]:
        return [json.loads(gzip.decompress(body)) for key, body in self.objects.items() if "Digest" in key]


class World:
    def __init__(self, store: Store, folder: Path) -> None:
        self.store, self.path, self.now = store, folder / "audit.jsonl", float(NOW)
        self.bucket, self.state = Bucket(), DeliveryState(0, 0)
        self.journal = Journal(self.path, 4096, keep=2)
        keyring = new_keyring(NOW, secrets.token_bytes(KEY_ENTROPY))
        self.gate = Gate(PolicyLibrary(), lambda: keyring, secrets.token_bytes)
        self.files = UndeliveredFiles(self.path)
        self.number = 0
        self.restart()

    def restart(self) -> None:
        """What was only in memory is gone."""
        self.files.close()
        self.files = UndeliveredFiles(self.path)
        self._delivery = Delivery(
            self.store,
            self.gate,
            self.files,
            self.bucket,
            lambda: self.now,
            secrets.token_bytes,
            60,
            lambda state: setattr(self, "state", state),
        )

    async def deliver(self, after: float = 1.0) -> None:
        self.now += after
        await self._delivery.deliver()

    def write(self, *names: str, account: str = ACCOUNT) -> None:
        for name in names:
            self.number += 1
            made: Event = event(name, at=int(self.now))
            made.recipient_account_id, made.event_id = account, f"event-{self.number}"
            self.journal.write(made)

    async def put(self, *trails: Trail) -> None:
        async def write(store: Transaction) -> None:
            for one in trails:
                store.put(TRAILS, one.account_id, one)
                store.put(TRAIL_ACCOUNTS, "", TrailAccount(account_id=one.account_id))
                await self._let_in(store, one.bucket)

        await self.store.transact(write)

    async def _let_in(self, store: Transaction, bucket: str) -> None:
        record = await register_resource(store, "9" * 12, f"arn:aws:s3:::{bucket}", NOW, 100)
        await put_resource_policy(store, record, bucket_policy(bucket), NOW, 20_000, frozenset())

    async def progress(self, chosen: Trail) -> Any:
        (found,) = await self.store.transaction().scan(TRAIL_PROGRESS, chosen.account_id, f"{chosen.id}/")
        return found


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    made: list[World] = []

    def clock() -> float:
        return made[0].now if made else float(NOW)

    async with Store(SqliteEngine(tmp_path / "broker.sqlite", clock, os.urandom), clock) as store:
        made.append(World(store, tmp_path))
        yield made[0]
        made[0].journal.close()
        made[0].files.close()


LOGS = trail(validated_since=NOW)


async def test_each_record_is_delivered_once_in_order_across_rotations(world: World) -> None:
    await world.put(LOGS)
    written = [f"Event{number}" for number in range(60)]
    for start in range(0, 60, 6):
        world.write(*written[start : start + 6])
        world.write("Foreign", account="2" * 12)
        await world.deliver()
    assert not world.path.with_name("audit.jsonl.3").exists()  # of some twenty files three are there
    assert world.bucket.names() == written
    assert (await world.progress(LOGS)).delivered_at == int(world.now)
    assert world.state == DeliveryState(0, 0)


async def test_a_trail_that_fails_stays_behind_alone_and_loses_nothing(world: World) -> None:
    closed, opened = LOGS, replace(LOGS, id="2", name="other", bucket="other")
    await world.put(closed, opened)
    world.bucket.fails, world.bucket.is_full_of = "NoSuchBucket", "/CloudTrail/"
    original = world.bucket.put

    async def put(bucket: str, key: str, body: bytes, metadata: Mapping[str, str]) -> None:
        world.bucket.fails = "" if bucket == "other" else "NoSuchBucket"
        await original(bucket, key, body, metadata)

    world.bucket.put = put  # type: ignore[method-assign]
    for number in range(40):
        world.write(f"Event{number}")
        await world.deliver()
    assert (world.bucket.names("logs"), len(world.bucket.names("other"))) == ([], 40)
    assert (await world.progress(closed)).error == "NoSuchBucket"
    assert world.state.failing == 1 and world.state.undelivered > 15_000  # three files hold 12,288
    world.bucket.put = original  # type: ignore[method-assign]
    world.bucket.fails = ""
    await world.deliver(1000)
    assert world.bucket.names("logs") == [f"Event{number}" for number in range(40)]
    assert (await world.progress(closed)).error == "" and world.state == DeliveryState(0, 0)


async def test_what_was_uploaded_before_a_crash_is_uploaded_under_the_same_name(world: World) -> None:
    await world.put(LOGS)
    world.write("Before")
    await world.deliver()
    transact = world.store.transact

    async def crash(work: Any) -> Any:
        raise RuntimeError("killed")

    world.write("During")
    world.store.transact = crash  # type: ignore[method-assign]
    with pytest.raises(RuntimeError):
        await world.deliver()
    world.store.transact = transact  # type: ignore[method-assign]
    uploaded, puts = set(world.bucket.objects), world.bucket.puts
    world.restart()
    world.write("After")
    await world.deliver()
    assert set(world.bucket.objects) == uploaded and world.bucket.puts == puts + 1
    assert world.bucket.names() == ["Before", "During", "After"]


async def test_a_bucket_whose_policy_is_gone_gets_nothing(world: World) -> None:
    stranger = replace(LOGS, bucket="nobodys-bucket")
    await world.put(LOGS)
    await world.store.transact(lambda store: _put(store, stranger))
    world.write("Event")
    await world.deliver()
    assert world.bucket.objects == {} and (await world.progress(stranger)).error == "NoSuchBucket"
    await world.store.transact(lambda store: _put(store, LOGS))
    await world.deliver()  # a trail that was changed is tried at once
    assert world.bucket.names() == ["Event"]


async def _put(store: Transaction, one: Trail) -> None:
    store.put(TRAILS, one.account_id, one)


async def test_a_stopped_trail_gets_what_was_recorded_before(world: World) -> None:
    await world.put(LOGS)
    world.write("First")
    world.now += 2
    stopped = replace(LOGS, periods=(LoggingPeriod(start=NOW - 10, end=NOW + 1),))
    await world.put(stopped)
    world.write("Later")
    await world.deliver()
    assert world.bucket.names() == ["First"]


async def test_digests_chain_and_list_each_file_once_whatever_the_store_refuses(world: World) -> None:
    await world.put(LOGS)
    for number in range(4):
        world.write(f"Event{number}")
        world.bucket.fails, world.bucket.is_full_of = "SlowDown" if number == 1 else "", "Digest"
        await world.deliver(61)
    world.bucket.fails = ""
    await world.deliver(61)
    digests = world.bucket.digests()
    listed = [log["s3Object"] for one in digests for log in one["logFiles"]]
    logs = [key.removeprefix("logs/") for key in world.bucket.objects if "/CloudTrail/" in key]
    assert sorted(listed) == sorted(logs) and len(listed) == 4
    for before, after in pairwise(digests):
        assert after["previousDigestS3Object"] == before["digestS3Object"]
        assert (
            after["previousDigestSignature"] == world.bucket.metadata[before["digestS3Object"]]["signature"]
        )
        assert after["digestStartTime"] == before["digestEndTime"]


async def test_two_nodes_deliver_their_journals_at_the_same_time(world: World, tmp_path: Path) -> None:
    folder = tmp_path / "second"
    folder.mkdir()
    second = World(world.store, folder)
    second.bucket = world.bucket
    second.number = 1000
    second.restart()
    await world.put(LOGS)
    for number in range(6):
        world.write(f"First{number}")
        second.write(f"Second{number}")
        second.now = world.now
        await asyncio.gather(world.deliver(61), second.deliver(61))
    assert sorted(world.bucket.names()) == sorted(
        f"{one}{n}" for one in ("First", "Second") for n in range(6)
    )
    digests = sorted(world.bucket.digests(), key=lambda one: one["digestEndTime"])
    listed = [log["s3Object"] for one in digests for log in one["logFiles"]]
    logs = [key.removeprefix("logs/") for key in world.bucket.objects if "/CloudTrail/" in key]
    await asyncio.gather(world.deliver(61), second.deliver(61 * 7))
    rest = [log["s3Object"] for one in world.bucket.digests() for log in one["logFiles"]]
    assert len(set(listed)) == len(listed) and sorted(rest) == sorted(logs)
    ends = [one["digestEndTime"] for one in digests]
    assert [one["digestStartTime"] for one in digests[1:]] == ends[:-1]
    second.journal.close()
    second.files.close()


async def test_without_a_trail_no_file_is_kept(world: World) -> None:
    await world.put(LOGS)
    world.write("Event")
    await world.deliver()
    assert len(world.files.kept(world.now)) == 1

    async def remove(store: Transaction) -> None:
        store.delete(TRAILS, ACCOUNT, f"{LOGS.region}/{LOGS.name}")

    await world.store.transact(remove)
    await world.deliver()
    assert world.files.kept(world.now) == []
