"""What of the journal is looked for, as the address of the page has it, and the links that narrow it.

The same filter is a line of `broker audit find`: its options have the names of the address's parts.
"""

import re
import shlex
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

import msgspec

from broker.audit.event import Event, iso_time
from broker.audit.facets import RecordFilter, name_of_caller, outcome_of_record, time_of
from broker.audit.moments import parse_moment
from broker.audit.reader import RecordPlace
from broker.audit.resources import resources_of
from broker.errors import Refusal

# Parts of the address that are terms of the filter.
TERMS = ("principal", "event", "source", "resource", "outcome", "error", "address", "read-only", "id")
_TIMES = ("since", "until")
_LONGEST = 2048
_PLACE = re.compile(r"([0-9]{1,10})/([0-9a-f-]{36})", re.ASCII)
_SERVICES = ".amazonaws.com"


class JournalQuery(msgspec.Struct, frozen=True):
    """`parts` are the filter, in the order of TERMS; `after` is where the page before ended."""

    parts: Mapping[str, str]
    wanted: RecordFilter
    after: RecordPlace | None

    def narrowed(self, **terms: str) -> str:
        """The query string of the same filter with `terms` beside; an empty one is left out."""
        names = {name.replace("_", "-"): text for name, text in terms.items()}
        parts = {**self.parts, **names}
        return urlencode({name: text for name, text in parts.items() if text})

    def without(self, name: str) -> str:
        return urlencode({part: text for part, text in self.parts.items() if part != name})

    @property
    def command(self) -> str:
        options = [
            _option(name, text) for name, text in self.parts.items() if (name, text) != ("read-only", "true")
        ]
        if self.parts.get("read-only") == "true":
            options.append("--read-only")
        return " ".join(options)


class ShownRecord(msgspec.Struct, frozen=True):
    """A row: what its cells show, and the query strings that they lead to."""

    event_id: str
    at: int
    until: str
    who: str
    who_query: str
    what: str
    what_query: str
    resource: str
    resource_query: str
    address: str
    address_query: str
    outcome: str
    error: str
    outcome_query: str


def query_of(query: Mapping[str, str], now: float) -> JournalQuery:
    """Raises Refusal for a time, or a place, that cannot be read."""
    names = (*TERMS, *_TIMES)
    parts = {name: text for name in names if (text := query.get(name, "")[:_LONGEST].strip())}
    try:
        start, end = (parse_moment(parts[name], now) if name in parts else None for name in _TIMES)
    except ValueError as error:
        raise Refusal("ValidationError", f"The time {error}.") from None
    terms = tuple((name, text) for name, text in parts.items() if name in TERMS)
    return JournalQuery(parts, RecordFilter(terms, start, end), _place(query.get("after", "")))


def _place(text: str) -> RecordPlace | None:
    if not text:
        return None
    found = _PLACE.fullmatch(text)
    if found is None:
        raise Refusal("InvalidNextTokenException", "This page of the journal does not exist.")
    return RecordPlace(int(found[1]), found[2])


def shown_place(place: RecordPlace) -> str:
    return f"{place.at}/{place.event_id}"


def shown_record(event: Event, query: JournalQuery) -> ShownRecord:
    resource = next((one.name for one in resources_of(event)), "")
    service = event.event_source.removesuffix(_SERVICES)
    outcome, error = outcome_of_record(event).value, event.error_code
    who = name_of_caller(event)
    return ShownRecord(
        event_id=event.event_id,
        at=time_of(event),
        until=query.narrowed(until=iso_time(time_of(event))),
        who=who or event.user_identity.type,
        who_query=query.narrowed(principal=event.user_identity.arn or who),
        what=f"{service}:{event.event_name}",
        what_query=query.narrowed(event=event.event_name, source=service),
        resource=resource,
        resource_query=query.narrowed(resource=resource),
        address=event.source_ip,
        address_query=query.narrowed(address=event.source_ip),
        outcome=outcome,
        error=error,
        outcome_query=query.narrowed(error=error) if error else query.narrowed(outcome=outcome),
    )


def question_of(event: Event) -> str:
    """The query string of the simulator for what the record asked; "" where it cannot be asked so."""
    identity: Any = event.user_identity
    issuer = identity.session_context.session_issuer if identity.session_context is not None else None
    principal = issuer.arn if issuer is not None else identity.arn
    if not principal.startswith("arn:aws:iam::") or principal.endswith(":root"):
        return ""
    arn = next((one.name for one in resources_of(event) if one.name.startswith("arn:")), "")
    action = f"{event.event_source.removesuffix(_SERVICES)}:{event.event_name}"
    asked = {"principal": principal, "action": action, "resource": arn}
    return urlencode({name: text for name, text in asked.items() if text})


def _option(name: str, text: str) -> str:
    return "--writing" if name == "read-only" else f"--{name} {shlex.quote(text)}"
