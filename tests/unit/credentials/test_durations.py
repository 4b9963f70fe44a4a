import pytest

from broker.credentials.durations import role_session_duration, user_session_duration
from broker.errors import Refusal


def test_a_role_session_lasts_an_hour_unless_another_duration_is_requested() -> None:
    assert role_session_duration(None, 43_200, chained=False) == 3600
    assert role_session_duration(None, 3_600, chained=True) == 3600
    assert role_session_duration(43_200, 43_200, chained=False) == 43_200
    assert role_session_duration(3_600, 43_200, chained=True) == 3600


def test_a_chained_session_over_one_hour_is_refused_whatever_the_role_allows() -> None:
    with pytest.raises(Refusal) as refused:
        role_session_duration(3_601, 43_200, chained=True)
    assert refused.value.code == "ValidationError"
    assert refused.value.message == (
        "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining."
    )


def test_a_session_over_the_maximum_of_its_role_is_refused() -> None:
    with pytest.raises(Refusal) as refused:
        role_session_duration(7_201, 7_200, chained=False)
    assert refused.value.message == (
        "The requested DurationSeconds exceeds the MaxSessionDuration set for this role."
    )


def test_the_sessions_of_users_last_twelve_hours_and_at_most_thirty_six() -> None:
    assert user_session_duration(None, is_root=False) == 43_200
    assert user_session_duration(129_600, is_root=False) == 129_600


def test_the_sessions_of_the_root_user_are_limited_to_an_hour_without_an_error() -> None:
    assert user_session_duration(None, is_root=True) == 3600
    assert user_session_duration(129_600, is_root=True) == 3600
    assert user_session_duration(900, is_root=True) == 900
