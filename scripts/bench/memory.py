"""What the cache of records takes beside what it is estimated to weigh, and what allocators hold that is free.

The store has 1,000 accounts with 20 roles (scripts/bench/populate.py). Strangers are looked up in accounts that do not
exist, each once; with a small part (--real) of look-ups of accounts that do. When the cache is full, accounts that
exist take the place of strangers in it, one by one: so small objects go, and larger ones come.

in use      bytes of Python's allocator (objects up to 512 bytes) and of the C library's, since the first look-up
free        what either of them holds, to be used again, and has not returned to the system
resident    of the process, since the first look-up; more than the two by what the C library does not count

    .venv-test/bin/python scripts/bench/memory.py
    .venv-test/bin/python scripts/bench/memory.py --reads 6000000 --real 0.06
"""

import argparse
import asyncio
import tempfile
from pathlib import Path
from random import Random

from allocators import MEGABYTE, Memory, memory_now
from populate import USER, account_id, bench_role, master_key_file, populate

from broker.app import clock, entropy, open_engine, rotation_schedule
from broker.app.master_key import find_master_key
from broker.config import Keys, StoreSettings
from broker.credentials.keyrings import Keyrings
from broker.names.secret import SecretKey
from broker.storage.sealed import SealedEngine
from broker.storage.store import ROLES, USERS, Store

ACCOUNTS, ROLES_EACH = 1000, 20


async def measure(store: Store, reads: int, lines: int, real: float) -> None:
    random, before = Random(1), memory_now()
    print(f"{'reads':>10} {'partitions':>10} {'estimated':>9} {'in use':>7} {'free':>12} {'resident':>8}")
    for number in range(1, reads + 1):
        transaction = store.transaction()
        if random.random() < real:
            account = account_id(random.randrange(ACCOUNTS))
            await transaction.find(USERS, account, USER)
            await transaction.find(ROLES, account, bench_role(0, random.randrange(ROLES_EACH)).name)
        else:
            await transaction.find(ROLES, f"{random.randrange(10**12):012}", f"{random.getrandbits(80):020x}")
        if number % (reads // lines) == 0:
            _print(number, store, before)


def _print(number: int, store: Store, before: Memory) -> None:
    now, size = memory_now(), store.cache_size
    used = now.python_used + now.library_used - before.python_used - before.library_used
    free = f"{now.python_free:.1f} + {now.library_free:.1f}"
    print(
        f"{number:10,} {size.entries:10,} {size.weight / MEGABYTE:9.1f} {used:7.1f} {free:>12} "
        f"{now.resident - before.resident:8.1f}",
        flush=True,
    )


async def run(folder: Path, reads: int, lines: int, real: float) -> None:
    path = folder / "broker.db"
    await populate(path, ACCOUNTS, ROLES_EACH)
    keys = Keys(master_key_file=master_key_file(path))
    master = find_master_key(keys, {})
    assert master is not None
    engine = open_engine(StoreSettings(SecretKey(f"sqlite:{path}")))
    try:
        keyrings = Keyrings(engine, master, clock, entropy, rotation_schedule(keys))
        await keyrings.load()
        await measure(Store(SealedEngine(engine, keyrings.storage, entropy), clock), reads, lines, real)
    finally:
        await engine.close()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--reads", type=int, default=1_200_000, help="how many look-ups (1,200,000)")
    parser.add_argument("--lines", type=int, default=12, help="how many lines are printed (12)")
    parser.add_argument("--real", type=float, default=0.06, help="the part that exists (0.06)")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(run(Path(folder), chosen.reads, chosen.lines, chosen.real))


if __name__ == "__main__":
    main()
