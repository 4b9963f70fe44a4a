"""The way of a request: its record, its commit and its answer, in this order where the answer shows a secret."""

import asyncio
import json
import os
import secrets
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from broker.app import Broker, clock, open_broker, open_journal
from broker.app.serving import make_dependencies
from broker.audit.journal import Journal
from broker.config import Settings, load_settings
from broker.credentials.access_keys import ACCESS_KEY_ENTROPY, AccessKeyPair, new_access_key_pair
from broker.credentials.root_keys import ensure_root_key
from broker.storage.collections import ACCESS_KEYS, MFA_DEVICES
from broker.storage.engine import Conflict, EngineUnavailable, Revision, Write, account_partition
from broker.storage.store import Store
from broker.storage.views import MOST_REBASES
from broker.web.http import Request, Response
from broker.web.metrics import Metrics
from broker.web.requests import answer_request
from broker.web.sockets import Peer

ACCOUNT = "111111111111"
FORM = "application/x-www-form-urlencoded"


class Transport(asyncio.Transport):
    """The other end of a connection that is not there."""

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return ("192.0.2.1", 50_000) if name == "peername" else default


class Failing:
    """An engine whose commits to the account fail as `failures` say, one after another, then no more."""

    def __init__(self, engine: Any) -> None:
        self._engine = engine
        self.failures: list[Exception] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    async def commit(self, partition: str, writes: Sequence[Write], expecting: Revision | None) -> Revision:
        if self.failures and partition == account_partition(ACCOUNT):
            raise self.failures.pop(0)
        committed: Revision = await self._engine.commit(partition, writes, expecting)
        return committed


class World:
    """An account of a real broker, asked in this process."""

    def __init__(self, folder: Path, broker: Broker, journal: Journal, engine: Failing) -> None:
        self.folder = folder
        self.broker = broker
        self.journal = journal
        self.engine = engine
        self.dependencies = make_dependencies(broker, journal, Metrics())
        self.root = new_access_key_pair(ACCOUNT, secrets.token_bytes(ACCESS_KEY_ENTROPY))

    async def ask(self, root: AccessKeyPair | None = None, /, **parameters: str) -> Response:
        pair = root or self.root
        body = "&".join(f"{name}={value}" for name, value in parameters.items())
        signed = AWSRequest("POST", "http://broker/", data=f"{body}&Version=2010-05-08".encode())
        signed.headers["Host"] = "broker"
        signed.headers["Content-Type"] = FORM
        credentials = Credentials(pair.access_key_id, pair.secret.reveal())
        SigV4Auth(credentials, "iam", "us-east-1").add_auth(signed)
        headers = tuple((name.lower(), value) for name, value in signed.headers.items())
        peer = Peer(Transport())
        return await answer_request(self.dependencies, Request("POST", "/", headers, signed.data, peer, True))

    async def count(self, collection: Any) -> int:
        return await self.broker.store.transaction().count(collection, ACCOUNT)

    @property
    def records(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.folder / "audit.jsonl").read_text().splitlines()]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings(
        None,
        {
            "BROKER_STORE_URL": f"sqlite:{tmp_path}/broker.db",
            "BROKER_KEYS_MASTER_KEY_FILE": f"{tmp_path}/master.key",
            "BROKER_AUDIT_PATH": f"{tmp_path}/audit.jsonl",
            "BROKER_AUDIT_SYNC": "each",
        },
    )


@pytest.fixture
async def world(tmp_path: Path, settings: Settings) -> AsyncIterator[World]:
    async with open_broker(settings, {}) as opened:
        engine = Failing(opened.store.engine)
        broker = msgspec.structs.replace(opened, store=Store(engine, clock))
        made = World(tmp_path, broker, open_journal(settings.audit), engine)
        await broker.store.transact(lambda store: ensure_root_key(store, ACCOUNT, made.root, clock()))
        assert (await made.ask(Action="CreateUser", UserName="ursula")).status == 200
        yield made
        made.journal.close()


SHOWN_ONCE = [
    ({"Action": "CreateAccessKey", "UserName": "ursula"}, ACCESS_KEYS),
    ({"Action": "CreateVirtualMFADevice", "VirtualMFADeviceName": "phone"}, MFA_DEVICES),
]


@pytest.mark.parametrize(("asked", "collection"), SHOWN_ONCE)
async def test_what_is_shown_once_is_not_made_where_its_record_finds_no_room(
    world: World, monkeypatch: pytest.MonkeyPatch, asked: dict[str, str], collection: Any
) -> None:
    before = await world.count(collection)
    write = os.write

    def full(descriptor: int, data: bytes) -> int:
        if b"ursula" in data or b"phone" in data:
            raise OSError(28, "No space left on device")
        return write(descriptor, data)

    monkeypatch.setattr(os, "write", full)
    assert (await world.ask(**asked)).status == 503
    monkeypatch.undo()
    assert await world.count(collection) == before
    world.journal.catch_up()
    said = [(record["eventName"], record.get("errorCode")) for record in world.records]
    assert said == [("CreateUser", None), (asked["Action"], "ServiceUnavailable")]
    assert (await world.ask(**asked)).status == 200
    assert await world.count(collection) == before + 1


async def test_of_several_records_of_one_request_the_last_one_counts(world: World) -> None:
    world.engine.failures = [Conflict("others were faster")] * MOST_REBASES
    answer = await world.ask(Action="CreateAccessKey", UserName="ursula")
    assert answer.status == 200
    _, first, second = world.records
    assert first["requestID"] == second["requestID"]
    assert first["eventID"] != second["eventID"]
    given = second["responseElements"]["accessKey"]["accessKeyId"]
    assert given.encode() in answer.body
    assert given != first["responseElements"]["accessKey"]["accessKeyId"]

    world.engine.failures = [EngineUnavailable("the disk is gone")]
    assert (await world.ask(Action="CreateAccessKey", UserName="ursula")).status == 503
    ahead, failed = world.records[3:]
    assert ahead["requestID"] == failed["requestID"]
    assert ahead["eventID"] != failed["eventID"]
    assert (ahead.get("errorCode"), failed["errorCode"]) == (None, "ServiceUnavailable")
    assert failed["responseElements"] is None
    assert await world.count(ACCESS_KEYS) == 2, "root's and the first"


async def test_of_requests_whose_records_are_written_together_none_is_answered_where_that_fails(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, failed = os.write, []

    def full(descriptor: int, data: bytes) -> int:
        if b"eventName" in data:
            failed.append(data.count(b"\n"))
            raise OSError(28, "No space left on device")
        return write(descriptor, data)

    monkeypatch.setattr(os, "write", full)
    asked = [world.ask(Action="GetUser", UserName="ursula"), world.ask(Action="GetUser", UserName="nobody")]
    answers = await asyncio.gather(*asked)
    monkeypatch.undo()
    assert failed == [2], "one write of both"
    assert [answer.status for answer in answers] == [503, 503]
    assert not any(b"ursula" in answer.body for answer in answers)
    assert (await world.ask(Action="ListUsers")).status == 200
    said = [(record["eventName"], record.get("errorCode")) for record in world.records[1:]]
    assert said == [("GetUser", None), ("GetUser", "NoSuchEntity"), ("ListUsers", None)]


async def test_no_answer_comes_before_its_record_is_on_the_disk(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the answer is: a deed, a secret, a refusal of a caller, a refusal of a stranger."""
    fdatasync = os.fdatasync
    syncs: list[float] = []

    def slow(descriptor: int) -> None:
        time.sleep(0.05)
        fdatasync(descriptor)
        syncs.append(time.monotonic())

    monkeypatch.setattr(os, "fdatasync", slow)
    stranger = new_access_key_pair(ACCOUNT, secrets.token_bytes(ACCESS_KEY_ENTROPY))
    asked = [
        (200, world.root, {"Action": "CreateUser", "UserName": "uma"}),
        (200, world.root, {"Action": "CreateAccessKey", "UserName": "uma"}),
        (409, world.root, {"Action": "CreateUser", "UserName": "uma"}),
        (403, stranger, {"Action": "ListUsers"}),
    ]
    for number, (status, pair, parameters) in enumerate(asked, 1):
        assert (await world.ask(pair, **parameters)).status == status
        assert len(syncs) == number
    monkeypatch.undo()
