"""Socket options that a connection sets, read back from the kernel."""

import asyncio
import json
import socket

import pytest

from broker.web.http import Request, Response
from broker.web.server import Server


async def ask(answer: object, family: socket.AddressFamily, listen: str, connect: str) -> object:
    async def handler(request: Request) -> Response:
        return Response(200, b"", json.dumps(answer(request)).encode())  # type: ignore[operator]

    listener = socket.socket(family)
    if family == socket.AF_INET6:
        listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, listen != "::")
    listener.bind((listen, 0))
    server = Server(handler, lambda: 0.0)
    await server.listen([listener])
    reader, writer = await asyncio.open_connection(connect, listener.getsockname()[1])
    writer.write(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    shown = await reader.read()
    writer.close()
    await server.stop(1)
    return json.loads(shown.partition(b"\r\n\r\n")[2])


@pytest.mark.parametrize(
    ("family", "listen", "connect", "expected"),
    [
        (socket.AF_INET, "127.0.0.1", "127.0.0.1", {"peer": "127.0.0.1", "v4": 3}),
        (socket.AF_INET6, "::1", "::1", {"peer": "::1", "v6": 3}),
        (socket.AF_INET6, "::", "127.0.0.1", {"peer": "::ffff:127.0.0.1", "v4": 3, "v6": 3}),
    ],
    ids=["v4", "v6", "v4 on a socket for both"],
)
async def test_the_hop_limit_is_set_for_the_version_of_ip_that_the_peer_speaks(
    family: socket.AddressFamily, listen: str, connect: str, expected: dict[str, object]
):
    def limit(request: Request) -> dict[str, object]:
        connection = request.peer._transport.get_extra_info("socket")
        assert request.peer.limit_hops(3)
        shown: dict[str, object] = {"peer": request.peer.address}
        if "v4" in expected:
            shown["v4"] = connection.getsockopt(socket.IPPROTO_IP, socket.IP_TTL)
        if "v6" in expected:
            shown["v6"] = connection.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS)
        return shown

    assert await ask(limit, family, listen, connect) == expected


@pytest.mark.parametrize("hops", [0, 256, -5])
async def test_a_limit_that_the_kernel_refuses_is_not_passed_over(hops: int):
    def limit(request: Request) -> bool:
        return request.peer.limit_hops(hops)

    assert await ask(limit, socket.AF_INET, "127.0.0.1", "127.0.0.1") is False
