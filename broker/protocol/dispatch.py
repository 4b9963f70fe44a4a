"""Finds the wire protocol of a request from path and headers alone, so that any fault of the rest is refused in it."""

from functools import lru_cache

from broker.protocol.json_1_1 import JSON_1_1, TARGET
from broker.protocol.query import QUERY, QUERY_JSON
from broker.protocol.rest_json import PATHS, REST_JSON
from broker.protocol.rest_paths import is_below_root
from broker.protocol.wire import WireProtocol

_JSON = "application/json"
_ANSWERS = (_JSON, "text/xml", "application/xml")
# How much of an Accept header is read: media ranges, and parameters of each.
_MOST_RANGES, _MOST_PARAMETERS = 16, 4


def find_protocol(path: str, headers: tuple[tuple[str, str], ...]) -> WireProtocol:
    """The protocol of a request with this path and these headers (names in lower case); never raises."""
    if path in PATHS or is_below_root(path):
        return REST_JSON
    protocol = QUERY
    for name, value in headers:
        if name == TARGET:
            return JSON_1_1
        if name == "accept" and protocol is QUERY and prefers_json(value):
            protocol = QUERY_JSON
    return protocol


@lru_cache(maxsize=256)
def prefers_json(unverified_accept: str) -> bool:
    """Whether an Accept header names JSON, and XML neither before it nor with a greater weight (RFC 9110, 12.5.1).

    Wildcards such as `*/*` name neither: XML is the default of a query service.
    """
    best, best_weight = "", 0.0
    for media_range in unverified_accept.lower().split(",", _MOST_RANGES)[:_MOST_RANGES]:
        media_type, *parameters = (
            piece.strip() for piece in media_range.split(";", _MOST_PARAMETERS + 1)[: _MOST_PARAMETERS + 1]
        )
        weight = _weight(parameters)
        if media_type in _ANSWERS and weight > best_weight:
            best, best_weight = media_type, weight
    return best == _JSON


def _weight(parameters: list[str]) -> float:
    """`q` of a media range: 1 where there is none, 0 where it is no number."""
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            text = value.strip()
            is_number = text.isascii() and text.replace(".", "", 1).isdigit() and len(text) <= 5
            return min(float(text), 1.0) if is_number else 0.0
    return 1.0
