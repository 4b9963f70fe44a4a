"""The simulator: its answers in AWS's form, its refusals in AWS's words (both measured), its decisions the gate's."""

import json
from typing import Any

import pytest

from broker.names.arn import iam_arn
from broker.protocol.shapes import iam as shapes
from broker.storage.records import Organization, OrganizationalUnit
from broker.storage.store import ORGANIZATION

ACCOUNT = "111122223333"
OTHER_ACCOUNT = "444455556666"
ALICE = iam_arn(ACCOUNT, "user/alice")
A, B = "arn:aws:s3:::reports/a", "arn:aws:s3:::reports/b"
AWS_KEY = "aws:SourceVpc"


def document(*statements: dict[str, Any], **more: Any) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)}, separators=(",", ":"), **more)


def allow(*actions: str, on: str = "*", **more: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": list(actions), "Resource": on, **more}


def deny(*actions: str, on: str = "*", **more: Any) -> dict[str, Any]:
    return {**allow(*actions, on=on, **more), "Effect": "Deny"}


def of_resource(principal: str, statement: dict[str, Any]) -> dict[str, Any]:
    return {**statement, "Principal": {"AWS": principal}}


def trust(principal: str, **more: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Principal": {"AWS": principal}, "Action": "sts:AssumeRole", **more}


def entry(name: str, *values: str, kind: str | None = "string") -> shapes.ContextEntry:
    return shapes.ContextEntry(context_key_name=name, context_key_values=values, context_key_type=kind)


def custom(*policies: str, **fields: Any) -> shapes.SimulateCustomPolicyRequest:
    return shapes.SimulateCustomPolicyRequest(
        policy_input_list=policies, **{"action_names": ("s3:GetObject",), **fields}
    )


def principal(arn: str = ALICE, **fields: Any) -> shapes.SimulatePrincipalPolicyRequest:
    return shapes.SimulatePrincipalPolicyRequest(
        policy_source_arn=arn, **{"action_names": ("s3:GetObject",), **fields}
    )


async def one(iam: Any, request: Any) -> shapes.EvaluationResult:
    answer = await iam(request)
    (result,) = answer.evaluation_results
    return result


def told(result: Any) -> list[tuple[str | None, str | None]]:
    return [
        (statement.source_policy_id, statement.source_policy_type) for statement in result.matched_statements
    ]


def decisions(result: Any) -> list[str]:
    return [one.eval_resource_decision for one in result.resource_specific_results]


@pytest.fixture
async def alice(iam: Any) -> str:
    """A user with an inline policy, a group with another, and a managed one: one action each."""
    await iam(shapes.CreateUserRequest(user_name="alice"))
    await iam(shapes.CreateGroupRequest(group_name="readers"))
    await iam(shapes.AddUserToGroupRequest(group_name="readers", user_name="alice"))
    await iam(
        shapes.PutUserPolicyRequest(
            user_name="alice", policy_name="own", policy_document=document(allow("s3:GetObject", on=A))
        )
    )
    await iam(
        shapes.PutGroupPolicyRequest(
            group_name="readers", policy_name="shared", policy_document=document(allow("s3:PutObject", on=B))
        )
    )
    managed = await iam(
        shapes.CreatePolicyRequest(
            policy_name="deletes", path="/team/", policy_document=document(allow("s3:DeleteObject"))
        )
    )
    await iam(shapes.AttachUserPolicyRequest(user_name="alice", policy_arn=managed.policy.arn))
    return ALICE


async def bound(iam: Any, *statements: dict[str, Any]) -> None:
    made = await iam(shapes.CreatePolicyRequest(policy_name="edge", policy_document=document(*statements)))
    await iam(
        shapes.PutUserPermissionsBoundaryRequest(user_name="alice", permissions_boundary=made.policy.arn)
    )


async def govern(store: Any, *statements: dict[str, Any]) -> None:
    """Put the account into an organization whose root has these statements as its one SCP."""
    root = OrganizationalUnit(parent=None, service_control_policies={"edge": document(*statements)})
    full = {"FullAWSAccess": document(allow("*"))}
    record = Organization(
        organization_id="o-example",
        management_account_id=OTHER_ACCOUNT,
        units={"r-1": root},
        accounts={ACCOUNT: OrganizationalUnit(parent="r-1", service_control_policies=full)},
        features=("SERVICE_CONTROL_POLICY",),
    )

    async def work(transaction: Any) -> None:
        transaction.put(ORGANIZATION, "", record)

    await store.transact(work)


# What is answered


async def test_a_policy_that_allows_is_shown_with_the_place_of_its_statement(iam):
    result = await one(iam, custom(document({"Effect": "Allow", "Action": "*", "Resource": "*"})))
    assert (result.eval_action_name, result.eval_resource_name) == ("s3:GetObject", "*")
    assert result.eval_decision == "allowed"
    assert result.matched_statements == (
        shapes.Statement(
            source_policy_id="PolicyInputList.1",
            source_policy_type="IAM Policy",
            start_position=shapes.Position(line=1, column=38),
            end_position=shapes.Position(line=1, column=84),
        ),
    )
    assert result.resource_specific_results == ()
    assert result.permissions_boundary_decision_detail is None
    assert result.organizations_decision_detail is None


async def test_statements_stand_where_awss_simulator_says(iam):
    text = json.dumps(
        {
            "Version": "2012-10-17",
            "Statement": [
                {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*", "Sid": "First"},
                {"Effect": "Deny", "Action": "s3:PutObject", "Resource": "*", "Sid": "Second"},
            ],
        },
        indent=2,
    )
    answer = await iam(custom(text, action_names=("s3:GetObject", "s3:PutObject")))
    places = [
        (
            found.start_position.line,
            found.start_position.column,
            found.end_position.line,
            found.end_position.column,
        )
        for result in answer.evaluation_results
        for found in result.matched_statements
    ]
    assert places == [(3, 17, 9, 6), (9, 6, 15, 6)]


async def test_a_single_resource_is_echoed_and_several_show_as_their_form(iam):
    policy = document(allow("s3:GetObject", on=A))
    alone = await one(iam, custom(policy, resource_arns=(A,)))
    assert (alone.eval_resource_name, alone.eval_decision) == (A, "allowed")
    both = await one(iam, custom(policy, resource_arns=(A, B)))
    assert both.eval_resource_name == "arn:aws:s3:::${BucketName}/${ObjectName}"
    assert both.eval_decision == "implicitDeny"
    assert told(both) == [("PolicyInputList.1", "IAM Policy")]
    assert [
        (one.eval_resource_name, one.eval_resource_decision, told(one))
        for one in both.resource_specific_results
    ] == [(A, "allowed", [("PolicyInputList.1", "IAM Policy")]), (B, "implicitDeny", [])]


async def test_only_what_denies_is_shown_of_an_explicit_denial(iam):
    policies = (document(allow("s3:*")), document(deny("s3:GetObject", on=B)))
    result = await one(iam, custom(*policies, resource_arns=(A, B)))
    assert result.eval_decision == "explicitDeny"
    assert told(result) == [("PolicyInputList.2", "IAM Policy")]


async def test_an_action_that_no_service_knows_is_matched_as_it_is_written(iam):
    answer = await iam(
        custom(document(allow("s3:*", "Made:Up")), action_names=("S3:gEtObJeCt", "made:up", "s3:*", "s4:Get"))
    )
    assert [result.eval_decision for result in answer.evaluation_results] == [
        "allowed",
        "allowed",
        "allowed",
        "implicitDeny",
    ]


async def test_no_policy_at_all_allows_nothing(iam):
    assert (await one(iam, custom())).eval_decision == "implicitDeny"


# Context


async def test_a_key_that_is_missing_is_named_where_nothing_allows(iam):
    condition = {"StringEquals": {AWS_KEY: "vpc-1"}}
    policy = document(allow("s3:GetObject", Condition=condition))
    result = await one(iam, custom(policy))
    assert (result.eval_decision, result.missing_context_values) == ("implicitDeny", (AWS_KEY,))
    given = await one(iam, custom(policy, context_entries=(entry("AWS:sourcevpc", "vpc-1"),)))
    assert (given.eval_decision, given.missing_context_values) == ("allowed", ())
    other = await one(iam, custom(policy, document(allow("s3:*"))))
    assert (other.eval_decision, other.missing_context_values) == ("allowed", ())


async def test_keys_of_statements_about_other_things_are_missing_too(iam):
    condition = {"StringEquals": {AWS_KEY: "vpc-1"}}
    policy = document(allow("s3:PutObject", on="arn:aws:s3:::${aws:PrincipalTag/team}", Condition=condition))
    specific = await one(iam, custom(policy, resource_arns=(A,)))
    assert specific.resource_specific_results[0].missing_context_values == ("aws:PrincipalTag/team", AWS_KEY)


@pytest.mark.parametrize(
    ("kind", "value", "condition"),
    [
        ("string", "a", {"StringEquals": {"x:key": "a"}}),
        ("numeric", "01.00", {"NumericEquals": {"x:key": "1"}}),
        ("numeric", "1e2", {"NumericGreaterThan": {"x:key": "99"}}),
        ("numeric", "+1", {"NumericLessThan": {"x:key": "2"}}),
        ("boolean", "TRUE", {"Bool": {"x:key": "true"}}),
        ("boolean", "yes", {"Bool": {"x:key": "false"}}),
        ("date", "2035", {"DateGreaterThan": {"x:key": "2030-01-01T00:00:00Z"}}),
        ("date", "2030-01-01T00:00:00Z", {"DateEquals": {"x:key": "2030-01-01T00:00:00Z"}}),
        ("ip", "192.0.2.7", {"IpAddress": {"x:key": "192.0.2.0/24"}}),
        ("ip", "2001:db8::1", {"IpAddress": {"x:key": "2001:db8::/32"}}),
        ("binary", "QmluYXJ5", {"BinaryEquals": {"x:key": "QmluYXJ5"}}),
        ("stringList", "a", {"ForAllValues:StringEquals": {"x:key": ["a", "b"]}}),
        ("numericList", "3", {"ForAnyValue:NumericEquals": {"x:key": "3"}}),
        ("booleanList", "false", {"ForAnyValue:Bool": {"x:key": "false"}}),
        ("dateList", "2040-01-01", {"ForAnyValue:DateGreaterThan": {"x:key": "2035-01-01"}}),
        ("ipList", "10.0.0.1", {"ForAnyValue:IpAddress": {"x:key": "10.0.0.0/8"}}),
        ("binaryList", "QQ==", {"ForAnyValue:BinaryEquals": {"x:key": "QQ=="}}),
    ],
)
async def test_context_entries_of_every_type_are_read(iam, kind, value, condition):
    policy = document(allow("s3:GetObject", Condition=condition))
    result = await one(iam, custom(policy, context_entries=(entry("x:key", value, kind=kind),)))
    assert result.eval_decision == "allowed"


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ([entry("x:key", "a", kind=None)], "Context key x:key has invalid type null."),
        ([entry("x:key")], "Context values for context key x:key cannot be null or empty."),
        ([entry("", "a")], "ContextKeyName cannot be null or empty."),
        ([entry("x:key", "a", "b")], "Context key string expected a single value, but received 2."),
        ([entry("x:key", "a"), entry("X:KEY", "b")], "Duplicate context key: X:KEY."),
        ([entry("x:key", "0x10", kind="numeric")], "Invalid context value for key x:key: expected numeric format."),
        ([entry("x:key", "NaN", kind="numeric")], "Invalid context value for key x:key: expected numeric format."),
        ([entry("x:key", " 1 ", kind="numeric")], "Invalid context value for key x:key: expected numeric format."),
        ([entry("x:key", "soon", kind="date")], "Invalid context value for key x:key: expected DateTime format."),
        ([entry("x:key", "999.0.0.1", kind="ip")], "Invalid context value for key x:key: expected IP address."),
        (
            [entry("x:key", "!base64", kind="binary")],
            "Invalid context value for key x:key: expected base-64 encoded binary format.",
        ),
        (
            [entry("x:key", "1", "x", kind="numericList")],
            "Invalid context value for key x:key: expected numeric format.",
        ),
    ],
)  # fmt: skip
async def test_a_context_entry_that_says_nothing_is_refused(iam, entries, message):
    request = custom(document(allow("*")), context_entries=tuple(entries))
    assert await iam.refused(request) == ("InvalidInput", message)


async def test_what_is_known_of_the_caller_is_in_the_context_and_an_entry_overrides_it(iam):
    policy = document(allow("s3:GetObject", on="arn:aws:s3:::reports/${aws:username}"))
    asked = {"caller_arn": iam_arn(ACCOUNT, "user/a"), "resource_arns": (A, B)}
    known = await one(iam, custom(policy, **asked))
    assert decisions(known) == ["allowed", "implicitDeny"]
    overridden = await one(iam, custom(policy, **asked, context_entries=(entry("aws:username", "b"),)))
    assert decisions(overridden) == ["implicitDeny", "allowed"]


async def test_what_only_a_request_has_is_not_made_up(iam):
    condition = {"Bool": {"aws:SecureTransport": "true"}, "IpAddress": {"aws:SourceIp": "0.0.0.0/0"}}
    result = await one(iam, custom(document(allow("s3:GetObject", Condition=condition))))
    assert result.missing_context_values == ("aws:SecureTransport", "aws:SourceIp")
