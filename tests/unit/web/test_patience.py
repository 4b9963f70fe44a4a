"""Clients who let the server wait."""

import asyncio

import pytest

from broker.web.patience import Patience


async def test_what_comes_in_time_is_waited_for():
    async with Patience(1.0).waiting():
        await asyncio.sleep(0.01)


async def test_what_comes_too_late_is_not_waited_for():
    with pytest.raises(TimeoutError):
        async with Patience(0.01).waiting():
            await asyncio.sleep(5)


async def test_the_end_shortens_every_wait_to_a_second():
    patience, loop = Patience(60.0), asyncio.get_running_loop()

    async def wait() -> float:
        with pytest.raises(TimeoutError):
            async with patience.waiting():
                await asyncio.sleep(60)
        return loop.time()

    started = loop.time()
    waiting = [asyncio.create_task(wait()) for _ in range(3)]
    await asyncio.sleep(0)
    ending = asyncio.create_task(patience.end())
    waiting.append(asyncio.create_task(wait()))
    await ending
    assert loop.time() - started > 0.9
    assert all(0.9 < ended - started < 5 for ended in await asyncio.gather(*waiting))


async def test_with_nobody_to_wait_for_the_end_is_there_at_once():
    async with asyncio.timeout(0.5):
        await Patience().end()


async def test_the_end_lengthens_no_wait():
    patience = Patience(0.05)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.5), patience.waiting():
            await asyncio.gather(patience.end(), asyncio.sleep(5))
