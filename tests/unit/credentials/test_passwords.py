"""So many hashes are made at a time, some more wait, and what comes beyond is refused."""

import asyncio

import pytest

from broker.errors import Refusal
from broker.names.secret import SecretKey
from tests.unit.cheap_passwords import cheap_passwords

PASSWORD = SecretKey("Secret-123")


async def test_beyond_those_that_run_and_wait_a_password_is_refused_at_once() -> None:
    passwords = cheap_passwords(hashes_at_a_time=1, memory_kib=64 * 1024, passes=2)
    asked = await asyncio.gather(*(passwords.hash(PASSWORD) for _ in range(12)), return_exceptions=True)
    refused = [one for one in asked if isinstance(one, Refusal)]
    assert {one.code for one in refused} == {"Throttling"}
    assert len(asked) - len(refused) == 9, "one runs and eight wait"
    assert await passwords.verify(await passwords.hash(PASSWORD), PASSWORD), "there is room again"
    passwords.close()


async def test_the_event_loop_goes_on_while_a_hash_is_made() -> None:
    passwords = cheap_passwords(memory_kib=256 * 1024, passes=3)
    hashing = asyncio.ensure_future(passwords.hash(PASSWORD))
    turns = 0
    while not hashing.done():
        await asyncio.sleep(0)
        turns += 1
    assert turns > 10
    passwords.close()


async def test_two_hashes_of_one_password_differ_by_their_salts() -> None:
    passwords = cheap_passwords()
    assert await passwords.hash(PASSWORD) != await passwords.hash(PASSWORD)


async def test_a_password_is_found_among_hashes() -> None:
    passwords = cheap_passwords()
    hashes = [await passwords.hash(SecretKey(text)) for text in ("one", "two", "three")]
    assert await passwords.is_among(hashes, SecretKey("two"))
    assert not await passwords.is_among(hashes, SecretKey("four"))
    assert not await passwords.is_among([], SecretKey("four"))


async def test_nobody_has_the_password_that_is_verified_for_nobody() -> None:
    passwords = cheap_passwords()
    assert not await passwords.verify(None, PASSWORD)


async def test_a_closed_pool_takes_no_more() -> None:
    passwords = cheap_passwords()
    passwords.close()
    with pytest.raises(RuntimeError):
        await passwords.hash(PASSWORD)
