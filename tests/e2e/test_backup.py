"""The operator's guide says how to copy a running store; this does what it says, word for word."""

import re
import shlex
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from tests.e2e.conftest import ROOT, Server
from tests.e2e.scenes import allow, new_user


def documented_command(store: Path, copy: Path) -> list[str]:
    guide = (ROOT / "deploy" / "README.md").read_text("utf-8")
    found = re.search(r"^# backup\n(.+)$", guide, re.MULTILINE)
    assert found is not None
    command = found[1].replace("var/broker.db", str(store)).replace("backup.db", str(copy))
    assert "python3 -c" in command
    return ["bash", "-euc", command.replace("python3", shlex.quote(sys.executable))]


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
    return tmp_path / "first", tmp_path / "second"


def test_a_copy_of_a_running_store_opens_elsewhere_with_the_master_key(folders: tuple[Path, Path]):
    first, second = folders
    server = Server(first, f"sqlite:{first / 'broker.db'}")
    server.start()
    account = server.new_account()
    iam = server.client("iam", account.root)
    before = new_user(server, account, "before", allow("iam:ListUsers"))
    enough = threading.Event()

    def go_on_writing() -> None:
        for index in range(1000):
            if enough.is_set():
                return
            iam.create_user(UserName=f"meanwhile-{index}")

    writer = threading.Thread(target=go_on_writing)
    writer.start()
    subprocess.run(documented_command(first / "broker.db", second / "broker.db"), check=True)
    assert (second / "broker.db").stat().st_mode & 0o777 == 0o600
    enough.set()
    writer.join()
    new_user(server, account, "after")
    assert server.stop() == 0

    shutil.copy(first / "master.key", second)
    restored = Server(second, f"sqlite:{second / 'broker.db'}")
    restored.start()
    names = {user["UserName"] for user in restored.client("iam", before).list_users(MaxItems=1000)["Users"]}
    assert "before" in names and "after" not in names
    meanwhile = sorted(int(name.removeprefix("meanwhile-")) for name in names - {"before"})
    assert meanwhile == list(range(len(meanwhile))), "the copy is no state that the store was ever in"
    assert restored.stop() == 0


def test_a_copy_without_its_master_key_is_refused(folders: tuple[Path, Path]):
    first, second = folders
    server = Server(first, f"sqlite:{first / 'broker.db'}")
    server.start()
    account = server.new_account()
    with pytest.raises(ClientError):
        server.client("iam", account.root).get_user(UserName="nobody")
    subprocess.run(documented_command(first / "broker.db", second / "broker.db"), check=True)
    assert (second / "broker.db").stat().st_mode & 0o777 == 0o600
    assert server.stop() == 0
    restored = Server(second, f"sqlite:{second / 'broker.db'}")
    with pytest.raises(AssertionError, match="the server ended: broker serve: "):
        restored.start()
    assert "sealed" in restored.log or "master key" in restored.log


def test_a_backup_of_a_store_that_is_not_there_makes_none(folders: tuple[Path, Path]):
    first, second = folders
    command = documented_command(first / "mistyped.db", second / "broker.db")
    ended = subprocess.run(command, capture_output=True, text=True)
    assert ended.returncode != 0
    assert "unable to open database file" in ended.stderr
    assert list(first.iterdir()) == []
