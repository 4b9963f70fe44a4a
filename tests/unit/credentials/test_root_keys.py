"""Root keys that an environment brings along: applied once, and never against what was decided afterwards."""

import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import msgspec
import pytest

from broker.credentials.access_keys import AccessKeyPair
from broker.credentials.root_keys import Brought, KeyTaken, bring_root_key, ensure_root_key, rotate_root_key
from broker.names.secret import SecretKey
from broker.storage.records import AccessKey, AccountSettings
from broker.storage.sqlite import SqliteEngine
from broker.storage.store import ACCESS_KEYS, SETTINGS, Store, Transaction

A, B = "111111111111", "222222222222"
PAIR = AccessKeyPair("bootstrapAdmin01", SecretKey("one-secret"))
NEXT = AccessKeyPair("bootstrapAdmin02", SecretKey("another-secret"))
OTHER_SECRET = AccessKeyPair(PAIR.access_key_id, SecretKey("changed-secret"))


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    async with Store(SqliteEngine(tmp_path / "broker.db", time.time, os.urandom), time.time) as opened:
        yield opened


async def bring(store: Store, pair: AccessKeyPair = PAIR, account: str = A) -> Brought:
    return await store.transact(lambda transaction: bring_root_key(transaction, account, pair, 1.0))


async def key_of(store: Store, pair: AccessKeyPair = PAIR) -> AccessKey | None:
    return await store.transaction().find(ACCESS_KEYS, A, pair.access_key_id)


async def root_keys(store: Store) -> tuple[str, ...]:
    settings = await store.transaction().find(SETTINGS, A)
    return settings.root_access_key_ids if settings is not None else ()


async def deactivate(store: Transaction) -> None:
    key = await store.find(ACCESS_KEYS, A, PAIR.access_key_id)
    assert key is not None
    store.put(ACCESS_KEYS, A, msgspec.structs.replace(key, status="Inactive"))


async def delete(store: Transaction) -> None:
    store.delete(ACCESS_KEYS, A, PAIR.access_key_id)
    settings = await store.find(SETTINGS, A)
    assert settings is not None
    store.put(SETTINGS, A, msgspec.structs.replace(settings, root_access_key_ids=()))


async def rotate(store: Transaction) -> None:
    await rotate_root_key(store, A, NEXT, 2.0)


Deed = Callable[[Transaction], Awaitable[None]]


async def test_a_key_is_made_once_and_then_found(store: Store):
    assert await bring(store) is Brought.MADE
    revision = await store.engine.revision(f"account/{A}")
    assert await bring(store) is Brought.PRESENT
    assert await store.engine.revision(f"account/{A}") == revision
    assert await root_keys(store) == (PAIR.access_key_id,)


@pytest.mark.parametrize("deed", [deactivate, delete, rotate])
async def test_a_key_that_was_revoked_stays_revoked(store: Store, deed: Deed):
    await bring(store)
    await store.transact(deed)
    before = await key_of(store), await root_keys(store)
    for _ in range(2):
        assert await bring(store) is Brought.REVOKED
    assert (await key_of(store), await root_keys(store)) == before
    key = before[0]
    assert key is None or key.status == "Inactive"


@pytest.mark.parametrize("deed", [deactivate, delete, rotate])
@pytest.mark.parametrize("wish", [AccessKeyPair("bootstrapAdmin03", SecretKey("a-third")), OTHER_SECRET])
async def test_another_id_or_another_secret_is_a_new_wish(store: Store, deed: Deed, wish: AccessKeyPair):
    await bring(store)
    await store.transact(deed)
    assert await bring(store, wish) is Brought.MADE
    key = await key_of(store, wish)
    assert key is not None and key.status == "Active" and key.secret == wish.secret
    assert wish.access_key_id in await root_keys(store)


async def test_a_secret_that_was_replaced_does_not_come_back(store: Store):
    """A node that still has the old environment is started again."""
    await bring(store)
    await bring(store, OTHER_SECRET)
    assert await bring(store) is Brought.REVOKED
    key = await key_of(store)
    assert key is not None and key.secret == OTHER_SECRET.secret


async def test_a_key_of_a_broker_without_marks_keeps_the_status_it_has(store: Store):
    await store.transact(lambda transaction: ensure_root_key(transaction, A, PAIR, 1.0))
    await store.transact(deactivate)
    assert await bring(store) is Brought.REVOKED
    key = await key_of(store)
    assert key is not None and key.status == "Inactive"
    await store.transact(delete)
    assert await bring(store) is Brought.REVOKED
    assert await key_of(store) is None


async def test_a_secret_that_a_broker_without_marks_had_made_does_not_come_back_either(store: Store):
    await store.transact(lambda transaction: ensure_root_key(transaction, A, PAIR, 1.0))
    assert await bring(store, OTHER_SECRET) is Brought.MADE
    assert await bring(store) is Brought.REVOKED


async def test_an_id_that_is_anothers_is_refused(store: Store):
    await bring(store)
    with pytest.raises(KeyTaken, match=A):
        await bring(store, PAIR, B)


async def test_no_secret_is_in_the_mark(store: Store):
    await bring(store)
    settings = await store.transaction().find(SETTINGS, A)
    assert isinstance(settings, AccountSettings)
    (mark,) = settings.brought_root_keys
    assert mark.startswith("bootstrapAdmin01:")
    assert "one-secret" not in mark
