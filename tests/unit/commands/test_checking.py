"""What would keep a broker from serving is found before it is started, all at once, and nothing is made."""

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.ports import free_port

from .conftest import Ended, Run

Spoil = Callable[[pytest.MonkeyPatch], None]


@pytest.fixture(autouse=True)
def free_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("API", "METADATA", "OPERATIONS"):
        monkeypatch.setenv(f"BROKER_LISTEN_{name}", "127.0.0.1:0")


def check(run: Run, monkeypatch: pytest.MonkeyPatch, **environment: str) -> Ended:
    """What the check says; `environment` without BROKER_. Nothing may have been made or deleted."""
    for name, value in environment.items():
        monkeypatch.setenv(f"BROKER_{name}", value)
    for name in ("LISTEN_API", "LISTEN_METADATA", "LISTEN_OPERATIONS"):
        monkeypatch.setenv(f"BROKER_{name}", environment.get(name, "127.0.0.1:0"))
    before = files()
    ended = run("config", "check")
    assert files() == before
    return ended


def files() -> dict[str, int]:
    return {str(path): path.stat().st_mode for path in sorted(Path().rglob("*"))}


def test_an_existing_store_and_its_key_are_valid(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    ended = check(run, monkeypatch)
    assert (ended.status, ended.said) == (0, "")


def test_a_store_that_does_not_exist_yet_is_valid(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    ended = check(
        run,
        monkeypatch,
        STORE_URL="sqlite:new/broker.db",
        KEYS_MASTER_KEY_FILE="new/keys/master.key",
        AUDIT_PATH="new/log/audit.jsonl",
    )
    assert (ended.status, ended.said) == (0, "")


def test_a_restored_copy_without_a_lock_file_is_valid(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("broker.db-lock").unlink()
    assert check(run, monkeypatch).status == 0
    Path("broker.db").write_bytes(b"no database at all, " * 100)
    ended = check(run, monkeypatch)
    assert ended.status == 2
    assert ended.said.startswith(f"broker config check: {Path.cwd()}/broker.db: file is not a database: ")
    assert ended.said.count("\n") == 1


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"STORE_URL": "sqlite:"}, "store.url: 'sqlite:' names no file; write sqlite:PATH"),
        ({"STORE_URL": "sqlite://"}, "store.url: 'sqlite://' names no file"),
        ({"STORE_URL": "redis://"}, "store.url: 'redis://' names no server"),
        (
            {"STORE_URL": "redis://127.0.0.1:1/abc"},
            "store.url: only the number of a database may follow HOST:PORT",
        ),
        (
            {"STORE_URL": "redis://127.0.0.1:1/1/2"},
            "store.url: only the number of a database may follow HOST:PORT",
        ),
        (
            {"STORE_URL": "rediss://127.0.0.1:1/-1"},
            "store.url: only the number of a database may follow HOST:PORT",
        ),
        (
            {"STORE_URL": "redis+cluster://127.0.0.1:1/3"},
            "store.url: nothing may follow HOST:PORT of a cluster",
        ),
        ({"STORE_URL": "sqlite:."}, "is a folder"),
        ({"STORE_URL": "sqlite:master.key/broker.db"}, "master.key is not a folder"),
        ({"AUDIT_PATH": "."}, "audit.path: the journal cannot be written: . is a folder"),
        ({"AUDIT_PATH": "master.key/audit.jsonl"}, "audit.path: the journal cannot be written: "),
        ({"KEYS_MASTER_KEY": bytes(range(32)).hex()}, "does not open with this master key"),
        ({"KEYS_MASTER_KEY_FILE": "lost.key"}, "lost.key does not exist, and the store sqlite:"),
        (
            {"KEYS_MASTER_KEY_FILE": "lost.key", "KEYS_CREATE_MASTER_KEY": "false"},
            "lost.key does not exist, and none may be created: keys.create_master_key is off",
        ),
        (
            {"KEYS_MASTER_KEY_FILE": "audit.jsonl/x", "STORE_URL": "sqlite:new.db"},
            "the master key cannot be used: ",
        ),
        (
            {"LISTEN_API": "127.0.0.1:1", "LISTEN_METADATA": "127.0.0.1:1"},
            "listen.metadata and listen.api are the same address",
        ),
        (
            {"LISTEN_API": "127.0.0.1:1", "LISTEN_OPERATIONS": "0.0.0.0:1"},
            "listen.operations and listen.api are the same address",
        ),
        (
            {"LISTEN_METADATA": "127.0.0.1:1", "LISTEN_OPERATIONS": "[::]:1"},
            "listen.operations and listen.metadata are the same address",
        ),
    ],
)
def test_a_fault_that_needs_a_change_ends_with_the_status_that_stops_a_restart_loop(
    run: Run, monkeypatch: pytest.MonkeyPatch, given: dict[str, str], said: str
) -> None:
    if "audit.jsonl/x" in given.values():
        Path("audit.jsonl").touch()
    ended = check(run, monkeypatch, **given)
    assert said in ended.said
    assert ended.status == 2


@pytest.mark.parametrize("file", ["broker.db", "new/broker.db"])
@pytest.mark.parametrize(
    ("spoilt", "fault"),
    [
        ({"LDAP_SEARCH_BASE": "people"}, "ldap.search_base: 'people' is no distinguished name"),
        ({"LDAP_SEARCH_FILTER": "(uid=%s"}, "ldap.search_filter: '(uid=%s' is not a filter"),
        (
            {"LDAP_CERTIFICATE_AUTHORITIES": "none.pem"},
            "ldap.certificate_authorities: none.pem cannot be used",
        ),
        (
            {"FEDERATION_CERTIFICATE_AUTHORITIES": "none.pem"},
            "federation.certificate_authorities: none.pem cannot be used",
        ),
    ],
)
def test_a_fault_of_federation_is_reported_once_also_for_a_store_that_does_not_exist_yet(
    run: Run, monkeypatch: pytest.MonkeyPatch, file: str, spoilt: dict[str, str], fault: str
) -> None:
    directory = {
        "LDAP_SERVERS": "ldaps://ldap.example.com",
        "LDAP_PROVIDER": "ldap.example.com",
        "LDAP_SEARCH_BASE": "dc=example",
    }
    if file.startswith("new"):
        directory["KEYS_MASTER_KEY_FILE"] = "new/master.key"
    ended = check(run, monkeypatch, STORE_URL=f"sqlite:{file}", **{**directory, **spoilt})
    assert (ended.status, ended.said.count(fault)) == (2, 1)


def test_a_store_of_another_program_is_reported(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("other.db").write_bytes(b"no database at all, " * 100)
    ended = check(run, monkeypatch, STORE_URL="sqlite:other.db")
    assert (ended.status, "file is not a database" in ended.said) == (2, True)


def test_a_fault_that_may_pass_ends_with_the_status_for_a_restart(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    away = check(run, monkeypatch, STORE_URL=f"redis://127.0.0.1:{free_port()}/0")
    assert (away.status, "redis: " in away.said) == (3, True)
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = check(run, monkeypatch, LISTEN_API=f"127.0.0.1:{other.getsockname()[1]}")
    assert (taken.status, "another program listens there" in taken.said) == (3, True)


def test_all_faults_are_reported_at_once(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    ended = check(
        run,
        monkeypatch,
        STORE_URL=f"redis://127.0.0.1:{free_port()}/0",
        KEYS_MASTER_KEY="short",
        AUDIT_PATH=".",
        TLS_CERTIFICATE_FILE="none",
        TLS_KEY_FILE="none",
        LISTEN_API="127.0.0.1:1",
        LISTEN_METADATA="127.0.0.1:1",
    )
    said = ended.said.splitlines()
    assert (ended.status, len(said)) == (2, 5), said
    assert all(line.startswith("broker config check: ") for line in said)
    for word in (
        "redis: ",
        "the master key cannot be used",
        "audit.path",
        "the certificate",
        "the same address",
    ):
        assert word in ended.said


def test_all_invalid_settings_are_reported_at_once(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("b.toml").write_text("[listen]\nworker = 2\n[log]\nlevel = 'loud'\n[keyz]\n")
    monkeypatch.setenv("BROKER_CONFIG", "b.toml")
    ended = check(run, monkeypatch, KEYS_CREATE_MASTER_KEY="maybe", WHATEVER="x")
    assert ended.status == 2
    for word in (
        "no setting worker",
        "log.level is one of",
        "no section [keyz]",
        "is true or false",
        "WHATEVER",
    ):
        assert word in ended.said
    assert len(ended.said.splitlines()) == 5


def test_faults_of_settings_and_of_what_they_open_are_reported_at_once(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = check(
        run,
        monkeypatch,
        STORE_URL="sqlite:",
        LOG_LEVEL="loud",
        AUDIT_PATH=".",
        TLS_CERTIFICATE_FILE="none",
        TLS_KEY_FILE="none",
        LISTEN_API="127.0.0.1:1",
        LISTEN_METADATA="127.0.0.1:1",
        LISTEN_OPERATIONS="nowhere",
    )
    said = ended.said.splitlines()
    assert (ended.status, len(said)) == (2, 6), said
    for word in (
        "listen.operations",
        "store.url",
        "log.level",
        "audit.path",
        "the certificate",
        "the same address",
    ):
        assert word in ended.said


def test_what_needs_a_faulty_section_is_not_opened_with_it(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    half = {"ROOT_ACCOUNT_ID": "111111111111"}
    ended = check(run, monkeypatch, KEYS_MASTER_KEY="short", **half, KEYS_ROTATE_EVERY_HOURS="0")
    assert ended.status == 2
    assert "keys.rotate_every_hours" in ended.said
    assert "BROKER_ROOT_ACCOUNT_ID" in ended.said


def test_a_root_key_with_the_id_of_another_key_is_reported(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    made = run("root-key", "111111111111", "--create-account").shown
    environment = {"ROOT_ACCOUNT_ID": "222222222222", "ROOT_ACCESS_KEY_ID": "bootstrapAdmin01"}
    environment["ROOT_SECRET_ACCESS_KEY"] = "a-secret"
    assert check(run, monkeypatch, **environment).status == 0
    environment["ROOT_ACCESS_KEY_ID"] = made.partition("AWS_ACCESS_KEY_ID=")[2].split()[0]
    ended = check(run, monkeypatch, **environment)
    assert (ended.status, "root.access_key_id: access key" in ended.said) == (2, True)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_write_permission_is_reported(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("shut").mkdir(0o500)
    ended = check(run, monkeypatch, AUDIT_PATH="shut/audit.jsonl")
    assert (ended.status, "no file may be created in" in ended.said) == (2, True)
