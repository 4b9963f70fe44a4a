"""Tokens of clients: replaced by each refresh, gone with the sign-in, and ended by a refresh token that comes back."""

from pathlib import Path

import pytest

from broker.credentials.sso_sessions import (
    ACCESS_SECONDS,
    GRACE_SECONDS,
    Tokens,
    approve,
    begin_session,
    end_client_sessions,
    find_by_access_token,
    refresh,
)
from broker.errors import Refusal
from broker.storage.sso_records import Approval
from broker.storage.store import Store, Transaction
from tests.unit.credentials.signed_in import NOW, entropy, in_store, portal_session

CLIENT = "hash of a client"


async def begun(store: Store, *, ends_at: int = int(NOW) + 12 * 3600, is_refreshable: bool = True) -> Tokens:
    approval = approve(portal_session(ends_at=ends_at), entropy)

    async def work(transaction: Transaction) -> Tokens:
        return begin_session(
            transaction, approval, CLIENT, "a client", entropy, NOW, is_refreshable=is_refreshable
        )

    return await store.transact(work)


async def refreshed(store: Store, token: str | None, now: float, client: str = CLIENT) -> Tokens:
    assert token is not None
    return await store.transact(lambda transaction: refresh(transaction, token, client, entropy, now))


async def lives(store: Store, token: str, now: float) -> bool:
    return await find_by_access_token(store.transaction(), token, now) is not None


async def refusal_of(store: Store, token: str | None, now: float, client: str = CLIENT) -> str:
    with pytest.raises(Refusal) as caught:
        await refreshed(store, token, now, client)
    assert caught.value.code == "InvalidGrantException"
    assert caught.value.message == "Invalid grant provided."
    return caught.value.reason


async def test_an_access_token_lives_for_an_hour(tmp_path: Path) -> None:
    async with in_store(tmp_path) as store:
        tokens = await begun(store)
        assert tokens.expires_in == ACCESS_SECONDS
        assert await lives(store, tokens.access_token, NOW + ACCESS_SECONDS - 1)
        assert not await lives(store, tokens.access_token, NOW + ACCESS_SECONDS)


async def test_a_refresh_replaces_both_tokens(tmp_path: Path) -> None:
    async with in_store(tmp_path) as store:
        first = await begun(store)
        second = await refreshed(store, first.refresh_token, NOW + 60)
        assert not await lives(store, first.access_token, NOW + 60)
        assert await lives(store, second.access_token, NOW + 60 + ACCESS_SECONDS - 1)


async def test_no_token_outlives_the_sign_in(tmp_path: Path) -> None:
    async with in_store(tmp_path) as store:
        tokens = await begun(store, ends_at=int(NOW) + 100)
        assert tokens.expires_in == 100
        renewed = await refreshed(store, tokens.refresh_token, NOW + 40)
        assert renewed.expires_in == 60
        assert await refusal_of(store, renewed.refresh_token, NOW + 100) == "the sign-in has ended"


async def test_who_may_not_refresh_has_an_access_token_until_the_sign_in_ends(tmp_path: Path) -> None:
    async with in_store(tmp_path) as store:
        tokens = await begun(store, is_refreshable=False)
        assert (tokens.refresh_token, tokens.expires_in) == (None, 12 * 3600)


async def test_a_refresh_token_that_comes_back_ends_the_session(tmp_path: Path) -> None:
    async with in_store(tmp_path) as store:
        first = await begun(store)
        second = await refreshed(store, first.refresh_token, NOW)
        reason = await refusal_of(store, first.refresh_token, NOW + GRACE_SECONDS)
        assert "the session has ended" in reason
        assert not await lives(store, second.access_token, NOW + GRACE_SECONDS)
        assert await refusal_of(store, second.refresh_token, NOW + GRACE_SECONDS)


async def test_two_refreshes_at_the_same_time_end_nothing(tmp_path: Path) -> None:
    async with in_store(tmp_path) as store:
        first = await begun(store)
        second = await refreshed(store, first.refresh_token, NOW)
        assert "just been replaced" in await refusal_of(store, first.refresh_token, NOW + GRACE_SECONDS - 1)
        assert await lives(store, second.access_token, NOW + GRACE_SECONDS - 1)


async def test_another_client_cannot_refresh_and_ends_nothing(tmp_path: Path) -> None:
    async with in_store(tmp_path) as store:
        tokens = await begun(store)
        assert await refusal_of(store, tokens.refresh_token, NOW + 999, "hash of another")
        assert await lives(store, tokens.access_token, NOW + 999)


async def test_a_persons_clients_are_ended_together_and_nobody_elses(tmp_path: Path) -> None:
    async with in_store(tmp_path) as store:
        one, two = await begun(store), await begun(store)
        other = approve(portal_session(user_id="AIDAOTHER00000000000A"), entropy)
        others: Tokens = await store.transact(lambda transaction: _begin(transaction, other))
        identity = portal_session().identity
        await store.transact(lambda transaction: end_client_sessions(transaction, identity.subject))
        found = [await lives(store, tokens.access_token, NOW) for tokens in (one, two, others)]
        assert found == [False, False, True]


async def _begin(transaction: Transaction, approval: Approval) -> Tokens:
    return begin_session(transaction, approval, CLIENT, "a client", entropy, NOW, is_refreshable=True)
