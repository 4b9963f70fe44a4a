#!/usr/bin/env python3
"""Requests through the whole broker, beside a bare aiohttp handler in the same run.

Each operation is sent, signed for real and again and again over kept connections, to `broker serve` with one worker
and then to a bare aiohttp server that reads the same request and answers as many bytes; rounds alternate. Printed are
the server's CPU microseconds per request, requests per second, and the ratio bare/broker of the CPU (1.0 would mean
that the broker costs nothing). Servers run on the first core, the client on the last.

    scripts/bench/requests.py                       all operations, SQLite, audit on
    scripts/bench/requests.py --rounds 5 --seconds 3 assume-role
"""

import argparse
import asyncio
import os
import secrets
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

import boto3
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

ACCOUNT, KEY_ID, SECRET = "111111111111", "AKIABENCHBENCHBENCH0", secrets.token_hex(20)


def free_address() -> str:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{listener.getsockname()[1]}"


API, METADATA, OPERATIONS, BARE = (free_address() for _ in range(4))
CONNECTIONS = 16

BARE_SERVER = f"""
import sys
from aiohttp import web

async def post(request):
    await request.read()
    return web.Response(body=b"x" * int(request.query.get("size", "500")), content_type="text/xml")

async def get(request):
    return web.Response(body=b"x" * int(request.query.get("size", "500")), content_type="text/plain")

application = web.Application()
application.router.add_post("/", post)
application.router.add_get("/{{path:.*}}", get)
host, port = "{BARE}".split(":")
web.run_app(application, host=host, port=int(port), access_log=None, print=None)
"""


@dataclass
class Target:
    """Where to send what: raw HTTP bytes over kept connections."""

    address: str
    request: bytes
    pid: int


class Connection(asyncio.Protocol):
    """Sends the same bytes again when an answer is complete; answers carry Content-Length."""

    def __init__(self, request: bytes, counts: list[int]) -> None:
        self.request, self.counts, self.buffer = request, counts, b""
        self.running = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        transport.write(self.request)

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        head, separator, body = self.buffer.partition(b"\r\n\r\n")
        if not separator:
            return
        lower = head.lower()
        start = lower.index(b"content-length:") + 15
        end = lower.find(b"\r\n", start)
        length = int(lower[start : end if end > 0 else None])
        if len(body) < length:
            return
        if not head.startswith(b"HTTP/1.1 200"):
            sys.exit(f"refused: {self.buffer.decode()}")
        self.buffer = b""
        self.counts[0] += 1
        self.counts[1] = length
        if self.running:
            self.transport.write(self.request)


async def load(target: Target, seconds: float) -> tuple[float, float, int]:
    """CPU microseconds of the server per request, requests per second, and bytes of one answer."""
    counts = [0, 0]
    host, port = target.address.split(":")
    loop = asyncio.get_running_loop()
    connections = [
        await loop.create_connection(lambda: Connection(target.request, counts), host, int(port))
        for _ in range(CONNECTIONS)
    ]
    await asyncio.sleep(0.3)
    began, cpu, count = time.perf_counter(), cpu_seconds(target.pid), counts[0]
    await asyncio.sleep(seconds)
    elapsed, used, done = time.perf_counter() - began, cpu_seconds(target.pid) - cpu, counts[0] - count
    for transport, protocol in connections:
        protocol.running = False
        transport.close()
    return used / done * 1e6, done / elapsed, counts[1]


def cpu_seconds(pid: int) -> float:
    """User and system time of a process and its threads, to the nanosecond where the kernel tells it."""
    total = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        total += int((task / "schedstat").read_text().split()[0])
    return total / 1e9


def pinned(core: int, command: list[str], environment: dict[str, str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(["taskset", "-c", str(core), *command], env={**os.environ, **environment})


def wait_for(url: str) -> None:
    for _ in range(200):
        try:
            urllib.request.urlopen(url, timeout=1)
            return
        except urllib.error.HTTPError:
            return
        except OSError:
            time.sleep(0.05)
    sys.exit(f"{url} does not answer")


def signed(parameters: dict[str, str], keys: Credentials) -> bytes:
    """A POST of STS as botocore signs and sends it."""
    body = urllib.parse.urlencode({**parameters, "Version": "2011-06-15"})
    headers = {
        "Content-Type": "application/x-www-form-urlencoded; charset=utf-8",
        "User-Agent": "Boto3/1.44.5 md/Botocore#1.44.5 ua/2.1 os/linux lang/python#3.11 cfg/retry-mode#legacy",
        "Host": API,
    }
    request = AWSRequest("POST", f"http://{API}/", headers=headers, data=body)
    SigV4Auth(keys, "sts", "eu-central-1").add_auth(request)
    return raw("POST", "/", dict(request.headers), body.encode())


def raw(method: str, path: str, headers: dict[str, str], body: bytes = b"") -> bytes:
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    if method == "POST":
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + body


def prepare() -> tuple[Credentials, str]:
    """A user that may assume a role of another account, and that role's ARN: in the plain way, by the API."""
    root = boto3.client(
        "iam", endpoint_url=f"http://{API}", region_name="eu-central-1",
        aws_access_key_id=KEY_ID, aws_secret_access_key=SECRET,
    )  # fmt: skip
    root.create_user(UserName="bench")
    trust = (
        f'{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Action":"sts:AssumeRole",'
        f'"Principal":{{"AWS":"arn:aws:iam::{ACCOUNT}:root"}}}}]}}'
    )
    role = root.create_role(RoleName="bench", AssumeRolePolicyDocument=trust)["Role"]["Arn"]
    statement = f'{{"Effect":"Allow","Action":"sts:AssumeRole","Resource":"{role}"}}'
    allow = f'{{"Version":"2012-10-17","Statement":[{statement}]}}'
    root.put_user_policy(UserName="bench", PolicyName="assume", PolicyDocument=allow)
    key = root.create_access_key(UserName="bench")["AccessKey"]
    return Credentials(key["AccessKeyId"], key["SecretAccessKey"]), role


def metadata_request() -> bytes:
    """A credentials GET with an IMDSv2 token, as an SDK sends it."""
    put = urllib.request.Request(
        f"http://{METADATA}/latest/api/token", method="PUT",
        headers={"X-aws-ec2-metadata-token-ttl-seconds": "21600"},
    )  # fmt: skip
    token = urllib.request.urlopen(put).read().decode()
    path = "/latest/meta-data/iam/security-credentials/"
    ask = urllib.request.Request(f"http://{METADATA}{path}", headers={"X-aws-ec2-metadata-token": token})
    role = urllib.request.urlopen(ask).read().decode()
    return raw(
        "GET",
        path + role,
        {"Host": METADATA, "X-aws-ec2-metadata-token": token, "User-Agent": "Boto3/1.44.5"},
    )


GOALS = {"assume-role": 0.45, "caller-identity": 0.55, "metadata": 0.9}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("operations", nargs="*", choices=[*GOALS, []], help="default: all")
    parser.add_argument("--rounds", type=int, default=5, help="alternating rounds of each server (5)")
    parser.add_argument("--seconds", type=float, default=2.0, help="seconds a round (2)")
    parser.add_argument("--store", help="sqlite:PATH or redis://…; default: SQLite in a temporary folder")
    chosen = parser.parse_args()
    os.sched_setaffinity(0, {os.cpu_count() - 1})  # type: ignore[operator]
    with tempfile.TemporaryDirectory() as folder:
        environment = {
            "BROKER_STORE_URL": chosen.store or f"sqlite:{folder}/broker.db",
            "BROKER_KEYS_MASTER_KEY_FILE": f"{folder}/master.key",
            "BROKER_AUDIT_PATH": f"{folder}/audit.jsonl",
            "BROKER_ROOT_ACCOUNT_ID": ACCOUNT,
            "BROKER_ROOT_ACCESS_KEY_ID": KEY_ID,
            "BROKER_ROOT_SECRET_ACCESS_KEY": SECRET,
        }
        if "metadata" in (chosen.operations or GOALS):
            prepare_metadata(environment, folder)
        serve = [sys.executable, "-m", "broker", "serve", "--api", API, "--metadata", METADATA]
        broker = pinned(0, [*serve, "--operations", OPERATIONS], environment)
        bare = pinned(0, [sys.executable, "-c", BARE_SERVER], {})
        try:
            wait_for(f"http://{OPERATIONS}/readyz")
            wait_for(f"http://{BARE}/")
            measure(chosen, broker.pid, bare.pid)
        finally:
            for process in (broker, bare):
                process.terminate()
                process.wait()


def prepare_metadata(environment: dict[str, str], folder: str) -> None:
    """An instance at the loopback address, with a profile: by `broker apply`, before the server starts."""
    file = Path(folder, "bench.yaml")
    file.write_text(INSTANCE)
    subprocess.run(
        [sys.executable, "-m", "broker", "apply", str(file)], env={**os.environ, **environment}, check=True
    )
    environment["BROKER_METADATA_LOOPBACK_INSTANCE"] = "i-0123456789abcdef0"


INSTANCE = f"""
accounts:
  "{ACCOUNT}":
    roles:
      instance:
        trust_policy:
          Version: "2012-10-17"
          Statement: [{{Effect: Allow, Action: "sts:AssumeRole", Principal: {{Service: ec2.amazonaws.com}}}}]
    instance_profiles:
      instance: {{role: instance}}
instances:
  i-0123456789abcdef0: {{account_id: "{ACCOUNT}", instance_profile: instance}}
"""


def measure(chosen: argparse.Namespace, broker: int, bare: int) -> None:
    keys, role = prepare()
    requests = {
        "assume-role": (API, lambda: signed(
            {"Action": "AssumeRole", "RoleArn": role, "RoleSessionName": "bench"}, keys)),
        "caller-identity": (API, lambda: signed({"Action": "GetCallerIdentity"}, keys)),
        "metadata": (METADATA, metadata_request),
    }  # fmt: skip
    print(
        f"{'operation':16} {'broker us':>10} {'bare us':>9} {'broker/s':>9} {'bare/s':>9} {'ratio':>6} {'goal':>5}"
    )
    for name in chosen.operations or GOALS:
        address, make = requests[name]
        ours, theirs = [], []
        for _ in range(chosen.rounds):
            request = make()
            *figures, size = asyncio.run(load(Target(address, request, broker), chosen.seconds))
            ours.append(figures)
            plain = request.replace(b" HTTP/1.1\r\n", f"?size={size} HTTP/1.1\r\n".encode(), 1)
            *figures, _ = asyncio.run(load(Target(BARE, plain, bare), chosen.seconds))
            theirs.append(figures)
        cpu, rate = (statistics.median(row[column] for row in ours) for column in (0, 1))
        bare_cpu, bare_rate = (statistics.median(row[column] for row in theirs) for column in (0, 1))
        print(
            f"{name:16} {cpu:10.1f} {bare_cpu:9.1f} {rate:9.0f} {bare_rate:9.0f} "
            f"{bare_cpu / cpu:6.2f} {GOALS[name]:5.2f}   quietest rounds: "
            f"{min(row[0] for row in ours):.1f} {min(row[0] for row in theirs):.1f} "
            f"{min(row[0] for row in theirs) / min(row[0] for row in ours):.2f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
