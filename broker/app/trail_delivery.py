"""Delivers trails beside the requests: to a folder, or to an S3 store.

Every worker tries; the one that holds the lock of the journal delivers it (`broker.audit.undelivered`).
"""

import asyncio
import errno
import os
import re
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, suppress
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from broker.app.compose import Broker
from broker.app.repeating import repeat
from broker.app.store_credentials import StoreCredentials, authorities_of
from broker.audit.undelivered import UndeliveredFiles
from broker.causes import explained
from broker.config import Settings
from broker.errors import Refusal
from broker.system import clock, entropy
from broker.trail.delivery import Delivery, DeliveryState
from broker.trail.sink import DeliveryFailed, Sink

if TYPE_CHECKING:
    from broker.gateway.store import BackingStore

_PUT_SECONDS = 60.0
_CONNECTIONS = 8
_LARGEST_ANSWER = 64 << 10  # bytes


def delivers_trails(settings: Settings) -> bool:
    """Whether there is anywhere to deliver to, and a journal that can be read."""
    chosen = settings.trails
    return bool(chosen.folder or chosen.store_url) and Path(settings.audit.path).is_file()


async def start_deliveries(
    stack: AsyncExitStack, broker: Broker, note: Callable[[DeliveryState], None]
) -> list[asyncio.Task[None]]:
    """The background task, if trails are delivered at all; `stack` closes what it uses. Raises ConfigurationError."""
    settings = broker.settings
    if not delivers_trails(settings):
        return []
    files = UndeliveredFiles(Path(settings.audit.path))
    stack.callback(files.close)
    sink, reload = await _open_sink(stack, settings)
    seconds = settings.trails.digest_seconds
    delivery = Delivery(broker.store, broker.gate, files, sink, clock, entropy, seconds, note)

    async def deliver() -> None:
        await reload()
        await delivery.deliver()

    every = settings.trails.delivery_seconds
    return [asyncio.create_task(repeat("delivering the trails", every, deliver))]


async def _nothing() -> None:
    pass


async def _open_sink(stack: AsyncExitStack, settings: Settings) -> tuple[Sink, Callable[[], Awaitable[None]]]:
    chosen = settings.trails
    if chosen.folder:
        return FolderSink(Path(chosen.folder)), _nothing
    # Here, for most brokers deliver to no store.
    from broker.gateway.store import opened

    credentials = StoreCredentials("trails", chosen)
    backing = await stack.enter_async_context(
        opened(
            chosen.store_url,
            chosen.region,
            lambda: credentials.current,
            clock,
            most_connections=_CONNECTIONS,
            tls=authorities_of("trails", chosen),
        )
    )
    return StoreSink(backing), credentials.reload_if_changed


class StoreSink:
    """Buckets of an S3 store; they have to exist."""

    def __init__(self, store: "BackingStore") -> None:
        self._store = store

    async def put(self, bucket: str, key: str, body: bytes, metadata: Mapping[str, str]) -> None:
        from broker.gateway.store import Outgoing, read_answer

        headers = {f"x-amz-meta-{name}": value for name, value in metadata.items()}
        headers |= {"content-type": "application/json", "content-encoding": "gzip"}
        request = Outgoing("PUT", bucket, key, headers=headers, body=body, payload=sha256(body).hexdigest())
        try:
            async with asyncio.timeout(_PUT_SECONDS), await self._store.send(request) as answer:
                text = await read_answer(answer, _LARGEST_ANSWER)
        except Refusal as refusal:
            raise DeliveryFailed("ServiceUnavailable", refusal.reason or refusal.message) from None
        except TimeoutError:
            raise DeliveryFailed("ServiceUnavailable", f"no answer in {_PUT_SECONDS:.0f} s") from None
        if answer.status >= 300:
            raise DeliveryFailed(_code(text), f"the store answers {answer.status} to PutObject")


def _code(unverified_text: bytes) -> str:
    """The code of S3's error; that of any other answer is none of S3's."""
    found = re.search(rb"<Code>([A-Za-z]{1,64})</Code>", unverified_text)
    return found[1].decode() if found is not None else "ServiceUnavailable"


class FolderSink:
    """`FOLDER/BUCKET/KEY`; metadata are extended attributes, `user.NAME`, as `rclone copy --metadata` takes them.

    Names of buckets and keys are made of checked parts (`broker.trail.names`): none leads out of the folder.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def put(self, bucket: str, key: str, body: bytes, metadata: Mapping[str, str]) -> None:
        try:
            await asyncio.to_thread(self._write, self._folder / bucket / key, body, metadata)
        except OSError as error:
            code = "NoSuchBucket" if error.errno == errno.ENOENT else "ServiceUnavailable"
            raise DeliveryFailed(code, explained(error)) from None

    def _write(self, file: Path, body: bytes, metadata: Mapping[str, str]) -> None:
        """Whole or not at all, also where the machine stops."""
        if not self._folder.is_dir():
            raise FileNotFoundError(errno.ENOENT, "trails.folder does not exist", str(self._folder))
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        written = file.with_name(f"{file.name}.{os.getpid()}")
        try:
            descriptor = os.open(written, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            try:
                if os.write(descriptor, body) != len(body):
                    raise OSError(errno.ENOSPC, "only a part was written", str(written))
                for name, value in metadata.items():
                    os.setxattr(descriptor, f"user.{name}", value.encode())
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            written.replace(file)
        except OSError:
            with suppress(OSError):
                written.unlink()
            raise
