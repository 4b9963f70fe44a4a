"""Whether the memory of a broker stays flat for hours: a mixed load at a fixed rate, and what is in memory each minute.

The store has 1,000 accounts (--accounts) with 20 roles each (scripts/bench/populate.py); one worker serves it, from
SQLite or Redis.

mixed      AssumeRole of roles drawn evenly, GetCallerIdentity by keys and by the sessions that were assumed, IAM's
           readings by page and by name, policies of roles that are written.
strangers  a third of the mixed load; the rest comes from keys, accounts, tokens, regions and clients that do not exist,
           each of them seen once: what anybody may send.

Each minute a line is printed, and written to the log as JSON: requests so far, resident memory, what the allocators of
Python and of the C library have in use and hold free (allocators.py), and weight and number of entries of each cache
(from /metrics). The caches that have a weight estimate it in bytes; of those that only have a number, an entry is
counted as ENTRY_BYTES.

The summary looks at the second half of the time, when the caches should be full: how many bytes a request adds to the
memory (the slope of a line through the minutes), how many of them are caches still being filled, and whether the rest
is flat: below FLAT bytes a request, or below one part in a hundred of the memory in that time. What is in use and what
is free are shown in the same way: free memory is used again.

    .venv-test/bin/python scripts/bench/soak.py --hours 2                           mixed, SQLite
    .venv-test/bin/python scripts/bench/soak.py --hours 2 --load strangers --rate 100 --log strangers.jsonl
    .venv-test/bin/python scripts/bench/soak.py --summary strangers.jsonl           only the summary of a log
"""

import argparse
import asyncio
import json
import os
import re
import signal
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from random import Random
from typing import NamedTuple

from allocators import MEGABYTE
from populate import access_key, account_id, bench_role, fill, policy_text
from serving import Server, free_address, signed

from tests.redis_server import RedisServer

ROLES = 20
CONNECTIONS = 8
ENTRY_BYTES = 1500  # a login, with its caller; a signing key takes less
FLAT = 8.0  # bytes a request
BOOK = "allocators.json"
REGIONS = ("eu-central-1", "us-east-1", "ap-southeast-2")
_MOST_SESSIONS = 500  # that the clients use at the same time

_KEY = re.compile(r"<AccessKeyId>(.*)</AccessKeyId>")
_SECRET = re.compile(r"<SecretAccessKey>(.*)</SecretAccessKey>")
_TOKEN = re.compile(r"<SessionToken>(.*)</SessionToken>")
_SAMPLE = re.compile(r"^(broker_\w+)\{([^}]*)\} (\S+)$", re.MULTILINE)
_CACHE = re.compile(r'cache="([^"]*)"')


class Session(NamedTuple):
    key_id: str
    secret: str
    token: str


class Load:
    """Makes requests; remembers the sessions that were minted, and the users that were made."""

    def __init__(self, host: str, accounts: int, seed: int, strangers: float) -> None:
        self._host = host
        self._accounts = accounts
        self._random = Random(seed)
        self._strangers = strangers
        self._sessions: list[Session] = []
        self._made = 0
        self._kinds: dict[Callable[[], bytes], int] = {
            self._assume_role: 35,
            self._identity_of_key: 15,
            self._identity_of_session: 15,
            self._read: 20,
            self._write: 15,
        }

    def next(self) -> tuple[bytes, bool]:
        """A request, and whether it is to be granted."""
        if self._random.random() < self._strangers:
            return self._stranger(), False
        (kind,) = self._random.choices(list(self._kinds), list(self._kinds.values()))
        return kind(), True

    def note(self, answer: str) -> None:
        """Remember the session in an answer to AssumeRole."""
        found = [pattern.search(answer) for pattern in (_KEY, _SECRET, _TOKEN)]
        if not all(found) or "<AssumeRoleResult>" not in answer:
            return
        session = Session(*(one[1] for one in found if one is not None))
        if len(self._sessions) < _MOST_SESSIONS:
            self._sessions.append(session)
        else:
            self._sessions[self._random.randrange(_MOST_SESSIONS)] = session

    def _account(self) -> int:
        return self._random.randrange(self._accounts)

    def _request(self, account: int, action: str, service: str = "iam", **parameters: str) -> bytes:
        return signed(self._host, {"Action": action, **parameters}, *access_key(account_id(account)), service)

    def _assume_role(self) -> bytes:
        account = self._account()
        role = bench_role(account, self._random.randrange(ROLES))
        external = {"ExternalId": role.external_id} if role.external_id else {}
        name = f"soak-{self._random.randrange(10_000)}"
        return self._request(account, "AssumeRole", "sts", RoleArn=role.arn, RoleSessionName=name, **external)

    def _identity_of_key(self) -> bytes:
        return self._request(self._account(), "GetCallerIdentity", "sts")

    def _identity_of_session(self) -> bytes:
        if not self._sessions:
            return self._identity_of_key()
        session = self._random.choice(self._sessions)
        parameters = {"Action": "GetCallerIdentity"}
        return signed(self._host, parameters, session.key_id, session.secret, token=session.token)

    def _read(self) -> bytes:
        account, number = self._account(), self._random.randrange(ROLES)
        name = bench_role(account, number).name
        action, parameters = self._random.choice(
            [
                ("ListRoles", {"MaxItems": "20"}),
                ("ListUsers", {}),
                ("GetRole", {"RoleName": name}),
                ("GetUser", {"UserName": "bench"}),
                ("GetRolePolicy", {"RoleName": name, "PolicyName": "read"}),
                ("GetAccountAuthorizationDetails", {"MaxItems": "10"}),
                ("GetAccountSummary", {}),
            ]
        )
        return self._request(account, action, **parameters)

    def _write(self) -> bytes:
        """The policy of a role, of which no two have the same text."""
        account, number = self._account(), self._random.randrange(ROLES)
        self._made += 1
        text = policy_text(
            {
                "Sid": f"n{self._made}",
                "Effect": "Allow",
                "Action": "s3:GetObject",
                "Resource": f"arn:aws:s3:::b/{self._made}/*",
            }
        )
        name = bench_role(account, number).name
        return self._request(
            account, "PutRolePolicy", RoleName=name, PolicyName="written", PolicyDocument=text
        )

    def _stranger(self) -> bytes:
        """Of a key, an account, a token, a region or a client that was never seen before."""
        letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
        made = "".join(self._random.choices(letters, k=16))
        secret, service = self._random.randbytes(20).hex(), self._random.choice(("sts", "iam"))
        action = {"Action": "GetCallerIdentity" if service == "sts" else "ListUsers"}
        kind = self._random.randrange(4)
        if kind == 0:
            return signed(self._host, action, f"AKIA{made}", secret, service)
        if kind == 1:
            token = self._random.randbytes(300).hex()
            return signed(self._host, action, f"ASIA{made}", secret, service, token=token)
        if kind == 2:  # a known key, a wrong secret, a region that nobody has
            key_id, _ = access_key(account_id(self._account()))
            return signed(self._host, action, key_id, secret, service, region=f"zz-{made.lower()}-1")
        known = access_key(account_id(self._account()))
        stranger = f"arn:aws:iam::{self._random.randrange(10**12):012}:role/{made}"
        wanted = {"Action": "AssumeRole", "RoleArn": stranger, "RoleSessionName": made}
        return signed(self._host, wanted, *known, client=f"stranger/{made}")


class Counts:
    def __init__(self) -> None:
        self.sent = self.granted = self.refused = self.wrong = 0


async def client(load: Load, address: str, pause: float, until: float, counts: Counts) -> None:
    host, port = address.split(":")
    reader, writer = await asyncio.open_connection(host, int(port), limit=1 << 24)
    due = time.monotonic()
    while due < until:
        request, is_to_be_granted = load.next()
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"content-length: *(\d+)", head, re.IGNORECASE)
        assert length is not None
        body = (await reader.readexactly(int(length[1]))).decode()
        counts.sent += 1
        if head.startswith(b"HTTP/1.1 200"):
            counts.granted += 1
            load.note(body)
        else:
            counts.refused += 1
        if head.startswith(b"HTTP/1.1 200") != is_to_be_granted or head.startswith(b"HTTP/1.1 5"):
            counts.wrong += 1
            print(f"unexpected: {head[:40]!r} {body[:400]}", file=sys.stderr)
        due += pause
        await asyncio.sleep(max(0.0, due - time.monotonic()))
    writer.close()


def allocated(server: Server, book: Path) -> dict[str, float]:
    """What the broker writes down of its allocators, megabytes."""
    book.unlink(missing_ok=True)
    server.process.send_signal(signal.SIGUSR2)
    until = time.monotonic() + 10
    while not book.exists() and time.monotonic() < until:
        time.sleep(0.01)
    found: dict[str, float] = json.loads(book.read_text())
    return found


def sample(server: Server, metrics: str, book: Path, began: float, counts: Counts) -> dict[str, object]:
    with urllib.request.urlopen(metrics, timeout=30) as answer:
        text = answer.read().decode()
    weights: dict[str, float] = {}
    entries: dict[str, float] = {}
    for name, labels, value in _SAMPLE.findall(text):
        cache = _CACHE.search(labels)
        if cache is not None:
            {"broker_cache_weight_bytes": weights, "broker_cache_entries": entries}[name][cache[1]] = float(
                value
            )
    books = allocated(server, book)
    return {
        "seconds": round(time.monotonic() - began),
        "requests": counts.sent,
        "refused": counts.refused,
        "unexpected": counts.wrong,
        "rss": round(server.memory()["Rss"] * 1e6),
        "used": round((books["python_used"] + books["library_used"]) * MEGABYTE),
        "free": round((books["python_free"] + books["library_free"]) * MEGABYTE),
        "books": books,
        "cpu": round(server.cpu_seconds(), 1),
        "weights": weights,
        "entries": entries,
    }


def cached_bytes(one: dict[str, dict[str, float]]) -> float:
    counted = sum(number for name, number in one["entries"].items() if name not in one["weights"])
    return sum(one["weights"].values()) + ENTRY_BYTES * counted


def line(one: dict[str, object]) -> str:
    weights, entries = one["weights"], one["entries"]
    assert isinstance(weights, dict)
    assert isinstance(entries, dict)
    caches = " ".join(
        f"{name}:{weights[name] / 1e6:.1f}MB/{entries[name]:.0f}"
        if name in weights
        else f"{name}:{entries[name]:.0f}"
        for name in entries
    )
    assert isinstance(one["rss"], int)
    assert isinstance(one["used"], int)
    assert isinstance(one["free"], int)
    memory = f"RSS {one['rss'] / 1e6:.1f} MB, in use {one['used'] / 1e6:.1f}, free {one['free'] / 1e6:.1f}"
    return f"{one['seconds']:>6} s {one['requests']:>9} requests  {memory}  {caches}"


def slope(points: Sequence[tuple[float, float]]) -> float:
    """Of the line of least squares."""
    middle_x = sum(x for x, _ in points) / len(points)
    middle_y = sum(y for _, y in points) / len(points)
    spread = sum((x - middle_x) ** 2 for x, _ in points)
    return sum((x - middle_x) * (y - middle_y) for x, y in points) / spread if spread else 0.0


def summarize(samples: Sequence[dict[str, object]]) -> str:
    """What the second half says."""
    half = samples[len(samples) // 2 :]
    if len(half) < 3:
        return "too few minutes for a summary"
    requests = [float(one["requests"]) for one in half]  # type: ignore[arg-type]
    memory = [float(one["rss"]) for one in half]  # type: ignore[arg-type]
    caches = [cached_bytes(one) for one in half]  # type: ignore[arg-type]
    used = [float(one["used"]) for one in half]  # type: ignore[arg-type]
    free = [float(one["free"]) for one in half]  # type: ignore[arg-type]
    grown = slope(list(zip(requests, memory, strict=True)))
    filled = slope(list(zip(requests, caches, strict=True)))
    rest = grown - filled
    span = requests[-1] - requests[0]
    is_flat = rest < FLAT or rest * span < memory[0] / 100
    first = samples[0]
    return "\n".join(
        [
            f"start: RSS {float(first['rss']) / 1e6:.1f} MB, caches {cached_bytes(first) / 1e6:.1f} MB",  # type: ignore[arg-type]
            f"end:   RSS {memory[-1] / 1e6:.1f} MB, caches {caches[-1] / 1e6:.1f} MB",
            f"bytes a request in the second half ({span:,.0f} requests): memory {grown:+.1f}, "
            f"of which caches {filled:+.1f}, the rest {rest:+.1f}",
            f"in use {slope(list(zip(requests, used, strict=True))):+.1f}, to {used[-1] / 1e6:.1f} MB; "
            f"free {slope(list(zip(requests, free, strict=True))):+.1f}, to {free[-1] / 1e6:.1f} MB",
            f"unexpected answers: {half[-1]['unexpected']}",
            f"the memory beside the caches is {'FLAT' if is_flat else 'RISING'}",
        ]
    )  # fmt: skip


def serve(store: str, folder: Path) -> tuple[Server, str]:
    api, metadata, operations = (free_address() for _ in range(3))
    program = Path(__file__).with_name("allocators.py")
    command = [sys.executable, str(program), str(folder / BOOK), "serve", "--api", api]
    command += ["--metadata", metadata, "--operations", operations, "--workers", "1"]
    environment = {
        "PYTHONPATH": str(Path(__file__).parents[2]),
        "BROKER_STORE_URL": store,
        "BROKER_KEYS_MASTER_KEY_FILE": str(folder / "master.key"),
        "BROKER_AUDIT_PATH": str(folder / "audit.jsonl"),
    }
    cores = f"0-{(os.cpu_count() or 1) - 1}"
    server = Server(command, environment, api, f"http://{operations}/readyz", cores)
    return server, f"http://{operations}/metrics"


async def soak(
    server: Server, metrics: str, book: Path, chosen: argparse.Namespace
) -> list[dict[str, object]]:
    began, samples, counts = time.monotonic(), [], Counts()
    until = began + chosen.hours * 3600
    load = Load(server.address, chosen.accounts, 1, 2 / 3 if chosen.load == "strangers" else 0.0)
    pause = CONNECTIONS / chosen.rate
    clients = [
        asyncio.create_task(client(load, server.address, pause, until, counts)) for _ in range(CONNECTIONS)
    ]
    with Path(chosen.log).open("w") as log:
        while time.monotonic() < until:
            await asyncio.sleep(min(chosen.every, max(0.0, until - time.monotonic())))
            samples.append(await asyncio.to_thread(sample, server, metrics, book, began, counts))
            print(line(samples[-1]), flush=True)
            log.write(json.dumps(samples[-1]) + "\n")
            log.flush()
            for ended in [one for one in clients if one.done()]:
                ended.result()  # an error of a client ends the soak
    await asyncio.gather(*clients)
    return samples


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--hours", type=float, default=2.0)
    parser.add_argument("--rate", type=float, default=250.0, help="requests a second (250)")
    parser.add_argument(
        "--accounts",
        type=int,
        default=1000,
        help="of the store (1,000); 4,000 do not fit in its cache of records",
    )
    parser.add_argument("--load", choices=("mixed", "strangers"), default="mixed")
    parser.add_argument("--engine", choices=("sqlite", "redis"), default="sqlite")
    parser.add_argument("--every", type=float, default=60.0, help="seconds between two lines (60)")
    parser.add_argument("--log", default="soak.jsonl")
    parser.add_argument("--summary", metavar="LOG", help="print the summary of a log, and do nothing else")
    chosen = parser.parse_args()
    if chosen.summary:
        print(summarize([json.loads(one) for one in Path(chosen.summary).read_text().splitlines()]))
        return
    with tempfile.TemporaryDirectory() as temporary, ExitStack() as stack:
        folder = Path(temporary)
        store = f"sqlite:{folder}/broker.db"
        if chosen.engine == "redis":
            store = stack.enter_context(RedisServer(folder).running()).url
        asyncio.run(fill(store, folder / "master.key", chosen.accounts, ROLES))
        server, metrics = serve(store, folder)
        with server:
            samples = asyncio.run(soak(server, metrics, folder / BOOK, chosen))
    print(summarize(samples))


if __name__ == "__main__":
    main()
