"""Makes the digest files that are due, and delivers them: see `digests` for their law."""

import asyncio
import gzip
import logging
from collections.abc import Callable, Sequence

from msgspec.structs import replace

from broker.access.gate import Gate
from broker.sealing.digest_signature import ALGORITHM, new_digest_key
from broker.storage.store import DELIVERED_LOGS, DIGEST_CHAINS, DIGEST_KEYS, TRAILS, Store, Transaction
from broker.storage.trail_records import (
    DeliveredLog,
    DigestChain,
    DigestFile,
    DigestKey,
    DigestKeys,
    Trail,
    chain_key,
    delivered_log_key,
    trail_key,
)
from broker.trail.buckets import find_bucket_fault
from broker.trail.digests import KEY_SECONDS, due_start, make_digest, signing_key
from broker.trail.sink import DeliveryFailed, Sink

_Chain = tuple[str, str]  # account, region

_logger = logging.getLogger("broker.trail")


class DigestDelivery:
    """`interval` is how many seconds a digest file covers."""

    def __init__(
        self, store: Store, gate: Gate, sink: Sink, clock: Callable[[], float], interval: int
    ) -> None:
        self._store, self._gate, self._sink, self._clock, self._interval = store, gate, sink, clock, interval

    async def deliver(self, trails: Sequence[Trail]) -> None:
        for trail in trails:
            if trail.validated_since:
                for account, region in sorted(await self._chains(trail)):
                    await self._deliver_chain(trail, account, region)

    async def _chains(self, trail: Trail) -> set[_Chain]:
        store = self._store.transaction()
        chains = await store.scan(DIGEST_CHAINS, trail.account_id, f"{trail.id}/")
        logs = await store.scan(DELIVERED_LOGS, trail.account_id, f"{trail.id}/")
        found = {(one.account_id, one.region) for one in chains} | {
            (one.account_id, one.region) for one in logs
        }
        return {*found, (trail.account_id, trail.region)}

    async def _deliver_chain(self, trail: Trail, account: str, region: str) -> None:
        store = self._store.transaction()
        chain = await _find_chain(store, trail, account, region)
        if (
            due_start(trail, chain, await _logs(store, trail, chain), self._clock(), self._interval)
            is not None
        ):
            await self._ensure_key(trail.account_id)
            chain = await self._store.transact(lambda one: self._begin(one, trail, account, region))
        if chain.pending is not None:
            await self._finish(trail, chain, chain.pending)

    async def _ensure_key(self, account: str) -> None:
        """The key that signs now, made where there is none."""
        kept = await self._store.transaction().find(DIGEST_KEYS, account)
        if kept is not None and signing_key(kept.keys, self._clock()) is not None:
            return
        pair, now = await asyncio.to_thread(new_digest_key), int(self._clock())
        made = DigestKey(
            fingerprint=pair.fingerprint,
            private_key=pair.private_key,
            public_key=pair.public_key,
            start=now,
            end=now + KEY_SECONDS,
        )

        async def add(store: Transaction) -> None:
            """Of several nodes that make a key, the first one's is stored."""
            present = await store.find(DIGEST_KEYS, account)
            keys = () if present is None else present.keys
            if signing_key(keys, now) is None:
                store.put(DIGEST_KEYS, account, DigestKeys(keys=(*keys, made)))

        await self._store.transact(add)

    async def _begin(self, store: Transaction, trail: Trail, account: str, region: str) -> DigestChain:
        """The chain with its next digest file, if that is still due."""
        chain = await _find_chain(store, trail, account, region)
        logs, now = await _logs(store, trail, chain), self._clock()
        present = await store.find(TRAILS, trail.account_id, trail_key(trail.region, trail.name))
        kept = await store.find(DIGEST_KEYS, trail.account_id)
        key = None if kept is None else signing_key(kept.keys, now)
        if present is None or present.id != trail.id or not present.validated_since or key is None:
            return chain
        start = due_start(present, chain, logs, now, self._interval)
        if start is None:
            return chain
        chain = replace(chain, pending=make_digest(present, chain, logs, key, start, int(now)))
        store.put(DIGEST_CHAINS, trail.account_id, chain)
        for log in logs:
            store.delete(DELIVERED_LOGS, trail.account_id, delivered_log_key(log))
        return chain

    async def _finish(self, trail: Trail, chain: DigestChain, pending: DigestFile) -> None:
        try:
            await self._upload(trail, pending)
        except DeliveryFailed as error:
            if chain.error != error.code:
                _logger.warning(
                    "a digest of trail %s is not delivered: %s: %s", trail.arn, error.code, error.reason
                )
                await self._replace(trail, chain, replace(chain, error=error.code))
            return
        now = int(self._clock())
        last = replace(pending, content=b"")
        await self._replace(trail, chain, replace(chain, last=last, pending=None, delivered_at=now, error=""))

    async def _upload(self, trail: Trail, pending: DigestFile) -> None:
        store = self._store.transaction()
        fault = await find_bucket_fault(
            self._gate, store, trail.arn, pending.bucket, [pending.key], self._clock()
        )
        if fault:
            raise DeliveryFailed(fault, "the bucket's policy")
        metadata = {"signature": pending.signature, "signature-algorithm": ALGORITHM}
        body = gzip.compress(pending.content, mtime=0)
        await self._sink.put(pending.bucket, pending.key, body, metadata)

    async def _replace(self, trail: Trail, chain: DigestChain, changed: DigestChain) -> None:
        """Another node may have delivered the same digest file, or the trail may be gone: nothing then."""

        async def write(store: Transaction) -> None:
            if await store.find(DIGEST_CHAINS, trail.account_id, chain_key(chain)) == chain:
                store.put(DIGEST_CHAINS, trail.account_id, changed)

        await self._store.transact(write)


async def _find_chain(store: Transaction, trail: Trail, account: str, region: str) -> DigestChain:
    new = DigestChain(trail_id=trail.id, account_id=account, region=region)
    return await store.find(DIGEST_CHAINS, trail.account_id, chain_key(new)) or new


async def _logs(store: Transaction, trail: Trail, chain: DigestChain) -> list[DeliveredLog]:
    return await store.scan(DELIVERED_LOGS, trail.account_id, f"{chain_key(chain)}/")
