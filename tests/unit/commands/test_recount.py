"""`broker recount`: finds what was not counted, says so, and corrects it."""

import asyncio
from collections.abc import Awaitable, Callable

from broker.app import Broker, open_broker
from broker.config import Settings
from broker.storage.engine import Write, account_partition
from broker.storage.records import Account, User
from broker.storage.store import ACCOUNTS, COUNTS, USERS, Transaction

from .conftest import Run

HERE = "111111111111"


def in_broker(settings: Settings, work: Callable[[Broker], Awaitable[None]]) -> None:
    async def main() -> None:
        async with open_broker(settings, {}) as broker:
            await work(broker)

    asyncio.run(main())


async def populate(broker: Broker) -> None:
    async def work(store: Transaction) -> None:
        store.put(ACCOUNTS, "", Account(account_id=HERE))
        store.put(USERS, HERE, User(account_id=HERE, user_name="a", user_id="AIDA1", created_at=1))

    await broker.store.transact(work)


async def damage(broker: Broker) -> None:
    """As a broker of an earlier version does, which knows no counts."""
    user = User(account_id=HERE, user_name="b", user_id="AIDA2", created_at=1)
    writes = [Write(USERS.stored_key("b"), USERS.encode(user))]
    await broker.store.engine.commit(account_partition(HERE), writes, None)


async def require_two(broker: Broker) -> None:
    counts = await broker.store.transaction().find(COUNTS, HERE)
    assert counts is not None
    assert counts.counts == {"user": 2}


def test_what_was_not_counted_is_shown_and_corrected(run: Run, settings: Settings) -> None:
    in_broker(settings, populate)
    assert run("recount").status == 0
    in_broker(settings, damage)
    shown = run("recount", "--dry-run", HERE)
    assert (shown.status, shown.shown) == (
        1,
        f"{HERE}  counts/\n1 accounts counted, 1 records would be corrected\n",
    )
    corrected = run("recount")
    assert (corrected.status, corrected.shown) == (
        1,
        f"{HERE}  counts/\n1 accounts counted, 1 records corrected\n",
    )
    in_broker(settings, require_two)
    assert run("recount").shown == "1 accounts counted, 0 records corrected\n"


def test_an_account_without_a_record_that_counts_has_nothing_to_correct(run: Run, settings: Settings) -> None:
    assert run("root-key", HERE, "--create-account").status == 0
    assert (ended := run("recount")).status == 0
    assert ended.shown == "1 accounts counted, 0 records corrected\n"


def test_an_account_that_is_not_there_is_an_error(run: Run, settings: Settings) -> None:
    in_broker(settings, populate)
    ended = run("recount", "222222222222")
    assert ended.status == 1
    assert "there is no account 222222222222" in ended.said
