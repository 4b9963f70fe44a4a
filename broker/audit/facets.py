"""What records are found by: one meaning of each facet for the index, for a scan, for commands and for pages."""

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from enum import Enum
from functools import lru_cache

import msgspec

from broker.audit.event import Event
from broker.audit.resources import resources_of

_SERVICES = ".amazonaws.com"  # the ending of CloudTrail's names of services


class RecordOutcome(Enum):
    """How the request of a record ended: `DENIED` by a policy, `FAILED` for any other reason."""

    SUCCEEDED = "succeeded"
    DENIED = "denied"
    FAILED = "failed"


_DENIALS = frozenset({"AccessDenied", "AccessDeniedException", "UnauthorizedOperation"})


def outcome_of_record(event: Event) -> RecordOutcome:
    if not event.error_code:
        return RecordOutcome.SUCCEEDED
    return RecordOutcome.DENIED if event.error_code in _DENIALS else RecordOutcome.FAILED


def principals_of(event: Event) -> Iterator[str]:
    """Everything by which one may look for who called: ARN, id, key, name, and those of the role of a session."""
    identity = event.user_identity
    yield from (identity.arn, identity.principal_id, identity.access_key_id, identity.user_name)
    yield identity.invoked_by
    yield session_name_of(event)
    if (context := identity.session_context) is not None:
        yield context.source_identity or ""
        if (issuer := context.session_issuer) is not None:
            yield from (issuer.arn, issuer.principal_id, issuer.user_name)


def name_of_caller(event: Event) -> str:
    """CloudTrail's `Username`: of a user the name, of a role's session the session's; "" where none is known."""
    identity = event.user_identity
    if identity.user_name:
        return identity.user_name
    return "root" if identity.type == "Root" else session_name_of(event) or identity.invoked_by


def session_name_of(event: Event) -> str:
    """Of a session of a role, or of a federated user; "" for others."""
    arn = event.user_identity.arn
    return arn.rpartition("/")[2] if arn.startswith("arn:aws:sts::") else ""


def _sources(event: Event) -> tuple[str, ...]:
    """`sts.amazonaws.com`, and `sts`."""
    return event.event_source, event.event_source.removesuffix(_SERVICES)


def _reading(event: Event) -> tuple[str, ...]:
    return () if event.read_only is None else ("true" if event.read_only else "false",)


FACETS: dict[str, Callable[[Event], Iterable[str]]] = {
    "account": lambda event: (event.recipient_account_id,),
    "id": lambda event: (event.request_id, event.event_id),
    "principal": principals_of,
    "event": lambda event: (event.event_name,),
    "source": _sources,
    "read-only": _reading,
    "outcome": lambda event: (outcome_of_record(event).value,),
    "error": lambda event: (event.error_code,),
    "resource": lambda event: (one.name for one in resources_of(event)),
    "address": lambda event: (event.source_ip,),
}

Term = tuple[str, str]  # the name of a facet, and a value


class RecordFilter(msgspec.Struct, frozen=True):
    """All of `terms` have to hold, and the time be from `start` to `end`, both included, in epoch seconds.

    An empty value is no term: nothing is found by what it does not have.
    """

    terms: tuple[Term, ...] = ()
    start: int | None = None
    end: int | None = None

    def has_time(self, at: int) -> bool:
        return (self.start is None or at >= self.start) and (self.end is None or at <= self.end)

    def matches(self, event: Event) -> bool:
        if not self.has_time(time_of(event)):
            return False
        return all(value and value in FACETS[facet](event) for facet, value in self.terms)


def terms_of(event: Event) -> set[Term]:
    """All terms that find `event`."""
    return {(facet, value) for facet, values in FACETS.items() for value in values(event) if value}


def time_of(event: Event) -> int:
    """Epoch seconds; 0 of a record whose time cannot be read."""
    return _seconds(event.event_time)


@lru_cache(maxsize=4096)
def _seconds(text: str) -> int:
    try:
        return max(0, int(datetime.fromisoformat(text).timestamp()))
    except (ValueError, OverflowError):
        return 0


_decode = msgspec.json.Decoder(Event).decode


def find_event(line: bytes | memoryview) -> Event | None:
    """The record on a line of the journal; None for what a killed writer left."""
    try:
        return _decode(line)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return None
