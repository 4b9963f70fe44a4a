"""The event history of an account: its own records only, by the gate, with a record of each look-up."""

import asyncio
import contextlib
import itertools
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from broker.access.facts import RequestFacts
from broker.access.people import caller_of
from broker.app import Broker, open_broker, open_journal
from broker.app.serving import make_dependencies
from broker.audit.event import Event, UserIdentity, begin_event
from broker.audit.facets import RecordFilter
from broker.audit.history import EventHistory
from broker.audit.journal import Journal
from broker.audit.reader import FoundRecords, JournalReader
from broker.config import load_settings
from broker.errors import Refusal
from broker.event_history import look_up_events, may_look_up_events
from broker.names.secret import SecretKey
from broker.performing import Tools
from broker.storage.portal_records import IamUserIdentity, PortalSession, RootIdentity
from broker.storage.records import Account, User
from broker.storage.store import ACCOUNTS, USERS, Transaction
from broker.web.metrics import Metrics

OWN, OTHER = "1" * 12, "2" * 12
NOW = 1_800_000_000


class World:
    """Two accounts, of which the first has a user without permissions."""

    def __init__(self, folder: Path, broker: Broker, journal: Journal) -> None:
        self.path = folder / "audit.jsonl"
        self.journal = journal
        dependencies = make_dependencies(broker, journal, Metrics())
        self.tools = Tools(**{name: getattr(dependencies, name) for name in Tools.__struct_fields__})
        self.history = EventHistory(JournalReader(self.path, itertools.count().__next__))

    async def look_up(self, session: PortalSession, *terms: tuple[str, str]) -> FoundRecords:
        wanted = RecordFilter(terms)
        return await look_up_events(
            self.tools, self.history, FACTS, lambda store: caller_of(store, session), wanted, 50
        )

    @property
    def records(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.path.read_text().splitlines()]


FACTS = RequestFacts(float(NOW), "look-up", "192.0.2.1", "agent")
ALICE = User(account_id=OWN, user_name="alice", user_id="AIDAALICE00000000000A", created_at=1)


def session(identity: IamUserIdentity | RootIdentity) -> PortalSession:
    return PortalSession(
        session_id="00" * 16,
        identity=identity,
        access_key_id="ASIA1",
        csrf_token=SecretKey(""),
        signed_in_at=NOW,
        last_seen_at=NOW,
        ends_at=NOW + 3600,
    )


ROOT = session(RootIdentity(account_id=OWN))
USER = session(IamUserIdentity(account_id=OWN, user_name="alice", user_id=ALICE.user_id))


def event(account: str, number: int, error: str = "") -> Event:
    made = begin_event(NOW, f"{account}-{number}", "192.0.2.1", "agent", number.to_bytes(16, "big"))
    made.user_identity = UserIdentity("Root", arn=f"arn:aws:iam::{account}:root", account_id=account)
    made.recipient_account_id, made.error_code, made.error_message = account, error, "10.0.0.7 is away"
    return made


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    settings = load_settings(
        None,
        {
            "BROKER_STORE_URL": f"sqlite:{tmp_path}/broker.db",
            "BROKER_KEYS_MASTER_KEY_FILE": f"{tmp_path}/master.key",
            "BROKER_AUDIT_PATH": f"{tmp_path}/audit.jsonl",
        },
    )

    async def put(store: Transaction) -> None:
        for account in (OWN, OTHER):
            store.put(ACCOUNTS, "", Account(account_id=account))
        store.put(USERS, OWN, ALICE)

    async with open_broker(settings, {}) as broker:
        journal = open_journal(settings.audit)
        await broker.store.transact(put)
        yield World(tmp_path, broker, journal)
        journal.close()


async def test_an_account_sees_its_own_records_whatever_the_filter_says(world: World) -> None:
    for number in range(3):
        for account in (OWN, OTHER, ""):
            world.journal.write(event(account, number))
    assert {one.event.recipient_account_id for one in (await world.look_up(ROOT)).records} == {OWN}
    for term in (("account", OTHER), ("id", f"{OTHER}-1"), ("principal", f"arn:aws:iam::{OTHER}:root")):
        assert (await world.look_up(ROOT, term)).records == ()


async def test_a_look_up_leaves_its_record_and_so_does_a_refused_one(world: World) -> None:
    await world.look_up(ROOT, ("event", "CreateUser"))
    with pytest.raises(Refusal, match="AccessDenied"):
        await world.look_up(USER)
    allowed, denied = world.records
    assert (allowed["eventSource"], allowed["eventName"]) == ("cloudtrail.amazonaws.com", "LookupEvents")
    assert allowed["readOnly"] is True
    assert allowed["requestParameters"] == {
        "maxResults": 50,
        "lookupAttributes": [{"attributeKey": "event", "attributeValue": "CreateUser"}],
    }
    assert (allowed["userIdentity"]["type"], denied["userIdentity"]["userName"]) == ("Root", "alice")
    assert "cloudtrail:LookupEvents" in denied["errorMessage"]


async def test_what_is_wrong_with_the_broker_is_not_told_to_accounts(world: World) -> None:
    world.journal.write(event(OWN, 1, "ServiceUnavailable"))
    world.journal.write(event(OWN, 2, "NoSuchEntity"))
    denied, away = (await world.look_up(ROOT)).records
    assert (denied.event.error_message, away.event.error_message) == ("10.0.0.7 is away", "")
    assert b"10.0.0.7" not in away.line


async def test_the_gate_is_asked_without_a_record_while_a_tail_goes_on(world: World) -> None:
    for one, is_allowed in ((ROOT, True), (USER, False)):
        caller = await caller_of(world.tools.store.transaction(), one)
        assert await may_look_up_events(world.tools, FACTS, caller) is is_allowed
    assert world.records == []


async def test_a_journal_that_cannot_be_read_is_a_refusal_that_is_recorded(world: World) -> None:
    world.history = EventHistory(JournalReader(world.path / "elsewhere", itertools.count().__next__))
    with pytest.raises(Refusal, match="ServiceUnavailable"):
        await world.look_up(ROOT)
    assert world.records[-1]["errorCode"] == "ServiceUnavailable"


def test_tails_are_so_many_at_most(tmp_path: Path) -> None:
    history = EventHistory(JournalReader(tmp_path / "audit.jsonl", itertools.count().__next__))
    with contextlib.ExitStack() as stack:
        for number in range(32):
            stack.enter_context(history.tail(f"person {number}"))
        with pytest.raises(Refusal, match="Throttling"), history.tail("another"):
            pass
    with history.tail("another"):
        pass


def test_one_person_does_not_take_the_tails_of_all(tmp_path: Path) -> None:
    history = EventHistory(JournalReader(tmp_path / "audit.jsonl", itertools.count().__next__))
    with contextlib.ExitStack() as stack:
        for _ in range(6):
            stack.enter_context(history.tail("alice"))
        with pytest.raises(Refusal, match="Throttling"), history.tail("alice"):
            pass
        with history.tail("bob"):
            pass
    with history.tail("alice"):
        pass


async def test_what_was_not_indexed_in_time_is_indexed_in_the_background(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "audit.jsonl")
    for number in range(100):
        journal.write(event(OWN, number))
    journal.close()
    # The timer counts its calls, so that each step has the time for one segment.
    ticks = (number / 4 for number in itertools.count())
    history = EventHistory(JournalReader(tmp_path / "audit.jsonl", ticks.__next__, stretch=2000))
    found = await history.find(OWN, RecordFilter(), 1000)
    assert (found.complete_since is None, len(found.records) < 100) == (False, True)
    async with asyncio.timeout(10):
        while (await history.find(OWN, RecordFilter(), 1000)).complete_since is not None:
            await asyncio.sleep(0.01)
    assert len((await history.find(OWN, RecordFilter(), 1000)).records) == 100
