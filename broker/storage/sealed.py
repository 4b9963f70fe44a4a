"""An engine that encrypts the values of an inner engine, which can then neither read nor exchange them.

Every value is an envelope (`broker.sealing.envelope`, AES-256-GCM) bound to its partition and key: a value that was
changed, or moved to another key, does not open, and is refused. Names of partitions, keys, sizes and expiry are not
encrypted. Sealing does not reveal that a record was removed, or that an older value of the same key was put back.
"""

from collections.abc import Callable, Mapping, Sequence

from broker.sealing.envelope import NONCE_ENTROPY, SealBroken, open_, seal
from broker.sealing.keyring import Keyring
from broker.storage.engine import Engine, EngineUnavailable, Revision, Write
from broker.storage.pauses import Pauses

_PURPOSE = b"storage records"

# How many values are sealed before the event loop serves other requests.
_AT_ONCE = 200


class SealedEngine:
    """An `Engine`. `keyring` returns the current storage keyring, `entropy(n)` returns n fresh random bytes."""

    def __init__(
        self, inner: Engine, keyring: Callable[[], Keyring], entropy: Callable[[int], bytes]
    ) -> None:
        self._inner = inner
        self._keyring = keyring
        self._entropy = entropy
        self.revision = inner.revision
        self.changes = inner.changes
        self.partitions = inner.partitions
        self.now = inner.now
        self.close = inner.close

    async def get(self, partition: str, key: str) -> bytes | None:
        sealed = await self._inner.get(partition, key)
        return None if sealed is None else self._open(partition, key, sealed)

    async def fetch(self, partition: str, keys: Sequence[str]) -> tuple[Revision, list[bytes | None]]:
        revision, values = await self._inner.fetch(partition, keys)
        pairs = zip(keys, values, strict=True)
        return revision, [
            None if sealed is None else self._open(partition, key, sealed) for key, sealed in pairs
        ]

    async def scan(
        self, partition: str, prefix: str, after: str = "", limit: int | None = None
    ) -> list[tuple[str, bytes]]:
        pairs = await self._inner.scan(partition, prefix, after, limit)
        return [(key, self._open(partition, key, sealed)) for key, sealed in pairs]

    async def page(
        self, partition: str, prefix: str, after: str, limit: int
    ) -> tuple[Revision, list[tuple[str, bytes]]]:
        revision, pairs = await self._inner.page(partition, prefix, after, limit)
        return revision, [(key, self._open(partition, key, sealed)) for key, sealed in pairs]

    async def commit(self, partition: str, writes: Sequence[Write], expecting: Revision | None) -> Revision:
        sealed = await self._sealed(partition, writes, Pauses(_AT_ONCE))
        return await self._inner.commit(partition, sealed, expecting)

    async def commit_each(self, writes: Mapping[str, Sequence[Write]]) -> dict[str, EngineUnavailable]:
        pauses = Pauses(_AT_ONCE)
        return await self._inner.commit_each(
            {partition: await self._sealed(partition, some, pauses) for partition, some in writes.items()}
        )

    async def _sealed(self, partition: str, writes: Sequence[Write], pauses: Pauses) -> list[Write]:
        key = self._keyring().for_purpose(_PURPOSE).primary
        sealed: list[Write] = []
        for write in writes:
            value = write.value
            if value is not None:
                value = seal(key, value, _context(partition, write.key), self._entropy(NONCE_ENTROPY))
            sealed.append(Write(write.key, value, write.expires_at))
            await pauses.count()
        return sealed

    def _open(self, partition: str, key: str, sealed: bytes) -> bytes:
        try:
            return open_(self._keyring().for_purpose(_PURPOSE), sealed, _context(partition, key))
        except SealBroken as broken:
            raise EngineUnavailable(f"{partition} {key}: {broken.reason}") from None


def _context(partition: str, key: str) -> bytes:
    """Partition and key; the length in front separates them, whatever characters they have."""
    name = partition.encode()
    return len(name).to_bytes(4, "big") + name + key.encode()
