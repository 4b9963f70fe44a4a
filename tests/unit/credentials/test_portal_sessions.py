"""What was begun with a password ends with it: in other browsers, and of clients; nothing of anybody else."""

from base64 import urlsafe_b64encode
from hashlib import sha256
from pathlib import Path

import pytest
from msgspec.structs import replace

from broker.credentials.portal_sessions import (
    end_all_sessions,
    end_sessions_with_password,
    find_sessions,
    session_key,
)
from broker.credentials.sso_codes import put_code, take_code
from broker.credentials.sso_devices import answer_waiting, poll, start_device
from broker.credentials.sso_sessions import approve, begin_session, end_session_of, shard_of
from broker.errors import Refusal
from broker.storage.portal_records import PortalSession
from broker.storage.records import User
from broker.storage.store import PORTAL_SESSIONS, SSO_SESSIONS, USERS, Store, Transaction
from tests.unit.credentials.signed_in import NOW, entropy, in_store, portal_session

ACCOUNT, ALICE, BOB = "111122223333", "AIDAALICE00000000000A", "AIDABOB0000000000000A"


async def sign_in(store: Store, user_id: str, key_id: str) -> PortalSession:
    """A session in a browser, and one of a client."""
    session = replace(
        portal_session(user_id=user_id), session_id=entropy(16).hex(), access_key_id=key_id, last_seen_at=1
    )

    async def work(transaction: Transaction) -> None:
        key = session_key(user_id, session.session_id)
        transaction.put(PORTAL_SESSIONS, shard_of(user_id), session, key=key, expires_at=NOW + 3600)
        approval = approve(session, entropy)
        begin_session(transaction, approval, "hash", "a client", entropy, NOW, is_refreshable=True)

    await store.transact(work)
    return session


async def left(store: Store, user_id: str) -> tuple[list[str], int]:
    """The keys of the sessions in browsers, and how many clients have one."""
    transaction = store.transaction()
    browsers = [one.access_key_id for one in await find_sessions(transaction, user_id)]
    return sorted(browsers), await transaction.count(SSO_SESSIONS, shard_of(user_id))


async def test_the_session_that_asks_for_it_stays(tmp_path: Path) -> None:
    async with in_store(tmp_path) as store:
        for user_id, key_id in ((ALICE, "ASIA1"), (ALICE, "ASIA2"), (BOB, "ASIA3")):
            await sign_in(store, user_id, key_id)
        ended = await store.transact(lambda transaction: end_all_sessions(transaction, ALICE, "ASIA1"))
        assert [one.access_key_id for one in ended] == ["ASIA2"]
        assert await left(store, ALICE) == (["ASIA1"], 0)
        assert await left(store, BOB) == (["ASIA3"], 1)


async def test_without_such_a_session_all_end(tmp_path: Path) -> None:
    async with in_store(tmp_path) as store:
        await sign_in(store, ALICE, "ASIA1")
        await sign_in(store, ALICE, "")
        await store.transact(lambda transaction: end_all_sessions(transaction, ALICE))
        assert await left(store, ALICE) == ([], 0)


async def test_the_sessions_are_found_by_the_present_name_of_the_user(tmp_path: Path) -> None:
    async with in_store(tmp_path) as store:
        alicia = User(account_id=ACCOUNT, user_name="alicia", user_id=ALICE, created_at=0)

        async def rename(transaction: Transaction) -> None:
            transaction.put(USERS, ACCOUNT, alicia)

        await store.transact(rename)
        await sign_in(store, ALICE, "ASIA1")
        root = await sign_in(store, ACCOUNT, "ASIA2")
        for name in ("alice", "nobody"):
            await store.transact(lambda one, name=name: end_sessions_with_password(one, ACCOUNT, name))
        assert await left(store, ALICE) == (["ASIA1"], 1)
        await store.transact(lambda one: end_sessions_with_password(one, ACCOUNT, "Alicia"))
        assert await left(store, ALICE) == ([], 0)
        assert await left(store, ACCOUNT) == ([root.access_key_id], 1)
        await store.transact(lambda one: end_sessions_with_password(one, ACCOUNT, None))
        assert await left(store, ACCOUNT) == ([], 0)


@pytest.mark.parametrize("is_one", [False, True], ids=["all of the person", "what was allowed"])
async def test_so_does_what_a_client_was_allowed_and_has_not_fetched(tmp_path: Path, *, is_one: bool) -> None:
    """Nobody who knew the old password gets tokens for a code or a device that they allowed before it was changed."""
    verifier, client = "v" * 43, "hash of a client"
    challenge = urlsafe_b64encode(sha256(verifier.encode()).digest()).rstrip(b"=").decode()
    approvals = [approve(portal_session(user_id=ALICE), entropy) for _ in range(2)]

    async def allow(store: Transaction) -> tuple[str, str]:
        uri = "http://127.0.0.1/"
        code = put_code(store, approvals[0], client, "one", uri, challenge, entropy, NOW, is_refreshable=True)
        device, user_code = await start_device(store, client, "two", entropy, NOW, is_refreshable=True)
        await answer_waiting(store, user_code, approvals[1], NOW)
        return code, device

    async def end(store: Transaction) -> None:
        if not is_one:
            await end_all_sessions(store, ALICE)
        for approval in approvals if is_one else []:
            await end_session_of(store, approval)

    async with in_store(tmp_path) as store:
        code, device = await store.transact(allow)
        await store.transact(end)
        with pytest.raises(Refusal, match="Invalid grant"):
            await store.transact(lambda one: take_code(one, code, client, "http://127.0.0.1/", verifier, NOW))
        with pytest.raises(Refusal, match="Invalid grant"):
            await store.transact(lambda one: poll(one, device, client, entropy, NOW))
        assert await left(store, ALICE) == ([], 0)
