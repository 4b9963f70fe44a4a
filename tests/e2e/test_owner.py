"""Commands that root runs beside a service of another user: refused, and the line that they print does it."""

import os
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.conftest import ROOT, Server
from tests.e2e.scenes import ask
from tests.e2e.test_commands import Commands, exported

pytestmark = pytest.mark.root

NOBODY = 65534
A = "111111111111"


class ServerOfNobody(Server):
    """A server that another user than root runs."""

    user = ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups")


@pytest.fixture
def folder() -> Iterator[Path]:
    """Of nobody, where that user may go."""
    made = Path(tempfile.mkdtemp(dir="/tmp", prefix="broker-owner-"))
    os.chown(made, NOBODY, NOBODY)
    yield made
    shutil.rmtree(made)


@pytest.fixture
def service(folder: Path) -> Iterator[Server]:
    with ServerOfNobody(folder, f"sqlite:{folder}/broker.db").running() as running:
        yield running


@pytest.fixture
def root(service: Server, folder: Path) -> Commands:
    """Commands of root on the store of the running server."""
    return Commands(service.settings, folder)


def owners(folder: Path) -> set[int]:
    return {file.stat().st_uid for file in folder.iterdir() if file.name not in ("log", "d.yaml")}


def line_in(said: str) -> str:
    """What the refusal says to run."""
    _, line = said.rstrip("\n").split("Run it as nobody:\n  ")
    return line


def in_bash(line: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["bash", "-c", line], capture_output=True, text=True, timeout=60, cwd=ROOT)


def test_no_command_of_root_makes_a_file_that_the_service_could_not_open(
    service: Server, root: Commands, folder: Path
) -> None:
    (folder / "audit.jsonl").unlink()  # what makes it anew?
    root.write("d.yaml", f'accounts: {{"{A}": {{users: {{alice: {{access_keys: 1}}}}}}}}')
    refused = [
        ("root-key", A, "--create-account"),
        ("apply", "d.yaml"),
        ("keys", "list"),
        ("keys", "rotate"),
        ("keys", "master", "--rotate"),
        ("keys", "master", "--stage"),
        ("metadata", "container", f"arn:aws:iam::{A}:role/app"),
        ("serve", "--api", "127.0.0.1:0"),
        ("serve", "--demo"),
    ]
    for arguments in refused:
        ended = root.run(*arguments)
        assert (ended.returncode, ended.stdout) == (2, ""), arguments
        assert f"{folder}/broker.db belongs to nobody, not to root" in ended.stderr
        assert owners(folder) == {NOBODY}
    said = root.run(*refused[0]).stderr
    keys = exported(
        in_bash(
            " ".join(f"{name}={text}" for name, text in service.settings.items()) + " " + line_in(said)
        ).stdout
    )
    assert owners(folder) == {NOBODY}
    assert service.client("sts", keys).get_caller_identity()["Account"] == A
    assert ask(service, "/readyz")[0] == 200
    assert "CreateRootAccessKey" in root("audit", "tail", "--json"), "what only reads is open to root"


@pytest.mark.parametrize("caller", ["", "SUDO_USER=alice"])
def test_a_master_key_that_root_alone_can_read_goes_to_the_command_as_a_variable(
    folder: Path, tmp_path: Path, caller: str
) -> None:
    """As where systemd hands it to the service; from a root shell, or by sudo."""
    (tmp_path / "sudo").write_text('#!/bin/sh\nexec "$@"\n')
    (tmp_path / "sudo").chmod(0o755)
    secret = folder.with_name(f"{folder.name}.key")
    key = secrets.token_hex(32)
    secret.write_text(key)
    secret.chmod(0o600)
    try:
        settings = {
            "BROKER_STORE_URL": f"sqlite:{folder}/broker.db",
            "BROKER_AUDIT_PATH": f"{folder}/audit.jsonl",
            "BROKER_KEYS_MASTER_KEY_FILE": str(secret),
        }
        called = dict([caller.split("=")]) if caller else {}
        said = Commands(settings, folder).run("root-key", A, "--create-account", **called).stderr
        assert line_in(said).startswith("sudo sh -c " if caller else "BROKER_KEYS_MASTER_KEY=")
        assert key not in said
        exporting = f"export PATH={tmp_path}:$PATH; "
        exporting += "".join(f"export {name}={text}; " for name, text in settings.items())
        ended = in_bash(exporting + line_in(said))
        assert ended.returncode == 0, ended.stderr
        exported(ended.stdout)
        assert owners(folder) == {NOBODY}
        assert {file.name for file in folder.iterdir()} >= {"broker.db", "broker.db-lock", "audit.jsonl"}
    finally:
        secret.unlink()


def test_files_of_several_users_are_refused_without_a_line(folder: Path) -> None:
    journal = folder.with_name(f"{folder.name}.journal")
    journal.mkdir()
    os.chown(journal, NOBODY - 1, NOBODY - 1)
    try:
        settings = {
            "BROKER_STORE_URL": f"sqlite:{folder}/broker.db",
            "BROKER_AUDIT_PATH": f"{journal}/audit.jsonl",
            "BROKER_KEYS_MASTER_KEY": secrets.token_hex(32),
        }
        said = Commands(settings, folder).refused("root-key", A, "--create-account", status=2)
        assert f"{folder}/broker.db to nobody, {journal}/audit.jsonl to user {NOBODY - 1}" in said
    finally:
        journal.rmdir()
