"""IAM operations through the whole broker, beside a bare aiohttp handler in the same run.

As requests.py measures: persistent connections, one worker, alternating rounds, CPU microseconds per request and the
ratio bare/broker of the CPU. CreateUser is durable, so the time that its store needs to commit one such record is
printed beside it. The lists are of one account with 1,000 users, 500 roles and 300 policies beside AWS's, which
`scripts/bench/iam.py` makes first; what GetAccountAuthorizationDetails of all of it costs in memory is what the
server's process grew by.

    .venv-test/bin/python scripts/bench/iam.py               all operations, SQLite, audit on
    .venv-test/bin/python scripts/bench/iam.py --rounds 3 --seconds 1 get-user
"""

import argparse
import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

import requests
from serving import Server, ask, load, signed

from broker.app import clock, entropy
from broker.storage.records import User
from broker.storage.sqlite import SqliteEngine
from broker.storage.store import USERS, Store, Transaction

ACCOUNT, API, BARE, OPERATIONS = requests.ACCOUNT, requests.API, requests.BARE, requests.OPERATIONS
# What the issue aims at; 0.0 where a list is measured, for which there is no aim.
GOALS = {
    "get-user": 0.6,
    "list-users": 0.0,
    "list-policies": 0.0,
    "authorization-details": 0.0,
    "create-user": 0.0,
}
PEOPLE, ROLES, POLICIES = 1000, 500, 300
NEW_USERS = 5000  # a round; more than a store commits in its seconds
COMMITS = 200

Kind = Callable[[], list[bytes]]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("operations", nargs="*", choices=[*GOALS, []], help="default: all")
    parser.add_argument("--rounds", type=int, default=5, help="alternating rounds of each server (5)")
    parser.add_argument("--seconds", type=float, default=2.0, help="seconds a round (2)")
    chosen = parser.parse_args()
    os.sched_setaffinity(0, {(os.cpu_count() or 1) - 1})
    with tempfile.TemporaryDirectory() as folder:
        environment = {
            "BROKER_STORE_URL": f"sqlite:{folder}/broker.db",
            "BROKER_KEYS_MASTER_KEY_FILE": f"{folder}/master.key",
            "BROKER_AUDIT_PATH": f"{folder}/audit.jsonl",
            "BROKER_ROOT_ACCOUNT_ID": ACCOUNT,
            "BROKER_ROOT_ACCESS_KEY_ID": requests.ROOT_KEY_ID,
            "BROKER_ROOT_SECRET_ACCESS_KEY": requests.ROOT_SECRET,
            "BROKER_QUOTAS_USERS": "1000000",
        }
        populate(environment, Path(folder))
        serve = [sys.executable, "-m", "broker", "serve", "--api", API, "--operations", OPERATIONS]
        serve += ["--metadata", requests.METADATA]
        bare_command = [sys.executable, "-c", requests.BARE_SERVER]
        with (
            Server(serve, environment, API, f"http://{OPERATIONS}/readyz", "0") as broker,
            Server(bare_command, {}, BARE, f"http://{BARE}/", "0") as bare,
        ):
            measure(chosen, broker, bare)
        if not chosen.operations or "create-user" in chosen.operations:
            spent = asyncio.run(commit_seconds(Path(folder)))
            print(f"one user, committed by the store alone: {spent * 1e6:.0f} us")


def populate(environment: dict[str, str], folder: Path) -> None:
    """The users, roles and policies of one account, by `broker apply`."""
    trust = requests.document(Principal={"AWS": ACCOUNT}, Action="sts:AssumeRole")
    reads = requests.document(Action="s3:GetObject", Resource="*")
    lines = ["accounts:", f'  "{ACCOUNT}":', "    policies:"]
    lines += [f"      policy-{number:03}: {{document: '{reads}'}}" for number in range(POLICIES)]
    lines += [
        "    users:",
        *(f"      user-{number:04}: {{tags: {{Team: blue}}}}" for number in range(PEOPLE)),
    ]
    lines += [
        "    roles:",
        *(f"      role-{number:03}: {{trust_policy: '{trust}'}}" for number in range(ROLES)),
    ]
    (folder / "bench.yaml").write_text("\n".join(lines))
    command = [sys.executable, "-m", "broker", "apply", str(folder / "bench.yaml")]
    root = Path(__file__).parents[2]
    subprocess.run(
        command, env={**os.environ, **environment}, check=True, cwd=root, stdout=subprocess.DEVNULL
    )


def measure(chosen: argparse.Namespace, broker: Server, bare: Server) -> None:
    requests.GOALS.update(GOALS)
    numbers = count()

    def iam(**parameters: str) -> bytes:
        return signed(API, parameters, requests.ROOT_KEY_ID, requests.ROOT_SECRET, "iam")

    kinds: dict[str, Kind] = {
        "get-user": lambda: [iam(Action="GetUser", UserName="user-0500")],
        "list-users": lambda: [iam(Action="ListUsers", MaxItems="1000")],
        "list-policies": lambda: [iam(Action="ListPolicies", Scope="AWS", MaxItems="1000")],
        "authorization-details": lambda: [iam(Action="GetAccountAuthorizationDetails", MaxItems="1000")],
        "create-user": lambda: [
            iam(Action="CreateUser", UserName=f"new-{next(numbers)}") for _ in range(NEW_USERS)
        ],
    }
    print(
        f"{'operation':16} {'broker us':>10} {'bare us':>9} {'broker/s':>9} {'bare/s':>9} {'ratio':>6} {'goal':>5}"
    )
    for name in chosen.operations or GOALS:
        before = broker.memory()["Rss"]
        ours, theirs = [], []
        for _ in range(chosen.rounds):
            made = kinds[name]()
            ours.append(load(broker, made, chosen.seconds))
            size = len(ask(broker, kinds[name]()[0])[0])
            theirs.append(load(bare, [requests.sized(made[0], size)], chosen.seconds))
        requests.print_line(name, ours, theirs)
        print(
            f"{'':16} the process grew by {broker.memory()['Rss'] - before:.0f} MB, answers of {size} bytes"
        )


async def commit_seconds(folder: Path) -> float:
    """The median time in which the store commits one new user, with nothing around it."""
    spent = []
    async with Store(SqliteEngine(folder / "commits.db", clock, entropy), clock) as store:
        for number in range(COMMITS):
            user = User(account_id=ACCOUNT, user_name=f"u{number}", user_id=f"AIDA{number}", created_at=0)

            async def put(transaction: Transaction, user: User = user) -> None:
                transaction.put(USERS, ACCOUNT, user)

            began = time.perf_counter()
            await store.transact(put)
            spent.append(time.perf_counter() - began)
    return statistics.median(spent)


if __name__ == "__main__":
    main()
