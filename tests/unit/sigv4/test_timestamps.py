import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.sigv4.timestamps import format_timestamp, parse_time


@given(st.integers(0, 4_000_000_000))
def test_what_is_formatted_is_read_back(moment):
    assert parse_time(format_timestamp(moment)) == moment


def test_an_http_date_is_read():
    assert parse_time("Sun, 06 Nov 1994 08:49:37 GMT") == 784111777
    assert parse_time("Sun, 06 Nov 1994 08:49:37 -0000") == 784111777


@pytest.mark.parametrize(
    "text",
    [
        "",
        "201",
        "2026-01-01T12:00:00Z",
        "20260101T120000",
        "20260101T120000z",
        "20260101T120000+0000",
        "20260101T120000.5Z",
        "20260230T120000Z",
        "20260101T250000Z",
        "２０２６0101T120000Z",
        "20260101T120000Z\n",
        "Sun, 06 Xxx 1994 08:49:37 GMT",
        "Sun, 31 Feb 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 08:49:37 +0100",
    ],
)
def test_any_other_date_is_refused(text):
    with pytest.raises(ValueError):
        parse_time(text)
