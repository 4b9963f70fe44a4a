"""A password is hashed once for each request, however often the account changes beside it."""

import asyncio

import argon2.low_level
import pytest

from broker.credentials.passwords import Passwords
from broker.protocol.shapes import iam as shapes
from broker.storage.records import RenamedUser
from broker.storage.store import RENAMED_USERS, Transaction
from tests.unit.cheap_passwords import cheap_passwords
from tests.unit.iam.conftest import ACCOUNT, Iam

OLD, NEW = "Old-Password-1", "New-Password-1"


async def keep_changing(iam: Iam) -> None:
    """Commits in the account all the time, as others who use it do."""
    number = 0
    while True:
        number += 1

        async def work(store: Transaction, name: str = f"u{number}") -> None:
            store.put(RENAMED_USERS, ACCOUNT, RenamedUser(user_id="AIDAOTHER", user_name=name))

        await iam.store.transact(work)
        await asyncio.sleep(0.01)


@pytest.fixture
def slow() -> Passwords:
    return cheap_passwords(memory_kib=32 * 1024, passes=3)


async def test_a_busy_account_costs_no_second_hash(
    iam: Iam, slow: Passwords, monkeypatch: pytest.MonkeyPatch
) -> None:
    work: list[str] = []
    hashed, verified = argon2.low_level.hash_secret, argon2.low_level.verify_secret
    monkeypatch.setattr(
        "broker.sealing.passwords.hash_secret", lambda *given: (work.append("hash"), hashed(*given))[1]
    )
    monkeypatch.setattr(
        "broker.sealing.passwords.verify_secret", lambda *given: (work.append("verify"), verified(*given))[1]
    )
    iam.passwords = slow
    await iam(shapes.CreateUserRequest(user_name="alice"))
    await iam(shapes.UpdateAccountPasswordPolicyRequest(allow_users_to_change_password=True))
    others = asyncio.ensure_future(keep_changing(iam))
    try:
        await iam(shapes.CreateLoginProfileRequest(user_name="alice", password=OLD))
        assert work == ["hash"]
        await iam(shapes.ChangePasswordRequest(old_password=OLD, new_password=NEW), user="alice")
        assert work == ["hash", "verify", "hash"]
    finally:
        others.cancel()
