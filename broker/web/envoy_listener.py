"""The listener at which Envoy asks by gRPC (`envoy.service.auth.v3.Authorization`). Forward authentication answers.

Needs the extra `broker[grpc]`; nothing else imports grpcio. It speaks no TLS: the settings allow this machine alone.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from socket import socket
from ssl import SSLContext
from typing import Any
from urllib.parse import unquote

import grpc
from grpc import aio

from broker.trace_context import HEADER, enter_trace
from broker.web.envoy import check_response, read_check
from broker.web.http import Request, Response
from broker.web.listeners import allow_worker_sockets
from broker.web.sockets import Peer

_SERVICE, _METHOD = "envoy.service.auth.v3.Authorization", "Check"
_MOST_AT_ONCE = (
    4096  # questions; further ones are answered RESOURCE_EXHAUSTED, which Envoy takes for a denial
)
_HEAD_BYTES = 256 << 10  # beside the body of the request that is asked about

# A request, and why it is not to be answered, "" for a whole one.
Answer = Callable[[Request, str], Awaitable[Response]]


class EnvoyListener:
    """`answer` answers each question; `maximum_body` is in bytes."""

    def __init__(self, answer: Answer, *, maximum_body: int) -> None:
        self._answer = answer
        self._answering: set[asyncio.Task[bytes]] = set()
        self._reserved: list[socket] = []
        self._maximum_bytes = maximum_body + _HEAD_BYTES
        self._server: Any = None

    async def listen(self, sockets: Sequence[socket], context: SSLContext | None = None) -> None:
        """Answer at the addresses of `sockets`, which stay open: they keep other programs out. Raises OSError."""
        assert context is None, "it speaks no TLS"
        # gRPC binds the addresses itself, beside the sockets that reserve them.
        self._reserved = list(sockets)
        allow_worker_sockets(self._reserved)
        options = [("grpc.so_reuseport", 1), ("grpc.max_receive_message_length", self._maximum_bytes)]
        self._server = aio.server(options=options, maximum_concurrent_rpcs=_MOST_AT_ONCE)
        # Messages are bytes to gRPC: one that cannot be read is answered, and recorded, as a denial.
        method = grpc.unary_unary_rpc_method_handler(self._check)
        handlers = grpc.method_handlers_generic_handler(_SERVICE, {_METHOD: method})
        self._server.add_generic_rpc_handlers((handlers,))
        for one in self._reserved:
            address = _shown(one)
            try:
                self._server.add_insecure_port(address)
            except RuntimeError:
                raise OSError(f"listen.forward_grpc: gRPC cannot listen on {address}") from None
        await self._server.start()

    async def stop(self, grace: float) -> None:
        if self._server is not None:
            await self._server.stop(grace)
        for one in self._reserved:
            one.close()

    async def ends_within(self, seconds: float) -> bool:
        if not self._answering:
            return True
        _, pending = await asyncio.wait(self._answering, timeout=seconds)
        return not pending

    async def _check(self, message: bytes, context: Any) -> bytes:
        # An Envoy that waits no longer ends the call, and not what was begun: it has a record.
        task = asyncio.create_task(self._answered(message, context.peer(), context.invocation_metadata()))
        self._answering.add(task)
        task.add_done_callback(self._answering.discard)
        return await asyncio.shield(task)

    async def _answered(
        self, message: bytes, peer: str, metadata: Sequence[tuple[str, str | bytes]]
    ) -> bytes:
        enter_trace([value for name, value in metadata or () if name == HEADER and isinstance(value, str)])
        asked = read_check(message, peer_of(peer))
        response = await self._answer(asked.request, asked.fault)
        written: bytes = check_response(response).SerializeToString()
        return written


def peer_of(text: str) -> Peer:
    """The other end as gRPC writes it, `ipv4:192.0.2.7:443` or `ipv6:%5B2001:db8::7%5D:443`."""
    kind, _, address = unquote(text).partition(":")
    host = address.rpartition(":")[0].strip("[]") if kind in ("ipv4", "ipv6") else ""
    return Peer(asyncio.BaseTransport({"peername": (host, 0)}))


def _shown(one: socket) -> str:
    host, port = one.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
