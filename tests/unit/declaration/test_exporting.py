"""What is exported makes the same again, and changes nothing where it is."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from broker.app import open_broker
from broker.config import Settings, load_settings
from broker.declaration.exporting import AccountNotFound, export
from broker.yaml_text import as_yaml
from tests.unit.commands.conftest import Declare
from tests.unit.declaration.test_settling import FULL

ROOT = Path(__file__).parents[3]
ODD = """
accounts:
  "111111111111":
    alias: odd-ones
    policies:
      "p+=,.@-":
        path: /a/b/
        description: "two: words"
        document: |
          {"Version": "2012-10-17", "Statement": [
            {"Effect": "Allow", "Action": "s3:*", "Resource": "*", "Condition": {
              "Bool": {"aws:SecureTransport": true}, "NumericLessThan": {"s3:max-keys": 10}}}]}
    users:
      "no": {tags: {"yes": "", "a b": "1.0", "null": "-"}, permissions_boundary: "p+=,.@-"}
      "0123": {groups: ["on"]}
    groups:
      "on":
        inline_policies: {"x": {"Version": "2012-10-17", Statement: {Effect: Deny, Action: "*", Resource: "*"}}}
    foreign_resources:
      "arn:aws:s3:::yes": {policy: {Version: "2012-10-17", Statement: {
        Effect: Allow, Principal: {AWS: "arn:aws:iam::111111111111:user/no"}, Action: "s3:*", Resource: "*"}}}
      "arn:aws:s3:::no-policy": {policy: null}
instances:
  i-1: {account_id: "111111111111", tokens_required: false, hop_limit: 3, user_data: "#!/bin/sh\\n"}
"""


def declarations() -> list[str]:
    names = ("production.yaml", "identities.yaml", "demo.yaml")
    return [FULL, ODD, *((ROOT / "config" / name).read_text() for name in names)]


async def exported(declare: Declare, *accounts: str) -> tuple[str, dict[str, int]]:
    found = await export(declare.broker.store.transaction(), accounts)
    return as_yaml(found.values), found.left_out


@pytest.mark.parametrize("text", declarations(), ids=["full", "odd", "production", "identities", "demo"])
async def test_what_is_exported_changes_nothing_and_makes_the_same_again(
    declare: Declare, text: str, tmp_path: Path
) -> None:
    await declare(text)
    once, _ = await exported(declare)
    assert await declare(once) == []
    assert await declare(once, prune=True) == []
    async with copy_of(once, tmp_path / "other") as copy:
        assert (await exported(copy))[0] == once


@asynccontextmanager
async def copy_of(once: str, folder: Path) -> AsyncIterator[Declare]:
    """What was exported, declared in an empty store."""
    folder.mkdir()
    async with open_broker(settings_in(folder)) as broker:
        copy = Declare(broker, folder)
        await copy(once)
        yield copy


def settings_in(folder: Path) -> Settings:
    values = {
        "BROKER_STORE_URL": f"sqlite:{folder}/broker.db",
        "BROKER_KEYS_MASTER_KEY_FILE": f"{folder}/master.key",
        "BROKER_AUDIT_PATH": f"{folder}/audit.jsonl",
    }
    return load_settings(None, values)


async def test_credentials_are_counted_and_not_exported(declare: Declare) -> None:
    await declare(
        'accounts: {"111111111111": {users: {alice: {access_keys: 2, console_password: generate}}}}'
    )
    text, left_out = await exported(declare)
    assert left_out == {"access keys": 2, "passwords": 1}
    assert "AKIA" not in text


async def test_one_account_is_exported_alone(declare: Declare) -> None:
    await declare('accounts: {"111111111111": {users: {a: {}}}, "222222222222": {users: {b: {}}}}')
    text, _ = await exported(declare, "222222222222")
    assert ("111111111111" in text, "222222222222" in text) == (False, True)
    with pytest.raises(AccountNotFound, match="333333333333"):
        await exported(declare, "333333333333")
