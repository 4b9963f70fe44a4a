"""Which records a trail delivers: what its selectors say, of its regions, of the times at which it was logging.

"Logging management events", "Logging data events" and "Filter data events by using advanced event selectors",
CloudTrail user guide.
"""

from broker.audit.event import Event
from broker.audit.facets import time_of
from broker.storage.trail_records import AdvancedEventSelector, EventSelector, FieldSelector, Trail
from broker.trail.names import is_region

S3_OBJECT = "AWS::S3::Object"
MANAGEMENT, DATA = "Management", "Data"
# IAM and Organizations have no regions; of STS, AWS calls what its global endpoint answers global.
_GLOBAL_SOURCES = frozenset({"iam.amazonaws.com", "organizations.amazonaws.com"})
_STS, _GLOBAL_REGION = "sts.amazonaws.com", "us-east-1"
# Fields that an advanced selector may name, by category.
FIELDS = {
    MANAGEMENT: frozenset(
        {"eventCategory", "eventSource", "readOnly", "eventName", "eventType", "userIdentity.arn"}
    ),
    DATA: frozenset(
        {
            "eventCategory",
            "eventSource",
            "readOnly",
            "eventName",
            "eventType",
            "userIdentity.arn",
            "resources.type",
            "resources.ARN",
        }
    ),
}


def is_delivered(trail: Trail, event: Event) -> bool:
    """Whether `trail` delivers this record of one of its accounts."""
    return _is_logged_at(trail, time_of(event)) and _is_of_region(trail, event) and _is_selected(trail, event)


def delivery_region(trail: Trail, event: Event) -> str:
    """The region in whose folder the record is: a trail of one region has one folder.

    DANGER: a client may sign for any text as its region. What is not of a region's form names no folder.
    """
    if trail.is_multi_region and is_region(event.aws_region):
        return event.aws_region
    return trail.region


def _is_logged_at(trail: Trail, at: int) -> bool:
    return any(one.start <= at and (not one.end or at <= one.end) for one in trail.periods)


def _is_global(event: Event) -> bool:
    is_global_sts = event.event_source == _STS and event.aws_region == _GLOBAL_REGION
    return is_global_sts or event.event_source in _GLOBAL_SOURCES


def _is_of_region(trail: Trail, event: Event) -> bool:
    if _is_global(event):
        return trail.has_global_events
    return trail.is_multi_region or event.aws_region == trail.region


def _is_selected(trail: Trail, event: Event) -> bool:
    if trail.advanced_selectors:
        return any(_has_fields(one, event) for one in trail.advanced_selectors)
    return any(_is_selected_by(one, event) for one in trail.selectors)


def _is_selected_by(selector: EventSelector, event: Event) -> bool:
    if selector.reading != "All" and (selector.reading == "ReadOnly") is not bool(event.read_only):
        return False
    if event.event_category == MANAGEMENT:
        return selector.has_management_events and event.event_source not in selector.excluded_sources
    kind, arn = data_resource(event)
    return any(
        one.type == kind and arn.startswith(value) for one in selector.data_resources for value in one.values
    )


def data_resource(event: Event) -> tuple[str, str]:
    """Type and ARN of what a data event is about: an object, or a bucket's objects."""
    parameters = event.request_parameters or {}
    if event.event_source != "s3.amazonaws.com" or "bucketName" not in parameters:
        return "", ""
    return S3_OBJECT, f"arn:aws:s3:::{parameters['bucketName']}/{parameters.get('key', '')}"


def _has_fields(selector: AdvancedEventSelector, event: Event) -> bool:
    return all(_holds(one, _value(one.field, event)) for one in selector.fields)


def _value(field: str, event: Event) -> str:
    values = {
        "eventCategory": event.event_category,
        "eventSource": event.event_source,
        "readOnly": "true" if event.read_only else "false",
        "eventName": event.event_name,
        "eventType": event.event_type,
        "userIdentity.arn": event.user_identity.arn,
        "resources.type": data_resource(event)[0],
        "resources.ARN": data_resource(event)[1],
    }
    return values[field]


def _holds(selector: FieldSelector, value: str) -> bool:
    """Of all positive tests one has to hold, of the negative ones each."""
    positive = (
        (selector.equals, str.__eq__),
        (selector.starts_with, str.startswith),
        (selector.ends_with, str.endswith),
    )
    negative = (
        (selector.not_equals, str.__eq__),
        (selector.not_starts_with, str.startswith),
        (selector.not_ends_with, str.endswith),
    )
    found = [any(test(value, one) for one in values) for values, test in positive if values]
    return all(found) and not any(test(value, one) for values, test in negative for one in values)
