"""A gateway in this process, in front of a store that records what it is sent."""

import asyncio
import secrets
from contextlib import AsyncExitStack
from hashlib import sha256
from socket import socket

import pytest
from aiohttp import web

from broker.access.foreign_resources import register_resource
from broker.app import clock, open_broker, open_journal
from broker.app.gateway_serving import make_gateway
from broker.config import load_settings
from broker.credentials.access_keys import ACCESS_KEY_ENTROPY, new_access_key_pair
from broker.credentials.root_keys import ensure_root_key
from broker.gateway.listener import GatewayListener
from broker.gateway.store import opened
from broker.names.secret import SecretKey
from broker.sigv4.signing import SigningCredentials, sign_request
from broker.web.metrics import Metrics

ACCOUNT = "111122223333"
EMPTY = sha256(b"").hexdigest()
DOMAIN = "s3.example.org"


class RecordingStore:
    """Answers everything with 200, and remembers requests and how much of their bodies arrived whole.

    `reply` answers instead, where it is given.
    """

    reply = None

    def __init__(self):
        self.seen = []
        self.status, self.headers, self.body = 200, {"ETag": '"x"', "x-amz-request-id": "of-the-store"}, b""

    async def answer(self, request):
        try:
            body = await request.read()
        except (web.RequestPayloadError, ConnectionError):
            body = None  # it broke off: no store keeps that
        self.seen.append((request.method, request.raw_path, _lowered(request.headers), body))
        if self.reply is not None:
            return await self.reply(request)
        return web.Response(status=self.status, headers=self.headers, body=self.body)

    @property
    def whole(self):
        return [(method, path) for method, path, _, body in self.seen if body is not None]


def _lowered(headers):
    return {name.lower(): value for name, value in headers.items()}


class Stack:
    def __init__(self, address, store, credentials, journal, metrics, backing):
        self.host, self.port = address
        self.store, self.credentials, self.journal = store, credentials, journal
        self.metrics, self.backing = metrics, backing

    async def send(self, raw, *, ends=False):
        """The answer to bytes, up to the end of the connection; with `ends` the client sends no more and says so."""
        reader, writer = await asyncio.open_connection(self.host, self.port)
        writer.write(raw)
        if ends:
            writer.write_eof()
        try:
            return await asyncio.wait_for(reader.read(), 10)
        finally:
            writer.close()

    def head(
        self, method, path, query="", *, headers=None, payload=EMPTY, more=(), length=0, signed_path=None
    ):
        given = {"host": f"{self.host}:{self.port}", **(headers or {})}
        signed = sign_request(
            method, signed_path or path, query, given, payload, self.credentials, "us-east-1", clock()
        )
        lines = [f"{name}: {value}" for name, value in (*signed.items(), *more)]
        if length is not None:
            lines.append(f"content-length: {length}")
        target = f"{path}?{query}" if query else path
        return signed, "\r\n".join(
            [f"{method} {target} HTTP/1.1", *lines, "connection: close", "", ""]
        ).encode()

    async def ask(self, method, path, query="", *, body=b"", **options):
        """Status and body of the answer to a signed request."""
        _, head = self.head(method, path, query, length=len(body), **options)
        return parsed(await self.send(head + body))


def parsed(answer):
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split(b" ")[1]), body


@pytest.fixture
async def stack(tmp_path, request):
    more = getattr(request, "param", {})
    environment = {
        "BROKER_STORE_URL": f"sqlite:{tmp_path / 'broker.db'}",
        "BROKER_KEYS_MASTER_KEY_FILE": str(tmp_path / "master.key"),
        "BROKER_AUDIT_PATH": str(tmp_path / "audit.jsonl"),
        "BROKER_GATEWAY_DOMAINS": DOMAIN,
        **more,
    }
    settings = load_settings(None, environment)
    pair = new_access_key_pair(ACCOUNT, secrets.token_bytes(ACCESS_KEY_ENTROPY))
    recording = RecordingStore()
    async with AsyncExitStack() as running:
        backing_socket, own = listening(), listening()
        server = web.Server(recording.answer)
        listener = await asyncio.get_running_loop().create_server(server, sock=backing_socket)
        running.push_async_callback(server.shutdown, 0.1)
        running.callback(listener.close)
        broker = await running.enter_async_context(open_broker(settings, {}))

        async def prepare(store):
            await ensure_root_key(store, ACCOUNT, pair, clock())
            for name in ("first", "other"):
                await register_resource(store, ACCOUNT, f"arn:aws:s3:::{name}", 0, 10)

        await broker.store.transact(prepare)
        journal, metrics = open_journal(settings.audit), Metrics()
        running.callback(journal.close)
        backing = await running.enter_async_context(
            opened(
                "http://{}:{}".format(*backing_socket.getsockname()),
                "us-east-1",
                lambda: SigningCredentials("STORE", SecretKey("store-secret")),
                clock,
                most_connections=10,
                took=metrics.count_store_answer,
            )
        )
        gateway = GatewayListener(make_gateway(broker, journal, backing, metrics), maximum_connections=50)
        await gateway.listen([own])
        running.push_async_callback(gateway.stop, 0.5)
        credentials = SigningCredentials(pair.access_key_id, pair.secret)
        yield Stack(own.getsockname(), recording, credentials, tmp_path / "audit.jsonl", metrics, backing)


def listening():
    one = socket()
    one.bind(("127.0.0.1", 0))
    return one


def code_of(body):
    return body.partition(b"<Code>")[2].partition(b"</Code>")[0].decode()
