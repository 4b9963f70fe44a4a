"""The index of trust policies: what it costs to make, to have and to use, with 100,000 roles in 1,000 accounts.

The store is made by scripts/bench/populate.py, without an index, as an earlier version would leave it; then one role in
each of the first accounts is made to trust a person of the last one, half of them by user, half by account.

Index: a pass over the whole store, and the bytes that it adds to the file. Page: the CPU of what the portal asks for
its first page (every role that the person may take, each decided by the gate): the first time, again, and after another
role that trusts the person's account was written. Scan: the same without the index, bounded as it is then. Issuer: the
page of a person of an OpenID Connect provider that every account knows, and as many roles trust.
CreateRole: CPU and time of the operation with its commit, with and without the index, in turn.

    .venv-test/bin/python scripts/bench/role_index.py
    .venv-test/bin/python scripts/bench/role_index.py --accounts 100 --person 20 --folder /tmp/scale
"""

import argparse
import asyncio
import json
import shutil
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, closing
from pathlib import Path
from types import SimpleNamespace

from populate import CREATED_AT, USER, account_id, master_key_file, populate, user_id

sys.path.insert(0, str(Path(__file__).parents[2]))

from msgspec.structs import replace

import broker.iam.roles
from broker.access.caller import Caller, root_caller, user_caller
from broker.access.facts import RequestFacts
from broker.access.role_index import index_role
from broker.access.role_index_upkeep import index_missing_roles
from broker.app import clock, open_broker, open_journal
from broker.app.serving import make_dependencies
from broker.config import load_settings
from broker.federated_roles import find_federated_roles
from broker.names.arn import iam_arn
from broker.names.principal import Anonymous
from broker.operation import find_operation, perform
from broker.own_roles import find_roles
from broker.performing import Tools
from broker.protocol.shapes import iam as shapes
from broker.storage.portal_records import OpenIdConnectIdentity
from broker.storage.records import OpenIdConnectProvider, Role
from broker.storage.store import OPEN_ID_CONNECT_PROVIDERS, ROLE_INDEX, ROLES, USERS, Transaction
from broker.web.metrics import Metrics

ISSUER, CLIENT = "https://idp.example.com", "portal"
GOAL = 50  # milliseconds
FACTS = RequestFacts(clock(), "request-id", "192.0.2.1", service="iam")
MAY_ASSUME = {"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": "*"}


def document(**statement: object) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def trusting_role(account: str, person_account: str, number: int, name: str = "for-the-person") -> Role:
    trusted = iam_arn(person_account, f"user/{USER}")
    principal = trusted if number % 2 else iam_arn(person_account, "root")
    return Role(
        account_id=account,
        role_name=name,
        role_id=f"AROA{number:017}",
        created_at=CREATED_AT,
        assume_role_policy=document(Effect="Allow", Principal={"AWS": principal}, Action="sts:AssumeRole"),
        trusted_ids={trusted: user_id(person_account)} if number % 2 else {},
    )


async def timed(work: Callable[[], Awaitable[object]]) -> tuple[float, float]:
    """Milliseconds of CPU, and of time."""
    began, cpu = time.perf_counter(), time.process_time()
    await work()
    return (time.process_time() - cpu) * 1000, (time.perf_counter() - began) * 1000


def show(what: str, cpu: float, elapsed: float, more: str = "") -> None:
    print(f"{what:<46} {cpu:>10.2f} {elapsed:>10.2f}  {more}", flush=True)


async def measure(store: Path, folder: Path, accounts: int, person_roles: int, rounds: int) -> None:
    settings = load_settings(
        None,
        {
            "BROKER_STORE_URL": f"sqlite:{store}",
            "BROKER_KEYS_MASTER_KEY_FILE": str(master_key_file(store)),
            "BROKER_AUDIT_PATH": str(folder / "audit.jsonl"),
        },
    )
    async with AsyncExitStack() as stack:
        opened = await stack.enter_async_context(open_broker(settings, {}))
        journal = open_journal(settings.audit)
        stack.callback(journal.close)
        dependencies = make_dependencies(opened, journal, Metrics())
        tools = Tools(**{name: getattr(dependencies, name) for name in Tools.__struct_fields__})
        person = account_id(accounts - 1)
        # All accounts but the person's own, whose other roles are of no concern here.
        await prepare(tools, person, person_roles)
        print(f"{'milliseconds':<46} {'CPU':>10} {'time':>10}")
        await measure_page(tools, person, "Scan", rounds)
        await prepare_issuer(tools, accounts, person_roles)
        await measure_issuer(tools, "without the index", rounds)
        await measure_index(tools, store)
        await measure_page(tools, person, "Page", rounds)
        await measure_issuer(tools, "with the index", rounds)
        await measure_creation(tools, account_id(0), person, rounds * 20)


async def prepare(tools: Tools, person: str, person_roles: int) -> None:
    async def work(transaction: Transaction) -> None:
        user = await transaction.get(USERS, person, USER, lambda key: RuntimeError(key))  # type: ignore[arg-type,return-value]
        transaction.put(USERS, person, replace(user, inline_policies={"may": document(**MAY_ASSUME)}))
        for role in await transaction.scan(ROLES, person):
            transaction.delete(ROLES, person, role.role_name)

    await tools.store.transact(work)
    for number in range(person_roles):
        transaction = tools.store.transaction()
        transaction.put(ROLES, account_id(number), trusting_role(account_id(number), person, number))
        await transaction.commit()


async def prepare_issuer(tools: Tools, accounts: int, person_roles: int) -> None:
    """Every account knows the issuer; in the first ones a role trusts it."""
    for number in range(accounts):
        account, transaction = account_id(number), tools.store.transaction()
        provider = OpenIdConnectProvider(
            account_id=account, url=ISSUER, client_ids=(CLIENT,), created_at=CREATED_AT
        )
        transaction.put(OPEN_ID_CONNECT_PROVIDERS, account, provider)
        if number < person_roles:
            trusted = document(
                Effect="Allow", Principal={"Federated": provider.arn}, Action="sts:AssumeRoleWithWebIdentity"
            )
            role = trusting_role(account, account, number, "of-the-issuer")
            transaction.put(ROLES, account, replace(role, assume_role_policy=trusted, trusted_ids={}))
        await transaction.commit()


async def measure_issuer(tools: Tools, what: str, rounds: int) -> None:
    now = int(clock())
    person = OpenIdConnectIdentity(
        sign_in="idp",
        name="ann",
        issuer=ISSUER,
        audience=(CLIENT,),
        issued_at=now,
        expires_at=now + 3600,
        claims={"sub": "ann", "aud": CLIENT, "iss": ISSUER},
    )
    found = SimpleNamespace(roles=(), is_complete=False)

    async def ask() -> None:
        nonlocal found
        call = tools.call(tools.store.transaction(), Caller(principal=Anonymous(), account=""), FACTS)
        found = await find_federated_roles(call, person)

    first = await timed(ask)
    answer = f"{len(found.roles)} roles, {'all' if found.is_complete else 'not all'} looked at"
    show(f"Issuer, {what}: the first time", *first, answer)
    again = [await timed(ask) for _ in range(rounds)]
    show(f"Issuer, {what}: again", *map(statistics.median, zip(*again, strict=True)), f"goal {GOAL}")


async def measure_page(tools: Tools, person: str, what: str, rounds: int) -> None:
    found = SimpleNamespace(roles=(), is_complete=False)

    async def ask() -> None:
        nonlocal found
        store = tools.store.transaction()
        user = await store.find(USERS, person, USER)
        assert user is not None
        found = await find_roles(tools.call(store, user_caller(user), FACTS))

    first = await timed(ask)
    answer = f"{len(found.roles)} roles, {'all' if found.is_complete else 'not all'} looked at"
    show(f"{what}: the first time", *first, answer)
    again = [await timed(ask) for _ in range(rounds)]
    show(f"{what}: again", *map(statistics.median, zip(*again, strict=True)), f"goal {GOAL}")
    if what == "Scan":
        return
    changed = []
    for number in range(rounds):
        await write_another(tools, person, number)
        changed.append(await timed(ask))
    show(f"{what}: after another role was written", *map(statistics.median, zip(*changed, strict=True)))


async def write_another(tools: Tools, person: str, number: int) -> None:
    async def work(transaction: Transaction) -> None:
        role = trusting_role(account_id(0), person, 0, f"another-{number}")
        transaction.put(ROLES, account_id(0), role)
        await index_role(transaction, role, b"")

    await tools.store.transact(work)


async def measure_index(tools: Tools, store: Path) -> None:
    before = size_of(store)
    missing = 0

    async def index() -> None:
        nonlocal missing
        missing = await index_missing_roles(tools.store, 0)

    cost = await timed(index)
    added = size_of(store) - before
    grown = f"{missing:,} entries, {added / missing:.0f} bytes each, the file grows by {added / before:.1%}"
    show("Index: the first pass, without rests", *cost, grown)
    show("Index: a pass without anything to do", *await timed(index))
    assert await tools.store.transaction().find(ROLE_INDEX, "") is not None


def size_of(store: Path) -> int:
    """Bytes of the file, with what was in its log."""
    with closing(sqlite3.connect(store)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return store.stat().st_size


async def not_at_all(*_: object) -> None:
    pass


async def measure_creation(tools: Tools, account: str, person: str, rounds: int) -> None:
    policy = trusting_role(account, person, 0).assume_role_policy
    operation = find_operation("iam", "CreateRole")
    made = 0

    async def create() -> None:
        nonlocal made
        made += 1
        request = shapes.CreateRoleRequest(role_name=f"new-{made}", assume_role_policy_document=policy)
        await tools.store.transact(
            lambda store: perform(operation, tools.call(store, root_caller(account), FACTS), request)
        )

    results: dict[str, list[tuple[float, float]]] = {"with": [], "without": []}
    for _ in range(rounds):
        results["with"].append(await timed(create))
        broker.iam.roles.index_role = not_at_all  # type: ignore[assignment]
        results["without"].append(await timed(create))
        broker.iam.roles.index_role = index_role
    for name, own in results.items():
        show(f"CreateRole: {name} the index", *map(statistics.median, zip(*own, strict=True)))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--accounts", type=int, default=1000)
    parser.add_argument("--roles", type=int, default=100, help="in each account (100)")
    parser.add_argument("--person", type=int, default=200, help="roles that trust the person (200)")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--folder", type=Path, help="keep the store here, and use it again")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="broker-bench-") as temporary:
        folder = chosen.folder or Path(temporary)
        made = folder / f"index-{chosen.accounts}-{chosen.roles}.db"
        asyncio.run(populate(made, chosen.accounts, chosen.roles))
        store = Path(temporary) / "broker.db"
        shutil.copy(made, store)
        shutil.copy(master_key_file(made), master_key_file(store))
        asyncio.run(measure(store, Path(temporary), chosen.accounts, chosen.person, chosen.rounds))


if __name__ == "__main__":
    main()
