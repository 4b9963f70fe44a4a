"""Backups of the store of either engine, and their way back: written, opened with the master key, and counted."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec

from broker.app.compose import Broker, open_broker, open_engine, sqlite_path
from broker.config import Settings, StoreSettings
from broker.credentials.keyrings import PARTITION as KEYRINGS
from broker.names.secret import SecretKey
from broker.storage.engine import EngineUnavailable
from broker.storage.redis import RedisEngine
from broker.storage.redis_backup import put_copies, read_copies, require_unused
from broker.storage.sqlite_backup import (
    copy_store,
    opened_backup,
    put_in_place,
    put_partition,
    read_partitions,
)
from broker.storage.sqlite_files import lock_path


class Counted(msgspec.Struct, frozen=True):
    """What a backup holds: accounts, and records that were opened one by one."""

    accounts: int
    records: int


async def back_up(broker: Broker, file: Path) -> Counted:
    """Write a backup to `file`, which does not exist yet; it is there as soon as it has been opened and counted.

    Raises EngineUnavailable, OSError, and ConfigurationError where the master key does not open the copy.
    """
    with TemporaryDirectory(prefix=f".{file.name}-", dir=file.parent) as folder:
        copy = Path(folder, file.name)
        path = sqlite_path(broker.settings.store.url.reveal())
        if path is not None:
            await asyncio.to_thread(copy_store, path, copy)
        else:
            assert isinstance(broker.engine, RedisEngine)
            with opened_backup(copy, is_new=True) as connection:
                async for one in read_copies(broker.engine):
                    put_partition(connection, one)
        counted = await count_backup(broker.settings, copy)
        await asyncio.to_thread(file.hardlink_to, copy)  # unlike a rename, it replaces nothing
    return counted


async def restore(settings: Settings, file: Path, *, must_replace: bool) -> Counted:
    """Put the backup in the place of the settings' store. Raises StoreInUse, and as `back_up`."""
    counted = await count_backup(settings, file)
    path = sqlite_path(settings.store.url.reveal())
    if path is not None:
        await asyncio.to_thread(put_in_place, file, path, must_replace=must_replace)
        return counted
    engine = open_engine(settings.store)
    assert isinstance(engine, RedisEngine)
    try:
        await require_unused(engine, must_replace=must_replace)
        async with _copied(file) as copy:
            with opened_backup(copy) as connection:
                await put_copies(engine, read_partitions(connection), KEYRINGS)
    finally:
        await engine.close()
    return counted


async def count_backup(settings: Settings, file: Path) -> Counted:
    """Open every record of a copy of the backup with the master key of the settings."""
    async with _copied(file) as copy:
        try:
            return await _count(settings, copy)
        except EngineUnavailable as error:
            raise type(error)(str(error).replace(str(copy), str(file))) from None


async def _count(settings: Settings, copy: Path) -> Counted:
    opened = msgspec.structs.replace(settings, store=StoreSettings(SecretKey(f"sqlite:{copy}")))
    async with open_broker(opened, may_create=False) as broker:
        partitions = await broker.engine.partitions("")
        records = 0
        for name in partitions:
            engine = broker.engine if name == KEYRINGS else broker.store.engine
            records += len(await engine.scan(name, ""))
    return Counted(sum(name.startswith("account/") for name in partitions), records)


@contextlib.asynccontextmanager
async def _copied(file: Path) -> AsyncIterator[Path]:
    """A copy of the backup, for opening a store writes files beside it."""
    with TemporaryDirectory(prefix="broker-backup-") as folder:
        copy = Path(folder, "broker.db")
        await asyncio.to_thread(_copy_file, file, copy)
        yield copy


def _copy_file(file: Path, copy: Path) -> None:
    for one in (copy, lock_path(copy)):  # a store without a lock file is none
        one.touch(0o600)
    copy.write_bytes(file.read_bytes())
