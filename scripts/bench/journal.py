"""The cost of `audit.sync`: GetCallerIdentity with each of its values, by one client and by many at once.

Three brokers of one worker run at the same time, each with its own store and journal in FOLDER, whose disk is measured;
rounds alternate. A client sends its next request when it has its answer, so the mean time of an answer is the
number of clients divided by the rate. Medians of all rounds. First, for comparison, fdatasync alone after appends of
1,500 bytes.

    .venv-test/bin/python scripts/bench/journal.py --folder /var/lib/broker-bench
"""

import argparse
import contextlib
import os
import secrets
import statistics
import sys
import tempfile
import time
from pathlib import Path

from serving import Server, free_address, load, signed

ACCOUNT, ROOT_KEY_ID, ROOT_SECRET = "111111111111", "AKIABENCHBENCHBENCH0", secrets.token_hex(20)
SYNCS = ("none", "second", "each")
CLIENTS = (1, 32)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--folder", type=Path, help="where journals and stores lie (a temporary folder)")
    parser.add_argument("--rounds", type=int, default=7, help="rounds of each (7)")
    parser.add_argument("--seconds", type=float, default=2.0, help="seconds a round (2)")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=chosen.folder) as folder, contextlib.ExitStack() as running:
        show_disk(Path(folder))
        servers = {sync: running.enter_context(serve(Path(folder), sync)) for sync in SYNCS}
        for clients in CLIENTS:
            measure(chosen, servers, clients)


def show_disk(folder: Path) -> None:
    descriptor = os.open(folder / "probe", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    took = []
    for _ in range(200):
        os.write(descriptor, b"x" * 1500)
        began = time.perf_counter()
        os.fdatasync(descriptor)
        took.append((time.perf_counter() - began) * 1000)
    os.close(descriptor)
    took.sort()
    print(f"fdatasync alone: median {took[100]:.2f} ms, 95 of 100 within {took[190]:.2f} ms\n")


def serve(folder: Path, sync: str) -> Server:
    own = folder / sync
    own.mkdir()
    api, metadata, operations = (free_address() for _ in range(3))
    environment = {
        "BROKER_STORE_URL": f"sqlite:{own}/broker.db",
        "BROKER_KEYS_MASTER_KEY_FILE": f"{own}/master.key",
        "BROKER_AUDIT_PATH": f"{own}/audit.jsonl",
        "BROKER_AUDIT_SYNC": sync,
        "BROKER_ROOT_ACCOUNT_ID": ACCOUNT,
        "BROKER_ROOT_ACCESS_KEY_ID": ROOT_KEY_ID,
        "BROKER_ROOT_SECRET_ACCESS_KEY": ROOT_SECRET,
    }
    command = [sys.executable, "-m", "broker", "serve", "--api", api, "--metadata", metadata]
    command += ["--operations", operations]
    return Server(command, environment, api, f"http://{operations}/readyz", "0")


def measure(chosen: argparse.Namespace, servers: dict[str, Server], clients: int) -> None:
    figures: dict[str, list[tuple[float, float]]] = {sync: [] for sync in SYNCS}
    for _ in range(chosen.rounds):
        for sync, server in servers.items():
            asked = signed(server.address, {"Action": "GetCallerIdentity"}, ROOT_KEY_ID, ROOT_SECRET)
            figures[sync].append(load(server, [asked], chosen.seconds, clients))
    print(f"{clients} client{'s' * (clients > 1)}:  sync    requests/s  ms an answer  CPU microseconds")
    for sync, rounds in figures.items():
        cost, rate = (statistics.median(values) for values in zip(*rounds, strict=True))
        print(f"{'':12}{sync:<8}{rate:>10.0f}  {clients / rate * 1000:>12.2f}  {cost:>16.0f}")
    print()


if __name__ == "__main__":
    main()
