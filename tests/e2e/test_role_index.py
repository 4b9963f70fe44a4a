"""A store of an earlier version has no index of trust policies: the broker that serves it makes one, and keeps it."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import pytest

from broker.access.caller import user_caller
from broker.access.role_index import Candidates, find_candidates, trustees_like
from broker.app import Broker, open_broker
from broker.config import load_settings
from broker.storage.records import Account, Role, User
from broker.storage.store import ACCOUNTS, ROLES, USERS, Transaction
from tests.e2e.conftest import Server

T = TypeVar("T")
HOME, TRUSTING = "111111111111", "222222222222"
ALICE = User(account_id=HOME, user_name="alice", user_id="AIDAALICE00000000000A", created_at=0)
TRUST = {"Effect": "Allow", "Principal": {"AWS": ALICE.arn}, "Action": "sts:AssumeRole"}
DOCUMENT = json.dumps({"Version": "2012-10-17", "Statement": [TRUST]})


@pytest.fixture(params=["sqlite", "redis"])
def older(request: pytest.FixtureRequest, tmp_path: Path) -> Server:
    """A broker on the store of an earlier one, not started."""
    is_redis = request.param == "redis"
    store = (
        request.getfixturevalue("redis_server").new_store() if is_redis else f"sqlite:{tmp_path}/broker.db"
    )
    server = Server(tmp_path, store)

    async def fill(broker: Broker) -> None:
        async def work(transaction: Transaction) -> None:
            for account in (HOME, TRUSTING):
                transaction.put(ACCOUNTS, "", Account(account_id=account))
            transaction.put(USERS, HOME, ALICE)
            for number in range(120):
                role = Role(
                    account_id=TRUSTING,
                    role_name=f"role-{number}",
                    role_id=f"AROA{number:017}",
                    created_at=0,
                    assume_role_policy=DOCUMENT,
                    trusted_ids={ALICE.arn: ALICE.user_id},
                )
                transaction.put(ROLES, TRUSTING, role)

        await broker.store.transact(work)

    beside(server, fill)
    return server


def beside(server: Server, work: Callable[[Broker], Awaitable[T]]) -> T:
    async def run() -> T:
        async with open_broker(load_settings(None, server.settings), {}) as broker:
            return await work(broker)

    return asyncio.run(run())


def candidates_of_alice(server: Server) -> Candidates | None:
    return beside(
        server,
        lambda broker: find_candidates(broker.store.transaction(), trustees_like(user_caller(ALICE)), 1000),
    )


def when_indexed(server: Server) -> Candidates:
    deadline = time.monotonic() + 20
    while (found := candidates_of_alice(server)) is None:
        assert time.monotonic() < deadline, server.log
        time.sleep(0.1)
    return found


def test_the_roles_of_an_older_store_are_indexed_while_it_is_served(older: Server) -> None:
    assert candidates_of_alice(older) is None
    with older.running():
        found = when_indexed(older)
        assert (len(found.roles), found.is_complete) == (120, True)
        assert "indexing the trust policies" not in older.log, "it logs its failures"


def test_what_is_written_after_the_index_is_in_it_when_the_broker_is_started_again(older: Server) -> None:
    older.arguments = ("--workers", "2")
    with older.running():
        when_indexed(older)
        account = older.new_account()
        iam = older.client("iam", account.root)
        # The account of the principal is on record, so it must exist: alice does.
        iam.create_role(RoleName="new", AssumeRolePolicyDocument=DOCUMENT)
        iam.create_role(RoleName="other", AssumeRolePolicyDocument=DOCUMENT)
        iam.update_assume_role_policy(RoleName="other", PolicyDocument=DOCUMENT.replace(ALICE.arn, HOME))
        iam.delete_role(RoleName="new")
    with older.running():
        found = candidates_of_alice(older)
        assert found is not None
        names = [one.role_name for one in found.roles if one.account_id == account.account_id]
        assert names == ["other"]
