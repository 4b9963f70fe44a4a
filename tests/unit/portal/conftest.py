"""A portal over a real store, asked in this process."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from broker.access.facts import RequestFacts
from broker.app import Broker, open_broker, open_journal
from broker.app.serving import make_dependencies
from broker.config import load_settings
from broker.performing import Tools
from broker.portal.dependencies import Portal
from broker.storage.records import Account, User
from broker.storage.store import ACCOUNTS, USERS, Transaction
from broker.web.metrics import Metrics
from tests.moments import AHEAD

ACCOUNT = "111111111111"
NOW = AHEAD


class World:
    """An account with alice in it; `journal` is where records go."""

    def __init__(self, folder: Path, broker: Broker, journal_path: Path) -> None:
        self.folder = folder
        self.broker = broker
        settings = broker.settings.audit
        self.journal = open_journal(type(settings)(path=str(journal_path)))
        dependencies = make_dependencies(broker, self.journal, Metrics())
        tools = Tools(**{name: getattr(dependencies, name) for name in Tools.__struct_fields__})
        self.portal = Portal(
            tools=tools,
            timer=dependencies.timer,
            count=dependencies.metrics.count,
            source_of=lambda peer, secure, forwarded_for, forwarded_proto: (peer, secure),
            is_host=lambda host: True,
        )
        self.alice = User(
            account_id=ACCOUNT, user_name="alice", user_id="AIDAALICE00000000000A", created_at=1
        )

    @property
    def records(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.folder / "audit.jsonl").read_text().splitlines()]

    async def put(self, *users: User) -> None:
        async def work(store: Transaction) -> None:
            store.put(ACCOUNTS, "", Account(account_id=ACCOUNT))
            for user in users:
                store.put(USERS, ACCOUNT, user)

        await self.broker.store.transact(work)


def facts(now: float = NOW, service: str = "") -> RequestFacts:
    return RequestFacts(now, "request-id", "192.0.2.1", "agent", service=service)


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[Broker]:
    settings = load_settings(
        None,
        {
            "BROKER_STORE_URL": f"sqlite:{tmp_path}/broker.db",
            "BROKER_KEYS_MASTER_KEY_FILE": f"{tmp_path}/master.key",
            "BROKER_AUDIT_PATH": f"{tmp_path}/audit.jsonl",
        },
    )
    async with open_broker(settings, {}) as opened:
        yield opened


@pytest.fixture
async def world(tmp_path: Path, broker: Broker) -> AsyncIterator[World]:
    made = World(tmp_path, broker, tmp_path / "audit.jsonl")
    await made.put(made.alice)
    yield made
    made.journal.close()
