"""Attempts: some are free, then the backoff doubles; concurrent attempts are counted."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from broker.federation import attempts
from broker.federation.attempts import Attempts, TooManyAttempts, address_key


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def is_admitted(counted: Attempts, key: str = "alice") -> bool:
    try:
        counted.begin(key)
    except TooManyAttempts:
        return False
    return True


def test_after_the_free_ones_each_attempt_waits_twice_as_long(clock: Clock) -> None:
    counted = Attempts(3, 60.0, clock)
    assert [is_admitted(counted) for _ in range(4)] == [True, True, True, False]
    for wait in (1, 2, 4, 8, 16, 32, 60, 60):
        clock.now += wait - 0.01
        assert not is_admitted(counted)
        clock.now += 0.01
        assert is_admitted(counted)


def test_a_refused_attempt_does_not_prolong_the_backoff(clock: Clock) -> None:
    counted = Attempts(1, 60.0, clock)
    assert is_admitted(counted)
    assert not any(is_admitted(counted) for _ in range(100))
    clock.now += 1
    assert is_admitted(counted)


def test_keys_are_counted_apart(clock: Clock) -> None:
    counted = Attempts(1, 60.0, clock)
    assert is_admitted(counted)
    assert is_admitted(counted, "bob")
    assert not is_admitted(counted)


def test_a_success_resets_the_count_and_an_undecided_attempt_is_discounted(clock: Clock) -> None:
    counted = Attempts(2, 60.0, clock)
    for _ in range(10):
        counted.begin("alice")
        counted.discount("alice")
    counted.begin("alice")
    counted.begin("alice")
    assert not is_admitted(counted)
    counted.reset("alice")
    assert is_admitted(counted)
    counted.discount("unknown")
    counted.reset("unknown")


def test_the_count_is_reset_after_an_hour(clock: Clock) -> None:
    counted = Attempts(2, 60.0, clock)
    assert [is_admitted(counted) for _ in range(3)] == [True, True, False]
    clock.now += attempts.RESET_AFTER
    assert [is_admitted(counted) for _ in range(3)] == [True, True, False]


def test_concurrent_attempts_are_counted(clock: Clock) -> None:
    counted = Attempts(5, 60.0, clock)
    with ThreadPoolExecutor(8) as threads:
        admitted = list(threads.map(lambda _: is_admitted(counted), range(200)))
    assert admitted.count(True) == 5


def test_the_number_of_keys_is_bounded_and_those_without_a_backoff_are_evicted_first(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attempts, "MOST_KEYS", 100)
    counted = Attempts(2, 60.0, clock)
    assert [is_admitted(counted) for _ in range(3)] == [True, True, False]
    for number in range(500):
        counted.begin(f"person {number}")
    assert not is_admitted(counted)
    assert len(counted._attempted) <= 100


@pytest.mark.parametrize(
    ("address", "key"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3::4", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("unknown", "unknown"),
    ],
)
def test_an_address_of_ipv6_is_counted_with_its_network(address: str, key: str) -> None:
    assert address_key(address) == key
