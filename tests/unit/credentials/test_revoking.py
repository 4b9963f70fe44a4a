"""Revocations are stored as long as they apply to a session, are bounded, and never weakened."""

import os
from pathlib import Path

import pytest

from broker.credentials.revoking import (
    MOST_REVOCATIONS,
    MOST_SESSIONS,
    TooManyRevocations,
    latest_end,
    revoke,
    with_revocation,
)
from broker.storage.session_records import WHOLE_ACCOUNT, Revocation, Revocations
from broker.storage.sqlite import SqliteEngine
from broker.storage.store import REVOCATIONS, Store

ACCOUNT = "111122223333"


def revocation(before: int, ends: int, at: int = 0) -> Revocation:
    return Revocation(issued_before=before, ends_at=ends, revoked_at=at)


def many(number: int, prefix: str, ends: int = 100) -> Revocations:
    return Revocations(by_subject={f"{prefix}{index}": revocation(1, ends) for index in range(number)})


@pytest.mark.parametrize(("subject", "hours"), [("AROA1", 12), ("AIDA1", 36), (ACCOUNT, 36), ("*", 36)])
def test_a_revocation_is_stored_until_its_last_session_has_expired_by_any_clock(
    subject: str, hours: int
) -> None:
    assert latest_end(subject, 1000) == 1000 + hours * 3600 + 900


def test_what_has_ended_is_dropped_with_the_next_revocation() -> None:
    known = Revocations(by_subject={"AROA1": revocation(1, 50), "AROA2": revocation(1, 51)})
    assert with_revocation(known, "AROA3", revocation(2, 90), 50).by_subject.keys() == {"AROA2", "AROA3"}


def test_a_revocation_of_an_earlier_time_does_not_weaken_a_later_one() -> None:
    known = Revocations(by_subject={"AROA1": revocation(20, 90, 1)})
    both = with_revocation(known, "AROA1", revocation(10, 80, 2), 0)
    assert both.by_subject == {"AROA1": revocation(20, 90, 2)}
    assert with_revocation(known, "AROA1", revocation(30, 95, 2), 0).by_subject == {
        "AROA1": revocation(30, 95, 2)
    }


def test_single_sessions_are_bounded_and_a_role_can_still_be_revoked() -> None:
    full = many(MOST_SESSIONS, "ASIA")
    with pytest.raises(TooManyRevocations, match="1000 single sessions"):
        with_revocation(full, "ASIAX", revocation(1, 100), 0)
    assert len(with_revocation(full, "ASIA7", revocation(2, 100), 0).by_subject) == MOST_SESSIONS
    assert len(with_revocation(full, "AROA1", revocation(2, 100), 0).by_subject) == MOST_SESSIONS + 1
    assert with_revocation(full, "ASIAX", revocation(1, 200), 100).by_subject.keys() == {"ASIAX"}


def test_a_whole_account_can_be_revoked_however_many_revocations_there_are() -> None:
    full = many(MOST_REVOCATIONS, "AROA")
    with pytest.raises(TooManyRevocations, match="2000 revocations"):
        with_revocation(full, "AIDA1", revocation(1, 100), 0)
    assert WHOLE_ACCOUNT in with_revocation(full, WHOLE_ACCOUNT, revocation(1, 100), 0).by_subject


async def test_the_record_expires_when_the_last_revocation_has_ended(tmp_path: Path) -> None:
    now = 1000.0
    engine = SqliteEngine(tmp_path / "broker.db", lambda: now, os.urandom)
    async with Store(engine, lambda: now) as store:
        for subject, ends in (("AROA1", 2000), ("AROA2", 1500)):
            await store.transact(
                lambda transaction, of=subject, end=ends: revoke(
                    transaction, ACCOUNT, of, revocation(1000, end), now
                )
            )
        for now, is_there in ((1999.0, True), (2000.0, False)):  # noqa: B007  the engine's clock
            stored = await engine.get(f"account/{ACCOUNT}", REVOCATIONS.stored_key(""))
            assert (stored is not None) is is_there
