import asyncio
import os
import random
from base64 import b32encode
from collections.abc import AsyncIterator
from itertools import pairwise
from pathlib import Path

import pytest

from broker.credentials.one_time_codes import (
    FAILURE_LIMIT,
    FAILURE_WINDOW,
    take_code,
    take_consecutive_codes,
)
from broker.names.secret import SecretKey
from broker.sealing.totp import STEP_SECONDS, totp
from broker.storage.records import VirtualMfaDevice
from broker.storage.sqlite import SqliteEngine
from broker.storage.store import Store, Transaction

NOW = 1_800_000_000.0
STEP = int(NOW // STEP_SECONDS)
SEED = bytes(range(40))


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    async with Store(SqliteEngine(tmp_path / "broker.sqlite", lambda: NOW, os.urandom), lambda: NOW) as store:
        yield store


def device(drift_steps: int = 0, name: str = "phone") -> VirtualMfaDevice:
    return VirtualMfaDevice(
        account_id="111122223333",
        serial_number=f"arn:aws:iam::111122223333:mfa/{name}",
        device_name=name,
        seed=SecretKey(b32encode(SEED).decode()),
        drift_steps=drift_steps,
        created_at=0,
    )


async def take(store: Store, code: str, owner: VirtualMfaDevice, now: float = NOW) -> bool:
    async def work(transaction: Transaction) -> bool:
        return await take_code(transaction, owner, code, now)

    return await store.transact(work)


async def enrol(store: Store, first: int, second: int, window: int = 2, now: float = NOW) -> int | None:
    async def work(transaction: Transaction) -> int | None:
        codes = (totp(SEED, STEP + first), totp(SEED, STEP + second))
        return await take_consecutive_codes(transaction, device(), codes, now, window)

    return await store.transact(work)


@pytest.mark.parametrize("steps", [-1, 0, 1])
async def test_a_code_of_the_step_or_its_neighbours_is_accepted_once(store: Store, steps: int) -> None:
    code = totp(SEED, STEP + steps)
    assert await take(store, code, device())
    assert not await take(store, code, device())


async def test_a_code_that_was_never_used_is_too_old_once_a_later_one_was(store: Store) -> None:
    assert await take(store, totp(SEED, STEP), device())
    assert not await take(store, totp(SEED, STEP - 1), device())
    assert await take(store, totp(SEED, STEP + 1), device())
    assert not await take(store, totp(SEED, STEP), device())


async def test_the_used_step_is_stored_for_as_long_as_an_older_code_could_be_valid(store: Store) -> None:
    assert await take(store, totp(SEED, STEP + 1), device())
    for steps in (1, 2):
        later = NOW + steps * STEP_SECONDS
        for older in (-1, 0, 1):
            assert not await take(store, totp(SEED, STEP + older), device(), later)
    assert await take(store, totp(SEED, STEP + 2), device(), NOW + 2 * STEP_SECONDS)


async def test_of_many_workers_with_the_same_code_one_accepts_it(store: Store, tmp_path: Path) -> None:
    """And none accepts the code of an earlier step after that of a later one."""
    async with Store(SqliteEngine(tmp_path / "broker.sqlite", lambda: NOW, os.urandom), lambda: NOW) as other:
        taken: list[int] = []

        async def use(one: Store, steps: int) -> None:
            if await take(one, totp(SEED, STEP + steps), device()):
                taken.append(steps)

        await asyncio.gather(*(use(one, steps) for steps in (0, -1, 1) for one in (store, other, store)))
        # They end in another order than they were committed in.
        assert 1 in taken
        assert sorted(taken) == sorted(set(taken))
        assert not any([await take(other, totp(SEED, STEP + steps), device()) for steps in (-1, 0, 1)])


@pytest.mark.parametrize("course", range(4))
async def test_whatever_the_clock_does_every_accepted_code_is_later_than_the_last(
    tmp_path: Path, course: int
) -> None:
    """Sign-ins and resynchronisations, old codes and new, minutes and hours apart."""
    chance, moment, drift, taken = random.Random(course), NOW, 0, [STEP - 30]
    async with Store(
        SqliteEngine(tmp_path / "course.sqlite", lambda: moment, os.urandom), lambda: moment
    ) as store:
        for _ in range(250):
            moment += chance.choice((0, 1, STEP_SECONDS, 5 * STEP_SECONDS, 21 * STEP_SECONDS, 7200))
            near = int(moment // STEP_SECONDS) + chance.randint(-21, 21)
            step = chance.choice((near, taken[-1], chance.choice(taken)))
            if chance.random() < 0.5:
                step = chance.choice((step, int(moment // STEP_SECONDS) + drift))
                if await take(store, totp(SEED, step), device(drift), moment):
                    taken.append(step)
                continue
            proven = await enrol(store, step - 1 - STEP, step - STEP, 20, moment)
            if proven is not None:
                drift = proven
                taken += [step - 1, step]
    assert len(taken) > 20
    assert all(earlier < later for earlier, later in pairwise(taken))


@pytest.mark.parametrize("steps", [-3, -2, 2, 3])
async def test_a_code_from_farther_away_is_refused(store: Store, steps: int) -> None:
    assert not await take(store, totp(SEED, STEP + steps), device())


async def test_a_code_follows_the_devices_clock(store: Store) -> None:
    assert await take(store, totp(SEED, STEP + 9), device(drift_steps=9))
    assert not await take(store, totp(SEED, STEP), device(drift_steps=9))


async def test_a_code_used_on_one_device_is_not_used_on_another(store: Store) -> None:
    code = totp(SEED, STEP)
    assert await take(store, code, device())
    assert await take(store, code, device(name="tablet"))


async def test_codes_of_an_enrolment_are_used(store: Store) -> None:
    assert await enrol(store, -1, 0) == 0
    assert not await take(store, totp(SEED, STEP), device())
    assert not await take(store, totp(SEED, STEP - 1), device())
    assert await enrol(store, -1, 0) is None
    assert await take(store, totp(SEED, STEP + 1), device())


async def test_the_drift_of_a_clock_is_measured_beyond_the_time_of_typing(store: Store) -> None:
    assert await enrol(store, -12, -11, window=20) == -11
    assert await enrol(store, -2, -1, window=20) == 0
    assert await enrol(store, 8, 9, window=20) == 9
    assert await enrol(store, 30, 31, window=20) is None


async def test_codes_of_an_enrolment_are_later_than_any_that_was_used(store: Store) -> None:
    assert await take(store, totp(SEED, STEP), device())
    assert await enrol(store, -1, 0) is None
    assert await enrol(store, 0, 1) is None
    assert await enrol(store, 1, 2) == 2


async def test_codes_that_do_not_follow_each_other_prove_nothing(store: Store) -> None:
    for first, second in ((0, 0), (0, -1), (-1, 1)):
        assert await enrol(store, first, second) is None


async def test_after_too_many_wrong_codes_none_is_accepted_until_the_window_ends(store: Store) -> None:
    for _ in range(FAILURE_LIMIT - 1):
        assert not await take(store, "000000", device())
    assert await take(store, totp(SEED, STEP), device()), "one short of the limit"
    assert not await take(store, totp(SEED, STEP), device()), "a used one is a wrong one"
    assert not await take(store, totp(SEED, STEP + 1), device())
    assert await take(store, totp(SEED, STEP + 1), device(name="tablet")), "each device has its own count"
    later = (NOW // FAILURE_WINDOW + 1) * FAILURE_WINDOW
    assert await take(store, totp(SEED, int(later // STEP_SECONDS)), device(), later)
