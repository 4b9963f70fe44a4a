"""Logins run in threads, a bounded number at a time; failures are counted, by person and by address."""

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
    """Tries two servers for one attempt, as a login does whose first server breaks off."""
    admit("uid=alice")
    admit("uid=alice")
    if password == "away":
        raise DirectoryUnavailable("away")
    checks.require("password", password == "right", found="another")
    return ALICE


async def test_a_failure_is_counted_and_a_success_resets_the_count() -> None:
    directory = logins(asking)
    assert [await tried(directory, "wrong") for _ in range(11)] == [*["CheckFailed"] * 10, "TooManyAttempts"]
    assert await tried(directory) == "TooManyAttempts", (
        "the right password, too: an answer would say that it is right"
    )
    directory = logins(asking)
    for _ in range(5):
        assert [await tried(directory, "wrong") for _ in range(9)] == ["CheckFailed"] * 9
        assert await tried(directory, address="192.0.2.2") == "alice"
        directory._address_attempts.reset("192.0.2.1")


async def test_an_unavailable_directory_is_not_counted_as_a_failure() -> None:
    directory = logins(asking)
    assert {await tried(directory, "away") for _ in range(50)} == {"DirectoryUnavailable"}
    assert await tried(directory) == "alice"


async def test_failures_are_counted_by_address_too() -> None:
    def unknown(user_name: str, password: str, seconds: float, admit: Admit, checks: Checks) -> Person:
        raise checks.fail("user name", found="no entries")

    directory = logins(unknown)
    assert [await tried(directory) for _ in range(31)] == [*["CheckFailed"] * 30, "TooManyAttempts"]
    assert await tried(directory, address="192.0.2.2") == "CheckFailed"


async def test_a_login_that_hangs_times_out_and_logins_beyond_the_queue_are_refused() -> None:
    hanging = threading.Event()

    def hang(user_name: str, password: str, seconds: float, admit: Admit, checks: Checks) -> Person:
        hanging.wait(30)
        return ALICE

    directory, began = logins(hang, timeout_seconds=0, logins_at_a_time=1), time.monotonic()
    with pytest.raises(DirectoryUnavailable):
        await directory.log_in("alice", "x", "192.0.2.1", Checks())
    assert time.monotonic() - began < 15
    assert [await tried(directory) for _ in range(2)] == ["DirectoryUnavailable"] * 2
    hanging.set()
    directory.close()


async def test_a_slot_is_released_when_its_login_has_ended() -> None:
    directory = logins(asking, logins_at_a_time=1)
    for _ in range(100):
        assert await tried(directory) == "alice"
    for _ in range(9):
        assert directory._slots.acquire(blocking=False)
    with pytest.raises(TooManyAttempts):
        await directory.log_in("alice", "right", "192.0.2.1", Checks())
