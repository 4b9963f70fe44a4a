"""How often one machine may ask."""

from hypothesis import given
from hypothesis import strategies as st

from broker.metadata import throttle
from broker.metadata.throttle import Throttle

pauses = st.lists(st.floats(0, 2, allow_nan=False), max_size=60)


def test_without_a_rate_everybody_asks_as_often_as_he_likes():
    free = Throttle(0)
    assert all(free.admits("10.0.0.1", 0.0) for _ in range(100_000))


@given(st.integers(1, 50), pauses)
def test_in_no_span_of_time_are_more_admitted_than_saved_and_earned(rate: int, pauses: list[float]):
    limiter, now, admitted = Throttle(rate), 0.0, []
    for pause in pauses:
        now += pause
        admitted += [now for _ in range(10) if limiter.admits("10.0.0.1", now)]
    for first, start in enumerate(admitted):
        for last in range(first, len(admitted)):
            assert last - first + 1 <= rate * (admitted[last] - start) + rate + 1


@given(st.integers(1, 1000), st.integers(1, 200))
def test_an_address_below_its_rate_is_always_admitted(rate: int, count: int):
    limiter = Throttle(rate)
    assert all(limiter.admits("10.0.0.1", number / rate) for number in range(count))


@given(st.integers(1, 500))
def test_a_second_may_be_saved_up_and_no_more(rate: int):
    limiter = Throttle(rate)
    limiter.admits("10.0.0.1", 0.0)
    assert sum(limiter.admits("10.0.0.1", 3600.0) for _ in range(2 * rate + 2)) == rate


def test_one_address_pays_for_no_other():
    limiter = Throttle(1)
    assert limiter.admits("10.0.0.1", 0.0)
    assert not limiter.admits("10.0.0.1", 0.5)
    assert limiter.admits("10.0.0.2", 0.5)


def test_many_addresses_take_bounded_memory_and_lift_no_limit():
    limiter = Throttle(1)
    for number in range(10 * throttle._MOST_ADDRESSES):
        now = number / 100
        limiter.admits("10.0.0.1", now)
        limiter.admits(f"10.1.{number}", now)
        assert len(limiter._arrivals) <= throttle._MOST_ADDRESSES
    assert not limiter.admits("10.0.0.1", now)
