"""What a trail delivers is what its selectors say."""

import msgspec
import pytest

from broker.audit.event import Event, UserIdentity, begin_event
from broker.storage.trail_records import (
    AdvancedEventSelector,
    DataResource,
    EventSelector,
    FieldSelector,
    LoggingPeriod,
    Trail,
)
from broker.trail.selecting import delivery_region, is_delivered

NOW = 1_800_000_000
ACCOUNT = "111111111111"


def trail(**members: object) -> Trail:
    given = {
        "account_id": ACCOUNT,
        "region": "eu-central-1",
        "name": "all",
        "id": "1",
        "bucket": "logs",
        "created_at": NOW,
        "periods": (LoggingPeriod(start=NOW - 10),),
        **members,
    }
    return msgspec.convert(given, Trail)


def event(
    name: str = "CreateUser",
    source: str = "iam",
    region: str = "us-east-1",
    at: int = NOW,
    *,
    reads: bool = False,
) -> Event:
    made = begin_event(at, "request", "192.0.2.1", "test", b"0" * 16)
    made.event_name, made.event_source, made.aws_region = name, f"{source}.amazonaws.com", region
    made.read_only, made.recipient_account_id = reads, ACCOUNT
    made.user_identity = UserIdentity("IAMUser", arn=f"arn:aws:iam::{ACCOUNT}:user/ann")
    return made


def data_event(key: str, bucket: str = "photos", name: str = "PutObject") -> Event:
    made = event(name, "s3", "eu-central-1", reads=name.startswith("Get"))
    made.management_event, made.event_category = False, "Data"
    made.request_parameters = {"bucketName": bucket, "key": key}
    return made


def objects(*values: str, management: bool = False, reading: str = "All") -> EventSelector:
    resources = (DataResource(type="AWS::S3::Object", values=values),)
    return EventSelector(reading=reading, has_management_events=management, data_resources=resources)


@pytest.mark.parametrize(
    ("reading", "reads", "writes"), [("All", 1, 1), ("ReadOnly", 1, 0), ("WriteOnly", 0, 1)]
)
def test_reading_and_writing_are_told_apart(reading: str, reads: int, writes: int) -> None:
    chosen = trail(selectors=(EventSelector(reading=reading),))
    assert is_delivered(chosen, event("GetUser", reads=True)) is bool(reads)
    assert is_delivered(chosen, event()) is bool(writes)


def test_without_a_selector_of_data_no_data_is_delivered() -> None:
    assert not is_delivered(trail(), data_event("a"))
    assert not is_delivered(trail(selectors=(objects("arn:aws:s3"),)), event())


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("arn:aws:s3", True),
        ("arn:aws:s3:::", True),
        ("arn:aws:s3:::photos/", True),
        ("arn:aws:s3:::photos/a", True),
        ("arn:aws:s3:::photos/b", False),
        ("arn:aws:s3:::photo/", False),
    ],
)
def test_objects_are_chosen_by_the_beginnings_of_their_arns(value: str, expected: bool) -> None:
    assert is_delivered(trail(selectors=(objects(value),)), data_event("abc")) is expected


def test_an_excluded_source_is_left_out_by_that_selector_alone() -> None:
    excluding = EventSelector(excluded_sources=("kms.amazonaws.com",))
    assert not is_delivered(trail(selectors=(excluding,)), event(source="kms", region="eu-central-1"))
    assert is_delivered(
        trail(selectors=(excluding, EventSelector())), event(source="kms", region="eu-central-1")
    )


def advanced(*fields: FieldSelector) -> Trail:
    return trail(selectors=(), advanced_selectors=(AdvancedEventSelector(fields=fields),))


DATA = FieldSelector(field="eventCategory", equals=("Data",))


def test_an_advanced_selector_wants_all_of_its_fields() -> None:
    named = FieldSelector(field="eventName", starts_with=("Put", "Delete"), not_equals=("DeleteObject",))
    chosen = advanced(DATA, named, FieldSelector(field="resources.ARN", ends_with=(".jpg",)))
    assert is_delivered(chosen, data_event("a.jpg"))
    assert not is_delivered(chosen, data_event("a.png"))
    assert not is_delivered(chosen, data_event("a.jpg", name="DeleteObject"))
    assert is_delivered(chosen, data_event("a.jpg", name="DeleteObjects"))
    assert not is_delivered(chosen, data_event("a.jpg", name="GetObject"))
    assert not is_delivered(chosen, event())


def test_negative_tests_have_to_hold_for_each_value() -> None:
    chosen = advanced(
        DATA, FieldSelector(field="resources.ARN", not_starts_with=("arn:aws:s3:::a", "arn:aws:s3:::b"))
    )
    assert [is_delivered(chosen, data_event("x", bucket)) for bucket in ("aaa", "bbb", "ccc")] == [
        False,
        False,
        True,
    ]


def test_a_reading_field_is_a_text() -> None:
    chosen = advanced(DATA, FieldSelector(field="readOnly", equals=("true",)))
    assert is_delivered(chosen, data_event("x", name="GetObject"))
    assert not is_delivered(chosen, data_event("x"))


def test_a_trail_of_one_region_has_its_region_and_what_has_none() -> None:
    assert is_delivered(trail(), event(source="sts", region="eu-central-1"))
    assert not is_delivered(trail(), event(source="sts", region="eu-west-1"))
    assert is_delivered(trail(), event(source="iam", region="us-east-1"))
    assert is_delivered(trail(), event(source="sts", region="us-east-1"))  # the global endpoint's
    assert not is_delivered(trail(has_global_events=False), event())
    assert is_delivered(trail(is_multi_region=True), event(source="sts", region="eu-west-1"))


def test_only_what_was_recorded_while_it_was_logging_is_delivered() -> None:
    periods = (LoggingPeriod(start=NOW, end=NOW + 5), LoggingPeriod(start=NOW + 10))
    found = [
        is_delivered(trail(periods=periods), event(at=NOW + after)) for after in (-1, 0, 5, 6, 9, 10, 11)
    ]
    assert found == [False, True, True, False, False, True, True]
    assert not is_delivered(trail(periods=()), event())


@pytest.mark.parametrize("region", ["../../x-1", "eu", "", "a/b-1", "eu-central-1/..", "x" * 100])
def test_what_is_no_region_names_no_folder(region: str) -> None:
    assert delivery_region(trail(is_multi_region=True), event(region=region)) == "eu-central-1"
    assert delivery_region(trail(is_multi_region=True), event(region="us-gov-west-1")) == "us-gov-west-1"
