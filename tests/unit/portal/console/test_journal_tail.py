"""A live tail does not outlive its reader."""

import asyncio

import pytest
from aiohttp import web

from broker.portal.console.journal_tail import send


class NeverRead(web.StreamResponse):
    """Of a browser that keeps the connection and takes nothing from it."""

    async def write(self, data: object) -> None:
        await asyncio.Event().wait()


async def test_a_browser_that_does_not_read_loses_its_tail() -> None:
    with pytest.raises(TimeoutError):
        await send(NeverRead(), b"data", seconds=0.01)
