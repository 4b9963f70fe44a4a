"""Logins run in threads, so many at a time; what comes of them counts or does not count as a failure."""

import threading
import time

import pytest

from broker.assertions.checks import CheckFailed, Checks
from broker.federation.attempts import TooManyAttempts
from broker.federation.directory import Admit, DirectoryLogins, DirectoryUnavailable, LogIn, Person
from broker.federation.directory_rules import DirectoryRules

ALICE = Person("alice", "uid=alice,ou=people")


def logins(log_in: LogIn, **rules: int) -> DirectoryLogins:
    return DirectoryLogins(DirectoryRules(**rules), log_in)


async def tried(directory: DirectoryLogins, password: str = "right", address: str = "192.0.2.1") -> str:
    try:
        return (await directory.log_in("alice", password, address, Checks())).name
    except (CheckFailed, TooManyAttempts, DirectoryUnavailable) as error:
        return type(error).__name__


def asking(user_name: str, password: str, seconds: float, admit: Admit, checks: Checks) -> Person:
    """Asks two servers about one attempt, as a login does whose first server breaks off."""
    admit("uid=alice")
    admit("uid=alice")
    if password == "away":
        raise DirectoryUnavailable("away")
    checks.require("password", password == "right", found="another")
    return ALICE


async def test_a_failure_counts_and_a_success_begins_again() -> None:
    directory = logins(asking)
    assert [await tried(directory, "wrong") for _ in range(11)] == [*["CheckFailed"] * 10, "TooManyAttempts"]
    assert await tried(directory) == "TooManyAttempts", (
        "the right password, too: an answer would say that it is right"
    )
    directory = logins(asking)
    for _ in range(5):
        assert [await tried(directory, "wrong") for _ in range(9)] == ["CheckFailed"] * 9
        assert await tried(directory, address="192.0.2.2") == "alice"
        directory._of_address.forget("192.0.2.1")


async def test_a_directory_that_is_away_is_no_failure_of_the_person() -> None:
    directory = logins(asking)
    assert {await tried(directory, "away") for _ in range(50)} == {"DirectoryUnavailable"}
    assert await tried(directory) == "alice"


async def test_failures_count_by_address_whoever_is_tried() -> None:
    def unknown(user_name: str, password: str, seconds: float, admit: Admit, checks: Checks) -> Person:
        raise checks.fail("user name", found="no entries")

    directory = logins(unknown)
    assert [await tried(directory) for _ in range(31)] == [*["CheckFailed"] * 30, "TooManyAttempts"]
    assert await tried(directory, address="192.0.2.2") == "CheckFailed"


async def test_a_thread_that_hangs_is_not_waited_for_and_more_than_may_wait_are_refused() -> None:
    hanging = threading.Event()

    def hang(user_name: str, password: str, seconds: float, admit: Admit, checks: Checks) -> Person:
        hanging.wait(30)
        return ALICE

    directory, began = logins(hang, timeout_seconds=0, logins_at_a_time=1), time.monotonic()
    with pytest.raises(DirectoryUnavailable):
        await directory.log_in("alice", "x", "192.0.2.1", Checks())
    assert time.monotonic() - began < 5
    assert [await tried(directory) for _ in range(2)] == ["DirectoryUnavailable"] * 2
    hanging.set()
    directory.close()


async def test_a_place_is_free_again_when_its_login_is_over() -> None:
    directory = logins(asking, logins_at_a_time=1)
    for _ in range(100):
        assert await tried(directory) == "alice"
    for _ in range(9):
        assert directory._places.acquire(blocking=False)
    with pytest.raises(TooManyAttempts):
        await directory.log_in("alice", "right", "192.0.2.1", Checks())
