"""A real broker on a temporary store, and `declare(text)`: a declaration applied to it."""

import textwrap
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from broker.app import Broker, open_broker
from broker.commands.declaration.attempt import Attempt
from broker.commands.declaration.declared import Declaration
from broker.commands.declaration.reading import read_declaration
from broker.commands.declaration.settling import apply_declaration
from broker.config import Settings, load_settings
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
        return await (await self.broker.store.read()).find(collection, account, key)


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
