"""Which condition keys policies read, and which of an entity's policies reach a service."""

import pytest

from broker.names.arn import iam_arn
from broker.protocol.shapes import iam as shapes
from broker.simulator.service_reference import service_namespaces
from tests.unit.simulator.simulating import ACCOUNT, ALICE, OTHER_ACCOUNT, allow, bound, deny, document


def asks(key, *values):
    return {"Condition": {"StringEquals": {key: list(values)}}}


async def keys_of(iam, arn, *policies):
    request = shapes.GetContextKeysForPrincipalPolicyRequest(
        policy_source_arn=arn, policy_input_list=policies
    )
    return (await iam(request)).context_key_names


async def granting(iam, arn, *namespaces):
    request = shapes.ListPoliciesGrantingServiceAccessRequest(arn=arn, service_namespaces=namespaces)
    answer = await iam(request)
    assert answer.is_truncated is False and answer.marker is None
    return {
        entry.service_namespace: [
            (one.policy_name, one.policy_type, one.policy_arn, one.entity_type, one.entity_name)
            for one in entry.policies
        ]
        for entry in answer.policies_granting_service_access
    }


async def test_the_keys_of_policies_are_listed_once_in_their_order(iam):
    request = shapes.GetContextKeysForCustomPolicyRequest(
        policy_input_list=(
            document(allow("s3:*", on="arn:aws:s3:::${aws:PrincipalTag/team}", **asks("aws:SourceVpc", "v"))),
            document(allow("s3:*", **asks("AWS:sourcevpc", "${aws:username}"))),
        )
    )
    answer = await iam(request)
    assert answer.context_key_names == ("aws:PrincipalTag/team", "aws:SourceVpc", "aws:username")


async def test_the_keys_of_all_that_is_attached_are_listed_and_those_of_the_boundary(iam, alice):
    shared = document(allow("s3:*", **asks("x:group", "1")))
    await iam(
        shapes.PutGroupPolicyRequest(group_name="readers", policy_name="shared", policy_document=shared)
    )
    await bound(iam, allow("*", **asks("x:boundary", "1")))
    given = document(deny("*", **asks("x:given", "1")))
    assert set(await keys_of(iam, alice, given)) == {"x:group", "x:boundary", "x:given"}
    assert await keys_of(iam, iam_arn(ACCOUNT, "group/readers")) == ("x:group",)


async def test_a_policy_without_conditions_needs_no_keys(iam, alice):
    assert await keys_of(iam, alice) == ()


async def test_a_malformed_policy_is_refused(iam, alice):
    message = "Policy input list item 2 has invalid content"
    policies = (document(allow("*")), "{}")
    custom = shapes.GetContextKeysForCustomPolicyRequest(policy_input_list=policies)
    assert await iam.refused(custom) == ("InvalidInput", message)
    principal = shapes.GetContextKeysForPrincipalPolicyRequest(
        policy_source_arn=alice, policy_input_list=policies
    )
    assert await iam.refused(principal) == ("InvalidInput", message)


async def test_policies_that_grant_a_service_are_listed_with_their_entities(iam, alice):
    deletes = iam_arn(ACCOUNT, "policy/team/deletes")
    found = await granting(iam, alice, "s3", "ec2")
    assert found == {
        "s3": [
            ("deletes", "MANAGED", deletes, None, None),
            ("own", "INLINE", None, "USER", "alice"),
            ("shared", "INLINE", None, "GROUP", "readers"),
        ],
        "ec2": [],
    }


async def test_a_group_has_only_its_own_policies_and_a_role_too(iam, alice):
    trusting = document(
        {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}
    )
    await iam(shapes.CreateRoleRequest(role_name="app", assume_role_policy_document=trusting))
    everything = document(allow("*"))
    await iam(shapes.PutRolePolicyRequest(role_name="app", policy_name="all", policy_document=everything))
    group = await granting(iam, iam_arn(ACCOUNT, "group/readers"), "s3")
    assert group == {"s3": [("shared", "INLINE", None, "GROUP", "readers")]}
    role = await granting(iam, iam_arn(ACCOUNT, "role/app"), "s3", "iam")
    assert role == {key: [("all", "INLINE", None, "ROLE", "app")] for key in ("s3", "iam")}


async def test_boundaries_and_denials_grant_nothing_here(iam, alice):
    await bound(iam, allow("ec2:*"))
    denying = document(deny("sqs:*"))
    await iam(shapes.PutUserPolicyRequest(user_name="alice", policy_name="not", policy_document=denying))
    assert await granting(iam, alice, "ec2", "sqs") == {"ec2": [], "sqs": []}


async def test_a_repeated_namespace_is_answered_once(iam, alice):
    assert list(await granting(iam, alice, "sqs", "s3", "sqs")) == ["sqs", "s3"]


async def test_many_namespaces_come_in_pages(iam, alice):
    names = tuple(sorted(service_namespaces()))[:150]
    request = shapes.ListPoliciesGrantingServiceAccessRequest(arn=alice, service_namespaces=names)
    first = await iam(request)
    assert first.is_truncated and len(first.policies_granting_service_access) == 100
    second = await iam(
        shapes.ListPoliciesGrantingServiceAccessRequest(
            arn=alice, service_namespaces=names, marker=first.marker
        )
    )
    found = first.policies_granting_service_access + second.policies_granting_service_access
    assert tuple(entry.service_namespace for entry in found) == names and not second.is_truncated


@pytest.mark.parametrize(
    ("arn", "namespaces", "refusal"),
    [
        (ALICE, ("s3", "s33", "nobody"), ("InvalidInput", "Invalid service namespace: [s33, nobody]")),
        (
            iam_arn(ACCOUNT, "user/nobody"),
            ("s3",),
            ("NoSuchEntity", "Unable to retrieve specified IAM entity."),
        ),
        (
            iam_arn(ACCOUNT, "policy/team/deletes"),
            ("s3",),
            (
                "InvalidInput",
                f"Invalid ARN provided in the request: {iam_arn(ACCOUNT, 'policy/team/deletes')}",
            ),
        ),
    ],
)
async def test_unknown_services_and_entities_are_refused(iam, alice, arn, namespaces, refusal):
    request = shapes.ListPoliciesGrantingServiceAccessRequest(arn=arn, service_namespaces=namespaces)
    assert await iam.refused(request) == refusal


async def test_callers_without_permission_and_of_other_accounts_learn_nothing(iam, alice):
    request = shapes.ListPoliciesGrantingServiceAccessRequest(arn=ALICE, service_namespaces=("s3",))
    assert (await iam.refused(request, user="alice"))[0] == "AccessDenied"
    foreign = iam_arn(OTHER_ACCOUNT, "user/alice")
    for asked in (
        shapes.ListPoliciesGrantingServiceAccessRequest(arn=foreign, service_namespaces=("s3",)),
        shapes.GetContextKeysForPrincipalPolicyRequest(policy_source_arn=foreign),
    ):
        assert (await iam.refused(asked))[0] == "InvalidInput"
