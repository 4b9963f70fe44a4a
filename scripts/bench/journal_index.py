"""Looking up one principal among many records of the journal: making the index, then time, memory and disk.

Writes RECORDS records of a thousand users to files of 100 MB in FOLDER (1.3 kB each: ten million are 13 GB), of which
one user has a hundred. The look-ups run in a process of their own, as commands do, with the segments in the kernel's
memory; "in a server" are those of a reader that lives on. Ten million records take twenty minutes.

    .venv-test/bin/python scripts/bench/journal_index.py --records 1000000 --folder /var/tmp
"""

import argparse
import multiprocessing
import random
import resource
import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

import msgspec

from broker.audit.event import SessionAttributes, SessionContext, SessionIssuer, UserIdentity, begin_event
from broker.audit.facets import RecordFilter
from broker.audit.index import INDEX
from broker.audit.reader import JournalReader

ACCOUNT = "111111111111"
START = 1_767_225_600
FILE_SIZE = 100 << 20
USERS = 1000
RARE = "rarely"
LOOK_UPS = {
    "a principal with 100 records": (("principal", RARE),),
    "one request": (("id", "request-77"),),
    "a principal of a thousand": (("principal", "user-7"),),
    "its denials": (("principal", "user-7"), ("outcome", "denied")),
    "everything of an account": (("account", ACCOUNT),),
    "nobody": (("principal", "nobody"),),
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--records", type=int, default=1_000_000, help="how many records (1,000,000)")
    parser.add_argument("--folder", type=Path, help="where the journal lies (a temporary folder)")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=chosen.folder) as folder:
        path = Path(folder) / "audit.jsonl"
        write_journal(path, chosen.records)
        journal = size_of(path.parent)
        print(
            f"{chosen.records:,} records, {journal / 1e9:.2f} GB, {journal / chosen.records:.0f} bytes each"
        )
        seconds, memory = in_a_process(make_index, path)
        index = size_of(path.with_name(f"{path.name}{INDEX}"))
        print(
            f"index: {seconds:.1f} s, {seconds / chosen.records * 1e6:.1f} us a record, {memory} MB of memory, "
            f"{index / chosen.records:.0f} bytes a record on disk ({index / journal:.1%} of the journal)"
        )
        print(f"{'look-up, a page of 50':<32}{'command':>10}{'in a server':>13}{'memory':>9}")
        for name, terms in LOOK_UPS.items():
            (first, later), memory = in_a_process(look_up, path, terms)
            print(f"{name:<32}{first * 1e3:>7.1f} ms{later * 1e3:>10.1f} ms{memory:>6} MB")


def write_journal(path: Path, records: int) -> None:
    """As files that were rotated; times rise by one second every hundred records."""
    numbers = random.Random(7)
    encode = msgspec.json.Encoder().encode
    rare = set(numbers.sample(range(records), min(100, records)))
    files = [path.open("wb")]
    for number in range(records):
        name = RARE if number in rare else f"user-{numbers.randrange(USERS)}"
        files[-1].write(encode(record(number, name, numbers)) + b"\n")
        if number % 1000 == 0 and files[-1].tell() > FILE_SIZE:
            files[-1].close()
            files.append(path.with_name(f"new-{len(files)}").open("wb"))
    files[-1].close()
    names = [path, *(Path(file.name) for file in files[1:])]
    for age, one in enumerate(names[-2::-1], 1):
        one.rename(path.with_name(f"audit.jsonl.{age}"))
    if len(names) > 1:
        names[-1].rename(path)


def record(number: int, name: str, numbers: random.Random) -> object:
    made = begin_event(
        START + number // 100,
        f"request-{number}",
        f"192.0.2.{number % 250}",
        "aws-cli/2.36",
        numbers.randbytes(16),
    )
    arn = f"arn:aws:sts::{ACCOUNT}:assumed-role/application/{name}"
    issuer = SessionIssuer(
        "Role", "AROAAPPLICATION00001", f"arn:aws:iam::{ACCOUNT}:role/application", ACCOUNT, "application"
    )
    context = SessionContext(SessionAttributes("2026-01-01T00:00:00Z", "false"), issuer)
    key = f"ASIA{numbers.randrange(10**4):016d}"
    made.user_identity = UserIdentity(
        "AssumedRole", f"AROAAPPLICATION00001:{name}", arn, ACCOUNT, key, session_context=context
    )
    made.recipient_account_id = ACCOUNT
    made.event_source, made.event_name = (
        "iam.amazonaws.com",
        ("GetUser", "CreateUser", "ListRoles")[number % 3],
    )
    made.request_parameters = {"userName": f"person-{number % 5000}"}
    made.error_code = "AccessDenied" if number % 50 == 0 else ""
    made.read_only = number % 3 != 1
    return made


def make_index(path: Path) -> float:
    started = time.perf_counter()
    JournalReader(path, time.perf_counter).find(RecordFilter(), 1)
    return time.perf_counter() - started


def look_up(path: Path, terms: tuple[tuple[str, str], ...]) -> tuple[float, float]:
    """Seconds of the first look-up of a reader, and of those that follow."""
    reader, times = JournalReader(path, time.perf_counter), []
    for _ in range(8):
        started = time.perf_counter()
        reader.find(RecordFilter(terms), 50)
        times.append(time.perf_counter() - started)
    return times[0], statistics.median(times[1:])


def in_a_process(work, *arguments):
    """What `work` answers, and the most memory in MB that its process had."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_measured, (work, arguments))


def _measured(work, arguments):
    answer = work(*arguments)
    return answer, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10


def size_of(folder: Path) -> int:
    return sum(one.stat().st_size for one in folder.iterdir() if one.is_file())


if __name__ == "__main__":
    main()
