"""Root keys that are imported from the environment: once, and never against a later change by an operator."""

import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import msgspec
import pytest

from broker.credentials.access_keys import AccessKeyPair
from broker.credentials.root_keys import (
    KeyTaken,
    RootKeyImport,
    ensure_root_key,
    import_root_key,
    rotate_root_key,
)
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


async def bring(store: Store, pair: AccessKeyPair = PAIR, account: str = A) -> RootKeyImport:
    return await store.transact(lambda transaction: import_root_key(transaction, account, pair, 1.0))


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


Change = Callable[[Transaction], Awaitable[None]]


async def test_a_key_is_imported_once(store: Store):
    assert await bring(store) is RootKeyImport.MADE
    revision = await store.engine.revision(f"account/{A}")
    assert await bring(store) is RootKeyImport.PRESENT
    assert await store.engine.revision(f"account/{A}") == revision
    assert await root_keys(store) == (PAIR.access_key_id,)


@pytest.mark.parametrize("change", [deactivate, delete, rotate])
async def test_a_key_that_was_revoked_stays_revoked(store: Store, change: Change):
    await bring(store)
    await store.transact(change)
    before = await key_of(store), await root_keys(store)
    for _ in range(2):
        assert await bring(store) is RootKeyImport.REVOKED
    assert (await key_of(store), await root_keys(store)) == before
    key = before[0]
    assert key is None or key.status == "Inactive"


@pytest.mark.parametrize("change", [deactivate, delete, rotate])
@pytest.mark.parametrize("pair", [AccessKeyPair("bootstrapAdmin03", SecretKey("a-third")), OTHER_SECRET])
async def test_another_id_or_another_secret_is_imported(store: Store, change: Change, pair: AccessKeyPair):
    await bring(store)
    await store.transact(change)
    assert await bring(store, pair) is RootKeyImport.MADE
    key = await key_of(store, pair)
    assert key is not None and key.status == "Active" and key.secret == pair.secret
    assert pair.access_key_id in await root_keys(store)


async def test_a_secret_that_was_replaced_is_not_imported_again(store: Store):
    """A node that still has the old environment is started again."""
    await bring(store)
    await bring(store, OTHER_SECRET)
    assert await bring(store) is RootKeyImport.REVOKED
    key = await key_of(store)
    assert key is not None and key.secret == OTHER_SECRET.secret


async def test_the_status_of_a_key_without_a_mark_is_not_changed(store: Store):
    await store.transact(lambda transaction: ensure_root_key(transaction, A, PAIR, 1.0))
    await store.transact(deactivate)
    assert await bring(store) is RootKeyImport.REVOKED
    key = await key_of(store)
    assert key is not None and key.status == "Inactive"
    await store.transact(delete)
    assert await bring(store) is RootKeyImport.REVOKED
    assert await key_of(store) is None


async def test_a_replaced_secret_of_a_key_without_a_mark_is_not_imported_again(store: Store):
    await store.transact(lambda transaction: ensure_root_key(transaction, A, PAIR, 1.0))
    assert await bring(store, OTHER_SECRET) is RootKeyImport.MADE
    assert await bring(store) is RootKeyImport.REVOKED


async def test_an_id_of_another_account_or_of_a_user_is_refused(store: Store):
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
