"""Which sentinels are asked for the master. Sentinels that run are in `tests/conformance/test_fleet.py`."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from broker.storage.redis_connection import redis_client

MASTER = ("127.0.0.1", 6379)
AT_ONCE = 8


class FakeSentinel:
    """Answers for the master, `is_up` as it sees it, when `AT_ONCE` have asked."""

    def __init__(self, *, is_up: bool) -> None:
        self.is_up = is_up
        self.port = 0
        self._asked = 0
        self._are_many = asyncio.Event()

    @asynccontextmanager
    async def running(self) -> AsyncIterator["FakeSentinel"]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        async with server:
            yield self

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async for line in reader:
            if line == b"SETINFO\r\n":
                writer.write(b"+OK\r\n")
            elif line == b"MASTERS\r\n":
                await self._asked_by_many()
                writer.write(self._masters())
        writer.close()

    async def _asked_by_many(self) -> None:
        self._asked += 1
        if self._asked == AT_ONCE:
            self._are_many.set()
        await self._are_many.wait()

    def _masters(self) -> bytes:
        flags = "master" if self.is_up else "s_down,master"
        host, port = MASTER
        state = ("name", "broker", "ip", host, "port", str(port), "flags", flags, "num-other-sentinels", "2")
        items = "".join(f"${len(one)}\r\n{one}\r\n" for one in state)
        return f"*1\r\n*{len(state)}\r\n{items}".encode()


async def test_connections_that_look_for_the_master_at_the_same_time_forget_no_sentinel() -> None:
    """All find it at the second one. Later only the first one knows it."""
    async with AsyncExitStack() as stack:
        first, second, third = [
            await stack.enter_async_context(FakeSentinel(is_up=is_up).running())
            for is_up in (False, True, True)
        ]
        hosts = ",".join(f"127.0.0.1:{one.port}" for one in (first, second, third))
        client = redis_client(f"redis+sentinel://{hosts}/broker", timeout=5.0, connections=32)
        stack.push_async_callback(client.aclose)
        find = client.connection_pool.get_master_address
        assert await asyncio.gather(*(find() for _ in range(AT_ONCE))) == [MASTER] * AT_ONCE
        first.is_up, second.is_up, third.is_up = True, False, False
        assert await asyncio.gather(*(find() for _ in range(AT_ONCE))) == [MASTER] * AT_ONCE
