"""How often a password may be tried: after some failures, each further attempt has to wait twice as long.

Failures are counted in the store, so all workers and nodes count together. An attempt counts as failed from its
beginning, until its outcome is known, so many attempts at the same time gain nothing. During the wait an attempt is
refused, whatever its password is, and does not make the wait longer. A count expires an hour after the last attempt; so
there are never more counts than attempts in an hour, each of which costs a hash.

No user is locked out for ever: the wait has a maximum. A user at an address from which they signed in before has a
count of their own there: attempts of others, at that address or with that user's name, do not make them wait.
"""

from hashlib import sha256
from ipaddress import ip_address, ip_network

import msgspec

from broker.storage.password_records import AccustomedAddress, FailedAttempts
from broker.storage.store import ACCUSTOMED_ADDRESSES, FAILED_ATTEMPTS, Transaction

FORGOTTEN_AFTER = 3600.0  # seconds after the last attempt; no wait may be longer
ACCUSTOMED_FOR = 30 * 24 * 3600.0
_NETWORK = 64  # bits: the holder of one IPv6 address mostly has the whole network
_SHARD = 2  # hexadecimal digits: many people who sign in at once seldom meet in one partition


class Counter(msgspec.Struct, frozen=True):
    """One count of failures: `key` is the digest of what it is about, so no name is too long and none is shown.

    `free` failures cost nothing, and no wait is longer than `longest` seconds; `label` is for the journal.
    """

    label: str
    key: str
    free: int
    longest: float

    @property
    def shard(self) -> str:
        return self.key[:_SHARD]


def counter(free: int, longest: float, label: str, *parts: str) -> Counter:
    """The count for `label` (a kind) and `parts` (of whom)."""
    return Counter(label, _digest(label, *parts), free, longest)


def wait_after(failed: FailedAttempts | None, of: Counter, now: float) -> float:
    """How many seconds the next attempt has to wait from `now` on: 0 where it may be made."""
    if failed is None or failed.failures < of.free:
        return 0.0
    wait = min(2.0 ** min(failed.failures - of.free, 60), of.longest)
    return max(wait - max(now - failed.last_at, 0.0), 0.0)


async def find_wait(store: Transaction, of: Counter, now: float) -> float:
    return wait_after(await store.find(FAILED_ATTEMPTS, of.shard, of.key), of, now)


async def count_failure(store: Transaction, of: Counter, now: float) -> None:
    failed = await store.find(FAILED_ATTEMPTS, of.shard, of.key)
    failures = 1 if failed is None else failed.failures + 1
    _put(store, of, FailedAttempts(failures=failures, last_at=now), now)


async def take_back(store: Transaction, of: Counter, now: float) -> None:
    """One attempt has not failed: it was none, or succeeded."""
    failed = await store.find(FAILED_ATTEMPTS, of.shard, of.key)
    if failed is None:
        return
    if failed.failures <= 1:
        store.delete(FAILED_ATTEMPTS, of.shard, of.key)
    else:
        _put(store, of, msgspec.structs.replace(failed, failures=failed.failures - 1), now)


async def forget(store: Transaction, of: Counter) -> None:
    """After a right password the earlier failures no longer count."""
    if await store.find(FAILED_ATTEMPTS, of.shard, of.key) is not None:
        store.delete(FAILED_ATTEMPTS, of.shard, of.key)


async def is_accustomed(store: Transaction, *parts: str) -> bool:
    """Whether `accustom` was called with these parts, account, user and address, in the last thirty days."""
    key = _digest("accustomed", *parts)
    return await store.find(ACCUSTOMED_ADDRESSES, key[:_SHARD], key) is not None


def accustom(store: Transaction, *parts: str, now: float) -> None:
    key = _digest("accustomed", *parts)
    record = AccustomedAddress(signed_in_at=int(now))
    store.put(ACCUSTOMED_ADDRESSES, key[:_SHARD], record, key=key, expires_at=now + ACCUSTOMED_FOR)


def network_of(address: str) -> str:
    """What attempts from `address` are counted under: the address, or its network where it is one of IPv6."""
    try:
        if ip_address(address).version == 4:
            return address
        return str(ip_network(f"{address.partition('%')[0]}/{_NETWORK}", strict=False))
    except ValueError:
        return address


def _put(store: Transaction, of: Counter, failed: FailedAttempts, now: float) -> None:
    store.put(FAILED_ATTEMPTS, of.shard, failed, key=of.key, expires_at=now + FORGOTTEN_AFTER)


def _digest(*parts: str) -> str:
    """Each part with its length, so that no two lists of parts have the same digest."""
    text = "".join(f"{len(part)}:{part}" for part in parts)
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
