"""How long the credentials of a role may be asked for."""

import pytest

from broker.errors import Refusal
from broker.portal.role import durations_of, parse_duration


@pytest.mark.parametrize(
    ("longest", "offered"),
    [
        (3600, [900, 3600]),
        (5400, [900, 3600, 5400]),
        (43_200, [900, 3600, 14_400, 28_800, 43_200]),
    ],
)
def test_what_is_offered_ends_with_what_the_role_gives(longest: int, offered: list[int]) -> None:
    assert durations_of(longest) == offered


def test_an_hour_is_meant_where_nothing_is_chosen() -> None:
    assert parse_duration("", 43_200) == 3600
    assert parse_duration("900", 43_200) == 900


@pytest.mark.parametrize("text", ["43201", "7200", " 900", "9e2", "-900", "٩٠٠"])
def test_what_was_not_offered_is_refused(text: str) -> None:
    with pytest.raises(Refusal) as refused:
        parse_duration(text, 43_200)
    assert refused.value.code == "ValidationError"
