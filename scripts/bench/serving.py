"""For the benches: servers to measure, and a client that costs little beside them.

A server is any process that answers HTTP; its CPU is read from /proc to the nanosecond, threads and workers included.
The client sends requests that were signed beforehand, over kept connections, and looks at nothing but the status.
"""

import asyncio
import copy
import hmac
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from itertools import cycle
from pathlib import Path

REGION = "eu-central-1"
START_PATIENCE = 60.0


def free_address() -> str:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{listener.getsockname()[1]}"


class Server:
    """A process that answers at `address`; `seconds` and `cpu` are what its start took, until `ready_url` said 200."""

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

    def spread(self) -> None:
        """Each worker on a core of its own: of three busy processes on two cores some are moved about."""
        for core, worker in enumerate(self.processes()[1:]):
            for task in Path(f"/proc/{worker}/task").iterdir():
                os.sched_setaffinity(int(task.name), {core})

    def cpu_seconds(self) -> float:
        """User and system time of all threads that live."""
        tasks = [task for pid in self.processes() for task in Path(f"/proc/{pid}/task").iterdir()]
        return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9

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
    """Sends the next request as soon as the answer is whole (by its Content-Length); a refusal ends the bench."""

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
        if not head.startswith(b"HTTP/1.1 200"):
            sys.exit(f"refused: {self._buffer.decode()}")
        self._buffer = b""
        self._counts[0] += 1
        self._send()

    def _send(self) -> None:
        """The next request; the end, where there is none or the time is over."""
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
    """The server's CPU microseconds per request, and requests per second; the requests go round and round."""
    return asyncio.run(_load(server, cycle(requests), seconds, connections))


_WRK_SCRIPT = """
local requests, number = {{}}, 0
for _, text in io.open("{file}", "rb"):read("*a"):gmatch("()(.-)\\n%-%-%-%-\\n") do requests[#requests + 1] = text end
request = function()
  number = number % #requests + 1
  return requests[number]
end
"""


def load_by_wrk(
    server: Server, requests: Sequence[bytes], seconds: int, connections: int = 16, ahead: int = 1
) -> tuple[float, float]:
    """As `load`, by the load generator wrk (Debian's package of that name), which costs a tenth of our own client, and
    less where it sends so many requests `ahead` at a time.
    """
    sent = [b"".join(requests[start : start + ahead]) for start in range(0, len(requests), ahead)]
    with tempfile.TemporaryDirectory() as folder:
        file, script = Path(folder, "requests"), Path(folder, "script.lua")
        file.write_bytes(b"".join(some + b"\n----\n" for some in sent))
        script.write_text(_WRK_SCRIPT.format(file=file))
        command = [
            "wrk",
            "-t1",
            "--timeout",
            "10s",
            f"-c{connections}",
            f"-d{seconds}",
            "-s",
            str(script),
            f"http://{server.address}/",
        ]
        cpu = server.cpu_seconds()
        told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        used = server.cpu_seconds() - cpu
    if "Non-2xx" in told or "Socket errors" in told:
        sys.exit(f"refused: {told}")
    done = int(told.partition(" requests in ")[0].split()[-1])
    return used / done * 1e6, float(told.partition("Requests/sec:")[2].split()[0])


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


def count_loops(processes: int, seconds: float) -> tuple[float, float]:
    """As `load`, of processes that read, write and hash a little JSON, each for itself and without a word to others.

    They share no memory and need little of their own: what they lose beside one another, the machine has not to give.
    """
    begin = time.monotonic() + 0.3
    command = [sys.executable, "-c", _LOOP, str(begin), str(begin + seconds)]
    counting = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(processes)]
    told = [process.communicate()[0].split() for process in counting]
    costs, rates = zip(*((float(cost), float(rate)) for cost, rate in told), strict=True)
    return sum(costs) / processes, sum(rates)


def send_all(server: Server, requests: Sequence[bytes], connections: int = 16) -> None:
    """Each request once."""
    asyncio.run(_load(server, iter(requests), None, connections))


def ask(server: Server, request: bytes) -> tuple[str, float]:
    """The body of the answer to one request on a connection of its own, and the milliseconds it took."""
    host, port = server.address.split(":")
    with socket.create_connection((host, int(port))) as connection:
        began = time.perf_counter()
        connection.sendall(request)
        answer = b""
        while b"\r\n\r\n" not in answer or len(answer.partition(b"\r\n\r\n")[2]) < _content_length(answer):
            answer += connection.recv(1 << 20)
        took = time.perf_counter() - began
    if not answer.startswith(b"HTTP/1.1 200"):
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


def signed(host: str, parameters: Mapping[str, str], key_id: str, secret: str, service: str = "sts") -> bytes:
    """A whole POST to STS or IAM, signed as SDKs sign it (SigV4), in microseconds: thousands are made at once."""
    body = urllib.parse.urlencode({**parameters, "Version": VERSIONS[service]}).encode()
    moment = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    scope = f"{moment[:8]}/{REGION}/{service}/aws4_request"
    content_type = "application/x-www-form-urlencoded; charset=utf-8"
    headers = f"content-type:{content_type}\nhost:{host}\nx-amz-date:{moment}\n"
    names = "content-type;host;x-amz-date"
    canonical = f"POST\n/\n\n{headers}\n{names}\n{sha256(body).hexdigest()}"
    to_sign = f"AWS4-HMAC-SHA256\n{moment}\n{scope}\n{sha256(canonical.encode()).hexdigest()}"
    key = f"AWS4{secret}".encode()
    for part in (*scope.split("/"), to_sign):
        key = hmac.digest(key, part.encode(), "sha256")
    head = (
        f"POST / HTTP/1.1\r\nHost: {host}\r\nX-Amz-Date: {moment}\r\nContent-Type: {content_type}\r\n"
        f"User-Agent: Boto3/1.44.5 md/Botocore#1.44.5 ua/2.1 os/linux lang/python#3.11 cfg/retry-mode#legacy\r\n"
        f"Authorization: AWS4-HMAC-SHA256 Credential={key_id}/{scope}, SignedHeaders={names}, "
        f"Signature={key.hex()}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body
