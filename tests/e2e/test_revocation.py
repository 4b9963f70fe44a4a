"""Sessions are taken back: at once on every worker and on every node, and no others."""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from broker.credentials.revoking import revoke
from broker.sealing.key import KEY_ID_SIZE
from broker.sealing.text import decode_text
from broker.storage.engine import account_partition
from broker.storage.session_records import Revocation
from broker.storage.store import REVOCATIONS, Transaction
from tests.e2e.conftest import ROOT, Account, Keys, Server
from tests.e2e.raw_requests import WHO_AM_I, raw_request
from tests.e2e.scenes import (
    allow,
    assume,
    deny,
    document,
    in_broker,
    new_role,
    new_user,
    records,
    refused,
    sentence,
    trust,
)
from tests.e2e.test_metadata import INSTANCE, get, make_machine, new_token
from tests.redis_server import RedisServer

# Connections are spread by chance: that one of two workers gets none of so many happens once in 500 million runs.
MANY = 30
REFUSED = {(403, "InvalidClientTokenId")}
GOOD = {(200, "")}


def start(folder: Path, store: str) -> Server:
    return Server(
        folder, store, ("--workers", "2"), environment={"BROKER_METADATA_LOOPBACK_INSTANCE": INSTANCE}
    )


@pytest.fixture(scope="module", params=["sqlite", "redis"])
def workers(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A broker of two workers."""
    folder = tmp_path_factory.mktemp(f"revocation-{request.param}")
    is_redis = request.param == "redis"
    store = (
        request.getfixturevalue("redis_server").new_store() if is_redis else f"sqlite:{folder / 'broker.db'}"
    )
    with start(folder, store).running() as running:
        yield running


@pytest.fixture
def nodes(redis_server: RedisServer, tmp_path: Path) -> Iterator[tuple[Server, Server]]:
    """Two brokers of two workers on one Redis, with the same master key, as on two machines."""
    store = redis_server.new_store()
    one, other = [start(tmp_path / name, store) for name in ("one", "other")]
    for node in (one, other):
        node.folder.mkdir()
    with one.running():
        (other.folder / "master.key").write_bytes((one.folder / "master.key").read_bytes())
        (other.folder / "master.key").chmod(0o600)
        with other.running():
            yield one, other


@pytest.fixture
def tenant(workers: Server) -> Account:
    return workers.new_account()


def broker(server: Server, *arguments: str) -> str:
    """What a command prints, beside the running server."""
    ended = subprocess.run(
        [sys.executable, "-m", "broker", *arguments],
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", **server.settings},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def answers(server: Server, keys: Keys) -> set[tuple[int, str]]:
    """What GetCallerIdentity is answered on many connections, so by every worker."""
    who_am_i = raw_request(server, keys, WHO_AM_I)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: who_am_i.send(server), range(MANY)))
    return {(answer.status, answer.code) for answer in found}


class Scene:
    """Alice may assume `app` and `other` of her account, and `app` of another one: a namesake."""

    def __init__(self, server: Server, account: Account) -> None:
        self.server, self.account = server, account
        self.alice = new_user(server, account, "alice", allow("sts:*", "iam:*"))
        trusts = trust(account.account_id)
        self.app = new_role(server, account, "app", trusts, allow("iam:ListRoles"))
        self.other = new_role(server, account, "other", trusts)
        self.namesake = new_role(server, server.new_account(), "app", trusts)

    def session(self, role: str) -> Keys:
        return assume(self.server, self.alice, role)

    def own_session(self) -> Keys:
        return Keys.of(self.server.client("sts", self.alice).get_session_token()["Credentials"])


@pytest.fixture
def scene(workers: Server, tenant: Account) -> Scene:
    return Scene(workers, tenant)


def test_one_session_is_refused_by_every_worker_as_soon_as_the_command_returns(
    workers: Server, scene: Scene
) -> None:
    stolen, like = scene.session(scene.app), scene.session(scene.app)
    assert answers(workers, stolen) == answers(workers, like) == GOOD
    assert f"session {stolen.access_key_id}" in broker(workers, "revoke", "session", stolen.access_key_id)
    assert answers(workers, stolen) == REFUSED
    assert answers(workers, like) == GOOD
    record = [one for one in records(workers) if one.get("errorCode")][-1]
    assert record["userIdentity"]["accessKeyId"] == stolen.access_key_id
    assert record["errorMessage"].startswith("revoked at 20")


def test_a_scoped_session_ends_with_its_parent_and_with_the_sessions_of_the_role_whenever_it_was_made(
    workers: Server, scene: Scene
) -> None:
    workers.client("iam", scene.account.root).put_role_policy(
        RoleName="app", PolicyName="all", PolicyDocument=document(allow("*"))
    )

    def scoped(keys: Keys) -> Keys:
        sts = workers.client("sts", keys)
        return Keys.of(sts.get_scoped_credentials(Policy=document(allow("*")))["Credentials"])

    parent, like, old = [scene.session(scene.app) for _ in range(3)]
    child = scoped(parent)
    grandchild, other = scoped(child), scoped(like)
    for keys in (parent, child, grandchild, other):
        assert answers(workers, keys) == GOOD
    assert "3 live sessions end" in listed_and_revoked(workers, parent, {child, grandchild})
    assert answers(workers, parent) == answers(workers, child) == answers(workers, grandchild) == REFUSED
    assert answers(workers, like) == answers(workers, other) == GOOD
    moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time()))
    time.sleep(1.1)
    late = scoped(old)
    broker(workers, "revoke", "role", scene.app, "--before", moment)
    assert answers(workers, late) == answers(workers, other) == REFUSED


def listed_and_revoked(server: Server, parent: Keys, children: set[Keys]) -> str:
    """What the command says once all of them are listed."""
    wanted = {keys.access_key_id for keys in (parent, *children)}
    deadline = time.monotonic() + 10
    while not wanted <= {one["accessKeyId"] for one in json.loads(broker(server, "sessions", "--json"))}:
        assert time.monotonic() < deadline
    said = broker(server, "revoke", "session", parent.access_key_id)
    states = {one["accessKeyId"]: one["state"] for one in json.loads(broker(server, "sessions", "--json"))}
    assert {states[key_id] for key_id in wanted} == {"revoked"}
    return said


def test_all_sessions_of_a_role_are_refused_and_neither_a_namesakes_nor_those_that_follow(
    workers: Server, scene: Scene
) -> None:
    old = [scene.session(scene.app) for _ in range(3)]
    others = [scene.session(scene.other), scene.session(scene.namesake), scene.own_session(), scene.alice]
    for keys in (*old, *others):
        assert answers(workers, keys) == GOOD
    broker(workers, "revoke", "role", scene.app)
    new = scene.session(scene.app)
    for keys in old:
        assert answers(workers, keys) == REFUSED
    for keys in (*others, new):
        assert answers(workers, keys) == GOOD
    assert workers.client("iam", new).list_roles()["Roles"]


def test_all_sessions_of_a_user_are_refused_and_its_access_key_is_not(workers: Server, scene: Scene) -> None:
    own, assumed = scene.own_session(), scene.session(scene.other)
    sts = workers.client("sts", scene.alice)
    guest = Keys.of(sts.get_federation_token(Name="guest", Policy=document(allow("*")))["Credentials"])
    for keys in (own, guest, assumed):
        assert answers(workers, keys) == GOOD
    user = f"arn:aws:iam::{scene.account.account_id}:user/alice"
    broker(workers, "revoke", "user", user)
    assert answers(workers, own) == answers(workers, guest) == REFUSED
    assert answers(workers, assumed) == answers(workers, scene.alice) == GOOD
    assert answers(workers, scene.own_session()) == GOOD


def test_awss_own_way_denies_what_was_issued_before_on_every_worker(workers: Server, scene: Scene) -> None:
    """What the console's "Revoke active sessions" does, with no command of ours: an inline policy of the role."""
    old = scene.session(scene.app)
    assert workers.client("iam", old).list_roles()["Roles"]
    moment = int(time.time()) + 1
    time.sleep(moment - time.time())
    before = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(moment))
    workers.client("iam", scene.account.root).put_role_policy(
        RoleName="app",
        PolicyName="AWSRevokeOlderSessions",
        PolicyDocument=document(
            deny("*", Condition={"DateLessThan": {"aws:TokenIssueTime": before}}),
        ),
    )
    new = scene.session(scene.app)
    for _ in range(MANY):
        _, code, message = refused(workers.client("iam", old).list_roles)
        assert code == "AccessDenied"
        assert sentence(message).endswith("with an explicit deny in an identity-based policy")
    assert workers.client("iam", new).list_roles()["Roles"]


def test_a_session_is_listed_within_seconds_of_its_mint(workers: Server, scene: Scene) -> None:
    session = scene.session(scene.app)
    deadline = time.monotonic() + 10
    listed: dict[str, Any] = {}
    while session.access_key_id not in listed:
        assert time.monotonic() < deadline
        found = json.loads(broker(workers, "sessions", "--json", "--principal", scene.app))
        listed = {one["accessKeyId"]: one for one in found}
    shown = listed[session.access_key_id]
    assert shown["arn"] == f"arn:aws:sts::{scene.account.account_id}:assumed-role/app/session"
    assert (shown["state"], shown["issuedBy"]) == ("live", scene.alice.access_key_id)
    broker(workers, "revoke", "session", session.access_key_id)
    (again,) = json.loads(broker(workers, "sessions", "--json", "--principal", scene.app))
    assert again["state"] == "revoked"


def test_sessions_are_listed_that_were_minted_right_before_the_end(tmp_path: Path) -> None:
    server = Server(tmp_path, f"sqlite:{tmp_path / 'broker.db'}", ("--workers", "2"))
    with server.running():
        account = server.new_account()
        minted = [
            Keys.of(server.client("sts", account.root).get_session_token()["Credentials"]) for _ in range(5)
        ]
    listed = json.loads(broker(server, "sessions", "--json"))
    assert {one["accessKeyId"] for one in listed} == {keys.access_key_id for keys in minted}


def test_the_metadata_service_delivers_new_credentials_of_a_revoked_role_at_once(
    workers: Server, tenant: Account
) -> None:
    make_machine(workers, tenant, workers.client("iam", tenant.root))
    token = new_token(workers)

    def delivered() -> Keys:
        status, text = get(workers, "/latest/meta-data/iam/security-credentials/web", token)
        assert status == 200, text
        found = json.loads(text)
        return Keys(found["AccessKeyId"], found["SecretAccessKey"], found["Token"])

    old = delivered()
    assert delivered() == old and answers(workers, old) == GOOD
    broker(workers, "revoke", "role", f"arn:aws:iam::{tenant.account_id}:role/web")
    new = delivered()
    assert new.access_key_id != old.access_key_id and delivered() == new
    assert answers(workers, old) == REFUSED
    assert answers(workers, new) == GOOD


def test_a_revocation_is_gone_from_the_store_when_it_has_ended(workers: Server, scene: Scene) -> None:
    session = scene.session(scene.app)
    partition = account_partition(scene.account.account_id)

    async def revoke_shortly(broker: Any) -> None:
        ends = int(await broker.engine.now()) + 2
        one = Revocation(issued_before=ends, ends_at=ends, revoked_at=ends - 2)

        async def work(store: Transaction) -> None:
            await revoke(store, scene.account.account_id, session.access_key_id, one, ends - 2)

        await broker.store.transact(work)

    async def stored(broker: Any) -> bytes | None:
        found: bytes | None = await broker.engine.get(partition, REVOCATIONS.stored_key(""))
        return found

    in_broker(workers, revoke_shortly)
    assert answers(workers, session) == REFUSED
    assert in_broker(workers, stored) is not None
    time.sleep(2.1)
    assert in_broker(workers, stored) is None


class Asking:
    """One client that asks a node without a pause; when each request began, and whether it was good."""

    def __init__(self, server: Server, keys: Keys) -> None:
        self.who_am_i, self.server = raw_request(server, keys, WHO_AM_I), server
        self.asked: list[tuple[float, bool]] = []
        self._stop = Event()

    def until_stopped(self) -> None:
        while not self._stop.is_set():
            began = time.monotonic()
            answer = self.who_am_i.send(self.server)
            assert (answer.status, answer.code) in GOOD | REFUSED, answer
            self.asked.append((began, answer.status == 200))

    def stop(self) -> None:
        self._stop.set()


def asked_meanwhile(server: Server, keys: Keys, deed: Callable[[], float]) -> list[tuple[float, bool]]:
    """The requests of four clients; (seconds after the moment that `deed` answers with, whether it was good)."""
    clients = [Asking(server, keys) for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        running = [pool.submit(client.until_stopped) for client in clients]
        try:
            time.sleep(0.5)
            moment = deed()
        finally:
            for client in clients:
                client.stop()
        for one in running:
            one.result()
    return sorted((began - moment, is_good) for client in clients for began, is_good in client.asked)


def test_another_node_refuses_with_the_next_request(nodes: tuple[Server, Server]) -> None:
    """The stated bound is none: no request that begins when the command has returned is answered."""
    one, other = nodes
    scene = Scene(one, one.new_account())
    stolen = scene.session(scene.app)

    def deed() -> float:
        broker(one, "revoke", "role", scene.app)
        returned = time.monotonic()
        time.sleep(0.5)
        return returned

    asked = asked_meanwhile(other, stolen, deed)
    assert [is_good for began, is_good in asked if began >= 0].count(False) >= 4
    last_good = max(began for began, is_good in asked if is_good)
    assert last_good < 0, f"{last_good:.3f} s after the command had returned"
    assert answers(other, scene.session(scene.app)) == GOOD


def test_every_node_refuses_what_a_dropped_key_sealed_within_fifteen_seconds(
    nodes: tuple[Server, Server],
) -> None:
    one, other = nodes
    account = one.new_account()
    old = Keys.of(one.client("sts", account.root).get_session_token()["Credentials"])
    assert answers(other, old) == GOOD
    sealed_by = decode_text(old.session_token or "", 4096)[1 : 1 + KEY_ID_SIZE].hex()
    broker(one, "keys", "rotate")
    broker(one, "keys", "rotate", "--at-once")
    broker(one, "revoke", "key", sealed_by)
    returned = time.monotonic()
    while not (answers(one, old) == answers(other, old) == REFUSED):
        assert time.monotonic() - returned < 15 + 3, "three seconds are for the asking"
        time.sleep(0.2)
