"""A real store, gate, mint and journal behind a real handler; only the clock is the test's."""

import json
import os
import secrets
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession
from multidict import CIMultiDictProxy
from yarl import URL

from broker.access.gate import Gate
from broker.access.library import PolicyLibrary
from broker.access.prove import Prover
from broker.audit.journal import Journal
from broker.credentials.mint import Mint
from broker.operation import Quotas
from broker.sealing.key import KEY_ENTROPY
from broker.sealing.keyring import Keyring, new_keyring
from broker.sigv4.signing_keys import SigningKeys
from broker.storage.collection import Collection
from broker.storage.records import Account, Instance, InstanceProfile, Record, Role
from broker.storage.sealed import SealedEngine
from broker.storage.sqlite import SqliteEngine
from broker.storage.store import ACCOUNTS, INSTANCE_PROFILES, INSTANCES, ROLES, Store, Transaction
from broker.web.dependencies import Dependencies
from broker.web.metadata import MetadataHandler
from broker.web.metrics import Metrics
from broker.web.server import Server
from tests.unit.cheap_passwords import cheap_passwords
from tests.unit.federating import no_federation

ACCOUNT = "111122223333"
INSTANCE = "i-0123456789abcdef0"
NOW = 1_800_000_000.0
CREDENTIALS = "/latest/meta-data/iam/security-credentials/"


def trust(service: str) -> str:
    statement = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def role(name: str = "web", *, service: str = "ec2.amazonaws.com", role_id: str = "") -> Role:
    return Role(
        account_id=ACCOUNT,
        role_name=name,
        role_id=role_id or f"AROA{name.upper():A<17}",
        created_at=int(NOW),
        assume_role_policy=trust(service),
    )


def profile(*role_names: str, name: str = "machines") -> InstanceProfile:
    return InstanceProfile(
        account_id=ACCOUNT,
        instance_profile_name=name,
        instance_profile_id="AIPAAAAAAAAAAAAAAAAAA",
        path="/fleet/",
        created_at=int(NOW),
        role_names=role_names,
    )


def instance(**changes: Any) -> Instance:
    known = {"instance_id": INSTANCE, "account_id": ACCOUNT, "instance_profile": "machines"}
    return Instance(**{**known, "addresses": ("127.0.0.1",), "launched_at": int(NOW), **changes})


@dataclass
class Answer:
    status: int
    headers: CIMultiDictProxy[str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def json(self) -> dict[str, Any]:
        return json.loads(self.body)


@dataclass
class World:
    """The dependencies of the handler; `now` is the time everywhere."""

    folder: Path
    store: Store
    now: float = NOW
    ring: Keyring = field(default_factory=lambda: new_keyring(NOW, secrets.token_bytes(KEY_ENTROPY)))
    clients: list["Client"] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.journal = Journal(self.folder / "audit.jsonl")
        self.gate = Gate(PolicyLibrary(), lambda: self.ring, secrets.token_bytes)
        self.mint = Mint(lambda: self.ring, secrets.token_bytes)

    def handler(self, *, store: Store | None = None, **settings: Any) -> MetadataHandler:
        dependencies = Dependencies(
            clock=lambda: self.now,
            timer=time.perf_counter,
            entropy=secrets.token_bytes,
            store=store or self.store,
            prover=Prover(lambda: self.ring, SigningKeys()),
            gate=self.gate,
            mint=self.mint,
            journal=self.journal,
            metrics=Metrics(),
            quotas=Quotas(),
            federation=no_federation(),
            passwords=cheap_passwords(),
            services={},
        )
        return MetadataHandler(dependencies, lambda: self.ring, **settings)

    async def client(self, handler: MetadataHandler | None = None, **settings: Any) -> "Client":
        server = Server((handler or self.handler(**settings)).answer, lambda: self.now)
        listener = socket.create_server(("127.0.0.1", 0))
        await server.listen([listener])
        client = Client(server, listener.getsockname()[1], ClientSession())
        self.clients.append(client)
        return client

    async def put(self, collection: Collection[Any], *records: Record, key: str | None = None) -> None:
        async def work(transaction: Transaction) -> None:
            for record in records:
                transaction.put(collection, getattr(record, "account_id", ""), record, key=key)

        await self.store.transact(work)

    async def delete(self, collection: Collection[Any], key: str) -> None:
        async def work(transaction: Transaction) -> None:
            transaction.delete(collection, ACCOUNT, key)

        await self.store.transact(work)

    async def machine(self, **changes: Any) -> None:
        """An instance whose profile has a role that trusts EC2."""
        await self.put(ACCOUNTS, Account(account_id=ACCOUNT))
        await self.put(ROLES, role())
        await self.put(INSTANCE_PROFILES, profile("web"))
        await self.put(INSTANCES, instance(**changes))

    def journalled(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.folder / "audit.jsonl").read_text().splitlines()]


@dataclass
class Client:
    """A machine's side."""

    server: Server
    port: int
    session: ClientSession

    async def __call__(self, method: str, path: str, **headers: str) -> Answer:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        url = URL(f"http://127.0.0.1:{self.port}{path}", encoded=True)
        async with self.session.request(method, url, headers=named, allow_redirects=False) as answer:
            return Answer(answer.status, answer.headers, await answer.read())

    async def token(self, seconds: int = 21_600) -> str:
        answer = await self(
            "PUT", "/latest/api/token", **{"X-aws-ec2-metadata-token-ttl-seconds": str(seconds)}
        )
        assert answer.status == 200, answer
        return answer.text

    async def get(self, path: str, token: str | None = None, **headers: str) -> Answer:
        with_token = {} if token is None else {"X-aws-ec2-metadata-token": token}
        return await self("GET", path, **with_token, **headers)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    ring = new_keyring(NOW, secrets.token_bytes(KEY_ENTROPY))
    engine = SealedEngine(
        SqliteEngine(tmp_path / "broker.sqlite", lambda: NOW, os.urandom), lambda: ring, secrets.token_bytes
    )
    async with Store(engine, lambda: NOW) as store:
        made = World(tmp_path, store)
        yield made
        for client in made.clients:
            await client.session.close()
            await client.server.stop(1)
        made.journal.close()


Machine = Callable[..., Awaitable[None]]
