"""For the benches: servers to measure, and a client that uses little CPU.

A server is any process that answers HTTP; its CPU is read from /proc to the nanosecond, threads and workers included.
The client sends requests that were signed beforehand, over persistent connections, and checks only the status.
"""

import asyncio
import contextlib
import copy
import hmac
import operator
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from itertools import cycle, islice
from pathlib import Path
from typing import NamedTuple

REGION = "eu-central-1"
START_PATIENCE = 60.0


def free_address() -> str:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{listener.getsockname()[1]}"


class Server:
    """A process that answers at `address`; its start took `seconds` and `cpu`, until `ready_url` answered 200."""

    def __init__(
        self, command: Sequence[str], environment: Mapping[str, str], address: str, ready_url: str, cores: str
    ) -> None:
        self.address = address
        began = time.perf_counter()
        self.process = subprocess.Popen(
            ["taskset", "-c", cores, *command],
            env={**os.environ, **environment},
            stderr=subprocess.DEVNULL,
            cwd=Path(__file__).parents[2],
        )
        self._wait_for(ready_url)
        self.seconds = time.perf_counter() - began
        self.start_cpu = self.cpu_seconds()

    def at(self, address: str) -> "Server":
        """The same process at another of its addresses."""
        other = copy.copy(self)
        other.address = address
        return other

    def __enter__(self) -> "Server":
        return self

    def __exit__(self, *error: object) -> None:
        self.process.terminate()
        self.process.wait()

    def processes(self) -> list[int]:
        """The server's process and its workers."""
        pid = self.process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return [pid, *map(int, children)]

    def cpu_seconds(self) -> float:
        """User and system time of all running threads."""
        tasks = [task for pid in self.processes() for task in Path(f"/proc/{pid}/task").iterdir()]
        return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9

    def settle(self, most: float = 600.0) -> None:
        """Wait until it does nothing by itself for three seconds, as the first pass of the index of trust policies."""
        until, quiet = time.monotonic() + most, 0
        while quiet < 3 and time.monotonic() < until:
            before = self.cpu_seconds()
            time.sleep(1)
            quiet = quiet + 1 if self.cpu_seconds() - before < 0.05 else 0

    def memory(self) -> dict[str, float]:
        """Megabytes of the busiest process by /proc/PID/smaps_rollup: Rss, Pss and others."""
        return max((_memory(pid) for pid in self.processes()), key=lambda kinds: kinds["Rss"])

    def _wait_for(self, url: str) -> None:
        until = time.monotonic() + START_PATIENCE
        while time.monotonic() < until and self.process.poll() is None:
            try:
                urllib.request.urlopen(url, timeout=5).close()
                return
            except OSError:
                time.sleep(0.005)
        sys.exit(f"{url} does not answer")


def _memory(pid: int) -> dict[str, float]:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    return {line.split(":")[0]: int(line.split()[1]) / 1000 for line in lines}


class Connection(asyncio.Protocol):
    """Sends the next request as soon as the answer is complete (by its Content-Length); a refusal ends the bench."""

    def __init__(self, requests: Iterator[bytes], counts: list[int]) -> None:
        self._requests, self._counts, self._buffer = requests, counts, b""
        self.is_running = True
        self.is_done = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self._send()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, separator, body = self._buffer.partition(b"\r\n\r\n")
        if not separator or len(body) < _content_length(head):
            return
        if not head.startswith(b"HTTP/1.1 20"):
            sys.exit(f"refused: {self._buffer.decode()}")
        self._buffer = b""
        self._counts[0] += 1
        self._send()

    def _send(self) -> None:
        """Send the next request; end where there is none or the time is over."""
        request = next(self._requests, None) if self.is_running else None
        if request is not None:
            self.transport.write(request)
        elif not self.is_done.done():
            self.is_done.set_result(None)
            self.transport.close()


def _content_length(head: bytes) -> int:
    start = head.lower().index(b"content-length:") + 15
    return int(head[start:].partition(b"\r\n")[0])


def load(
    server: Server, requests: Sequence[bytes], seconds: float, connections: int = 16
) -> tuple[float, float]:
    """The server's CPU microseconds per request, and requests per second; the requests are repeated."""
    return asyncio.run(_load(server, cycle(requests), seconds, connections))


class Burst(NamedTuple):
    """The servers' CPU microseconds per request, requests per second, and how many cores they were busy on."""

    cost: float
    rate: float
    cores: float


class Backlog:
    """Connections with waiting requests, for a server that runs only while it is measured.

    So the client works while no figure is taken, and all cores are the server's: on a machine of two, two workers have
    them to themselves. They hold 5,760 requests: a time in which a server answers more of them is too long, and shows
    in the cores that it was busy on. Leaving it lets the server go on.
    """

    CONNECTIONS = 240
    AHEAD = 24  # requests; the broker takes 32 on a connection before it answers the first

    def __init__(self, server: Server) -> None:
        self.server = server
        host, port = server.address.split(":")
        self._connections = [socket.create_connection((host, int(port))) for _ in range(self.CONNECTIONS)]
        self._unanswered = [0] * self.CONNECTIONS
        self.signal(signal.SIGSTOP)

    def __enter__(self) -> "Backlog":
        return self

    def __exit__(self, *error: object) -> None:
        self.signal(signal.SIGCONT)
        for connection in self._connections:
            connection.close()

    def signal(self, name: signal.Signals) -> None:
        for process in self.server.processes():
            os.kill(process, name)

    def fill(self, requests: Iterator[bytes]) -> None:
        """Send as many requests on every connection as were answered since the last call."""
        for index, connection in enumerate(self._connections):
            more = self.AHEAD - self._unanswered[index]
            connection.sendall(b"".join(islice(requests, more)))
            self._unanswered[index] += more

    def take(self) -> int:
        """The number of received answers; a refusal ends the bench."""
        return sum(self._take_from(index) for index in range(self.CONNECTIONS))

    def _take_from(self, index: int) -> int:
        received = b""
        with contextlib.suppress(BlockingIOError):
            while more := self._connections[index].recv(1 << 20, socket.MSG_DONTWAIT):
                received += more
        answered = received.count(b"HTTP/1.1 20")
        if answered < received.count(b"HTTP/1.1 ") or answered > self._unanswered[index]:
            sys.exit(f"refused: {received.decode()}")
        self._unanswered[index] -= answered
        return answered


def load_from_backlogs(loads: Sequence[tuple[Backlog, Iterator[bytes]]], seconds: float) -> Burst:
    """Let the servers run at the same time for some seconds."""
    backlogs = [backlog for backlog, _ in loads]
    for backlog, requests in loads:
        backlog.fill(requests)
    began, cpu = time.perf_counter(), sum(backlog.server.cpu_seconds() for backlog in backlogs)
    for backlog in backlogs:
        backlog.signal(signal.SIGCONT)
    time.sleep(seconds)
    for backlog in backlogs:
        backlog.signal(signal.SIGSTOP)
    elapsed = time.perf_counter() - began
    used = sum(backlog.server.cpu_seconds() for backlog in backlogs) - cpu
    done = sum(backlog.take() for backlog in backlogs)
    return Burst(used / done * 1e6, done / elapsed, used / elapsed)


_LOOP = """
import hashlib, json, sys, time
text = json.dumps({f"key {n}": [f"value {n} {m}" for m in range(20)] for n in range(4)})
begin, end = map(float, sys.argv[1:])
while time.monotonic() < begin:
    pass
used, done = time.process_time(), 0
while time.monotonic() < end:
    read = json.loads(text)
    hashlib.sha256(json.dumps(read).encode()).hexdigest()
    done += 1
print((time.process_time() - used) / done * 1e6, done / (end - begin))
"""


def count_loops(processes: int, seconds: float) -> Burst:
    """As `load_from_backlogs`, of independent processes that read, write and hash a little JSON.

    They share no memory and need little of their own: what they lose beside one another, the machine has not to give.
    """
    begin = time.monotonic() + 0.3
    command = [sys.executable, "-c", _LOOP, str(begin), str(begin + seconds)]
    counting = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(processes)]
    figures = [process.communicate()[0].split() for process in counting]
    costs, rates = zip(*((float(cost), float(rate)) for cost, rate in figures), strict=True)
    return Burst(sum(costs) / processes, sum(rates), sum(map(operator.mul, costs, rates)) / 1e6)


def send_all(server: Server, requests: Sequence[bytes], connections: int = 16) -> None:
    """Each request once."""
    asyncio.run(_load(server, iter(requests), None, connections))


def ask(server: Server, request: bytes) -> tuple[str, float]:
    """The body of the answer to one request on a new connection, and the milliseconds it took."""
    host, port = server.address.split(":")
    with socket.create_connection((host, int(port))) as connection:
        began = time.perf_counter()
        connection.sendall(request)
        answer = b""
        while b"\r\n\r\n" not in answer or len(answer.partition(b"\r\n\r\n")[2]) < _content_length(answer):
            answer += connection.recv(1 << 20)
        took = time.perf_counter() - began
    if not answer.startswith(b"HTTP/1.1 20"):
        sys.exit(f"refused: {answer.decode()}")
    return answer.partition(b"\r\n\r\n")[2].decode(), took * 1000


async def _load(
    server: Server, requests: Iterator[bytes], seconds: float | None, connections: int
) -> tuple[float, float]:
    counts = [0]
    host, port = server.address.split(":")
    loop = asyncio.get_running_loop()
    opened = [
        await loop.create_connection(lambda: Connection(requests, counts), host, int(port))
        for _ in range(connections)
    ]
    began, cpu, count = time.perf_counter(), server.cpu_seconds(), counts[0]
    if seconds is not None:
        await asyncio.sleep(seconds)
        for _, protocol in opened:
            protocol.is_running = False
    elapsed, used, done = time.perf_counter() - began, server.cpu_seconds() - cpu, counts[0] - count
    await asyncio.gather(*(protocol.is_done for _, protocol in opened))
    return used / max(done, 1) * 1e6, done / elapsed


VERSIONS = {"sts": "2011-06-15", "iam": "2010-05-08"}


CLIENT = "Boto3/1.44.5 md/Botocore#1.44.5 ua/2.1 os/linux lang/python#3.11 cfg/retry-mode#legacy"


def signed(
    host: str,
    parameters: Mapping[str, str],
    key_id: str,
    secret: str,
    service: str = "sts",
    *,
    token: str = "",
    region: str = REGION,
    client: str = CLIENT,
) -> bytes:
    """A whole POST to STS or IAM, signed as SDKs sign it (SigV4), in microseconds: thousands are made at once."""
    body = urllib.parse.urlencode({**parameters, "Version": VERSIONS[service]}).encode()
    moment = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    scope = f"{moment[:8]}/{region}/{service}/aws4_request"
    content_type = "application/x-www-form-urlencoded; charset=utf-8"
    headers = f"content-type:{content_type}\nhost:{host}\nx-amz-date:{moment}\n"
    names = "content-type;host;x-amz-date"
    session = ""
    if token:
        headers += f"x-amz-security-token:{token}\n"
        names += ";x-amz-security-token"
        session = f"X-Amz-Security-Token: {token}\r\n"
    canonical = f"POST\n/\n\n{headers}\n{names}\n{sha256(body).hexdigest()}"
    to_sign = f"AWS4-HMAC-SHA256\n{moment}\n{scope}\n{sha256(canonical.encode()).hexdigest()}"
    key = f"AWS4{secret}".encode()
    for part in (*scope.split("/"), to_sign):
        key = hmac.digest(key, part.encode(), "sha256")
    head = (
        f"POST / HTTP/1.1\r\nHost: {host}\r\nX-Amz-Date: {moment}\r\nContent-Type: {content_type}\r\n"
        f"User-Agent: {client}\r\n{session}"
        f"Authorization: AWS4-HMAC-SHA256 Credential={key_id}/{scope}, SignedHeaders={names}, "
        f"Signature={key.hex()}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body
