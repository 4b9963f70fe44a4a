"""Several workers behind one address: what one acknowledged, all know; and one that dies is replaced."""

import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from broker.version import VERSION
from tests.conditions import wait_until
from tests.e2e.conftest import ROOT, Account, Keys, Server
from tests.e2e.raw_requests import VERSIONS, WHO_AM_I, Answer, raw_request
from tests.e2e.scenes import allow, document
from tests.e2e.scenes import ask as operations
from tests.redis_server import RedisServer

WORKERS = 3
# Connections are spread by chance: of so many, none of three workers is left out but once in a million runs.
MANY = 40


@pytest.fixture(scope="module", params=["sqlite", "redis"])
def fleet(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp(f"fleet-{request.param}")
    store = (
        f"sqlite:{folder / 'broker.db'}"
        if request.param == "sqlite"
        else request.getfixturevalue("redis_server").new_store()
    )
    with Server(folder, store, ("--workers", str(WORKERS))).running() as running:
        yield running


@pytest.fixture
def tenant(fleet: Server) -> Account:
    return fleet.new_account()


def ask(server: Server, keys: Keys, action: str, **parameters: str) -> Answer:
    """One IAM request on a connection of its own."""
    asked = {"Action": action, "Version": VERSIONS["iam"], **parameters}
    return raw_request(server, keys, asked, service="iam").send(server)


def codes(times: int, one: Callable[[], Answer]) -> set[tuple[int, str]]:
    """What many requests on as many connections are answered, all begun after this call."""
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: one(), range(times)))
    return {(answer.status, answer.code) for answer in answers}


def metrics(server: Server) -> str:
    with urllib.request.urlopen(f"http://{server.operations}/metrics", timeout=5) as answer:
        return str(answer.read().decode())


def served_by(server: Server) -> dict[str, float]:
    """How many requests each worker has answered, as of a second ago at most."""
    time.sleep(1.2)
    found = re.findall(
        r'^broker_worker_requests_total\{worker="(\d+)"\} (\S+)$', metrics(server), re.MULTILINE
    )
    return {worker: float(number) for worker, number in found}


def pids(server: Server) -> dict[str, int]:
    found = re.findall(r'^broker_worker_info\{pid="(\d+)",worker="(\d+)"\}', metrics(server), re.MULTILINE)
    return {worker: int(pid) for pid, worker in found}


def all_pids(server: Server, workers: int = WORKERS) -> dict[str, int]:
    """Of all workers: each tells the others of itself once a second."""
    wait_until(lambda: len(pids(server)) == workers)
    return pids(server)


def require_share(server: Server, before: dict[str, float]) -> None:
    """Every worker has answered requests since `before`."""

    def have_answered() -> bool:
        after = served_by(server)
        return len(after) == WORKERS and all(after[worker] > before[worker] for worker in after)

    wait_until(have_answered, lambda: "not every worker had its share")


def test_what_one_worker_acknowledged_every_worker_knows(fleet: Server, tenant: Account):
    before = served_by(fleet)
    for index in range(5):
        name = f"user-{index}"
        assert ask(fleet, tenant.root, "CreateUser", UserName=name).status == 200
        assert codes(MANY // 4, lambda name=name: ask(fleet, tenant.root, "GetUser", UserName=name)) == {
            (200, "")
        }
        assert ask(fleet, tenant.root, "DeleteUser", UserName=name).status == 200
        gone = codes(MANY // 4, lambda name=name: ask(fleet, tenant.root, "GetUser", UserName=name))
        assert gone == {(404, "NoSuchEntity")}
    require_share(fleet, before)


def test_a_permission_is_there_everywhere_and_gone_everywhere(fleet: Server, tenant: Account):
    iam = fleet.client("iam", tenant.root)
    iam.create_user(UserName="alice")
    alice = Keys.of(iam.create_access_key(UserName="alice")["AccessKey"])

    def list_users() -> set[tuple[int, str]]:
        return codes(MANY, lambda: ask(fleet, alice, "ListUsers"))

    assert list_users() == {(403, "AccessDenied")}
    for _ in range(2):
        policy = document(allow("iam:ListUsers"))
        iam.put_user_policy(UserName="alice", PolicyName="p", PolicyDocument=policy)
        assert list_users() == {(200, "")}
        iam.delete_user_policy(UserName="alice", PolicyName="p")
        assert list_users() == {(403, "AccessDenied")}


def test_a_deleted_key_is_good_nowhere(fleet: Server, tenant: Account):
    iam = fleet.client("iam", tenant.root)
    iam.create_user(UserName="alice")
    alice = Keys.of(iam.create_access_key(UserName="alice")["AccessKey"])
    who_am_i = raw_request(fleet, alice, WHO_AM_I)
    assert codes(MANY, lambda: who_am_i.send(fleet)) == {(200, "")}
    iam.update_access_key(UserName="alice", AccessKeyId=alice.access_key_id, Status="Inactive")
    assert codes(MANY, lambda: who_am_i.send(fleet)) == {(403, "InvalidClientTokenId")}
    iam.update_access_key(UserName="alice", AccessKeyId=alice.access_key_id, Status="Active")
    assert codes(MANY, lambda: who_am_i.send(fleet)) == {(200, "")}
    iam.delete_access_key(UserName="alice", AccessKeyId=alice.access_key_id)
    assert codes(MANY, lambda: who_am_i.send(fleet)) == {(403, "InvalidClientTokenId")}


def test_a_session_of_one_worker_is_good_at_all(fleet: Server, tenant: Account):
    iam = fleet.client("iam", tenant.root)
    iam.create_user(UserName="alice")
    alice = Keys.of(iam.create_access_key(UserName="alice")["AccessKey"])
    session = Keys.of(fleet.client("sts", alice).get_session_token()["Credentials"])
    assert codes(MANY, lambda: raw_request(fleet, session, WHO_AM_I).send(fleet)) == {(200, "")}


def test_a_killed_worker_is_replaced_and_nothing_acknowledged_is_lost(fleet: Server, tenant: Account):
    acknowledged = []
    for round_ in range(3):
        victim, pid = sorted(all_pids(fleet).items())[round_]
        with ThreadPoolExecutor(2) as pool:
            writing = [pool.submit(try_to_create, fleet, tenant, f"u-{round_}-{n}") for n in range(40)]
            time.sleep(0.05)
            os.kill(pid, signal.SIGKILL)
        acknowledged += [name for name in (one.result() for one in writing) if name]
        assert await_successor(fleet, victim, pid) != pid
    assert len(acknowledged) > 60
    listed = {
        user["UserName"] for user in fleet.client("iam", tenant.root).list_users(MaxItems=1000)["Users"]
    }
    assert set(acknowledged) <= listed
    before = served_by(fleet)
    assert codes(MANY, lambda: ask(fleet, tenant.root, "ListUsers")) == {(200, "")}
    require_share(fleet, before)
    assert '"message": "a worker died and will be replaced"' in fleet.log


def livez(server: Server, path: str = "") -> tuple[int, str]:
    """What a worker that answers says; one that hangs takes its share of connections, too."""
    deadline = time.monotonic() + 20
    while True:
        try:
            with urllib.request.urlopen(f"http://{server.operations}/livez{path}", timeout=0.5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as refused:
            return refused.code, refused.read().decode()
        except OSError:
            assert time.monotonic() < deadline, server.log


def test_each_worker_is_alive(fleet: Server):
    all_pids(fleet)
    assert livez(fleet) == (200, f"alive, version {VERSION}\n")
    assert {livez(fleet, f"/{worker}") for worker in range(WORKERS)} == {(200, "alive\n")}
    assert livez(fleet, f"/{WORKERS}")[0] == 404


def test_a_worker_that_hangs_is_seen_killed_and_replaced(tmp_path: Path):
    environment = {"BROKER_LISTEN_WORKER_SILENCE_SECONDS": "10"}
    server = Server(tmp_path, f"sqlite:{tmp_path / 'broker.db'}", ("--workers", "2"), environment)
    with server.running():
        account = server.new_account()
        hung = all_pids(server, 2)["1"]
        began = time.monotonic()
        os.kill(hung, signal.SIGSTOP)
        while livez(server, "/1")[0] == 200:
            assert time.monotonic() < began + 9, "nobody sees that it hangs"
            time.sleep(0.2)
        assert "no heartbeat for" in livez(server)[1]
        assert livez(server, "/0") == (200, "alive\n")
        assert await_successor(server, "1", hung) != hung
        assert 9 < time.monotonic() - began < 20
        assert livez(server, "/1") == (200, "alive\n")
        assert codes(MANY, lambda: ask(server, account.root, "ListUsers")) == {(200, "")}
        assert '"message": "a worker sends no heartbeat and is killed"' in server.log
        assert f'"pid": {hung}' in server.log


def try_to_create(server: Server, account: Account, name: str) -> str:
    """The user's name if it was acknowledged; nothing where the connection broke."""
    try:
        answer = ask(server, account.root, "CreateUser", UserName=name)
    except OSError:
        return ""
    return name if answer.status == 200 else ""


def await_successor(server: Server, worker: str, dead: int) -> int:
    deadline = time.monotonic() + 15
    while time.monotonic() < deadline:
        try:
            pid = pids(server).get(worker, dead)
        except OSError:
            pid = dead
        if pid != dead:
            return pid
        time.sleep(0.1)
    raise AssertionError(f"worker {worker} is not replaced: {server.log}")


def second_broker(server: Server, folder: Path, *arguments: str, **environment: str) -> Any:
    """`broker serve` once more, with `environment` over the first one's; it is expected to end."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "BROKER_"))}
    own = {"BROKER_STORE_URL": f"sqlite:{folder / 'other.db'}", **environment}
    return subprocess.run(
        [sys.executable, "-m", "broker", "serve", *arguments],
        env={**plain, **server.settings, **own},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_second_broker_does_not_share_the_address(fleet: Server, tmp_path: Path, workers: str):
    ended = second_broker(fleet, tmp_path, "--workers", workers)
    assert ended.returncode == 3
    expected = (
        f"broker serve: cannot listen on {fleet.api}: another program listens there, maybe another broker "
        "(ss -ltnp shows which)\n"
    )
    assert (ended.stdout, ended.stderr) == ("", expected)


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_store_that_is_none_ends_the_start_with_one_sentence(fleet: Server, tmp_path: Path, workers: str):
    (tmp_path / "store").write_text("not a database at all, " * 100)
    free = dict.fromkeys(
        ("BROKER_LISTEN_API", "BROKER_LISTEN_METADATA", "BROKER_LISTEN_OPERATIONS"), "127.0.0.1:0"
    )
    ended = second_broker(
        fleet, tmp_path, "--workers", workers, BROKER_STORE_URL=f"sqlite:{tmp_path / 'store'}", **free
    )
    assert ended.returncode == 3
    assert ended.stderr.startswith(f"broker serve: {tmp_path / 'store'}: file is not a database: ")
    assert ended.stderr.count("\n") == 1


def test_a_setting_that_cannot_be_ends_the_start_as_wrong_use(fleet: Server, tmp_path: Path):
    assert second_broker(fleet, tmp_path, "--workers", "none").returncode == 2


def test_a_restarted_worker_does_not_create_a_store_that_was_removed(tmp_path: Path):
    """Nor are requests answered from what is left of it; put back, it is all there."""
    server = Server(tmp_path, f"sqlite:{tmp_path / 'broker.db'}", ("--workers", "2"))
    server.start()
    files = ["broker.db", "broker.db-wal", "broker.db-shm", "master.key"]
    try:
        account = server.new_account()
        assert codes(MANY, lambda: ask(server, account.root, "ListUsers")) == {(200, "")}
        known = all_pids(server, 2)
        for name in files:
            (tmp_path / name).rename(tmp_path / f"away.{name}")
        time.sleep(1.2)
        os.kill(known["1"], signal.SIGKILL)
        time.sleep(2)
        away = codes(MANY, lambda: ask(server, account.root, "CreateUser", UserName="lost"))
        assert away == {(503, "ServiceUnavailable")}
        assert codes(MANY, lambda: raw_request(server, account.root, WHO_AM_I).send(server)) == away
        assert operations(server, "/readyz")[0] == 503
        assert not [name for name in files if (tmp_path / name).exists()]
        for name in files:
            (tmp_path / f"away.{name}").rename(tmp_path / name)
        await_successor(server, "1", known["1"])
        assert codes(MANY, lambda: ask(server, account.root, "ListUsers")) == {(200, "")}
    finally:
        assert server.stop() == 0, server.log


def test_a_redis_that_was_emptied_gets_no_new_keys_from_a_workers_successor(tmp_path: Path):
    redis = RedisServer(tmp_path)
    redis.start()
    server = Server(tmp_path, redis.url, ("--workers", "2"))
    server.start()
    try:
        account = server.new_account()
        assert codes(MANY, lambda: ask(server, account.root, "ListUsers")) == {(200, "")}
        victim = await_successor(server, "1", 0)
        redis.ask(b"FLUSHALL")
        os.kill(victim, signal.SIGKILL)
        wait_until(lambda: "the keyrings are missing" in server.log)
        assert codes(MANY, lambda: ask(server, account.root, "ListUsers")) == {(503, "ServiceUnavailable")}
        assert redis.ask(b"DBSIZE") == b":0\r\n"
    finally:
        assert server.stop() == 0, server.log
        redis.kill()
