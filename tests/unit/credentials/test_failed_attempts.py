"""Each failure beyond the free ones doubles the wait, up to a longest one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.credentials.failed_attempts import counter, network_of, wait_after
from broker.storage.password_records import FailedAttempts

OF_USER = counter(5, 900, "user", "111122223333", "user alice")
NOW = 1_800_000_000.0


@pytest.mark.parametrize(
    ("failures", "wait"),
    [(0, 0), (4, 0), (5, 1), (6, 2), (7, 4), (14, 512), (15, 900), (1000, 900), (10**9, 900)],
)
def test_the_wait_doubles_with_each_failure_up_to_the_longest(failures: int, wait: float) -> None:
    assert wait_after(FailedAttempts(failures=failures, last_at=NOW), OF_USER, NOW) == wait


@given(st.integers(0, 10**6), st.floats(-1e6, 1e6))
def test_no_wait_is_longer_than_the_longest_however_clocks_differ(failures: int, passed: float) -> None:
    wait = wait_after(FailedAttempts(failures=failures, last_at=NOW), OF_USER, NOW + passed)
    assert 0 <= wait <= OF_USER.longest


def test_a_wait_passes() -> None:
    failed = FailedAttempts(failures=8, last_at=NOW)
    assert [wait_after(failed, OF_USER, NOW + passed) for passed in (0, 3, 8, 9)] == [8, 5, 0, 0]


def test_a_name_cannot_be_made_to_count_as_another() -> None:
    keys = {
        counter(5, 900, *parts).key
        for parts in [
            ("user", "1", "2"),
            ("user", "12"),
            ("user", "1", "", "2"),
            ("user1", "2"),
            ("user", "12", ""),
        ]
    }
    assert len(keys) == 5


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("unix", "unix"),
    ],
)
def test_an_address_of_ipv6_counts_with_its_network(address: str, network: str) -> None:
    assert network_of(address) == network
