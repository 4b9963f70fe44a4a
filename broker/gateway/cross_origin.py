"""Which pages of other origins may use a bucket, by its rules. Pure.

Sources: "Using cross-origin resource sharing (CORS)" and "OPTIONS object", Amazon S3; the Fetch Standard, "CORS
protocol".
"""

from collections.abc import Sequence
from functools import partial

import msgspec

from broker.errors import Refusal
from broker.storage.resource_records import CrossOriginRule

Rules = Sequence[CrossOriginRule]

MOST_HEADERS = 64  # that a page may ask for

_VARY = "Origin, Access-Control-Request-Headers, Access-Control-Request-Method"
_NOT_ENABLED = "CORSResponse: CORS is not enabled for this bucket."
# S3's own sentence, to the letter.
_NOT_ALLOWED = (
    "CORSResponse: This CORS request is not allowed. This is usually because the evalution of Origin, request method / "
    "Access-Control-Request-Method or Access-Control-Request-Headers are not whitelisted by the resource's CORS spec."
)


class Preflight(msgspec.Struct, frozen=True):
    """What a browser asks before a page's request. Names of headers are in lower case."""

    origin: str
    method: str
    headers: tuple[str, ...] = ()


def read_preflight(origin: str | None, method: str | None, headers: str) -> Preflight:
    """Of the headers Origin, Access-Control-Request-Method and -Headers. Raises Refusal BadRequest."""
    if not origin:
        raise Refusal("BadRequest", "Insufficient information. Origin request header needed.")
    if not method:
        raise Refusal("BadRequest", "Invalid Access-Control-Request-Method: null")
    names = tuple(filter(None, (one.strip().lower() for one in headers.split(","))))
    if not all(map(_is_sendable, (origin, method, *names))) or len(names) > MOST_HEADERS:
        raise Refusal("BadRequest", "The request cannot be read.", reason="no preflight of a browser")
    return Preflight(origin, method, names)


def preflight_headers(rules: Rules, asked: Preflight, resource_type: str) -> dict[str, str]:
    """Of the answer. Raises Refusal AccessForbidden; `resource_type` is BUCKET or OBJECT."""
    refused = partial(_forbidden, members={"Method": asked.method, "ResourceType": resource_type})
    if not rules:
        raise refused(_NOT_ENABLED)
    for rule in rules:
        if _admits(rule, asked.origin, asked.method) and _allows(rule, asked.headers):
            allowed = {"Access-Control-Allow-Headers": ", ".join(asked.headers)} if asked.headers else {}
            return _headers(rule, asked.origin) | allowed
    raise refused(_NOT_ALLOWED)


def answer_headers(rules: Rules, origin: str, method: str) -> dict[str, str]:
    """What lets a page of `origin` read the answer to its request; empty where no rule does."""
    if _is_sendable(origin):
        for rule in rules:
            if _admits(rule, origin, method):
                return _headers(rule, origin)
    return {}


def _is_sendable(text: str) -> bool:
    """Whether an answer's header can hold it."""
    return text.isascii() and text.isprintable()


def _forbidden(message: str, members: dict[str, str]) -> Refusal:
    return Refusal("AccessForbidden", message, members=members)


def _admits(rule: CrossOriginRule, origin: str, method: str) -> bool:
    return method in rule.allowed_methods and _matches_any(rule.allowed_origins, origin)


def _allows(rule: CrossOriginRule, headers: Sequence[str]) -> bool:
    """Names are looked up; only those with a wildcard, which a configuration has few of, are compared one by one."""
    allowed = {one.lower() for one in rule.allowed_headers}
    patterns = [one for one in allowed if "*" in one]
    return "*" in allowed or all(name in allowed or _matches_any(patterns, name) for name in headers)


def _matches_any(patterns: Sequence[str], text: str) -> bool:
    return any(_matches(one, text) for one in patterns)


def _matches(pattern: str, text: str) -> bool:
    """Whether the one `*` of the pattern, if it has one, stands for the rest of `text`."""
    before, star, after = pattern.partition("*")
    if not star:
        return pattern == text
    return len(text) >= len(before) + len(after) and text.startswith(before) and text.endswith(after)


def _headers(rule: CrossOriginRule, origin: str) -> dict[str, str]:
    """The clause: only an origin that is named is allowed with the browser's credentials."""
    headers = {
        "Access-Control-Allow-Origin": "*" if "*" in rule.allowed_origins else origin,
        "Access-Control-Allow-Methods": ", ".join(rule.allowed_methods),
        "Vary": _VARY,
    }
    if "*" not in rule.allowed_origins:
        headers["Access-Control-Allow-Credentials"] = "true"
    if rule.expose_headers:
        headers["Access-Control-Expose-Headers"] = ", ".join(rule.expose_headers)
    if rule.max_age_seconds is not None:
        headers["Access-Control-Max-Age"] = str(rule.max_age_seconds)
    return headers
