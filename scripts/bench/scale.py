"""The broker with few accounts and with very many: start, memory, AssumeRole, and two workers beside one.

Two stores are made with scripts/bench/populate.py (SQLite; in --folder they are used again): *small* has 10 accounts,
*large* 1,000 or --accounts, each account 100 roles. Each is served by one worker on the first core; the client runs
on the last.

Start: from exec to the first 200 of /readyz; the median and the quickest of several starts, and their CPU seconds,
which depend less on other load.

AssumeRole, in rounds that go through both stores and all mixes in turn; the client and its requests are made alike for
both, the caller is a user of the role's own account, and the figure is the server's CPU per request:
  first time  every request for a role that was not asked for before: each is read, unsealed, decoded, its
              trust policy compiled where no other role has the same (the small store soon has none left that are new)
  one role    one caller assumes one role again and again
  hot roles   64 accounts x 16 roles of the large store, 10 accounts x 100 of the small one, drawn evenly: about a
              thousand roles in both
  all roles   drawn evenly from the whole store, after each role was asked for at least once
The goal is set for roles in use, hot or all; what a first time costs is shown beside it.

Operations: milliseconds until the answer, of one request at a time over a new connection, in an account that has
1,000 roles (store *full*) and, for the alias, among 1,000 accounts; the first time, and the median of the others.

Workers: the hot roles of the small store from one worker, from two, and from two brokers that share nothing but the
files of the program, in turn, on all cores. The client works only while the servers are stopped (SIGSTOP), so that they
have all cores, unless the host takes them: `gain` is computed from the rounds in which each worker had a core for 95 %
of the time (their number follows it), `by CPU` from the cost of a request in all rounds. For comparison, two loops and
one loop, each in its own process, read, write and hash a little JSON.

    .venv-test/bin/python scripts/bench/scale.py             everything: some five minutes
    .venv-test/bin/python scripts/bench/scale.py start assume-role --rounds 31 --folder /tmp/scale
"""

import argparse
import asyncio
import math
import os
import re
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from itertools import cycle
from pathlib import Path
from random import Random

from populate import ATTACHED, access_key, account_id, bench_role, master_key_file, populate, trust
from serving import (
    Backlog,
    Burst,
    Server,
    ask,
    count_loops,
    free_address,
    load,
    load_from_backlogs,
    send_all,
    signed,
)

ROLES = 100
ACCOUNTS = {"small": 10, "large": 1000}
START_GOALS = {"small": (1.5, 120), "large": (3.0, 250)}  # seconds, megabytes
RATIO_GOAL, WORKERS_GOAL = 0.9, 1.6
WARMING = 2.0  # seconds
FREE = 0.95  # the part of a round's time in which a worker must have had a core
REQUESTS = 4000
FLUSHED_AFTER = 6.0  # seconds until the broker has written when keys were last used
PARTS = ("start", "assume-role", "operations", "workers")
FULL_ROLES = 1000
OPERATION_GOAL = 50  # milliseconds

Roles = Callable[[Random], tuple[int, int]]  # account, role


def serve(folder: Path, store: str, cores: str = "0", workers: int = 1) -> Server:
    api, metadata, operations = (free_address() for _ in range(3))
    path = folder / f"{store}.db"
    command = [sys.executable, "-m", "broker", "serve", "--api", api, "--metadata", metadata]
    environment = {
        "BROKER_STORE_URL": f"sqlite:{path}",
        "BROKER_KEYS_MASTER_KEY_FILE": str(master_key_file(path)),
        "BROKER_AUDIT_PATH": str(folder / f"{store}.audit.jsonl"),
    }
    command += ["--operations", operations, "--workers", str(workers)]
    return Server(command, environment, api, f"http://{operations}/readyz", cores)


def mixes(store: str) -> dict[str, Roles]:
    """How roles are drawn."""
    hot = (64, 16) if store == "large" else (ACCOUNTS[store], ROLES)
    # Hot accounts are spread over the store.
    spread = ACCOUNTS[store] // hot[0]
    return {
        "one role": lambda random: (7, 4),
        "hot roles": lambda random: (random.randrange(hot[0]) * spread, random.randrange(hot[1])),
        "all roles": lambda random: (random.randrange(ACCOUNTS[store]), random.randrange(ROLES)),
    }


def requests_for(server: Server, draw: Roles, seed: int) -> list[bytes]:
    random = Random(seed)
    return [assume_role(server.address, *draw(random)) for _ in range(REQUESTS)]


def each_role(store: str) -> list[tuple[int, int]]:
    """Every role of the store once, in a scattered order."""
    roles = [(account, role) for account in range(ACCOUNTS[store]) for role in range(ROLES)]
    Random(1).shuffle(roles)
    return roles


def requests_for_each(server: Server, roles: Sequence[tuple[int, int]]) -> list[bytes]:
    return [assume_role(server.address, *role) for role in roles]


def assume_role(host: str, account_index: int, role_index: int) -> bytes:
    role = bench_role(account_index, role_index)
    parameters = {"Action": "AssumeRole", "RoleArn": role.arn, "RoleSessionName": "bench"}
    if role.external_id:
        parameters["ExternalId"] = role.external_id
    return signed(host, parameters, *access_key(account_id(account_index)))


def measure_start(folder: Path, rounds: int) -> None:
    print(
        f"\n{'start':16} {'seconds':>8} {'quickest':>9} {'CPU s':>7} {'goal':>5} "
        f"{'RSS MB':>7} {'PSS MB':>7} {'goal':>5}"
    )
    for store, (seconds_goal, memory_goal) in START_GOALS.items():
        seconds, cpu, memory = [], [], {}
        for _ in range(rounds):
            with serve(folder, store) as server:
                seconds.append(server.seconds)
                cpu.append(server.start_cpu)
                memory = server.memory()
        print(
            f"{store:16} {statistics.median(seconds):8.2f} {min(seconds):9.2f} {min(cpu):7.2f} {seconds_goal:5.1f} "
            f"{memory['Rss']:7.1f} {memory['Pss']:7.1f} {memory_goal:5}",
            flush=True,
        )  # fmt: skip


Figures = dict[tuple[str, str], list[float]]


def measure_assume_role(folder: Path, rounds: int, seconds: float) -> None:
    figures: Figures = {}
    with serve(folder, "small") as small, serve(folder, "large") as large:
        servers = {"small": small, "large": large}
        for server in servers.values():
            server.settle()  # populate.py makes no index of trust policies: the first pass would be measured, too
        before = {store: server.memory()["Rss"] for store, server in servers.items()}
        _measure_first_time(servers, figures, rounds, seconds)
        time.sleep(FLUSHED_AFTER)
        for mix in mixes("small"):
            for number in range(rounds):
                # The order changes, because the first one finds the processor's caches in another state than the last.
                for store, server in Random(f"{mix} {number}").sample(
                    sorted(servers.items()), k=len(servers)
                ):
                    requests = requests_for(server, mixes(store)[mix], number)
                    if mix == "hot roles" and number == 0:
                        send_all(server, requests)
                    cpu, _ = load(server, requests, seconds)
                    figures.setdefault((mix, store), []).append(cpu)
        _print_assume_role(figures)
        print(f"\n{'memory, MB':16} {'at start':>9} {'RSS now':>9} {'PSS now':>9} {'goal':>5}")
        for store, server in servers.items():
            now = server.memory()
            print(
                f"{store:16} {before[store]:9.1f} {now['Rss']:9.1f} {now['Pss']:9.1f} {START_GOALS[store][1]:5}"
            )


def _measure_first_time(servers: dict[str, Server], figures: Figures, rounds: int, seconds: float) -> None:
    """Rounds over roles not requested before, while there are any; then all other roles, unmeasured."""
    for number in range(rounds):
        for store, server in servers.items():
            roles = each_role(store)
            some = roles[number * REQUESTS : (number + 1) * REQUESTS] or roles
            cpu, _ = load(server, requests_for_each(server, some), seconds)
            figures.setdefault(("first time", store), []).append(cpu)
    for store, server in servers.items():
        roles = each_role(store)
        for start in range(0, len(roles), REQUESTS):
            send_all(server, requests_for_each(server, roles[start : start + REQUESTS]))


def _print_assume_role(figures: Figures) -> None:
    print(
        f"\n{'AssumeRole':16} {'small us':>9} {'large us':>9} {'ratio':>6} {'goal':>5}   "
        f"{'quietest':>8} {'rounds':>9} {'ratio':>6}"
    )
    for mix in ("first time", *mixes("small")):
        small, large = figures[mix, "small"], figures[mix, "large"]
        goal = "" if mix == "first time" else f"{RATIO_GOAL:.2f}"
        # Round by round: other load on the machine slows down both stores of a round alike.
        ratio = statistics.median(one / other for one, other in zip(small, large, strict=True))
        print(
            f"{mix:16} {statistics.median(small):9.1f} {statistics.median(large):9.1f} {ratio:6.2f} {goal:>5}   "
            f"{min(small):8.1f} {min(large):9.1f} {min(small) / min(large):6.2f}",
            flush=True,
        )


def measure_operations(folder: Path, rounds: int) -> None:
    print(f"\n{'operations, ms':32} {'first':>7} {'median':>7} {'worst':>7} {'goal':>5}")
    with serve(folder, "full") as full:
        _print_times("ListRoles, pages of 100", _list_all(full, rounds))
        _print_times(
            "ListRoles, all at once", [_iam(full, "ListRoles", MaxItems="1000")[1] for _ in range(9)]
        )
        # The account is full: one role is deleted for each that is created.
        made, gone = [], []
        for number in range(rounds * 4):
            name = bench_role(0, number).name
            gone += [_iam(full, "DeleteRolePolicy", RoleName=name, PolicyName="read")[1]]
            _iam(full, "DetachRolePolicy", RoleName=name, PolicyArn=ATTACHED)
            gone += [_iam(full, "DeleteRole", RoleName=name)[1]]
            made += [_iam(full, "CreateRole", RoleName=f"{name}-new", AssumeRolePolicyDocument=trust(0))[1]]
        _print_times("CreateRole, the 1,000th", made)
        _print_times("DeleteRole and its policy", gone)
        _print_times("GetAccountSummary", [_iam(full, "GetAccountSummary")[1] for _ in range(9)])
    with serve(folder, "large") as large:
        names = [f"bench-{number}" for number in range(rounds * 4)]
        times = [_iam(large, "CreateAccountAlias", AccountAlias=name)[1] for name in names]
        _print_times("CreateAccountAlias", times)


def _iam(server: Server, action: str, **parameters: str) -> tuple[str, float]:
    key = access_key(account_id(0))
    return ask(server, signed(server.address, {"Action": action, **parameters}, *key, "iam"))


def _list_all(server: Server, rounds: int) -> list[float]:
    """The times of all pages, of several listings."""
    times = []
    for _ in range(rounds):
        marker: dict[str, str] = {}
        while True:
            body, took = _iam(server, "ListRoles", **marker)
            times.append(took)
            found = re.search("<Marker>(.*)</Marker>", body)
            if found is None:
                break
            marker = {"Marker": found[1]}
    return times


def _print_times(name: str, times: list[float]) -> None:
    later = times[1:]
    print(
        f"{name:32} {times[0]:7.1f} {statistics.median(later):7.1f} {max(later):7.1f} {OPERATION_GOAL:5}",
        flush=True,
    )


def measure_workers(folder: Path, rounds: int, seconds: float) -> None:
    copied = folder / "apart"
    copied.mkdir(exist_ok=True)
    for file in folder.glob("small.db*"):
        shutil.copy(file, copied)
    cores = os.cpu_count() or 1
    os.sched_setaffinity(0, range(cores))
    everywhere = f"0-{cores - 1}"
    with ExitStack() as stack:

        def backlog(where: Path, workers: int) -> Backlog:
            server = stack.enter_context(serve(where, "small", everywhere, workers))
            return stack.enter_context(Backlog(server))

        one, two, other = backlog(folder, 1), backlog(folder, 2), backlog(copied, 1)
        rows: dict[str, Callable[[int], Burst]] = {
            "1 loop": lambda _: count_loops(1, seconds),
            "2 loops": lambda _: count_loops(2, seconds),
            "1 worker": lambda number: _at_once([one], number, seconds),
            "2 workers": lambda number: _at_once([two], number, seconds),
            "2 brokers apart": lambda number: _at_once([one, other], number, seconds),
        }
        figures: dict[str, list[Burst]] = {name: [] for name in rows}
        # Unmeasured: reads the requests that were sent ahead, and fills the caches.
        for some in ([one, other], [two]):
            _at_once(some, rounds, WARMING)
        for number in range(rounds):
            for name, measure in rows.items():
                figures[name].append(measure(number))
    print(
        f"\n{'workers':16} {'a second':>10} {'CPU us':>8} {'by CPU':>7} {'gain':>6} {'goal':>5} {'rounds':>7}"
    )
    for name, found in figures.items():
        number = int(name[0])
        # Round by round, as above.
        pairs = list(zip(figures["1 loop" if "loop" in name else "1 worker"], found, strict=True))
        free = [pair for pair in pairs if pair[0].cores >= FREE and pair[1].cores >= FREE * number]
        by_cpu = statistics.median(number * alone.cost / here.cost for alone, here in pairs)
        gain = statistics.median(here.rate / alone.rate for alone, here in free) if free else math.nan
        goal = f"{WORKERS_GOAL:.1f}" if name == "2 workers" else ""
        rate, cost = (statistics.median(getattr(one, what) for one in found) for what in ("rate", "cost"))
        print(f"{name:16} {rate:10.0f} {cost:8.1f} {by_cpu:7.2f} {gain:6.2f} {goal:>5} {len(free):7}")


def _at_once(backlogs: Sequence[Backlog], seed: int, seconds: float) -> Burst:
    hot = mixes("small")["hot roles"]
    loads = [(one, cycle(requests_for(one.server, hot, seed))) for one in backlogs]
    return load_from_backlogs(loads, seconds)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], help="default: all")
    parser.add_argument("--rounds", type=int, default=15, help="starts, and rounds of requests (15)")
    parser.add_argument("--seconds", type=float, default=0.5, help="seconds of a round (0.5)")
    parser.add_argument(
        "--accounts", type=int, default=1000, help="of the large store (1,000); 10,000 have a million roles"
    )
    parser.add_argument("--folder", type=Path, help="where the stores are made, and used again")
    chosen = parser.parse_args()
    ACCOUNTS["large"] = chosen.accounts
    with tempfile.TemporaryDirectory() as temporary:
        folder = chosen.folder or Path(temporary)
        for store, accounts in ACCOUNTS.items():
            asyncio.run(populate(folder / f"{store}.db", accounts, ROLES))
        # The operations change this store, so it is made for each run.
        (folder / "full.db").unlink(missing_ok=True)
        asyncio.run(populate(folder / "full.db", 1, FULL_ROLES))
        os.sched_setaffinity(0, {(os.cpu_count() or 1) - 1})
        parts = chosen.parts or PARTS
        print(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores before the first figure")
        if "start" in parts:
            measure_start(folder, min(chosen.rounds, 7))
        if "assume-role" in parts:
            measure_assume_role(folder, chosen.rounds, chosen.seconds)
        if "operations" in parts:
            measure_operations(folder, min(chosen.rounds, 5))
        if "workers" in parts:
            measure_workers(folder, chosen.rounds, chosen.seconds)


if __name__ == "__main__":
    main()
