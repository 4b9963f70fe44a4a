"""Only a trace that is valid by the letter is believed to be one."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.trace_context import current_trace, enter_trace, read_trace, recorded_trace

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
VALID = f"00-{TRACE}-{PARENT}-01"


def test_a_valid_header_names_trace_and_parent() -> None:
    assert read_trace([VALID]) == {"trace_id": TRACE, "parent_id": PARENT}
    assert read_trace([f"00-{TRACE}-{PARENT}-ff"]) == read_trace([VALID])


@pytest.mark.parametrize(
    "value",
    [
        "",
        VALID.upper(),
        f"01-{TRACE}-{PARENT}-01",
        f"ff-{TRACE}-{PARENT}-01",
        f"00-{'0' * 32}-{PARENT}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE[:-1]}-{PARENT}-01",
        f"00-{TRACE}0-{PARENT}-01",
        f"00-{TRACE}-{PARENT}0-01",
        f"00-{TRACE}-{PARENT}-1",
        f"00-{TRACE}-{PARENT}-01-more",
        f"00-{TRACE}-{PARENT}",
        f"{VALID}\n",
        f" {VALID}",
        f"00-{TRACE[:-1]}g-{PARENT}-01",
        f"00-{TRACE[:-1]}\uff11-{PARENT}-01",  # a digit, and no hexadecimal one
        f"00-{TRACE}-{PARENT[:-1]}\udcff-01",
    ],
)
def test_any_other_header_names_none(value: str) -> None:
    assert read_trace([value]) == {}


def test_none_and_several_headers_name_none() -> None:
    assert read_trace([]) == {}
    assert read_trace([VALID, VALID]) == {}


@given(st.text(max_size=60))
def test_what_is_read_is_hexadecimal_whatever_was_sent(value: str) -> None:
    assert all(set(part) <= set("0123456789abcdef") for part in read_trace([value]).values())


async def test_a_request_without_a_trace_has_not_that_of_the_one_before_it() -> None:
    enter_trace([VALID])
    assert recorded_trace() == {"traceId": TRACE, "parentId": PARENT}
    enter_trace(["nonsense"])
    assert (current_trace(), recorded_trace()) == ({}, None)


async def test_requests_that_are_answered_at_one_time_have_traces_of_their_own() -> None:
    async def answer(parent: str) -> str:
        enter_trace([f"00-{TRACE}-{parent}-00"])
        await asyncio.sleep(0)
        return current_trace()["parent_id"]

    parents = ["1" * 16, "2" * 16]
    assert await asyncio.gather(*(asyncio.create_task(answer(one)) for one in parents)) == parents
