"""Moments as people write them."""

import pytest

from broker.audit.moments import parse_moment

NOW = 1_767_225_600.5  # 2026-01-01T00:00:00Z
MOMENTS = {
    "0s": 1_767_225_600,
    "90s": 1_767_225_510,
    "2h": 1_767_218_400,
    "1d": 1_767_139_200,
    "999999d": 0,
    "2026-01-01": 1_767_225_600,
    "2026-01-01T00:00Z": 1_767_225_600,
    "2026-01-01T01:00+01:00": 1_767_225_600,
    "2026-01-01 00:00:01": 1_767_225_601,
    "0001-01-01": 0,
}


@pytest.mark.parametrize("text", MOMENTS)
def test_a_moment_is_a_time_or_how_long_ago(text: str) -> None:
    assert parse_moment(text, NOW) == MOMENTS[text]


@pytest.mark.parametrize(
    "text", ["", "h", "-1h", "1w", "1.5h", "٣h", "1000000s", "yesterday", "2026-13-01", "1h "]
)
def test_what_is_no_moment_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no time"):
        parse_moment(text, NOW)
