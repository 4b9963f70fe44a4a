"""Connections to aiohttp's server: bounded, and ended quietly."""

import asyncio
import logging
from contextlib import asynccontextmanager, suppress
from socket import socket

from aiohttp import web

from broker.listening import AcceptedConnections, ListeningLimits, ends_within

LOGGER = logging.getLogger("broker.tests")
REQUEST = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"


def unreadable(status):
    return web.Response(status=status, text="no")


@asynccontextmanager
async def listening(answer, connections=2):
    server = web.Server(answer)
    limits = ListeningLimits(connections=connections, backlog=8, keep_alive=5.0, longest_line=200)
    accepted = AcceptedConnections(server, limits, unreadable, LOGGER)
    with socket() as own:
        own.bind(("127.0.0.1", 0))
        await accepted.listen([own], None)
        try:
            yield accepted, own.getsockname()
        finally:
            accepted.close()
            await server.shutdown(0.1)


async def at_once(request):
    return web.Response(text="answered")


async def ask(address, request=REQUEST):
    reader, writer = await asyncio.open_connection(*address)
    writer.write(request)
    return reader, writer


async def test_a_connection_too_many_is_closed_and_the_log_says_so(caplog):
    async with listening(at_once) as (_, address):
        others = [await ask(address) for _ in range(2)]
        for reader, _ in others:
            assert b"answered" in await reader.readuntil(b"answered")
        reader, writer = await ask(address)
        with suppress(ConnectionResetError):
            assert await reader.read() == b""
        assert "too many connections" in caplog.text
        for _, one in (*others, (reader, writer)):
            one.close()


async def test_what_cannot_be_read_is_answered_without_a_version_or_a_log(caplog):
    async with listening(at_once) as (_, address):
        for request in (
            b"\x00\x01\x02\r\n\r\n",
            b"GET / HTTP/1.1\r\nhost: x\r\na: " + b"x" * 300 + b"\r\n\r\n",
        ):
            reader, writer = await ask(address, request)
            answer = await reader.read()
            assert answer.startswith(b"HTTP/1.")
            assert b" 400 " in answer.partition(b"\r\n")[0]
            assert answer.endswith(b"no")
            writer.close()
    assert caplog.text == ""


async def test_what_was_begun_is_answered_and_nothing_new_accepted():
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def slow(request):
        begun.set()
        await go_on.wait()
        return web.Response(text="answered")

    async with listening(slow) as (accepted, address):
        reader, writer = await ask(address)
        await begun.wait()
        accepted.close()
        go_on.set()
        assert b"answered" in await reader.readuntil(b"answered")
        writer.close()
        try:
            await ask(address)
        except ConnectionRefusedError:
            return
    raise AssertionError("a connection was accepted")


async def test_an_end_is_waited_for_as_long_as_is_asked():
    left = [1, 1, 0]
    assert await ends_within(5, lambda: left.pop(0))
    assert not await ends_within(0.01, lambda: 1)
