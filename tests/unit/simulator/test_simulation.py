"""The simulator: its answers in AWS's form, its refusals in AWS's words, both measured."""

import json

import pytest

from broker.names.arn import iam_arn
from broker.protocol.shapes import iam as shapes
from tests.unit.simulator.simulating import (
    ACCOUNT,
    ALICE,
    AWS_KEY,
    OTHER_ACCOUNT,
    A,
    B,
    allow,
    custom,
    decisions,
    deny,
    document,
    entry,
    of_resource,
    one,
    principal,
    told,
)

# What is answered


async def test_an_allowing_policy_is_shown_with_the_position_of_its_statement(iam):
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


async def test_positions_of_statements_are_those_of_awss_simulator(iam):
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


async def test_an_unknown_action_is_matched_by_its_text(iam):
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
async def test_an_invalid_context_entry_is_refused(iam, entries, message):
    request = custom(document(allow("*")), context_entries=tuple(entries))
    assert await iam.refused(request) == ("InvalidInput", message)


async def test_what_is_known_of_the_caller_is_in_the_context_and_an_entry_overrides_it(iam):
    policy = document(allow("s3:GetObject", on="arn:aws:s3:::reports/${aws:username}"))
    asked = {"caller_arn": iam_arn(ACCOUNT, "user/a"), "resource_arns": (A, B)}
    known = await one(iam, custom(policy, **asked))
    assert decisions(known) == ["allowed", "implicitDeny"]
    overridden = await one(iam, custom(policy, **asked, context_entries=(entry("aws:username", "b"),)))
    assert decisions(overridden) == ["implicitDeny", "allowed"]


async def test_keys_of_a_real_request_have_no_value(iam):
    condition = {"Bool": {"aws:SecureTransport": "true"}, "IpAddress": {"aws:SourceIp": "0.0.0.0/0"}}
    result = await one(iam, custom(document(allow("s3:GetObject", Condition=condition))))
    assert result.missing_context_values == ("aws:SecureTransport", "aws:SourceIp")


# Pages


async def test_pages_follow_the_actions_in_the_order_asked(iam):
    names = ("s3:PutObject", "s3:GetObject", "s3:PutObject", "s3:DeleteObject")
    found, marker = [], None
    while True:
        answer = await iam(custom(document(allow("s3:*")), action_names=names, max_items=3, marker=marker))
        found += [result.eval_action_name for result in answer.evaluation_results]
        assert answer.is_truncated is (answer.marker is not None)
        if answer.marker is None:
            break
        marker = answer.marker
    assert found == list(names)


async def test_a_page_ends_early_where_there_is_much_to_decide(iam):
    resources = tuple(f"arn:aws:s3:::reports/{number}" for number in range(2_000))
    names = ("s3:PutObject", "s3:GetObject", "s3:DeleteObject")
    request = custom(document(allow("s3:Put*")), action_names=names, resource_arns=resources)
    answer = await iam(request)
    assert len(answer.evaluation_results) == 2 and answer.is_truncated
    crowd = resources + tuple(f"arn:aws:s3:::others/{number}" for number in range(3_001))
    assert (await iam.refused(custom(resource_arns=crowd)))[0] == "InvalidInput"


# Refusals


@pytest.mark.parametrize(
    ("request_fields", "message"),
    [
        ({"policies": ("{",)}, "Policy input list item 1 has invalid content"),
        (
            {"policies": (document(allow("*")), document(of_resource("*", allow("*"))))},
            "Policy input list item 2 has invalid content",
        ),
        ({"action_names": ("GetObject",)}, "The action is invalid since it is missing names"),
        ({"resource_arns": ("bucket",)}, "ResourceNames are not in a valid ARN format: bucket."),
        ({"resource_arns": (A, "*")}, "ResourceNames are not in a valid ARN format: *."),
        ({"marker": "not-a-simulation-marker"}, "Invalid marker for pagination."),
        (
            {"permissions_boundary_policy_input_list": (document(allow("*")),) * 2},
            "The list of Permissions Boundary policies cannot exceed 1 items.",
        ),
        (
            {"ordered_organization_policy_input_list": (shapes.OrderedOrganizationPolicyType(),)},
            "Organization policy at index 1 must contain at least one service control policy",
        ),
        (
            {"resource_arns": (A,), "resource_policy": document(of_resource("*", allow("*")))},
            "Invalid caller - Caller cannot be null or empty.",
        ),
        (
            {"caller_arn": ALICE, "resource_policy": document(of_resource("*", allow("*")))},
            "Invalid Entity Arn: * does not clearly define entity type and name.",
        ),
        (
            {"caller_arn": f"arn:aws:sts::{ACCOUNT}:assumed-role/app/session"},
            "Invalid caller - Caller must be an IAM user, role or group in this context.",
        ),
        ({"resource_owner": "somebody"}, "'somebody' is not a valid as a Resource Owner."),
        (
            {"caller_arn": ALICE, "resource_arns": (A,), "resource_policy": "{}"},
            "Resource policy has invalid content",
        ),
    ],
)  # fmt: skip
async def test_what_cannot_be_simulated_is_refused(iam, request_fields, message):
    policies = request_fields.pop("policies", (document(allow("*")),))
    assert await iam.refused(custom(*policies, **request_fields)) == ("InvalidInput", message)


@pytest.mark.parametrize(
    ("arn", "code", "message"),
    [
        (iam_arn(ACCOUNT, "user/nobody"), "NoSuchEntity", "Unable to retrieve specified IAM entity."),
        (iam_arn(ACCOUNT, "root"), "InvalidInput", f"Invalid ARN provided in the request: {iam_arn(ACCOUNT, 'root')}"),
        (
            f"arn:aws:sts::{ACCOUNT}:assumed-role/app/session",
            "InvalidInput",
            f"Invalid ARN provided in the request: arn:aws:sts::{ACCOUNT}:assumed-role/app/session",
        ),
        ("arn:aws:iam::1:user/alice", "InvalidInput", "Invalid ARN provided in the request: arn:aws:iam::1:user/alice"),
        (
            iam_arn(OTHER_ACCOUNT, "user/alice"),
            "InvalidInput",
            f"Invalid Policy Source Arn: caller's account {ACCOUNT} does not have access to policies in account "
            f"{OTHER_ACCOUNT}.",
        ),
    ],
)  # fmt: skip
async def test_a_source_that_is_no_entity_of_this_account_is_refused(iam, arn, code, message):
    assert await iam.refused(principal(arn)) == (code, message)


async def test_a_caller_without_permission_does_not_learn_which_entities_exist(iam, alice):
    await iam(shapes.CreateUserRequest(user_name="mallory"))
    for arn in (ALICE, iam_arn(ACCOUNT, "user/nobody")):
        code, _ = await iam.refused(principal(arn), user="mallory")
        assert code == "AccessDenied"
    assert (await iam.refused(custom(), user="mallory"))[0] == "AccessDenied"


@pytest.mark.parametrize("place", ["policy", "boundary", "resource policy"])
async def test_too_many_comparisons_are_refused(iam, place):
    """One decision is made at a stroke: everybody else would wait for it, minutes where the request is full."""
    condition = {"ForAllValues:StringLike": {"aws:x": [f"*b{number}" for number in range(1000)]}}
    slow, quick = document(allow("s3:*", Condition=condition)), document(allow("s3:*"))
    resource = document(
        {"Effect": "Allow", "Principal": "*", "Action": "s3:*", "Resource": "*", "Condition": condition}
    )
    fields = {
        "policy": {"policy_input_list": (slow,)},
        "boundary": {"permissions_boundary_policy_input_list": (slow,)},
        "resource policy": {"resource_policy": resource, "resource_arns": (A,), "caller_arn": ALICE},
    }[place]
    fields = {"policy_input_list": (quick,), "action_names": ("s3:GetObject",), **fields}

    def asked(values):
        entries = (entry("aws:x", *(f"{number}" for number in range(values)), kind="stringList"),)
        return shapes.SimulateCustomPolicyRequest(**fields, context_entries=entries)

    code, message = await iam.refused(asked(101))
    assert (code, message) == (
        "InvalidInput",
        "ContextEntries: 101 values of a key cannot be compared with 1000 in the conditions at once.",
    )
    assert (await iam(asked(100))).evaluation_results


MANY_STATEMENTS = document(*[allow("s3:*")] * 300)


async def test_a_page_ends_where_too_many_statements_have_been_shown(iam):
    names = tuple(f"s3:Get{number}" for number in range(50))
    found, pages, marker = [], 0, None
    while pages == 0 or marker is not None:
        answer = await iam(custom(MANY_STATEMENTS, action_names=names, marker=marker))
        found += [one.eval_action_name for one in answer.evaluation_results]
        assert answer.is_truncated is (answer.marker is not None)
        pages, marker = pages + 1, answer.marker
    assert (tuple(found), pages) == (names, 2)


async def test_an_action_with_more_statements_than_an_answer_may_show_is_refused(iam):
    """A few kilobytes of policy and of resources could else make gigabytes of answer."""
    resources = tuple(f"arn:aws:s3:::reports/{number}" for number in range(200))
    refusal = await iam.refused(custom(MANY_STATEMENTS, resource_arns=resources))
    assert refusal == (
        "InvalidInput",
        "s3:GetObject: more statements match than can be shown in one answer.",
    )
    (result,) = (await iam(custom(MANY_STATEMENTS, resource_arns=resources[:100]))).evaluation_results
    assert len(result.resource_specific_results) == 100
