"""A challenge is answered once, by a passkey of the person, whose authenticator has signed more often than before."""

import secrets
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from broker.assertions.passkeys import (
    Ceremony,
    PasskeyRefused,
    creation_options,
    request_options,
    verify_new_passkey,
)
from broker.credentials.passkeys import find_use, new_serial_number, take_passkey, user_handle
from broker.storage.passkey_records import Passkey, is_passkey, passkey_key
from broker.storage.store import PASSKEY_USES, Store
from tests.authenticator import Authenticator
from tests.unit.credentials.signed_in import NOW, in_store

ACCOUNT, ORIGIN, HOST = "111122223333", "https://access.example.com", "access.example.com"
HANDLE = user_handle("AIDA1")


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    async with in_store(tmp_path) as opened:
        yield opened


def ceremony() -> Ceremony:
    return Ceremony(secrets.token_bytes(32), HOST, ORIGIN)


def enabled(authenticator: Authenticator, name: str = "key") -> Passkey:
    created = ceremony()
    proven = verify_new_passkey(
        authenticator.create(creation_options(created, "preferred", "alice", HANDLE, ())), created
    )
    return Passkey(
        account_id=ACCOUNT,
        serial_number=new_serial_number(ACCOUNT, "alice", name, secrets.token_bytes(16)),
        device_name=name,
        credential_id=proven.credential_id,
        public_key=proven.public_key,
        sign_count=proven.sign_count,
        host_name=HOST,
        user_name="alice",
        enabled_at=int(NOW),
    )


async def take(
    store: Store,
    passkeys: list[Passkey],
    authenticator: Authenticator,
    asked: Ceremony | None = None,
    now: float = NOW,
) -> Passkey | PasskeyRefused:
    asked = asked or ceremony()
    answer = authenticator.get(request_options(asked, "preferred", ()))
    return await store.transact(
        lambda transaction: take_passkey(transaction, ACCOUNT, passkeys, HANDLE, asked, answer, now)
    )


def test_a_serial_number_is_an_arn_of_its_owner_as_aws_has_it() -> None:
    of_user = new_serial_number(ACCOUNT, "alice", "yubikey", bytes(16))
    assert of_user == f"arn:aws:iam::{ACCOUNT}:u2f/user/alice/yubikey-{'A' * 26}"
    of_root = new_serial_number(ACCOUNT, None, "safe", b"\xff" * 16)
    assert of_root.startswith(f"arn:aws:iam::{ACCOUNT}:u2f/root/safe-")
    assert (is_passkey(of_user), passkey_key(of_user)) == (True, f"user/alice/yubikey-{'A' * 26}")
    assert not is_passkey(f"arn:aws:iam::{ACCOUNT}:mfa/alice")
    assert len(of_user.replace("alice", "a" * 64).replace("yubikey", "k" * 64)) <= 256


def test_an_authenticator_learns_no_account_and_no_name() -> None:
    assert len(HANDLE) == 32
    assert user_handle("AIDA2") != HANDLE
    assert b"AIDA1" not in HANDLE


async def test_the_passkey_that_answers_is_found_and_its_use_is_noted(store: Store) -> None:
    first, second = Authenticator(ORIGIN, HOST), Authenticator(ORIGIN, HOST)
    passkeys = [enabled(first, "one"), enabled(second, "two")]
    assert await find_use(store.transaction(), passkeys[1]) is None
    assert await take(store, passkeys, second, now=NOW + 5) == passkeys[1]
    use = await find_use(store.transaction(), passkeys[1])
    assert use is not None
    assert (use.used_at, use.sign_count) == (int(NOW) + 5, 1)
    assert await find_use(store.transaction(), passkeys[0]) is None


async def test_a_challenge_is_used_up_by_whatever_answers_it(store: Store) -> None:
    authenticator = Authenticator(ORIGIN, HOST)
    passkeys, asked = [enabled(authenticator)], ceremony()
    assert isinstance(await take(store, [], authenticator, asked), PasskeyRefused)
    refused = await take(store, passkeys, authenticator, asked)
    assert str(refused) == "its challenge was answered before"
    assert await take(store, passkeys, authenticator) == passkeys[0]


async def test_the_counter_that_was_seen_last_counts(store: Store) -> None:
    authenticator = Authenticator(ORIGIN, HOST)
    passkeys = [enabled(authenticator)]
    authenticator.count = 10
    assert await take(store, passkeys, authenticator) == passkeys[0]
    authenticator.count = 10
    assert "sign count" in str(await take(store, passkeys, authenticator))
    authenticator.count = 11
    assert await take(store, passkeys, authenticator) == passkeys[0]


async def test_a_refused_answer_is_no_use(store: Store) -> None:
    authenticator = Authenticator(ORIGIN, HOST)
    passkeys = [enabled(authenticator)]
    authenticator.origin = "https://access.example.net"
    assert isinstance(await take(store, passkeys, authenticator), PasskeyRefused)
    assert await store.transaction().scan(PASSKEY_USES, ACCOUNT) == []
