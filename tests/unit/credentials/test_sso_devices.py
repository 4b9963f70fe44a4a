"""Device codes: a client that polls too fast is slowed down, and a code ends after ten minutes."""

from pathlib import Path
from typing import Any

import pytest

from broker.credentials.sso_devices import (
    ALPHABET,
    DEVICE_SECONDS,
    INTERVAL,
    answer_waiting,
    find_waiting,
    new_user_code,
    poll,
    start_device,
)
from broker.credentials.sso_sessions import approve
from broker.errors import Refusal
from broker.storage.engine import EngineUnavailable, OutcomeUnknown, Revision
from broker.storage.store import Store, Transaction
from tests.unit.credentials.signed_in import NOW, entropy, in_store, portal_session

CLIENT = "hash of a client"


async def started(store: Store) -> tuple[str, str]:
    """Device code and user code; the latter, BCDF-GHJK, is in another partition than alice."""
    codes = iter([bytes(range(8)), entropy(32)])

    async def work(transaction: Transaction) -> tuple[str, str]:
        return await start_device(
            transaction, CLIENT, "a client", lambda _size: next(codes), NOW, is_refreshable=True
        )

    return await store.transact(work)


async def polled(store: Store, code: str, now: float, client: str = CLIENT) -> str:
    try:
        await store.transact(lambda transaction: poll(transaction, code, client, entropy, now))
    except Refusal as refusal:
        return refusal.code
    return "tokens"


async def allowed(store: Store, user_code: str, now: float) -> bool:
    approval = approve(portal_session(), entropy)
    found = await store.transact(lambda transaction: answer_waiting(transaction, user_code, approval, now))
    return found is not None


async def test_each_poll_that_comes_too_early_makes_the_interval_longer(tmp_path: Path) -> None:
    async with in_store(tmp_path) as store:
        code, _ = await started(store)
        pending, slow = "AuthorizationPendingException", "SlowDownException"
        times = (0, INTERVAL, INTERVAL + 1, 2 * INTERVAL + 1, 2 * INTERVAL + 1 + 15, 2 * INTERVAL + 1 + 30)
        answers = [await polled(store, code, NOW + after) for after in times]
        assert answers == [pending, pending, slow, slow, pending, pending]


async def test_a_code_expires_for_the_client_and_for_the_person(tmp_path: Path) -> None:
    async with in_store(tmp_path) as store:
        code, user_code = await started(store)
        assert await find_waiting(store.transaction(), user_code, NOW + DEVICE_SECONDS - 1) is not None
        assert not await allowed(store, user_code, NOW + DEVICE_SECONDS)
        assert await polled(store, code, NOW + DEVICE_SECONDS) == "ExpiredTokenException"


async def test_a_person_decides_once(tmp_path: Path) -> None:
    async with in_store(tmp_path) as store:
        code, user_code = await started(store)
        await store.transact(lambda transaction: answer_waiting(transaction, user_code, None, NOW))
        assert not await allowed(store, user_code, NOW)
        assert await polled(store, code, NOW) == "AccessDeniedException"


async def test_a_code_is_the_clients_own_and_good_for_once(tmp_path: Path) -> None:
    async with in_store(tmp_path) as store:
        code, user_code = await started(store)
        assert await allowed(store, user_code, NOW)
        assert await polled(store, code, NOW, "hash of another") == "InvalidGrantException"
        assert await polled(store, code[:32] + "0" * 64, NOW) == "InvalidGrantException"
        assert await polled(store, code, NOW) == "tokens"
        assert await polled(store, code, NOW) == "InvalidGrantException"


async def test_a_client_that_polls_while_the_person_allows_it_is_not_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Approval and promise lie in two partitions, so there is a moment when only one of them is written."""
    async with in_store(tmp_path) as store:
        code, user_code = await started(store)
        commit, answers, partitions = store.engine.commit, [""], set()

        async def commit_and_poll(partition: str, *arguments: Any) -> Revision:
            revision = await commit(partition, *arguments)
            partitions.add(partition)
            if not answers[0]:
                answers[0] = "none yet"
                answers[0] = await polled(store, code, NOW)
            return revision

        monkeypatch.setattr(store.engine, "commit", commit_and_poll)
        assert await allowed(store, user_code, NOW)
        assert len(partitions) == 2
        assert answers == ["AuthorizationPendingException"]
        assert await polled(store, code, NOW + INTERVAL) == "tokens"


async def test_a_device_that_was_allowed_when_the_store_failed_waits_or_gets_its_tokens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with in_store(tmp_path) as store:
        code, user_code = await started(store)
        commit, partitions = store.engine.commit, []

        async def commit_once(partition: str, *arguments: Any) -> Revision:
            partitions.append(partition)
            if len(partitions) > 1:
                raise EngineUnavailable("gone")
            return await commit(partition, *arguments)

        with monkeypatch.context() as patched:
            patched.setattr(store.engine, "commit", commit_once)
            with pytest.raises(OutcomeUnknown):
                await allowed(store, user_code, NOW)
        assert len(partitions) == 2
        assert await polled(store, code, NOW) == "AuthorizationPendingException"
        assert await allowed(store, user_code, NOW)
        assert await polled(store, code, NOW + INTERVAL) == "tokens"


@pytest.mark.parametrize("spelled", ["bcdf-ghjk", "BCDFGHJK", " bcdf ghjk ", "bcdf–ghjk"])
async def test_a_user_code_is_found_however_it_is_spelled(tmp_path: Path, spelled: str) -> None:
    codes = iter([bytes(range(8)), b"\1" * 32])

    async with in_store(tmp_path) as store:

        async def work(transaction: Transaction) -> tuple[str, str]:
            return await start_device(
                transaction, CLIENT, "a client", lambda _size: next(codes), NOW, is_refreshable=True
            )

        _, user_code = await store.transact(work)
        assert user_code == "BCDF-GHJK"
        assert await find_waiting(store.transaction(), spelled, NOW) is not None


def test_all_letters_of_user_codes_are_equally_likely() -> None:
    counts = dict.fromkeys(ALPHABET, 0)
    for first in range(256):
        draws = iter([bytes([first]) * 8, bytes(8)])
        letter = new_user_code(lambda _size, draws=draws: next(draws))[0]
        counts[letter] += first < 240
    assert set(counts.values()) == {12}
