"""A real store, a keyring, and the facts of a request."""

import os
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from broker.access.facts import RequestFacts
from broker.sealing.key import KEY_ENTROPY
from broker.sealing.keyring import Keyring, new_keyring
from broker.storage.sqlite import SqliteEngine
from broker.storage.store import Store, Transaction

NOW = 1_800_000_000.0

Put = Callable[..., Awaitable[None]]


@pytest.fixture
def ring() -> Keyring:
    return new_keyring(NOW, secrets.token_bytes(KEY_ENTROPY))


@pytest.fixture
def facts() -> RequestFacts:
    return RequestFacts(now=NOW, request_id="11111111-2222-4333-8444-555555555555", source_ip="192.0.2.1")


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    async with Store(SqliteEngine(tmp_path / "broker.sqlite", lambda: NOW, os.urandom), lambda: NOW) as store:
        yield store


@pytest.fixture
def put(store: Store) -> Put:
    """Commit records: `put(USERS, account, user)`."""

    async def commit(collection: Any, account: str, *records: Any) -> None:
        async def work(transaction: Transaction) -> None:
            for record in records:
                transaction.put(collection, account, record)

        await store.transact(work)

    return commit
