"""A real broker on a temporary store, and `declare(text)`: a declaration applied to it."""

import asyncio
import os
import textwrap
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from broker.__main__ import main
from broker.app import Broker, open_broker
from broker.commands.applying import apply_declaration
from broker.config import Settings, load_settings
from broker.declaration.attempt import Attempt
from broker.declaration.declared import Declaration
from broker.declaration.reading import read_declaration
from broker.storage.store import Collection


class Declare:
    """Applies declarations written as YAML; `changes` are the lines that `broker apply` would show."""

    def __init__(self, broker: Broker, folder: Path) -> None:
        self.broker = broker
        self.folder = folder

    def read(self, text: str) -> Declaration:
        file = self.folder / "demo.yaml"
        file.write_text(textwrap.dedent(text))
        return read_declaration(file)

    async def attempt(self, text: str, *, prune: bool = False, dry: bool = False) -> Attempt:
        declaration = self.read(text)
        return await apply_declaration(
            self.broker, declaration, "apply demo.yaml", self.folder, must_prune=prune, is_dry=dry
        )

    async def __call__(self, text: str, *, prune: bool = False, dry: bool = False) -> list[str]:
        attempt = await self.attempt(text, prune=prune, dry=dry)
        return [f"{change.sign} {change.text}" for change in attempt.changes]

    async def find(self, collection: Collection[Any], account: str, key: str = "") -> Any:
        return await self.broker.store.transaction().find(collection, account, key)


class Ended(msgspec.Struct, frozen=True):
    """How a command ended, and what it printed."""

    status: int
    shown: str
    said: str


Run = Callable[..., Ended]


@pytest.fixture
def run(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Run:
    """`run("keys", "list")`: a command in this process, in a folder and on a new store of its own."""

    async def make_the_store() -> None:
        async with open_broker(settings, {}):
            pass

    asyncio.run(make_the_store())
    for name in [name for name in os.environ if name.startswith("BROKER_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BROKER_STORE_URL", settings.store.url.reveal())
    monkeypatch.setenv("BROKER_KEYS_MASTER_KEY_FILE", settings.keys.master_key_file)
    monkeypatch.setenv("BROKER_AUDIT_PATH", settings.audit.path)

    def run(*arguments: str) -> Ended:
        status = main(list(arguments))
        shown = capsys.readouterr()
        return Ended(status, shown.out, shown.err)

    return run


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings(
        None,
        {
            "BROKER_STORE_URL": f"sqlite:{tmp_path}/broker.db",
            "BROKER_KEYS_MASTER_KEY_FILE": f"{tmp_path}/master.key",
            "BROKER_AUDIT_PATH": f"{tmp_path}/audit.jsonl",
        },
    )


@pytest.fixture
async def broker(settings: Settings) -> AsyncIterator[Broker]:
    async with open_broker(settings) as opened:
        yield opened


@pytest.fixture
async def declare(broker: Broker, tmp_path: Path) -> Declare:
    return Declare(broker, tmp_path)
