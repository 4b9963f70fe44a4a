"""The whole broker killed in the middle of IAM writes, again and again: what was acknowledged is there afterwards."""

import os
import signal
import threading
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from tests.e2e.conftest import Account, Server
from tests.e2e.raw_requests import VERSIONS, raw_request
from tests.e2e.scenes import records
from tests.redis_server import RedisServer

ROUNDS = 5
WRITERS = 3
POLICY = '{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"s3:*","Resource":"*"}}'


class Writer(threading.Thread):
    """Creates users with a policy and deletes every third, until the server is gone; knows what was acknowledged."""

    def __init__(self, server: Server, account: Account, name: str) -> None:
        super().__init__(name=name)
        self._server, self._account = server, account
        self.there: set[str] = set()
        self.gone: set[str] = set()
        self.refusals: list[tuple[int, str, str]] = []
        self.answered: set[str] = set()  # request ids
        self.enough = threading.Event()

    def run(self) -> None:
        try:
            for index in count():
                self._live_and_let_die(f"{self.name}-{index}", dies=index % 3 == 0)
                if index == 5:
                    self.enough.set()
        except OSError:
            pass  # The connection broke: what was asked last may have been done or not.

    def _live_and_let_die(self, user: str, *, dies: bool) -> None:
        if not self._ask("CreateUser", UserName=user):
            return
        if self._ask("PutUserPolicy", UserName=user, PolicyName="p", PolicyDocument=POLICY):
            self.there.add(user)
        if dies:
            self.there.discard(user)
            if self._ask("DeleteUserPolicy", UserName=user, PolicyName="p") and self._ask(
                "DeleteUser", UserName=user
            ):
                self.gone.add(user)

    def _ask(self, action: str, **parameters: str) -> bool:
        asked = {"Action": action, "Version": VERSIONS["iam"], **parameters}
        answer = raw_request(self._server, self._account.root, asked, service="iam").send(self._server)
        self.answered.add(answer.request_id)
        if answer.status != 200:
            self.refusals.append(answer.refusal)
        return answer.status == 200


@pytest.fixture(params=["sqlite", "redis"])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, RedisServer | None]]:
    """A store of this test's own, since its server is killed too."""
    if request.param == "sqlite":
        yield f"sqlite:{tmp_path / 'broker.db'}", None
        return
    redis = RedisServer(tmp_path)
    redis.start()
    yield redis.url, redis
    redis.kill()


def processes_of(server: Server) -> list[int]:
    """The supervisor, then its workers."""
    assert server.process is not None
    supervisor = server.process.pid
    children = Path(f"/proc/{supervisor}/task/{supervisor}/children").read_text().split()
    return [supervisor, *map(int, children)]


def kill(server: Server, redis: RedisServer | None) -> None:
    for pid in processes_of(server):
        os.kill(pid, signal.SIGKILL)
    if redis is not None:
        redis.kill()
    assert server.process is not None
    server.process.wait(10)


def test_what_was_acknowledged_survives_every_kill(engine: tuple[str, RedisServer | None], tmp_path: Path):
    store, redis = engine
    server = Server(tmp_path, store, ("--workers", "2"))
    server.start()
    account = server.new_account()
    there: set[str] = set()
    gone: set[str] = set()
    for round_ in range(ROUNDS):
        writers = [Writer(server, account, f"r{round_}w{number}") for number in range(WRITERS)]
        for writer in writers:
            writer.start()
        for writer in writers:
            assert writer.enough.wait(20)
        kill(server, redis)
        for writer in writers:
            writer.join(30)
            # A kill of Redis alone, a moment before the broker's own, may be answered; nothing else is refused.
            assert {code for _, code, _ in writer.refusals} <= {"ServiceUnavailable"}
            there |= writer.there
            gone |= writer.gone
            assert writer.answered <= {record["requestID"] for record in records(server)}
        if redis is not None:
            redis.start()
        server.start()
        check(server, account, there, gone)
    assert len(there) >= ROUNDS * WRITERS
    assert len(gone) >= ROUNDS * WRITERS
    assert server.stop() == 0, server.log


def check(server: Server, account: Account, there: set[str], gone: set[str]) -> None:
    iam = server.client("iam", account.root)
    pages = iam.get_paginator("get_account_authorization_details").paginate(Filter=["User"])
    policies = {
        user["UserName"]: user.get("UserPolicyList", []) for page in pages for user in page["UserDetailList"]
    }
    assert there <= policies.keys(), f"lost: {there - policies.keys()}"
    assert not gone & policies.keys(), f"risen from the dead: {gone & policies.keys()}"
    assert all(policies[user] for user in there), "a user without the policy that was acknowledged"
