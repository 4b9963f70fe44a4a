"""Assertions that may be used once: used ones are stored until they could no longer be accepted."""

from hashlib import sha256

from broker.storage.records import Once
from broker.storage.store import ONCE, Transaction


async def use_once(
    store: Transaction, account: str, provider: str, identifier: str, now: float, expires_at: float
) -> bool:
    """Mark the assertion `identifier` of `provider` as used in `account`; returns False where it was used before.

    The mark is part of the call's transaction: of two concurrent requests one has a conflict, and finds the mark when
    it is retried. A refused call does not use the assertion up.
    """
    key = f"assertion/{sha256(f'{provider} {identifier}'.encode()).hexdigest()}"
    if await store.find(ONCE, account, key) is not None:
        return False
    store.put(ONCE, account, Once(used_at=int(now)), key=key, expires_at=expires_at)
    return True
