"""Assertions that may be used once: which have been, until the last moment at which they could be accepted."""

from hashlib import sha256

from broker.storage.records import Once
from broker.storage.store import ONCE, Transaction


async def use_once(
    store: Transaction, account: str, provider: str, identifier: str, now: float, expires_at: float
) -> bool:
    """Whether the assertion `identifier` of `provider` had not been used in `account`; from here on it has.

    The mark is written with the call that it proves: of two requests at the same time one meets a conflict, and
    finds the mark when it is performed once more. A call that is refused uses nothing up.
    """
    key = f"assertion/{sha256(f'{provider} {identifier}'.encode()).hexdigest()}"
    if await store.find(ONCE, account, key) is not None:
        return False
    store.put(ONCE, account, Once(used_at=int(now)), key=key, expires_at=expires_at)
    return True
