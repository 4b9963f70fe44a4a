"""Console passwords of declared users: generated once, and never written in a file or a record."""

import asyncio
import itertools
from pathlib import Path
from typing import Any

import pytest

from broker.credentials.sign_in import check_password
from broker.declaration.source import DeclarationError
from broker.storage.records import RenamedUser
from broker.storage.store import LOGIN_PROFILES, RENAMED_USERS, USERS, Transaction

A = "111111111111"


def users(text: str) -> str:
    return f'accounts: {{"{A}": {{users: {text}}}}}'


GENERATED = users("{alice: {console_password: generate}}")


async def test_a_password_is_generated_once_opens_once_and_is_in_no_record(
    declare: Any, tmp_path: Path
) -> None:
    attempt = await declare.attempt(GENERATED)
    assert [change.text for change in attempt.changes][-1] == "user alice: console password"
    (made,) = attempt.passwords
    broker = declare.broker
    accepted = await check_password(
        broker.store, broker.passwords, A, "alice", made.password, "192.0.2.1", 1_900_000_000
    )
    assert accepted.must_change
    journal = (tmp_path / "audit.jsonl").read_text()
    assert "CreateLoginProfile" in journal
    assert made.password.reveal() not in journal + repr(attempt.passwords)
    again = await declare.attempt(GENERATED)
    assert (again.passwords, again.changes) == ([], [])


async def test_a_password_that_the_file_does_not_speak_of_stays_also_with_prune(declare: Any) -> None:
    await declare(GENERATED)
    assert await declare(users("{alice: {}}"), prune=True) == []
    assert await declare.find(LOGIN_PROFILES, A, "alice") is not None


async def test_null_takes_the_password_away(declare: Any) -> None:
    await declare(GENERATED)
    assert await declare(users("{alice: {console_password: null}}")) == ["- user alice: console password"]
    assert await declare.find(LOGIN_PROFILES, A, "alice") is None
    assert await declare(users("{alice: {console_password: null}}")) == []


async def test_a_user_with_a_password_is_pruned(declare: Any) -> None:
    await declare(GENERATED)
    await declare(users("{}"), prune=True)
    assert await declare.find(USERS, A, "alice") is None
    assert await declare.find(LOGIN_PROFILES, A, "alice") is None


async def test_a_file_never_holds_a_password(declare: Any) -> None:
    with pytest.raises(DeclarationError, match="a file never holds a password"):
        await declare(users("{alice: {console_password: My-Own-Words-1}}"))
    assert await declare.find(USERS, A, "alice") is None


async def test_a_password_is_made_for_a_user_of_an_account_that_keeps_changing(declare: Any) -> None:
    """The attempt begins anew each time; what it has generated and hashed already counts on."""
    await declare(users("{alice: {}}"))

    async def keep_changing() -> None:
        for number in itertools.count():

            async def work(store: Transaction, name: str = f"u{number}") -> None:
                store.put(RENAMED_USERS, A, RenamedUser(user_id="AIDAOTHER", user_name=name))

            await declare.broker.store.transact(work)
            await asyncio.sleep(0.02)

    others = asyncio.ensure_future(keep_changing())
    try:
        (made,) = (await declare.attempt(GENERATED)).passwords
    finally:
        others.cancel()
    profile = await declare.find(LOGIN_PROFILES, A, "alice")
    assert await declare.broker.passwords.verify(profile.password_hash, made.password)
