"""Refresh tokens of `aws login`: bound to a key, good for once, and their theft ends the session."""

from pathlib import Path

import pytest

from broker.credentials.login_sessions import begin_login, find_login, refresh_login
from broker.credentials.sso_sessions import GRACE_SECONDS, approve, end_client_sessions
from broker.errors import Refusal
from broker.storage.store import Store, Transaction
from tests.unit.credentials.signed_in import NOW, entropy, in_store, portal_session

CLIENT = "arn:aws:signin:::devtools/same-device"


async def begun(store: Store, ends_at: int = int(NOW) + 3600) -> str:
    approval = approve(portal_session(ends_at=ends_at), entropy)

    async def work(transaction: Transaction) -> str:
        return begin_login(transaction, approval, CLIENT, "thumbprint", entropy, NOW)

    return await store.transact(work)


async def refreshed(
    store: Store, token: str, now: float = NOW, *, client: str = CLIENT, key: str = "thumbprint"
) -> str:
    _, renewed = await store.transact(
        lambda transaction: refresh_login(transaction, token, client, key, entropy, now)
    )
    return renewed


async def refusal_of(store: Store, token: str, now: float = NOW, **changes: str) -> str:
    with pytest.raises(Refusal) as caught:
        await refreshed(store, token, now, **changes)
    return caught.value.reason


async def test_each_refresh_replaces_the_token(tmp_path: Path) -> None:
    async with in_store(tmp_path) as store:
        first = await begun(store)
        second = await refreshed(store, first)
        assert second != first
        assert await refreshed(store, second)


async def test_a_token_without_its_key_or_its_client_is_worth_nothing(tmp_path: Path) -> None:
    async with in_store(tmp_path) as store:
        token = await begun(store)
        assert "bound" in await refusal_of(store, token, key="of a thief")
        assert "bound" in await refusal_of(store, token, client="arn:aws:signin:::devtools/cross-device")
        assert await refreshed(store, token)


async def test_a_token_that_comes_back_ends_the_session_also_without_the_key(tmp_path: Path) -> None:
    async with in_store(tmp_path) as store:
        first = await begun(store)
        second = await refreshed(store, first)
        assert "just been replaced" in await refusal_of(store, first, NOW + GRACE_SECONDS - 1)
        assert "has ended" in await refusal_of(store, first, NOW + GRACE_SECONDS, key="of a thief")
        assert await refusal_of(store, second, NOW + GRACE_SECONDS) == "the refresh token is of no session"


async def test_a_session_ends_with_the_sign_in(tmp_path: Path) -> None:
    async with in_store(tmp_path) as store:
        token = await begun(store, int(NOW) + 100)
        assert await refusal_of(store, token, NOW + 100) == "the sign-in has ended"


async def test_a_session_ends_when_all_of_the_persons_do(tmp_path: Path) -> None:
    async with in_store(tmp_path) as store:
        token = await begun(store)
        identity = portal_session().identity
        await store.transact(lambda transaction: end_client_sessions(transaction, identity.subject))
        assert await find_login(store.transaction(), token) is None
