"""What was done is recorded as done, what was not as failed, and what nobody can know as unknown."""

import fcntl
import os
import resource
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import pytest

from tests.conditions import wait_until
from tests.e2e.conftest import Account, Server
from tests.e2e.identity_pools import account_of
from tests.e2e.raw_requests import VERSIONS, Answer, raw_request
from tests.e2e.scenes import records, records_of
from tests.e2e.scim import USER_SCHEMA, ScimClient, push_people
from tests.redis_server import RedisServer
from tests.relay import Relay


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    with RedisServer(tmp_path).running() as running:
        yield running


@pytest.fixture
def relay(redis: RedisServer) -> Iterator[Relay]:
    with Relay(redis.port) as relay:
        yield relay


@pytest.fixture
def on_relay(redis: RedisServer, relay: Relay) -> Iterator[Server]:
    with Server(redis.folder, f"redis://127.0.0.1:{relay.port}").running() as running:
        yield running


def ask(server: Server, account: Account, action: str) -> Answer:
    asked = {"Action": action, "Version": VERSIONS["iam"], "UserName": "bob"}
    return raw_request(server, account.root, asked, service="iam").send(server)


def pushed_by(server: Server, account: Account) -> ScimClient:
    """A client that pushes people for a provider of the account."""
    iam = server.client("iam", account.root)
    provider = iam.create_open_id_connect_provider(Url="https://idp.example", ClientIDList=["x"])
    return push_people(server, account.root, provider["OpenIDConnectProviderArn"]).scim


def is_commit_of_bob(piece: bytes) -> bool:
    return b"EVALSHA" in piece and b":value:user/bob" in piece


def is_commit_of_people(piece: bytes) -> bool:
    return b":people/" in piece and b":receipt:" in piece


def only_record(server: Server, action: str) -> dict[str, Any]:
    (record,) = [record for record in records(server) if record["eventName"] == action]
    return record


def test_a_user_is_made_and_recorded_so_although_the_answer_of_the_store_is_lost(
    on_relay: Server, relay: Relay
) -> None:
    account = on_relay.new_account()
    relay.loses_answer_of = is_commit_of_bob
    answer = ask(on_relay, account, "CreateUser")
    assert relay.lost.is_set()
    assert answer.status == 200, answer.body
    (record,) = records_of(on_relay, answer.request_id)
    assert "errorCode" not in record and record["responseElements"]["user"]["userName"] == "bob"
    assert ask(on_relay, account, "GetUser").status == 200


def test_an_unknown_outcome_is_in_the_answer_and_the_record(on_relay: Server, relay: Relay) -> None:
    account = on_relay.new_account()
    relay.loses_answer_of, relay.is_cut_afterwards = is_commit_of_bob, True
    answer = ask(on_relay, account, "CreateUser")
    assert answer.refusal == (
        503,
        "ServiceUnavailable",
        "It is unknown whether the request was carried out, because of a temporary failure of the server. "
        "Look before you repeat it.",
    )
    (record,) = records_of(on_relay, answer.request_id)
    assert record["errorCode"] == "ServiceUnavailable"
    assert "it is unknown whether it was applied" in record["errorMessage"]
    assert record["additionalEventData"] == {"outcome": "unknown"}
    assert record["requestParameters"] == {"userName": "bob"}
    relay.is_cut = False
    assert ask(on_relay, account, "GetUser").status == 200  # as it happens


def test_an_unknown_outcome_of_what_a_provider_pushes_is_in_the_record(
    on_relay: Server, relay: Relay
) -> None:
    account = account_of(on_relay)
    scim = pushed_by(on_relay, account)
    relay.loses_answer_of, relay.is_cut_afterwards = is_commit_of_people, True
    answer = scim.send("POST", "/Users", {"schemas": [USER_SCHEMA], "userName": "a"})
    assert answer.status == 503
    assert answer.body["detail"].startswith("It is unknown whether the request was carried out")
    record = only_record(on_relay, "CreateUser")
    assert record["additionalEventData"] == {"outcome": "unknown"}


def test_a_deed_whose_record_finds_no_room_is_not_answered_as_a_failure(tmp_path: Path) -> None:
    journal = tmp_path / "audit.jsonl"
    journal.write_bytes(b"{}\n" * 700_000)  # larger than the store will be: the limit is the journal's alone
    server = Server(tmp_path, f"sqlite:{tmp_path / 'broker.db'}")
    with server.running():
        account = server.new_account()
        assert server.process is not None
        resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (journal.stat().st_size, -1))
        done, refused = ask(server, account, "CreateUser"), ask(server, account, "CreateUser")
        resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (-1, -1))
        assert ask(server, account, "GetUser").status == 200
    assert (done.status, done.code) == (refused.status, refused.code) == (503, "ServiceUnavailable")
    assert done.message.startswith("The request was carried out, but")
    assert refused.message == "The request has failed due to a temporary failure of the server."
    assert "carried out, but not journalled yet" in server.log
    (record,) = [one for one in records(server) if one.get("requestID") == done.request_id]
    assert "errorCode" not in record


def test_what_a_provider_pushes_is_not_answered_as_a_failure_where_its_record_finds_no_room(
    tmp_path: Path,
) -> None:
    journal = tmp_path / "audit.jsonl"
    journal.write_bytes(b"{}\n" * 700_000)
    server = Server(tmp_path, f"sqlite:{tmp_path / 'broker.db'}")
    with server.running():
        account = account_of(server)
        scim = pushed_by(server, account)
        assert server.process is not None
        resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (journal.stat().st_size, -1))
        answers = [scim.send("POST", "/Users", {"schemas": [USER_SCHEMA], "userName": name}) for name in "ab"]
        resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (-1, -1))
        assert scim.get("/Users").body["totalResults"] == 1
    assert [one.status for one in answers] == [503, 503]
    assert answers[0].body["detail"].startswith("The request was carried out, but")
    assert answers[1].body["detail"].startswith("The request has failed")


@pytest.mark.parametrize("is_let_go", [True, False])
def test_a_broker_that_stops_records_what_becomes_of_a_deed_that_waits(
    tmp_path: Path, is_let_go: bool
) -> None:
    """Another process holds the store's lock beyond the grace; the client is cut off, and the deed is not forgotten."""
    server = Server(
        tmp_path,
        f"sqlite:{tmp_path / 'broker.db'}",
        environment={"BROKER_REQUESTS_GRACEFUL_SHUTDOWN_SECONDS": "1"},
    )
    with server.running():
        account = server.new_account()
        with (tmp_path / "broker.db-lock").open() as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            asking = threading.Thread(target=ask_in_vain, args=(server, account))
            asking.start()
            wait_until(lambda: is_waited_for(lock))
            assert server.process is not None
            server.process.send_signal(signal.SIGTERM)
            asking.join()
            if is_let_go:
                fcntl.flock(lock, fcntl.LOCK_UN)
            assert server.process.wait(20) == 0, server.log
        assert "is killed" not in server.log
    record = only_record(server, "CreateUser")
    assert ("errorCode" in record) is not is_let_go
    if not is_let_go:
        assert "it was withdrawn" in record["errorMessage"]
    with server.running():
        assert ask(server, account, "GetUser").status == (200 if is_let_go else 404)


def is_waited_for(lock: IO[str]) -> bool:
    """Whether some process waits for the lock on this file; proc(5): `->` marks those that wait."""
    inode = os.fstat(lock.fileno()).st_ino
    return any("->" in line and f":{inode} " in line for line in Path("/proc/locks").read_text().splitlines())


def ask_in_vain(server: Server, account: Account) -> None:
    with pytest.raises(OSError):
        ask(server, account, "CreateUser")
