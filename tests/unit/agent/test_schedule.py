"""When credentials are renewed, and when the broker is asked again."""

from hypothesis import given
from hypothesis import strategies as st

from broker.agent.schedule import (
    LONGEST_PAUSE,
    RETURN_WINDOW,
    next_attempt,
    renewal_after_return,
    renewal_time,
    retry_after,
)

spreads = st.floats(0, 1, exclude_max=True)
lives = st.floats(900, 43_200)
NOW = 1_800_000_000.0


@given(lives, spreads)
def test_a_quarter_of_the_life_at_least_is_left_when_credentials_are_renewed(
    life: float, spread: float
) -> None:
    at = renewal_time(NOW, NOW + life, spread)
    assert NOW + life / 2 - 1e-3 <= at <= NOW + 0.75 * life + 1e-3


@given(st.integers(1, 10_000), spreads)
def test_pauses_grow_up_to_a_bound_and_are_never_none(failures: int, spread: float) -> None:
    pause = next_attempt(NOW, failures, spread) - NOW
    assert 0.5 <= pause <= LONGEST_PAUSE + 1e-3
    assert next_attempt(NOW, failures + 1, spread) >= next_attempt(NOW, failures, spread)


@given(st.floats(0, 43_200), spreads)
def test_renewals_after_a_return_are_within_the_window_and_half_of_what_is_left(
    left: float, spread: float
) -> None:
    at = renewal_after_return(NOW, NOW + left, spread)
    assert NOW <= at <= NOW + min(RETURN_WINDOW, left / 2) + 1e-3


@given(st.floats(-100, 100))
def test_retry_after_is_a_whole_second_at_least_and_not_before_the_attempt(wait: float) -> None:
    seconds = retry_after(NOW, NOW + wait)
    assert seconds >= 1
    assert seconds >= wait - 0.002
