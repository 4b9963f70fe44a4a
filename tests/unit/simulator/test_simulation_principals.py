"""Simulated entities: whose policies count, what limits them, what can be left out."""

import json

import pytest

from broker.names.arn import iam_arn
from broker.protocol.shapes import iam as shapes
from tests.unit.simulator.simulating import (
    ACCOUNT,
    A,
    B,
    allow,
    bound,
    custom,
    decisions,
    deny,
    document,
    entry,
    govern,
    one,
    principal,
    told,
)

# Whose policies


async def test_a_user_has_own_policies_those_of_the_groups_and_managed_ones(iam, alice):
    answer = await iam(
        principal(action_names=("s3:GetObject", "s3:PutObject", "s3:DeleteObject"), resource_arns=(A, B))
    )
    shown = [(result.eval_decision, decisions(result), told(result)) for result in answer.evaluation_results]
    assert shown == [
        ("implicitDeny", ["allowed", "implicitDeny"], [("user_alice_own", "IAM Policy")]),
        ("implicitDeny", ["implicitDeny", "allowed"], [("group_readers_shared", "IAM Policy")]),
        ("allowed", ["allowed", "allowed"], [("deletes", "IAM Policy")]),
    ]


async def test_a_group_is_simulated_as_one_of_its_members_without_a_name(iam, alice):
    group = iam_arn(ACCOUNT, "group/readers")
    result = await one(iam, principal(group, action_names=("s3:PutObject",), resource_arns=(A, B)))
    assert decisions(result) == ["implicitDeny", "allowed"]
    named = document(allow("s3:*", Condition={"Null": {"aws:username": "false"}}))
    known = document(allow("s3:*", Condition={"StringEquals": {"aws:PrincipalArn": group}}))
    assert (await one(iam, principal(group, policy_input_list=(named,)))).eval_decision == "implicitDeny"
    assert (await one(iam, principal(group, policy_input_list=(known,)))).eval_decision == "allowed"


async def test_a_role_is_simulated_as_a_session_without_mfa(iam):
    await iam(
        shapes.CreateRoleRequest(
            role_name="app",
            assume_role_policy_document=json.dumps(
                {
                    "Version": "2012-10-17",
                    "Statement": [
                        {
                            "Effect": "Allow",
                            "Principal": {"Service": "ec2.amazonaws.com"},
                            "Action": "sts:AssumeRole",
                        }
                    ],
                }
            ),
            tags=(shapes.Tag(key="team", value="blue"),),
        )
    )
    await iam(
        shapes.PutRolePolicyRequest(
            role_name="app",
            policy_name="own",
            policy_document=document(
                allow("s3:GetObject", Condition={"StringEquals": {"aws:PrincipalTag/team": "blue"}}),
                deny("s3:PutObject", Condition={"Bool": {"aws:MultiFactorAuthPresent": "false"}}),
            ),
        )
    )
    arn = iam_arn(ACCOUNT, "role/app")
    answer = await iam(principal(arn, action_names=("s3:GetObject", "s3:PutObject")))
    assert [result.eval_decision for result in answer.evaluation_results] == ["allowed", "explicitDeny"]
    assert told(answer.evaluation_results[0]) == [("role_app_own", "IAM Policy")]


async def test_bob_may_be_simulated_as_if_he_had_alices_policies(iam, alice):
    await iam(shapes.CreateUserRequest(user_name="bob", tags=(shapes.Tag(key="team", value="red"),)))
    mine = document(
        allow(
            "s3:ListBucket",
            on="arn:aws:s3:::${aws:username}",
            Condition={"StringEquals": {"aws:PrincipalTag/team": "red"}},
        )
    )
    asked = principal(
        caller_arn=iam_arn(ACCOUNT, "user/bob"),
        policy_input_list=(mine,),
        action_names=("s3:ListBucket", "s3:DeleteObject"),
        resource_arns=("arn:aws:s3:::bob",),
    )
    answer = await iam(asked)
    assert [result.eval_decision for result in answer.evaluation_results] == ["allowed", "allowed"]


async def test_an_entity_is_found_by_its_name_whatever_path_is_given(iam, alice):
    result = await one(iam, principal(iam_arn(ACCOUNT, "user/elsewhere/alice"), resource_arns=(A,)))
    assert result.eval_decision == "allowed"


async def test_a_user_removed_from_a_group_does_not_have_its_policies(iam, alice):
    await iam(shapes.RemoveUserFromGroupRequest(group_name="readers", user_name="alice"))
    result = await one(iam, principal(action_names=("s3:PutObject",), resource_arns=(B,)))
    assert result.eval_decision == "implicitDeny"


# Boundaries and organizations


async def test_a_boundary_limits_and_is_shown(iam, alice):
    await bound(iam, allow("s3:GetObject"))
    answer = await iam(principal(action_names=("s3:GetObject", "s3:DeleteObject"), resource_arns=(A,)))
    shown = [
        (result.eval_decision, result.permissions_boundary_decision_detail.allowed_by_permissions_boundary)
        for result in answer.evaluation_results
    ]
    assert shown == [("allowed", True), ("implicitDeny", False)]
    assert told(answer.evaluation_results[0]) == [("user_alice_own", "IAM Policy")]


async def test_what_a_boundary_denies_is_shown_as_its_own(iam, alice):
    await bound(iam, allow("s3:*"), deny("s3:DeleteObject"))
    result = await one(iam, principal(action_names=("s3:DeleteObject",)))
    assert (result.eval_decision, told(result)) == ("explicitDeny", [("edge", "Permissions Boundary Policy")])


async def test_a_boundary_in_the_request_replaces_the_attached_one(iam, alice):
    await bound(iam, allow("s3:GetObject"))
    given = document(allow("s3:DeleteObject"))
    answer = await iam(
        principal(
            action_names=("s3:GetObject", "s3:DeleteObject"),
            resource_arns=(A,),
            permissions_boundary_policy_input_list=(given,),
        )
    )
    assert [result.eval_decision for result in answer.evaluation_results] == ["implicitDeny", "allowed"]


async def test_a_denial_by_the_organization_shows_nothing_else(iam, store, alice):
    await govern(store, allow("*"), deny("s3:DeleteObject", Condition={"StringLike": {"x:key": "*"}}))
    allowed = await one(iam, principal(resource_arns=(A,)))
    assert allowed.organizations_decision_detail.allowed_by_organizations is True
    assert allowed.eval_decision == "allowed"
    denied = await one(
        iam, principal(action_names=("s3:DeleteObject",), context_entries=(entry("x:key", "a"),))
    )
    assert denied.organizations_decision_detail.allowed_by_organizations is False
    assert (denied.eval_decision, told(denied), denied.missing_context_values) == ("explicitDeny", [], ())


async def test_a_request_may_have_levels_of_an_organization(iam):
    def level(*statements):
        return shapes.OrderedOrganizationPolicyType(
            service_control_policy_input_list=(document(*statements),)
        )

    async def decision(*levels):
        result = await one(
            iam, custom(document(allow("s3:*")), ordered_organization_policy_input_list=levels)
        )
        return result.eval_decision, result.organizations_decision_detail.allowed_by_organizations

    assert await decision(level(allow("*")), level(allow("s3:*"))) == ("allowed", True)
    assert await decision(level(allow("*")), level(allow("iam:*"))) == ("implicitDeny", False)
    assert await decision(level(allow("*"), deny("s3:*")), level(allow("*"))) == ("explicitDeny", False)


# What is left out


@pytest.mark.parametrize(
    ("identifier", "expected"),
    [
        ({"policy_type": "inline"}, ["implicitDeny", "implicitDeny", "allowed"]),
        ({"policy_type": "user-managed"}, ["allowed", "allowed", "implicitDeny"]),
        ({"policy_type": "aws-managed"}, ["allowed", "allowed", "allowed"]),
        ({"policy_arn": iam_arn(ACCOUNT, "policy/team/deletes")}, ["allowed", "allowed", "implicitDeny"]),
        ({"policy_arn": iam_arn(ACCOUNT, "policy/del*")}, ["allowed", "allowed", "implicitDeny"]),
        ({"policy_arn": iam_arn(ACCOUNT, "policy/other/deletes")}, ["allowed", "allowed", "allowed"]),
        ({"inline": ("own", "user", "alice")}, ["implicitDeny", "allowed", "allowed"]),
        ({"inline": ("shared", "group", "reader?")}, ["allowed", "implicitDeny", "allowed"]),
        ({"inline": ("own", "user", "bob")}, ["allowed", "allowed", "allowed"]),
    ],
)
async def test_attached_policies_can_be_excluded(iam, alice, identifier, expected):
    if "inline" in identifier:
        name, kind, owner = identifier["inline"]
        inline = shapes.InlinePolicyIdentifierType(
            policy_name=name, attachment_type=kind, attachment_name=owner
        )
        identifier = {"inline_policy_identifier": inline}
    asked = [("s3:GetObject", A), ("s3:PutObject", B), ("s3:DeleteObject", A)]
    found = []
    for action, resource in asked:
        request = principal(
            action_names=(action,),
            resource_arns=(resource,),
            policy_exclusion_list=(shapes.PolicyIdentifier(**identifier),),
        )
        found.append((await one(iam, request)).eval_decision)
    assert found == expected


async def test_a_boundary_and_scps_can_be_excluded_and_policies_of_the_request_cannot(iam, store, alice):
    await bound(iam, allow("s3:PutObject"))
    await govern(store, allow("iam:*"))
    excluded = tuple(shapes.PolicyIdentifier(policy_type=kind) for kind in ("permission-boundary", "scp"))
    asked = {"resource_arns": (A,), "policy_exclusion_list": excluded}
    assert (await one(iam, principal(resource_arns=(A,)))).eval_decision == "implicitDeny"
    free = await one(iam, principal(**asked))
    assert free.eval_decision == "allowed"
    assert free.organizations_decision_detail is None and free.permissions_boundary_decision_detail is None
    given = (document(deny("s3:GetObject")),)
    kept = await one(iam, principal(**asked, permissions_boundary_policy_input_list=given))
    assert kept.eval_decision == "explicitDeny"


@pytest.mark.parametrize(
    "identifier",
    [
        {},
        {"policy_type": "inline", "policy_arn": iam_arn(ACCOUNT, "policy/a")},
        {"policy_arn": "not an arn but long enough"},
        {"policy_arn": iam_arn(ACCOUNT, "user/alice")},
        {"policy_arn": iam_arn(ACCOUNT, "policy/*a*")},
    ],
)
async def test_an_invalid_identifier_is_refused(iam, alice, identifier):
    request = principal(policy_exclusion_list=(shapes.PolicyIdentifier(**identifier),))
    code, _ = await iam.refused(request)
    assert code == "InvalidInput"
