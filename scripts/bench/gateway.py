"""GET and PUT through the gateway, beside nginx's proxy_pass and a bare aiohttp proxy, in front of one store.

The store is a few lines of asyncio that answer at once, so that what is compared is what stands in front of it. Figures
are CPU of the proxy per request; `of aiohttp` is the bare proxy's CPU divided by the gateway's (goal: 0.7). A body is
sent unsigned, and as boto3 sends it: with its SHA-256 signed and its CRC-32 stated, which the gateway verifies.

    .venv-test/bin/python scripts/bench/gateway.py --seconds 2 --rounds 3
"""

import argparse
import asyncio
import secrets
import statistics
import sys
import tempfile
from base64 import b64encode
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from hashlib import sha256
from pathlib import Path
from zlib import crc32

from serving import Server, free_address, load

sys.path.insert(0, str(Path(__file__).parents[2]))

SIZES = {"4 kB": 4 << 10, "8 MB": 8 << 20}
GOAL = 0.7
ACCOUNT = "111122223333"
_EMPTY = sha256(b"").hexdigest()

NGINX = """
user root; worker_processes 1; daemon off; pid {folder}/nginx.pid; error_log {folder}/nginx.log;
events {{ worker_connections 512; }}
http {{
    access_log off; client_max_body_size 0; keepalive_requests 100000000; keepalive_time 1d;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
    upstream store {{ server {store}; keepalive 32; keepalive_requests 100000000; }}
    server {{
        listen {address};
        location / {{
            proxy_pass http://store; proxy_http_version 1.1; proxy_set_header Connection "";
            proxy_request_buffering off; proxy_max_temp_file_size 0;
        }}
    }}
}}
"""


class StoreConnection(asyncio.Protocol):
    """Answers `GET …/SIZE` with so many bytes, and takes any body of a PUT."""

    def connection_made(self, transport):
        self.transport, self.head, self.left = transport, b"", 0

    def data_received(self, data):
        if self.left:
            self.left -= len(data)
            if self.left <= 0:
                self.transport.write(b'HTTP/1.1 200 OK\r\nETag: "x"\r\nContent-Length: 0\r\n\r\n')
            return
        self.head += data
        head, end, body = self.head.partition(b"\r\n\r\n")
        if not end:
            return
        self.head = b""
        if head.startswith(b"PUT"):
            lowered = head.lower()
            length = int(lowered.partition(b"content-length:")[2].partition(b"\r\n")[0])
            self.left = length - len(body)
            if not self.left:
                self.transport.write(b'HTTP/1.1 200 OK\r\nETag: "x"\r\nContent-Length: 0\r\n\r\n')
            return
        size = int(head.split(b" ")[1].partition(b"?")[0].rpartition(b"/")[2] or 0)
        self.transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + bytes(size))


async def serve_store(address: str) -> None:
    host, port = address.split(":")
    server = await asyncio.get_running_loop().create_server(StoreConnection, host, int(port))
    await server.serve_forever()


async def serve_bare_proxy(address: str, store: str) -> None:
    """What any proxy of aiohttp does, and nothing else."""
    from aiohttp import ClientSession, DummyCookieJar, TCPConnector, web
    from yarl import URL

    host, port = address.split(":")
    session = ClientSession(
        connector=TCPConnector(limit=256),
        auto_decompress=False,
        cookie_jar=DummyCookieJar(),
        read_bufsize=256 << 10,
        skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
    )

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        headers = {"content-length": request.headers["content-length"]} if request.method == "PUT" else {}
        data = request.content.iter_any() if request.method == "PUT" else None
        target = URL(f"http://{store}{request.raw_path}", encoded=True)
        async with session.request(request.method, target, headers=headers, data=data) as given:
            response = web.StreamResponse(status=given.status, headers=given.headers)
            await response.prepare(request)
            while piece := await given.content.readany():
                await response.write(piece)
            await response.write_eof()
            return response

    server = web.Server(answer, access_log=None, read_bufsize=256 << 10)
    listener = await asyncio.get_running_loop().create_server(server, host, int(port))
    await listener.serve_forever()


@contextmanager
def proxies(folder: Path) -> Iterator[tuple[dict[str, Server], "Signer"]]:
    """nginx, the bare proxy and the gateway, each on core 1, in front of the store."""
    with ExitStack() as stack:
        store = free_address()
        own = [sys.executable, __file__]
        stack.enter_context(Server([*own, "--store", store], {}, store, f"http://{store}/0", "0"))
        nginx, bare, gateway = free_address(), free_address(), free_address()
        (folder / "nginx.conf").write_text(NGINX.format(folder=folder, store=store, address=nginx))
        command = ["nginx", "-p", str(folder), "-c", str(folder / "nginx.conf")]
        running = {
            "nginx": stack.enter_context(Server(command, {}, nginx, f"http://{nginx}/0", "1")),
            "aiohttp": stack.enter_context(
                Server([*own, "--bare", bare, "--behind", store], {}, bare, f"http://{bare}/0", "1")
            ),
        }
        environment = {
            "BROKER_STORE_URL": f"sqlite:{folder / 'broker.db'}",
            "BROKER_KEYS_MASTER_KEY_FILE": str(folder / "master.key"),
            "BROKER_AUDIT_PATH": str(folder / "audit.jsonl"),
            "BROKER_GATEWAY_LISTEN": gateway,
            "BROKER_GATEWAY_STORE_URL": f"http://{store}",
            "BROKER_GATEWAY_ACCESS_KEY_ID": "STORE",
            "BROKER_GATEWAY_SECRET_ACCESS_KEY": "secret",
            "BROKER_GATEWAY_ANONYMOUS": "true",
            "BROKER_LOG_LEVEL": "warning",
        }
        signer = asyncio.run(prepare(environment, gateway))
        url = f"http://{gateway}/public/0"
        running["gateway"] = stack.enter_context(
            Server([sys.executable, "-m", "broker", "gateway"], environment, gateway, url, "1")
        )
        yield running, signer


class Signer:
    """Signs requests for the gateway; the other proxies do not look."""

    def __init__(self, credentials, address: str) -> None:
        self._credentials, self._address = credentials, address

    def get(self, size: int) -> bytes:
        return self._request("GET", f"/bucket/{size}", _EMPTY, b"", {})

    def put(self, size: int, *, is_signed: bool) -> bytes:
        body = secrets.token_bytes(size)
        checksum = {"x-amz-checksum-crc32": b64encode(crc32(body).to_bytes(4, "big")).decode()}
        payload = sha256(body).hexdigest() if is_signed else "UNSIGNED-PAYLOAD"
        return self._request("PUT", "/bucket/key", payload, body, checksum if is_signed else {})

    def _request(self, method: str, path: str, payload: str, body: bytes, headers: dict[str, str]) -> bytes:
        from broker.app import clock
        from broker.sigv4.signing import sign_request

        given = {"host": self._address, **headers}
        signed = sign_request(method, path, "", given, payload, self._credentials, "us-east-1", clock())
        lines = "".join(f"{name}: {value}\r\n" for name, value in signed.items())
        length = f"content-length: {len(body)}\r\n" if method == "PUT" else ""
        return f"{method} {path} HTTP/1.1\r\n{lines}{length}\r\n".encode() + body


async def prepare(environment: dict[str, str], address: str) -> Signer:
    """An account with a bucket, and one that everybody may read (to see that the gateway serves)."""
    from broker.access.foreign_resources import put_resource_policy, register_resource
    from broker.app import clock, open_broker
    from broker.config import load_settings
    from broker.credentials.access_keys import ACCESS_KEY_ENTROPY, new_access_key_pair
    from broker.credentials.root_keys import ensure_root_key
    from broker.sigv4.signing import SigningCredentials

    pair = new_access_key_pair(ACCOUNT, secrets.token_bytes(ACCESS_KEY_ENTROPY))
    policy = (
        '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", '
        '"Resource": "arn:aws:s3:::public/*"}]}'
    )

    async def make(store) -> None:
        await ensure_root_key(store, ACCOUNT, pair, clock())
        await register_resource(store, ACCOUNT, "arn:aws:s3:::bucket", 0, 10)
        public = await register_resource(store, ACCOUNT, "arn:aws:s3:::public", 0, 10)
        await put_resource_policy(store, public, policy, 0, 20480, frozenset())

    async with open_broker(load_settings(None, environment), {}) as broker:
        await broker.store.transact(make)
    return Signer(SigningCredentials(pair.access_key_id, pair.secret), address)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=2.0, help="of each measurement (2)")
    parser.add_argument(
        "--rounds", type=int, default=5, help="how often each is measured; the median counts (5)"
    )
    for name in ("store", "bare", "behind"):
        parser.add_argument(f"--{name}", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.store or chosen.bare:
        import uvloop

        uvloop.run(
            serve_store(chosen.store) if chosen.store else serve_bare_proxy(chosen.bare, chosen.behind)
        )
        return
    with tempfile.TemporaryDirectory() as folder, proxies(Path(folder)) as (running, signer):
        print(f"{'CPU µs a request':24}" + "".join(f"{name:>12}" for name in running) + f"{'of aiohttp':>12}")
        for title, request in rows(signer):
            measured = measure(running, request, chosen.seconds, chosen.rounds)
            ratio = measured["aiohttp"] / measured["gateway"]
            figures = "".join(f"{measured[name]:12.0f}" for name in running)
            print(f"{title:24}{figures}{ratio:12.2f}  (goal {GOAL})")


def rows(signer: Signer) -> Iterator[tuple[str, bytes]]:
    for name, size in SIZES.items():
        yield f"GET {name}", signer.get(size)
        yield f"PUT {name}, unsigned", signer.put(size, is_signed=False)
        yield f"PUT {name}, signed", signer.put(size, is_signed=True)


def measure(running: dict[str, Server], request: bytes, seconds: float, rounds: int) -> dict[str, float]:
    """The median CPU of each, of rounds that alternate."""
    costs: dict[str, list[float]] = {name: [] for name in running}
    for _ in range(rounds):
        for name, server in running.items():
            costs[name].append(load(server, [request], seconds, 4)[0])
    return {name: statistics.median(found) for name, found in costs.items()}


if __name__ == "__main__":
    main()
