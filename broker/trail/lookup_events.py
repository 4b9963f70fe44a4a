"""LookupEvents: the records of the caller's account, the newest first, by one attribute.

A token leads on in the same look-up only, as on AWS. It is no secret: whatever it is, what is shown is the account's.
"""

import base64
from hashlib import blake2b

import msgspec

from broker.audit.facets import RecordFilter, name_of_caller, time_of
from broker.audit.history import EventHistory
from broker.audit.reader import FoundRecord, RecordPlace
from broker.audit.resources import resources_of
from broker.errors import Refusal
from broker.operation import Call, Prepared, no_resource, operation
from broker.protocol.shapes import cloudtrail as shapes

_MOST = 50
_LONGEST_TOKEN = 512
# AttributeKey -> the facet of the journal.
_ATTRIBUTES = {
    "AccessKeyId": "access-key",
    "EventId": "event-id",
    "EventName": "event",
    "EventSource": "event-source",
    "ReadOnly": "read-only",
    "ResourceName": "resource",
    "ResourceType": "resource-type",
    "Username": "user-name",
}


class _Token(msgspec.Struct, frozen=True, array_like=True):
    """Where the page before ended, and a digest of what was looked for."""

    at: int
    event_id: str
    wanted: str


@operation("cloudtrail:LookupEvents", prepare=no_resource)
async def lookup_events(
    call: Call, request: shapes.LookupEventsRequest, prepared: Prepared[None]
) -> shapes.LookupEventsResponse:
    wanted, history = _filter_of(request), _history(call)
    after = _place(request.next_token, wanted) if request.next_token else None
    if request.event_category is not None:
        return shapes.LookupEventsResponse()  # only Insights has a category, and there are no such events
    found = await history.find(call.account, wanted, request.max_results or _MOST, after)
    last = found.records[-1].place if found.has_more else None
    return shapes.LookupEventsResponse(
        events=tuple(map(_shape, found.records)),
        next_token=_token(last, wanted) if last is not None else None,
    )


def _history(call: Call) -> EventHistory:
    if call.history is None:
        raise Refusal(
            "UnsupportedOperationException",
            "The journal of this broker is a device or a pipe, and cannot be searched.",
        )
    return call.history


def _filter_of(request: shapes.LookupEventsRequest) -> RecordFilter:
    """Raises Refusal."""
    if len(request.lookup_attributes) > 1:
        raise Refusal("InvalidLookupAttributesException", "You can specify only one lookup attribute.")
    start, end = request.start_time, request.end_time
    if start is not None and end is not None and start > end:
        raise Refusal("InvalidTimeRangeException", "The start time is after the end time.")
    return RecordFilter(
        tuple((_ATTRIBUTES[one.attribute_key], one.attribute_value) for one in request.lookup_attributes),
        int(start) if start is not None else None,
        int(end) if end is not None else None,
    )


def _shape(found: FoundRecord) -> shapes.Event:
    event = found.event
    return shapes.Event(
        event_id=event.event_id,
        event_name=event.event_name,
        read_only=None if event.read_only is None else str(event.read_only).lower(),
        access_key_id=event.user_identity.access_key_id or None,
        event_time=time_of(event),
        event_source=event.event_source,
        username=name_of_caller(event) or None,
        resources=tuple(
            shapes.Resource(resource_type=one.type or None, resource_name=one.name)
            for one in resources_of(event)
        ),
        cloud_trail_event=found.line.decode(),
    )


def _token(place: RecordPlace, wanted: RecordFilter) -> str:
    text = msgspec.json.encode(_Token(place.at, place.event_id, _digest(wanted)))
    return base64.urlsafe_b64encode(text).decode()


def _place(unverified_token: str, wanted: RecordFilter) -> RecordPlace:
    """Raises Refusal for what is no token of the same look-up."""
    try:
        text = base64.urlsafe_b64decode(unverified_token[:_LONGEST_TOKEN].encode("ascii"))
        token = msgspec.json.decode(text, type=_Token)
    except (ValueError, msgspec.DecodeError):
        token = None
    if token is None or token.wanted != _digest(wanted):
        raise Refusal("InvalidNextTokenException", "The token is not of a look-up with these parameters.")
    return RecordPlace(token.at, token.event_id)


def _digest(wanted: RecordFilter) -> str:
    return blake2b(msgspec.json.encode(wanted), digest_size=8).hexdigest()
