"""Resource policies in a simulation: given ones, known ones, and those of other accounts."""

from broker.names.arn import iam_arn
from broker.protocol.shapes import iam as shapes
from tests.unit.simulator.simulating import (
    ACCOUNT,
    ALICE,
    OTHER_ACCOUNT,
    A,
    B,
    allow,
    bound,
    custom,
    decisions,
    document,
    of_resource,
    one,
    principal,
    told,
    trust,
)

# Resource policies


async def test_a_resource_policy_that_names_the_caller_is_enough(iam, alice):
    given = document(of_resource(ALICE, allow("s3:ListBucket", on="arn:aws:s3:::reports")))
    asked = {"action_names": ("s3:ListBucket",), "resource_arns": ("arn:aws:s3:::reports",)}
    assert (await one(iam, principal(**asked))).eval_decision == "implicitDeny"
    result = await one(iam, principal(**asked, resource_policy=given))
    assert (result.eval_decision, told(result)) == ("allowed", [("ResourcePolicy", "Resource Policy")])
    assert result.eval_decision_details == {}


async def test_across_accounts_both_sides_have_to_allow_and_each_is_shown(iam, alice):
    given = document(of_resource(ALICE, allow("s3:*", on="arn:aws:s3:::reports/*")))
    owner = iam_arn(OTHER_ACCOUNT, "root")
    asked = {"resource_arns": (A, B), "resource_owner": owner}
    result = await one(iam, principal(**asked, resource_policy=given))
    assert decisions(result) == ["allowed", "implicitDeny"]
    assert [specific.eval_decision_details for specific in result.resource_specific_results] == [
        {"IAM Policy": "allowed", "Resource Policy": "allowed"},
        {"IAM Policy": "implicitDeny", "Resource Policy": "allowed"},
    ]
    assert result.eval_decision_details == {"IAM Policy": "implicitDeny", "Resource Policy": "allowed"}
    silent = await one(iam, principal(**asked))
    assert decisions(silent) == ["implicitDeny", "implicitDeny"]
    assert silent.resource_specific_results[0].eval_decision_details == {
        "IAM Policy": "allowed",
        "Resource Policy": "implicitDeny",
    }


async def test_a_boundary_is_one_of_the_sides(iam, alice):
    await bound(iam, allow("s3:PutObject"))
    given = document(of_resource(ALICE, allow("s3:*", on="arn:aws:s3:::reports/*")))
    result = await one(
        iam, principal(resource_arns=(A,), resource_owner=OTHER_ACCOUNT, resource_policy=given)
    )
    assert result.eval_decision == "implicitDeny"
    assert result.eval_decision_details["Permissions Boundary Policy"] == "implicitDeny"


async def test_a_trust_policy_in_the_request_is_evaluated_for_assume_role(iam, alice):
    role = iam_arn(ACCOUNT, "role/app")
    asked = {
        "action_names": ("sts:AssumeRole",),
        "resource_arns": (role,),
        "policy_input_list": (document(allow("sts:AssumeRole")),),
    }

    async def decision(*statements):
        return (await one(iam, principal(**asked, resource_policy=document(*statements)))).eval_decision

    assert await decision(trust(ACCOUNT)) == "allowed"
    assert await decision(trust(OTHER_ACCOUNT)) == "implicitDeny"
    assert await decision(trust(ACCOUNT), {**trust(ALICE), "Effect": "Deny"}) == "explicitDeny"
    mfa = trust(ACCOUNT, Condition={"Bool": {"aws:MultiFactorAuthPresent": "true"}})
    assert await decision(mfa) == "implicitDeny"
    custom_asked = custom(
        document(allow("sts:AssumeRole")),
        action_names=("sts:AssumeRole",),
        resource_arns=(role,),
        caller_arn=ALICE,
        resource_policy=document(trust(OTHER_ACCOUNT)),
    )
    assert (await one(iam, custom_asked)).eval_decision == "implicitDeny"


async def test_the_trust_policy_of_a_role_of_this_account_is_known(iam, alice):
    asked = {
        "action_names": ("sts:AssumeRole",),
        "policy_input_list": (document(allow("sts:AssumeRole")),),
    }
    role = iam_arn(ACCOUNT, "role/app")
    assert (await one(iam, principal(**asked, resource_arns=(role,)))).eval_decision == "implicitDeny"
    await iam(shapes.CreateRoleRequest(role_name="app", assume_role_policy_document=document(trust(ALICE))))
    result = await one(iam, principal(**asked, resource_arns=(role,)))
    assert result.eval_decision == "allowed"
    assert ("AssumeRolePolicyDocument", "Resource Policy") in told(result)
    stranger = iam_arn(OTHER_ACCOUNT, "role/app")
    assert (await one(iam, principal(**asked, resource_arns=(stranger,)))).eval_decision == "implicitDeny"


async def test_for_all_roles_only_identity_policies_are_evaluated(iam, alice):
    asked = principal(
        action_names=("sts:AssumeRole",), policy_input_list=(document(allow("sts:AssumeRole")),)
    )
    result = await one(iam, asked)
    assert (result.eval_decision, told(result)) == ("allowed", [("PolicyInputList.1", "IAM Policy")])
    assert result.eval_resource_name == "*"


# Scenarios of EC2

EC2 = "arn:aws:ec2:us-east-1"
INSTANCE = (
    f"{EC2}:{ACCOUNT}:instance/*",
    f"{EC2}::image/*",
    f"{EC2}:{ACCOUNT}:security-group/*",
    f"{EC2}:{ACCOUNT}:network-interface/*",
)


async def test_a_scenario_of_ec2_needs_a_resource_of_each_of_its_types(iam, alice):
    asked = {"action_names": ("ec2:RunInstances",), "resource_handling_option": "EC2-VPC-EBS-Subnet"}
    assert await iam.refused(principal(**asked, resource_arns=INSTANCE)) == (
        "InvalidInput",
        "ResourceArns has to name a resource of EC2 of each of these types for EC2-VPC-EBS-Subnet: subnet, volume.",
    )
    whole = (*INSTANCE, f"{EC2}:{ACCOUNT}:subnet/*", f"{EC2}:{ACCOUNT}:volume/*")
    answer = await iam(principal(**asked, resource_arns=whole))
    assert len(answer.evaluation_results[0].resource_specific_results) == len(whole)


async def test_a_scenario_that_is_none_is_refused(iam, alice):
    code, message = await iam.refused(principal(resource_handling_option="EC2-Classic-EBS"))
    assert (code, message.startswith("ResourceHandlingOption has to be one of EC2-VPC-InstanceStore,")) == (
        "InvalidInput",
        True,
    )
