"""W3C Trace Context (Recommendation of 2021): which trace a request belongs to, for its log lines and its record.

What the header says is a claim: it names a trace to the operator, decides nothing, and is not sent on.
"""

import re
from collections.abc import Mapping, Sequence
from contextvars import ContextVar

HEADER = "traceparent"

# Section 3.2: version, trace id, parent id and flags, in lower case. Version 00 has nothing after them.
_is_of_version_0 = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}", re.ASCII).fullmatch

_NO_TRACE: Mapping[str, str] = {}
_current: ContextVar[Mapping[str, str]] = ContextVar(
    "the trace of the request that is being answered", default=_NO_TRACE
)


def read_trace(unverified_values: Sequence[str]) -> Mapping[str, str]:
    """`trace_id` and `parent_id` of the values of the header `traceparent`; empty where they are not valid.

    Several headers, ids of zeros alone and other versions than 00 are as none (sections 3.2.2.3, 3.2.2.4, 4.3).
    """
    if len(unverified_values) != 1:
        return _NO_TRACE
    found = _is_of_version_0(unverified_values[0])
    if found is None or not found[1].strip("0") or not found[2].strip("0"):
        return _NO_TRACE
    return {"trace_id": found[1], "parent_id": found[2]}


def enter_trace(unverified_values: Sequence[str]) -> None:
    """From here on this task answers a request with these values of the header, and no earlier one."""
    _current.set(read_trace(unverified_values))


def current_trace() -> Mapping[str, str]:
    """`trace_id` and `parent_id` of the request that this task answers; empty where it named none."""
    return _current.get()


def recorded_trace() -> dict[str, str] | None:
    """The same, as `additionalEventData` of its record."""
    trace = _current.get()
    return {"traceId": trace["trace_id"], "parentId": trace["parent_id"]} if trace else None
