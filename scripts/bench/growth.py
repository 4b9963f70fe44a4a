"""How the cost of an account's operations grows with the account, how its writers share it, and what others feel.

Four accounts in one store: N users, N/5 roles and 3N/10 policies each, for N = 10, 100, 1,000 and 5,000. A user has an
inline policy and one of the account's attached, eight are in a group. The store is written by the engine, as an early
version of the broker would have left it; each operation is sent once before it is measured.

pages     the server's CPU milliseconds of a request, or of a whole listing, in each account; and the ratio of the last
          to the second: the goal is 1.5 where a page or one thing is shown. The least of several rounds.
writers   writes in one account (PutUserPolicy, each client of a user of its own) by 1 and 32 clients, and by 32
          in 32 accounts: writes a second, and milliseconds until the answer: median, 99th percentile, slowest. With
          one and two workers. Refusals are counted.
create    CreateUser in the largest account, 1 and 32 clients, all of whom change the account's counts; with one and two
          workers.
beside    GetCallerIdentity of another account, alone and beside one client that reads the largest account's details.
shared    AssumeRole of a hundred roles by eight callers of the account of 1,000 users, alone and beside one client that
          writes a policy of a user of the same account WRITES_A_SECOND times a second: the server's CPU of the
          assumptions alone, and of both less that of the writes alone.

    .venv-test/bin/python scripts/bench/growth.py                  both engines, everything: some four minutes
    .venv-test/bin/python scripts/bench/growth.py --engines sqlite --parts pages writers
"""

import argparse
import asyncio
import os
import re
import secrets
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from itertools import count, cycle
from pathlib import Path
from statistics import median
from typing import NamedTuple

from populate import access_key, account_id, account_records, policy_text, trust
from serving import Server, ask, free_address, send_all, signed

from broker.app import clock, entropy, open_engine, rotation_schedule
from broker.app.master_key import create_master_key, find_master_key
from broker.config import Keys, StoreSettings
from broker.credentials.keyrings import Keyrings
from broker.names import ids
from broker.names.arn import iam_arn
from broker.names.secret import SecretKey
from broker.storage.collection import Collection
from broker.storage.collections import ACCOUNTS, GROUPS, POLICIES, ROLES, USERS
from broker.storage.engine import GLOBAL, Write, account_partition
from broker.storage.records import Account, Group, ManagedPolicy, PolicyVersion, Record, Role, User
from broker.storage.sealed import SealedEngine
from tests.redis_server import RedisServer

SIZES = (10, 100, 1000, 5000)
SMALL_ACCOUNTS = 32  # behind the four
PARTS = ("pages", "writers", "create", "beside", "shared")
CREATED_AT = 1_750_000_000
GROUP, MEMBERS = "eight", 8
CLIENTS = 32
WRITES_A_SECOND = 100
_READS = policy_text({"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::data/*"})


def records_of(index: int, size: int) -> list[Write]:
    account = account_id(index)
    arns = [iam_arn(account, f"policy/policy-{number:05d}") for number in range(size * 3 // 10)]
    made: list[Write] = [
        _write(
            GROUPS,
            Group(account_id=account, group_name=GROUP, group_id=_id("AGPA", 0), created_at=CREATED_AT),
        )
    ]
    for number in range(size):
        user = User(
            account_id=account,
            user_name=f"user-{number:05d}",
            user_id=_id(ids.USER, number),
            created_at=CREATED_AT,
            inline_policies={"read": _READS},
            attached_policies=(arns[number % len(arns)],),
            groups=(GROUP,) if number < MEMBERS else (),
        )
        made.append(_write(USERS, user))
    for number in range(size // 5):
        role = Role(
            account_id=account,
            role_name=f"role-{number:05d}",
            role_id=_id(ids.ROLE, number),
            created_at=CREATED_AT,
            assume_role_policy=trust(index),
            inline_policies={"read": _READS},
            attached_policies=(arns[number % len(arns)],),
        )
        made.append(_write(ROLES, role))
    for number, arn in enumerate(arns):
        policy = ManagedPolicy(
            account_id=account,
            policy_name=arn.rpartition("/")[2],
            policy_id=_id(ids.POLICY, number),
            versions=(PolicyVersion(version_id="v1", document=_READS, created_at=CREATED_AT),),
            created_at=CREATED_AT,
            updated_at=CREATED_AT,
        )
        made.append(_write(POLICIES, policy))
    return [*account_records(index, 0), *made]


def _id(prefix: str, number: int) -> str:
    return ids.unique_id(prefix, number.to_bytes(11))


def _write(collection: Collection, record: Record) -> Write:  # type: ignore[type-arg]
    return Write(collection.stored_key(collection.key_of(record)), collection.encode(record))


async def fill(store: str, folder: Path) -> None:
    keys = Keys(master_key_file=str(folder / "master.key"))
    if not (folder / "master.key").exists():
        create_master_key(folder / "master.key", entropy)
    master = find_master_key(keys, {})
    assert master is not None
    inner = open_engine(StoreSettings(SecretKey(store)))
    try:
        keyrings = Keyrings(inner, master, clock, entropy, rotation_schedule(keys))
        await keyrings.load()
        engine = SealedEngine(inner, keyrings.storage, entropy)
        sizes = [*SIZES, *[10] * SMALL_ACCOUNTS]
        known = [Account(account_id=account_id(index), created_at=CREATED_AT) for index in range(len(sizes))]
        await engine.commit(GLOBAL, [_write(ACCOUNTS, account) for account in known], None)
        for index, size in enumerate(sizes):
            await engine.commit(account_partition(account_id(index)), records_of(index, size), None)
    finally:
        await inner.close()


def serve(store: str, folder: Path, workers: int = 1) -> Server:
    api, metadata, operations = (free_address() for _ in range(3))
    command = [sys.executable, "-m", "broker", "serve", "--api", api, "--metadata", metadata]
    command += ["--operations", operations, "--workers", str(workers)]
    environment = {
        "BROKER_STORE_URL": store,
        "BROKER_KEYS_MASTER_KEY_FILE": str(folder / "master.key"),
        "BROKER_AUDIT_PATH": str(folder / "audit.jsonl"),
        "BROKER_QUOTAS_USERS": "100000",
        "BROKER_QUOTAS_CUSTOMER_POLICIES": "100000",
        "BROKER_QUOTAS_ROLES": "100000",
    }
    cores = f"0-{(os.cpu_count() or 1) - 1}" if workers > 1 else "0"
    return Server(command, environment, api, f"http://{operations}/readyz", cores)


class BenchAccount(NamedTuple):
    """One account of a running server."""

    server: Server
    index: int

    def request(self, action: str, service: str = "iam", **parameters: str) -> bytes:
        key = access_key(account_id(self.index))
        return signed(self.server.address, {"Action": action, **parameters}, *key, service)

    def policy(self, number: int) -> str:
        return iam_arn(account_id(self.index), f"policy/policy-{number:05d}")

    def list_whole(self, action: str, **parameters: str) -> None:
        marker: dict[str, str] = {}
        while True:
            body, _ = ask(self.server, self.request(action, **parameters, **marker))
            found = re.search("<Marker>(.*)</Marker>", body)
            if found is None:
                return
            marker = {"Marker": found[1]}


# A part of the table: what is done in an account, and how many requests that is. `fresh` counts names that are new.
Measured = Callable[[BenchAccount, Iterator[int]], tuple[float, int]]


def _cpu(server: Server, work: Callable[[], object]) -> float:
    begun = server.cpu_seconds()
    work()
    return server.cpu_seconds() - begun


def repeated(times: int, make: Callable[[BenchAccount, int], bytes]) -> Measured:
    def measure(account: BenchAccount, fresh: Iterator[int]) -> tuple[float, int]:
        requests = [make(account, next(fresh)) for _ in range(times)]
        return _cpu(account.server, lambda: send_all(account.server, requests, 1)), times

    return measure


def whole(action: str, **parameters: str) -> Measured:
    return lambda account, fresh: (_cpu(account.server, lambda: account.list_whole(action, **parameters)), 1)


def made_and_deleted(times: int, is_shown: str) -> Measured:
    """Policies are made, then deleted; the CPU of one of the two."""

    def measure(account: BenchAccount, fresh: Iterator[int]) -> tuple[float, int]:
        names = [f"new-{next(fresh)}" for _ in range(times)]
        made = [account.request("CreatePolicy", PolicyName=name, PolicyDocument=_READS) for name in names]
        arn = f"arn:aws:iam::{account_id(account.index)}:policy/"
        gone = [account.request("DeletePolicy", PolicyArn=arn + name) for name in names]
        costs = {
            "CreatePolicy": _cpu(account.server, lambda: send_all(account.server, made, 1)),
            "DeletePolicy": _cpu(account.server, lambda: send_all(account.server, gone, 1)),
        }
        return costs[is_shown], times

    return measure


# Least requests for figures of a tenth of a millisecond.
ROWS: dict[str, Measured] = {
    "whole details": whole("GetAccountAuthorizationDetails"),
    "whole ListUsers": whole("ListUsers"),
    "whole ListRoles": whole("ListRoles"),
    "whole ListPolicies Local": whole("ListPolicies", Scope="Local"),
    "details, a page": repeated(20, lambda account, _: account.request("GetAccountAuthorizationDetails")),
    "ListUsers, a page": repeated(40, lambda account, _: account.request("ListUsers")),
    "ListPolicies, a page": repeated(40, lambda account, _: account.request("ListPolicies")),
    "ListPolicies Local, a page": repeated(40, lambda a, _: a.request("ListPolicies", Scope="Local")),
    "ListPolicies attached": repeated(20, lambda a, _: a.request("ListPolicies", OnlyAttached="true", MaxItems="9")),
    "GetPolicy": repeated(40, lambda account, _: account.request("GetPolicy", PolicyArn=account.policy(1))),
    "ListEntitiesForPolicy": repeated(
        40, lambda a, _: a.request("ListEntitiesForPolicy", PolicyArn=a.policy(1), MaxItems="3")
    ),
    "GetGroup of 8": repeated(40, lambda account, _: account.request("GetGroup", GroupName=GROUP)),
    "GetAccountSummary": repeated(40, lambda account, _: account.request("GetAccountSummary")),
    "CreateUser": repeated(40, lambda account, number: account.request("CreateUser", UserName=f"zz-{number}")),
    "CreatePolicy": made_and_deleted(30, "CreatePolicy"),
    "DeletePolicy": made_and_deleted(30, "DeletePolicy"),
}  # fmt: skip


def measure_pages(store: str, folder: Path, rounds: int) -> None:
    print(f"\n{'CPU ms of':28}" + "".join(f"{size:>9,}" for size in SIZES) + f"{'last/2nd':>10}")
    fresh = count()
    with serve(store, folder) as server:
        for name, measure in ROWS.items():
            least = []
            for index in range(len(SIZES)):
                account = BenchAccount(server, index)
                figures = [cpu / times for cpu, times in (measure(account, fresh) for _ in range(rounds + 1))]
                least.append(min(figures[1:]) * 1000)
            ratio = least[-1] / least[1]
            print(f"{name:28}" + "".join(f"{one:9.2f}" for one in least) + f"{ratio:10.1f}", flush=True)


class Client:
    """One connection; each request waits for the answer to the last."""

    def __init__(self, requests: Iterator[bytes], pause: float = 0.0) -> None:
        """`pause`: seconds between the beginnings of two requests, at least."""
        self.requests = requests
        self.pause = pause
        self.times: list[float] = []
        self.refused = 0

    async def run(self, address: str, until: float) -> None:
        host, port = address.split(":")
        reader, writer = await asyncio.open_connection(host, int(port), limit=1 << 24)
        for request in self.requests:
            begun = time.perf_counter()
            if begun >= until:
                break
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            length = re.search(rb"content-length: *(\d+)", head, re.IGNORECASE)
            assert length is not None
            await reader.readexactly(int(length[1]))
            self.times.append((time.perf_counter() - begun) * 1000)
            self.refused += not head.startswith(b"HTTP/1.1 200")
            if self.pause:
                await asyncio.sleep(max(0.0, begun + self.pause - time.perf_counter()))
        writer.close()


async def _run(server: Server, clients: Sequence[Client], seconds: float) -> None:
    until = time.perf_counter() + seconds
    await asyncio.gather(*(client.run(server.address, until) for client in clients))


def report(name: str, clients: Sequence[Client], seconds: float) -> None:
    times = sorted(one for client in clients for one in client.times)
    middle, late = times[len(times) // 2], times[min(len(times) - 1, len(times) * 99 // 100)]
    refused = sum(client.refused for client in clients)
    print(
        f"{name:44}{len(times) / seconds:9.0f}{middle:9.2f}{late:9.2f}{times[-1]:9.1f}{refused:9}", flush=True
    )


def _head(title: str) -> None:
    print(f"\n{title:44}{'a second':>9}{'median':>9}{'p99':>9}{'slowest':>9}{'refused':>9}")


def _writes(account: BenchAccount, user: int) -> Iterator[bytes]:
    for number in count():
        text = policy_text(
            {"Sid": f"n{number}", "Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}
        )
        parameters = {"UserName": f"user-{user:05d}", "PolicyName": "written", "PolicyDocument": text}
        yield account.request("PutUserPolicy", **parameters)


def _creations(account: BenchAccount) -> Iterator[bytes]:
    mark = secrets.token_hex(3)
    return (account.request("CreateUser", UserName=f"{mark}-{number}") for number in count())


def measure_writers(store: str, folder: Path, workers: int, seconds: float) -> None:
    with serve(store, folder, workers) as server:
        one = BenchAccount(server, 1)
        asyncio.run(_run(server, [Client(_writes(one, 50))], 0.5))
        loads = {
            "1 client": [Client(_writes(one, 0))],
            f"{CLIENTS} clients": [Client(_writes(one, user)) for user in range(CLIENTS)],
            f"{CLIENTS} clients in {CLIENTS} accounts": [
                Client(_writes(BenchAccount(server, len(SIZES) + index), 0)) for index in range(CLIENTS)
            ],
        }
        for name, clients in loads.items():
            asyncio.run(_run(server, clients, seconds))
            report(f"writes, {workers} workers, {name}", clients, seconds)


def measure_create(store: str, folder: Path, workers: int, seconds: float) -> None:
    with serve(store, folder, workers) as server:
        full = BenchAccount(server, len(SIZES) - 1)
        for number_of_clients in (1, CLIENTS):
            clients = [Client(_creations(full)) for _ in range(number_of_clients)]
            asyncio.run(_run(server, clients, seconds))
            report(f"CreateUser, {workers} workers, clients: {number_of_clients}", clients, seconds)


def measure_beside(store: str, folder: Path, seconds: float) -> None:
    with serve(store, folder) as server:
        full = BenchAccount(server, len(SIZES) - 1)
        identity = BenchAccount(server, 0).request("GetCallerIdentity", "sts")
        pages = []
        marker: dict[str, str] = {}
        while True:  # signed ahead, for the client has one core
            pages.append(full.request("GetAccountAuthorizationDetails", **marker))
            body, _ = ask(server, pages[-1])
            found = re.search("<Marker>(.*)</Marker>", body)
            if found is None:
                break
            marker = {"Marker": found[1]}
        for largest in ("100", "1000"):
            first = full.request("GetAccountAuthorizationDetails", MaxItems=largest)
            others = {
                "alone": [],
                f"beside pages of {largest}": [
                    Client(iter([first, *pages[1:]] * 1000 if largest == "100" else [first] * 1000))
                ],
            }
            for name, more in others.items():
                if name == "alone" and largest != "100":
                    continue
                client = Client(identity for _ in count())
                asyncio.run(_run(server, [client, *more], seconds))
                report(f"GetCallerIdentity, {name}", [client], seconds)
                if more:
                    report("  the pages", more, seconds)


def _assumptions(account: BenchAccount, offset: int) -> list[bytes]:
    names = [f"role-{(offset + number * 7) % 100:05d}" for number in range(100)]
    return [
        account.request(
            "AssumeRole",
            "sts",
            RoleArn=iam_arn(account_id(account.index), f"role/{name}"),
            RoleSessionName="bench",
        )
        for name in names
    ]


def measure_shared(store: str, folder: Path, workers: int, seconds: float) -> None:
    """Rounds alternate between what is compared."""
    costs: dict[str, list[float]] = {"alone": [], "beside the writer": []}
    with serve(store, folder, workers) as server:
        account = BenchAccount(server, 2)
        requests = [_assumptions(account, offset) for offset in range(8)]

        def run(is_written: bool, is_assumed: bool) -> tuple[float, int, int]:
            writers = [Client(_writes(account, 200), 1 / WRITES_A_SECOND)] if is_written else []
            readers = [Client(cycle(one)) for one in requests] if is_assumed else []
            begun = server.cpu_seconds()
            asyncio.run(_run(server, [*writers, *readers], seconds))
            used = (server.cpu_seconds() - begun) * 1e6
            assert not sum(one.refused for one in [*writers, *readers])
            return used, sum(len(one.times) for one in readers), sum(len(one.times) for one in writers)

        run(True, True)
        for _ in range(5):
            used, assumed, _ = run(False, True)
            costs["alone"].append(used / assumed)
            alone, _, written_alone = run(True, False)
            used, assumed, written = run(True, True)
            costs["beside the writer"].append((used - alone * written / written_alone) / assumed)
    for name, found in costs.items():
        print(
            f"AssumeRole, {workers} workers, {name:24} {median(found):7.0f} us  ({min(found):.0f} to {max(found):.0f})",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--engines", nargs="*", choices=("sqlite", "redis"), default=("sqlite", "redis"))
    parser.add_argument("--parts", nargs="*", choices=PARTS, default=PARTS)
    parser.add_argument("--rounds", type=int, default=3, help="rounds of each row of the table (3)")
    parser.add_argument("--seconds", type=float, default=4.0, help="seconds of each load (4)")
    chosen = parser.parse_args()
    os.sched_setaffinity(0, {(os.cpu_count() or 1) - 1})
    print(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores before the first figure")
    for engine in chosen.engines:
        with tempfile.TemporaryDirectory() as temporary, ExitStack() as stack:
            folder = Path(temporary)
            store = f"sqlite:{folder}/broker.db"
            if engine == "redis":
                store = stack.enter_context(RedisServer(folder).running()).url
            asyncio.run(fill(store, folder))
            print(f"\n== {engine}", flush=True)
            measure_engine(chosen, store, folder)


def measure_engine(chosen: argparse.Namespace, store: str, folder: Path) -> None:
    if "beside" in chosen.parts:
        _head("ms until the answer")
        measure_beside(store, folder, chosen.seconds)
    if "writers" in chosen.parts:
        _head("writes, ms until the answer")
        for workers in (1, 2):
            measure_writers(store, folder, workers, chosen.seconds)
    if "create" in chosen.parts:
        _head("in the largest account")
        for workers in (1, 2):
            measure_create(store, folder, workers, chosen.seconds / 2)
    if "shared" in chosen.parts:
        print("\nthe server's CPU of one AssumeRole")
        for workers in (1, 2):
            measure_shared(store, folder, workers, chosen.seconds / 2)
    if "pages" in chosen.parts:
        measure_pages(store, folder, chosen.rounds)


if __name__ == "__main__":
    main()
