"""What a record is about."""

from typing import Any

from broker.audit.event import Event, begin_event
from broker.audit.resources import RecordedResource, resources_of
from broker.protocol.redaction import HIDDEN

ARN = "arn:aws:iam::111111111111"


def event(parameters: dict[str, Any] | None, answer: dict[str, Any] | None = None) -> Event:
    made = begin_event(0, "request", "192.0.2.1", "agent", bytes(16))
    made.request_parameters, made.response_elements = parameters, answer
    return made


def test_names_and_arns_are_found_with_their_types_each_once() -> None:
    found = resources_of(
        event(
            {"roleName": "reader", "policyArn": f"{ARN}:policy/team/read", "description": "nothing"},
            {"role": {"roleName": "reader", "arn": f"{ARN}:role/reader"}},
        )
    )
    assert found == (
        RecordedResource("AWS::IAM::Role", "reader"),
        RecordedResource("AWS::IAM::ManagedPolicy", f"{ARN}:policy/team/read"),
        RecordedResource("AWS::IAM::Role", f"{ARN}:role/reader"),
    )


def test_a_session_that_was_made_is_a_resource() -> None:
    session = "arn:aws:sts::111111111111:assumed-role/reader/night"
    answer = {"credentials": {"accessKeyId": "ASIA1"}, "assumedRoleUser": {"arn": session}}
    assert resources_of(event({"policyArns": [{"arn": f"{ARN}:policy/p"}]}, answer)) == (
        RecordedResource("AWS::IAM::ManagedPolicy", f"{ARN}:policy/p"),
        RecordedResource("AWS::IAM::AccessKey", "ASIA1"),
        RecordedResource("AWS::STS::AssumedRole", session),
    )


def test_what_is_no_arn_has_a_name_and_no_type() -> None:
    assert resources_of(event({"roleArn": "reader"})) == (RecordedResource("", "reader"),)


def test_what_is_hidden_or_empty_or_deep_is_none() -> None:
    deep: dict[str, Any] = {"userName": "x"}
    for _ in range(50):
        deep = {"a": deep}
    assert resources_of(event({"userName": HIDDEN, "roleName": "", "groupName": 7, "deep": deep})) == ()


def test_of_very_many_some_are_found() -> None:
    assert len(resources_of(event({"users": [{"userName": str(number)} for number in range(1000)]}))) == 32


def test_a_trail_is_a_resource() -> None:
    trail = "arn:aws:cloudtrail:eu-central-1:111111111111:trail/all"
    assert resources_of(event({"name": "all"}, {"trailARN": trail})) == (
        RecordedResource("AWS::CloudTrail::Trail", trail),
    )
