"""PutEventSelectors, GetEventSelectors, and GetInsightSelectors: there are no Insights."""

from msgspec.structs import replace

from broker.errors import Refusal
from broker.operation import Absent, Call, Prepared, operation
from broker.protocol.shapes import cloudtrail as shapes
from broker.storage.store import TRAILS
from broker.storage.trail_records import (
    AdvancedEventSelector,
    DataResource,
    EventSelector,
    FieldSelector,
    Trail,
)
from broker.trail.refusals import invalid_selectors
from broker.trail.resources import named, prepare_trail, require_home
from broker.trail.selecting import DATA, FIELDS, MANAGEMENT, S3_OBJECT

# AWS's quotas, of one trail.
_MOST_SELECTORS, _MOST_RESOURCES, _MOST_CONDITIONS = 5, 250, 500
# What basic selectors may name. No event here is about a function or a table, so nothing is delivered of these.
_DATA_TYPES = {
    S3_OBJECT: "arn:aws:s3",
    "AWS::Lambda::Function": "arn:aws:lambda",
    "AWS::DynamoDB::Table": "arn:aws:dynamodb",
}
_EXCLUDABLE = frozenset({"kms.amazonaws.com", "rdsdata.amazonaws.com"})
_BUCKETS = "arn:aws:s3:::"
_named = named("trail_name")


@operation("cloudtrail:PutEventSelectors", prepare=_named)
async def put_event_selectors(
    call: Call, request: shapes.PutEventSelectorsRequest, prepared: Prepared[Trail]
) -> shapes.PutEventSelectorsResponse:
    require_home(call, prepared.found)
    basic, advanced = request.event_selectors, request.advanced_event_selectors
    if bool(basic) is bool(advanced):
        raise invalid_selectors(
            "Either EventSelectors or AdvancedEventSelectors have to be given, and not both."
        )
    trail = replace(
        prepared.found,
        selectors=tuple(map(_basic, basic)),
        advanced_selectors=tuple(map(_advanced, advanced)),
        has_custom_selectors=True,
    )
    _require_few(trail)
    call.store.put(TRAILS, call.account, trail)
    return shapes.PutEventSelectorsResponse(
        trail_arn=trail.arn,
        event_selectors=tuple(map(_basic_shape, trail.selectors)),
        advanced_event_selectors=tuple(map(_advanced_shape, trail.advanced_selectors)),
    )


@operation("cloudtrail:GetEventSelectors", prepare=_named)
async def get_event_selectors(
    call: Call, request: shapes.GetEventSelectorsRequest, prepared: Prepared[Trail]
) -> shapes.GetEventSelectorsResponse:
    trail = prepared.found
    return shapes.GetEventSelectorsResponse(
        trail_arn=trail.arn,
        event_selectors=tuple(map(_basic_shape, trail.selectors)),
        advanced_event_selectors=tuple(map(_advanced_shape, trail.advanced_selectors)),
    )


async def _insights_of(call: Call, request: shapes.GetInsightSelectorsRequest) -> Prepared[Trail] | Absent:
    """Raises Refusal where the request does not name a trail alone."""
    if (request.trail_name is None) is (request.event_data_store is None):
        raise Refusal(
            "InvalidParameterCombinationException",
            "Either TrailName or EventDataStore has to be given, and not both.",
        )
    if request.trail_name is None:
        raise Refusal("InvalidParameterException", "There are no event data stores.")
    return await prepare_trail(call, request.trail_name)


@operation("cloudtrail:GetInsightSelectors", prepare=_insights_of)
async def get_insight_selectors(
    call: Call, request: shapes.GetInsightSelectorsRequest, prepared: Prepared[Trail]
) -> shapes.GetInsightSelectorsResponse:
    raise Refusal("InsightNotEnabledException", f"Trail {prepared.found.arn} does not have Insights enabled.")


def _require_few(trail: Trail) -> None:
    if len(trail.selectors) > _MOST_SELECTORS:
        raise invalid_selectors(f"A trail has at most {_MOST_SELECTORS} event selectors.")
    resources = sum(len(one.values) for selector in trail.selectors for one in selector.data_resources)
    if resources > _MOST_RESOURCES:
        raise invalid_selectors(
            f"The event selectors of a trail name at most {_MOST_RESOURCES} data resources."
        )
    conditions = sum(_conditions(one) for selector in trail.advanced_selectors for one in selector.fields)
    if conditions > _MOST_CONDITIONS:
        raise invalid_selectors(
            f"The advanced event selectors of a trail have at most {_MOST_CONDITIONS} values."
        )


def _conditions(one: FieldSelector) -> int:
    return len(one.equals + one.starts_with + one.ends_with) + len(
        one.not_equals + one.not_starts_with + one.not_ends_with
    )


def _basic(given: shapes.EventSelector) -> EventSelector:
    excluded = set(given.exclude_management_event_sources)
    if excluded - _EXCLUDABLE:
        raise invalid_selectors(f"ExcludeManagementEventSources may name {', '.join(sorted(_EXCLUDABLE))}.")
    if excluded and given.include_management_events is False:
        raise invalid_selectors("Management events are excluded already.")
    return EventSelector(
        reading=given.read_write_type or "All",
        has_management_events=given.include_management_events is not False,
        data_resources=tuple(map(_data_resource, given.data_resources)),
        excluded_sources=given.exclude_management_event_sources,
    )


def _data_resource(given: shapes.DataResource) -> DataResource:
    beginning = _DATA_TYPES.get(given.type or "")
    if beginning is None:
        raise invalid_selectors(f"DataResources may have one of the types {', '.join(_DATA_TYPES)}.")
    for value in given.values:
        # Without the slash the value would also be the beginning of other buckets' names.
        names_bucket = value.startswith(_BUCKETS) and value != _BUCKETS
        is_whole = "/" in value if names_bucket else value in (beginning, f"{beginning}:::")
        if not value.startswith(beginning) or (given.type == S3_OBJECT and not is_whole):
            raise invalid_selectors(f"Value {value[:256]} for DataResources.Values is invalid.")
    return DataResource(type=given.type or "", values=given.values)


def _advanced(given: shapes.AdvancedEventSelector) -> AdvancedEventSelector:
    fields = {one.field: one for one in given.field_selectors}
    if len(fields) != len(given.field_selectors):
        raise invalid_selectors("A field may be in one field selector only.")
    category = fields.get("eventCategory")
    if category is None or category.equals not in ((MANAGEMENT,), (DATA,)):
        raise invalid_selectors("eventCategory has to equal Management or Data.")
    (kind,) = category.equals
    if unknown := fields.keys() - FIELDS[kind]:
        raise invalid_selectors(f"{sorted(unknown)[0][:64]} is no field of {kind} events.")
    if kind == DATA and ("resources.type" not in fields or len(fields["resources.type"].equals) != 1):
        raise invalid_selectors("resources.type has to equal one type of data resource.")
    return AdvancedEventSelector(name=given.name or "", fields=tuple(map(_field, given.field_selectors)))


def _field(given: shapes.AdvancedFieldSelector) -> FieldSelector:
    selector = FieldSelector(
        field=given.field,
        equals=given.equals,
        starts_with=given.starts_with,
        ends_with=given.ends_with,
        not_equals=given.not_equals,
        not_starts_with=given.not_starts_with,
        not_ends_with=given.not_ends_with,
    )
    if not _conditions(selector):
        raise invalid_selectors(f"The selector of {given.field[:64]} says nothing.")
    if given.field == "readOnly" and selector.equals not in (("true",), ("false",)):
        raise invalid_selectors("readOnly has to equal true or false.")
    return selector


def _basic_shape(one: EventSelector) -> shapes.EventSelector:
    return shapes.EventSelector(
        read_write_type=one.reading,
        include_management_events=one.has_management_events,
        data_resources=tuple(
            shapes.DataResource(type=resource.type, values=resource.values) for resource in one.data_resources
        ),
        exclude_management_event_sources=one.excluded_sources,
    )


def _advanced_shape(one: AdvancedEventSelector) -> shapes.AdvancedEventSelector:
    return shapes.AdvancedEventSelector(
        name=one.name or None,
        field_selectors=tuple(
            shapes.AdvancedFieldSelector(
                field=field.field,
                equals=field.equals,
                starts_with=field.starts_with,
                ends_with=field.ends_with,
                not_equals=field.not_equals,
                not_starts_with=field.not_starts_with,
                not_ends_with=field.not_ends_with,
            )
            for field in one.fields
        ),
    )
