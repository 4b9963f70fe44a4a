"""The portal's pages beside a bare aiohttp page, in one run.

Three pages of `broker serve` with one worker, on SQLite: the sign-in page; the first page of a person to whom 200
roles of 100,000 are open; the console's list of 1,000 users. The bare server is an aiohttp handler that answers as
many bytes of HTML. Rounds alternate. Printed are the server's CPU milliseconds per page, pages per second, and the
ratio bare/broker of the CPU, medians of all rounds (1.0 would mean that a page costs no more than aiohttp with
nothing behind it). Servers run on the first core, the client on the last.

    .venv-test/bin/python scripts/bench/pages.py
    .venv-test/bin/python scripts/bench/pages.py --accounts 50 --rounds 3 --seconds 1     less to prepare
"""

import argparse
import asyncio
import os
import statistics
import sys
import tempfile
from contextlib import AsyncExitStack
from pathlib import Path
from typing import NamedTuple

from populate import CREATED_AT, USER, account_id, master_key_file, populate, user_id
from role_index import document, trusting_role
from serving import Server, ask, free_address, load

sys.path.insert(0, str(Path(__file__).parents[2]))

from aiohttp import web
from msgspec.structs import replace

from broker.access.facts import RequestFacts
from broker.access.role_index_upkeep import index_missing_roles
from broker.app import clock, entropy, open_broker, open_journal
from broker.app.serving import make_dependencies
from broker.config import load_settings
from broker.performing import Tools
from broker.portal.cookies import SignInState, set_cookie
from broker.portal.dependencies import Portal
from broker.portal.sessions import new_session, put_session, reference_of
from broker.storage.portal_records import IamUserIdentity
from broker.storage.records import User
from broker.storage.store import ROLES, USERS, Transaction
from broker.web.metrics import Metrics

PERSONS_ROLES, USERS_SHOWN = 200, 1000
RATIO_GOAL, CPU_GOAL = 0.3, 50.0  # of the sign-in page; milliseconds of the others

PORTAL, API, METADATA, OPERATIONS, BARE = (free_address() for _ in range(5))
BARE_SERVER = f"""
from aiohttp import web

async def get(request):
    return web.Response(text="x" * int(request.query["size"]), content_type="text/html", charset="utf-8")

application = web.Application()
application.router.add_get("/", get)
host, port = "{BARE}".split(":")
web.run_app(application, host=host, port=int(port), access_log=None, print=None)
"""


class Page(NamedTuple):
    name: str
    path: str
    is_signed_in: bool = True


def settings_of(store: Path, folder: Path) -> dict[str, str]:
    return {
        "BROKER_STORE_URL": f"sqlite:{store}",
        "BROKER_KEYS_MASTER_KEY_FILE": str(master_key_file(store)),
        "BROKER_AUDIT_PATH": str(folder / "audit.jsonl"),
        "BROKER_LISTEN_API": API,
        "BROKER_LISTEN_METADATA": METADATA,
        "BROKER_LISTEN_OPERATIONS": OPERATIONS,
        "BROKER_LISTEN_PORTAL": PORTAL,
    }


async def prepare(store: Path, folder: Path, accounts: int) -> str:
    """Roles that trust the person, the users of the list, the index; the cookie of the person's session."""
    settings = load_settings(None, settings_of(store, folder))
    async with AsyncExitStack() as stack:
        broker = await stack.enter_async_context(open_broker(settings, {}))
        journal = open_journal(settings.audit)
        stack.callback(journal.close)
        dependencies = make_dependencies(broker, journal, Metrics())
        tools = Tools(**{name: getattr(dependencies, name) for name in Tools.__struct_fields__})
        person = account_id(accounts - 1)
        await tools.store.transact(lambda store: _fill_account(store, person))
        for number in range(PERSONS_ROLES):
            account = account_id(number % (accounts - 1))
            role = trusting_role(account, person, number, f"for-the-person-{number}")

            async def put(store: Transaction, account: str = account, role: object = role) -> None:
                store.put(ROLES, account, role)  # type: ignore[arg-type]

            await tools.store.transact(put)
        await index_missing_roles(tools.store, 0)
        return await session_cookie(tools, person)


async def _fill_account(store: Transaction, account: str) -> None:
    """The person's account: nothing in it may be taken, and there are users to list."""
    person = await store.find(USERS, account, USER)
    assert person is not None
    allowed = document(Effect="Allow", Action=["sts:AssumeRole", "iam:*"], Resource="*")
    store.put(USERS, account, replace(person, inline_policies={"may": allowed}))
    for role in await store.scan(ROLES, account):
        store.delete(ROLES, account, role.role_name)
    for number in range(USERS_SHOWN - 1):
        name = f"user-{number:04}"
        user = User(
            account_id=account,
            user_name=name,
            user_id=f"AIDA{number:017}",
            created_at=CREATED_AT + number,
        )
        store.put(USERS, account, user)


async def session_cookie(tools: Tools, account: str) -> str:
    """Of a sign-in that was never made: no password has to be hashed for this."""
    portal = Portal(
        tools=tools,
        timer=clock,
        count=lambda *_: None,
        source_of=lambda peer, secure, forwarded_for, forwarded_proto: (peer, secure),
        is_host=lambda host: True,
    )
    identity = IamUserIdentity(account_id=account, user_name=USER, user_id=user_id(account))
    facts = RequestFacts(clock(), "request-id", "127.0.0.1", "bench")
    session = new_session(portal, facts, identity, SignInState("token", int(facts.now)))

    async def put(store: Transaction) -> None:
        put_session(store, session, portal.idle_seconds)

    await tools.store.transact(put)
    response = web.Response()
    set_cookie(tools.mint.keyring(), response, reference_of(session), entropy, is_secure=False)
    return response.headers["Set-Cookie"].partition(";")[0]


def request(host: str, path: str, cookie: str = "") -> bytes:
    sent = f"Cookie: {cookie}\r\n" if cookie else ""
    return (
        f"GET {path} HTTP/1.1\r\nHost: {host}\r\nAccept: text/html\r\nAccept-Language: en\r\n"
        f"User-Agent: Mozilla/5.0 (X11; Linux x86_64) Chrome/150.0\r\n{sent}\r\n"
    ).encode()


def measure(portal: Server, bare: Server, page: Page, cookie: str, rounds: int, seconds: float) -> bool:
    """Print the page's line; whether its goal is reached."""
    asked = request(PORTAL, page.path, cookie if page.is_signed_in else "")
    body, first = ask(portal, asked)
    size = len(body.encode())
    beside = request(BARE, f"/?size={size}")
    costs, rates, bares = [], [], []
    for _ in range(rounds):
        cost, rate = load(portal, [asked], seconds, 4)
        costs.append(cost / 1000)
        rates.append(rate)
        bares.append(load(bare, [beside], seconds, 4)[0] / 1000)
    cost = statistics.median(costs)
    ratio = statistics.median(mine / own for own, mine in zip(costs, bares, strict=True))
    is_reached = cost < CPU_GOAL if page.is_signed_in else ratio >= RATIO_GOAL
    goal = f"{CPU_GOAL:.0f} ms" if page.is_signed_in else f"ratio {RATIO_GOAL}"
    print(
        f"{page.name:<34} {cost:>8.2f} {statistics.median(bares):>8.3f} {ratio:>7.3f} "
        f"{statistics.median(rates):>8.0f} {first:>9.0f} {size / 1000:>7.1f}  {goal}{'' if is_reached else ' MISSED'}",
        flush=True,
    )
    return is_reached


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--store", type=Path, help="a store that populate.py made; it is changed")
    parser.add_argument("--accounts", type=int, default=1000, help="of 100 roles each")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0)
    chosen = parser.parse_args()
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[-1]})
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        store = chosen.store or folder / "broker.db"
        asyncio.run(populate(store, chosen.accounts, 100))
        cookie = asyncio.run(prepare(store, folder, chosen.accounts))
        command = [sys.executable, "-m", "broker", "serve"]
        account = account_id(chosen.accounts - 1)
        pages = (
            Page("sign-in", "/sign-in", is_signed_in=False),
            Page(f"{PERSONS_ROLES} roles of {chosen.accounts * 100:,}", "/access"),
            Page(f"console, {USERS_SHOWN:,} users", f"/console/{account}/users"),
        )
        heads = ("CPU ms", "bare ms", "ratio", "a second", "first ms", "kB")
        print(
            f"{'page':<34} {heads[0]:>8} {heads[1]:>8} {heads[2]:>7} {heads[3]:>8} {heads[4]:>9} {heads[5]:>7}  goal"
        )
        core = str(cores[0])
        ready = f"http://{OPERATIONS}/readyz"
        with (
            Server(command, settings_of(store, folder), PORTAL, ready, core) as portal,
            Server([sys.executable, "-c", BARE_SERVER], {}, BARE, f"http://{BARE}/?size=1", core) as bare,
        ):
            for page in pages:
                measure(portal, bare, page, cookie, chosen.rounds, chosen.seconds)


if __name__ == "__main__":
    main()
