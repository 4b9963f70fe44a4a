"""A one-time code is accepted once, on every engine, however many workers receive it at the same time."""

import asyncio
import time
from base64 import b32encode
from collections.abc import Callable

from broker.credentials.one_time_codes import take_code, take_consecutive_codes
from broker.names.secret import SecretKey
from broker.sealing.totp import STEP_SECONDS, totp
from broker.storage.engine import Engine
from broker.storage.records import VirtualMfaDevice
from broker.storage.store import Store, Transaction

SEED = bytes(range(40))
DEVICE = VirtualMfaDevice(
    account_id="111122223333",
    serial_number="arn:aws:iam::111122223333:mfa/phone",
    device_name="phone",
    seed=SecretKey(b32encode(SEED).decode()),
    created_at=0,
)


async def test_of_workers_that_receive_one_code_at_once_one_accepts_it(
    open_engine: Callable[[], Engine],
) -> None:
    workers = [Store(open_engine(), time.time) for _ in range(4)]
    now = time.time()
    step = int(now // STEP_SECONDS)

    async def sign_in(transaction: Transaction) -> bool:
        return await take_code(transaction, DEVICE, totp(SEED, step), now)

    async def resync(transaction: Transaction) -> bool:
        codes = totp(SEED, step - 1), totp(SEED, step)
        return await take_consecutive_codes(transaction, DEVICE, codes, now, 20) is not None

    works = [sign_in, resync, sign_in]
    accepted = await asyncio.gather(*(worker.transact(work) for worker in workers for work in works))
    assert accepted.count(True) == 1
    later = now + 5 * STEP_SECONDS
    again = [await take_code(workers[0].transaction(), DEVICE, totp(SEED, step), now) for now in (now, later)]
    assert again == [False, False]
