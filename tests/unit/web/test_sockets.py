"""What a connection is told, asked back from the kernel."""

import socket

import pytest
from aiohttp import ClientSession, web

from broker.web.sockets import limit_hops, peer_of


@pytest.mark.parametrize(
    ("family", "listen", "connect", "expected"),
    [
        (socket.AF_INET, "127.0.0.1", "127.0.0.1", {"peer": "127.0.0.1", "v4": 3}),
        (socket.AF_INET6, "::1", "[::1]", {"peer": "::1", "v6": 3}),
        (socket.AF_INET6, "::", "127.0.0.1", {"peer": "::ffff:127.0.0.1", "v4": 3, "v6": 3}),
    ],
    ids=["v4", "v6", "v4 on a socket for both"],
)
async def test_the_hop_limit_is_set_for_the_version_of_ip_that_the_peer_speaks(
    family: socket.AddressFamily, listen: str, connect: str, expected: dict[str, object]
):
    async def answer(request: web.BaseRequest) -> web.Response:
        assert request.transport is not None
        connection = request.transport.get_extra_info("socket")
        assert limit_hops(request, 3)
        told: dict[str, object] = {"peer": peer_of(request)}
        if "v4" in expected:
            told["v4"] = connection.getsockopt(socket.IPPROTO_IP, socket.IP_TTL)
        if "v6" in expected:
            told["v6"] = connection.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS)
        return web.json_response(told)

    listener = socket.socket(family)
    if family == socket.AF_INET6:
        listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, listen != "::")
    listener.bind((listen, 0))
    runner = web.ServerRunner(web.Server(answer))
    await runner.setup()
    await web.SockSite(runner, listener).start()
    try:
        async with (
            ClientSession() as session,
            session.get(f"http://{connect}:{listener.getsockname()[1]}/") as response,
        ):
            assert await response.json() == expected
    finally:
        await runner.cleanup()


@pytest.mark.parametrize("hops", [0, 256, -5])
async def test_a_limit_that_the_kernel_refuses_is_not_passed_over(
    hops: int, aiohttp_raw_server, aiohttp_client
):
    async def answer(request: web.BaseRequest) -> web.Response:
        return web.json_response(limit_hops(request, hops))

    client = await aiohttp_client(await aiohttp_raw_server(answer))
    assert await (await client.get("/")).json() is False
