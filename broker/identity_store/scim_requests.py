"""A request of SCIM (RFC 7644) as it is handled, and its answer.

`noted` is what the journal has of a request: ids and the names of attributes, never values, for these are about people.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec

from broker.identity_store.attributes import Attribute
from broker.identity_store.discovery import MOST_RESULTS
from broker.identity_store.filters import Filter, named_by, read_filter
from broker.identity_store.people import People
from broker.identity_store.refusals import invalid_value

LIST_SCHEMA = "urn:ietf:params:scim:api:messages:2.0:ListResponse"


class ScimRequest(msgspec.Struct, frozen=True):
    """`name` is the last part of the path, "" where there is none; `base` the URL of the endpoint."""

    people: People
    base: str
    new_id: Callable[[], str]
    name: str = ""
    query: Mapping[str, str] = {}
    body: Mapping[str, Any] = {}
    if_match: str | None = None

    def listed(self, parameter: str) -> tuple[str, ...]:
        """The parts of a parameter that is a list."""
        return tuple(part.strip() for part in self.query.get(parameter, "").split(",") if part.strip())


class ScimAnswer(msgspec.Struct, frozen=True):
    """`body` None: none. `version` is that of the resource, 0 where there is none."""

    status: int
    body: dict[str, Any] | None = None
    version: int = 0
    location: str = ""
    noted: dict[str, Any] = {}


Answer = Callable[[ScimRequest], Awaitable[ScimAnswer]]


def noted_attributes(request: ScimRequest, of: Attribute) -> dict[str, Any]:
    known = {one.name.lower(): one.name for one in of.parts}
    given = sorted({known[name.lower()] for name in request.body if name.lower() in known})
    return {"attributes": given}


class AskedPage(msgspec.Struct, frozen=True):
    """A page of a list: `start` counts from 1, `count` is how many at most."""

    start: int
    count: int
    filter: Filter | None

    @property
    def end(self) -> int:
        return self.start - 1 + self.count


def asked_page(request: ScimRequest, of: Attribute) -> AskedPage:
    text = request.query.get("filter", "")
    return AskedPage(
        max(1, _number(request, "startIndex", 1)),
        min(MOST_RESULTS, max(0, _number(request, "count", MOST_RESULTS))),
        read_filter(text, of) if text.strip() else None,
    )


def _number(request: ScimRequest, name: str, default: int) -> int:
    text = request.query.get(name)
    if text is None:
        return default
    if not text.lstrip("-").isdecimal() or len(text) > 9 or not text.isascii():
        raise invalid_value(f"{name} is a number.")
    return int(text)


def noted_filter(asked: AskedPage) -> dict[str, Any]:
    named = None if asked.filter is None else named_by(asked.filter)
    return {"filteredBy": named[0] if named else "filter"} if asked.filter is not None else {}


def listed_page(
    shown: list[dict[str, Any]], asked: AskedPage, total: int, noted: dict[str, Any]
) -> ScimAnswer:
    body = {
        "schemas": [LIST_SCHEMA],
        "totalResults": total,
        "startIndex": asked.start,
        "itemsPerPage": len(shown),
        "Resources": shown,
    }
    return ScimAnswer(200, body, noted={**noted, "results": len(shown)})
