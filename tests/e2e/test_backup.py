"""`broker backup` of a store that is in use, and `broker restore`, as the operator's guide says it: word for word."""

import re
import shlex
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from tests.e2e.conftest import ROOT, Account, Server
from tests.e2e.scenes import allow, new_user
from tests.e2e.test_commands import Commands
from tests.redis_server import RedisServer

ENGINES = ["sqlite", "redis"]


def documented(which: str, file: Path) -> str:
    """The command of the guide, for a file of this test."""
    guide = (ROOT / "deploy" / "README.md").read_text("utf-8")
    found = re.search(rf"^# {which}\n(.+)$", guide, re.MULTILINE)
    assert found is not None
    return found[1].replace("/srv/backup/broker.db", shlex.quote(str(file)))


def in_a_shell(server: Server, line: str) -> subprocess.CompletedProcess[str]:
    commands = Commands(server.settings, server.folder)
    script = f'broker() {{ "{sys.executable}" -m broker "$@"; }}; {line}'
    return subprocess.run(
        ["bash", "-euc", script], env=commands.environment, cwd=server.folder, capture_output=True, text=True
    )


def new_server(folder: Path, engine: str, redis: RedisServer) -> Server:
    folder.mkdir()
    return Server(folder, f"sqlite:{folder / 'broker.db'}" if engine == "sqlite" else redis.new_store())


def names_in(server: Server, account: Account) -> set[str]:
    pages = server.client("iam", account.root).get_paginator("list_users").paginate()
    return {user["UserName"] for page in pages for user in page["Users"]}


@contextmanager
def load(server: Server, first: Account, second: Account) -> Iterator[None]:
    """Users are created in turn, in one account and then in the other."""
    enough = threading.Event()
    clients = [server.client("iam", account.root) for account in (first, second)]

    def go_on_writing() -> None:
        for index in range(100_000):
            for client in clients:
                client.create_user(UserName=f"meanwhile-{index}")
            if enough.is_set():
                return

    writer = threading.Thread(target=go_on_writing)
    writer.start()
    try:
        yield
    finally:
        enough.set()
        writer.join()


@pytest.mark.parametrize(("engine", "other"), [("sqlite", "redis"), ("redis", "sqlite")])
def test_a_backup_under_load_is_the_store_of_one_moment_and_is_restored_to_either_engine(
    tmp_path: Path, redis_server: RedisServer, engine: str, other: str
):
    server = new_server(tmp_path / "first", engine, redis_server)
    file = tmp_path / "backup.db"
    with server.running():
        accounts = [server.new_account(), server.new_account()]
        before = new_user(server, accounts[0], "before", allow("iam:ListUsers"))
        with load(server, *accounts):
            made = in_a_shell(server, documented("backup", file))
            assert made.returncode == 0, made.stderr
        new_user(server, accounts[0], "after")
    assert re.search(r": 2 accounts, \d+ records, each opened with the master key$", made.stdout.strip())
    assert file.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.glob("*backup.db*")) == [file], "one file, and nothing beside it"
    assert (server.folder / "master.key").read_bytes().strip() not in file.read_bytes()

    restored = new_server(tmp_path / "second", other, redis_server)
    (tmp_path / "first" / "master.key").rename(tmp_path / "second" / "master.key")
    done = in_a_shell(restored, documented("restore", file))
    assert done.returncode == 0, done.stderr
    with restored.running():
        first, second = (names_in(restored, account) for account in accounts)
        assert restored.client("iam", before).list_users()["Users"]
        assert "before" in first and "after" not in first
        numbers = [
            sorted(int(name.removeprefix("meanwhile-")) for name in names - {"before"})
            for names in (first, second)
        ]
        for some in numbers:
            assert some == list(range(len(some))), "the copy is no state that the store was ever in"
        assert 0 <= len(numbers[0]) - len(numbers[1]) <= 1, "the accounts are not of the same moment"
        restored.client("iam", accounts[0].root).create_user(UserName="on-and-on")


@pytest.mark.parametrize("engine", ENGINES)
def test_a_restore_refuses_a_store_in_use_and_one_that_holds_records(
    tmp_path: Path, redis_server: RedisServer, engine: str
):
    server = new_server(tmp_path / "first", engine, redis_server)
    commands = Commands(server.settings, server.folder)
    file = str(tmp_path / "backup.db")
    with server.running():
        account = server.new_account()
        commands("backup", file)
        server.client("iam", account.root).create_user(UserName="later")
        assert "in use" in commands.refused("restore", file, "--replace")
        assert names_in(server, account) == {"later"}
        assert "exists, and a backup replaces nothing" in commands.refused("backup", file, status=2)
    assert "--replace puts the backup in its place" in commands.refused("restore", file)
    commands("restore", file, "--replace")
    with server.running():
        assert names_in(server, account) == set()
    events = [line for line in (server.folder / "audit.jsonl").read_text().splitlines() if "Store" in line]
    assert [re.search('"eventName":"(.*?)"', line)[1] for line in events] == ["BackUpStore", "RestoreStore"]  # type: ignore[index]


def test_a_backup_with_another_master_key_or_damaged_changes_nothing(
    tmp_path: Path, redis_server: RedisServer
):
    server = new_server(tmp_path / "first", "sqlite", redis_server)
    commands = Commands(server.settings, server.folder)
    file = tmp_path / "backup.db"
    commands("root-key", "111111111111", "--create-account")
    commands("backup", str(file))
    other = new_server(tmp_path / "second", "sqlite", redis_server)
    there = Commands(other.settings, other.folder)
    there("root-key", "222222222222", "--create-account")
    held = (other.folder / "broker.db").read_bytes()
    assert "master key" in there.refused("restore", str(file), "--replace", status=2)
    with closing(sqlite3.connect(file)) as connection, connection:
        damage = "UPDATE records SET value = zeroblob(length(value)) WHERE partition = ?"
        connection.execute(damage, (b"account/111111111111",))
    refused = commands.run("restore", str(file), "--replace")
    assert refused.returncode == 3 and "Traceback" not in refused.stderr
    assert (other.folder / "broker.db").read_bytes() == held
    assert "cannot be read" in commands.refused("restore", str(tmp_path / "none.db"), status=2)
    (no_backup := tmp_path / "notes.db").write_text("notes")
    assert f"{no_backup}: file is not a database" in commands.refused("restore", str(no_backup), status=3)


def test_a_backup_of_a_store_that_is_not_there_makes_none(tmp_path: Path):
    commands = Commands({"BROKER_STORE_URL": f"sqlite:{tmp_path}/mistyped.db"}, tmp_path)
    assert "there is no store" in commands.refused("backup", "copy.db", status=3)
    assert list(tmp_path.iterdir()) == []
