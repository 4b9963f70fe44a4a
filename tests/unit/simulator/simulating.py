"""What tests of the simulator ask with, and what they read of its answers."""

import json
from typing import Any

from broker.names.arn import iam_arn
from broker.protocol.shapes import iam as shapes
from broker.storage.organization_records import Organization, OrganizationalUnit
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


async def new_alice(iam: Any) -> str:
    """A user with an inline policy, a group with another, and a managed one: one action each."""
    await iam(shapes.CreateUserRequest(user_name="alice"))
    await iam(shapes.CreateGroupRequest(group_name="readers"))
    await iam(shapes.AddUserToGroupRequest(group_name="readers", user_name="alice"))
    own, shared, deletes = (
        document(allow("s3:GetObject", on=A)),
        document(allow("s3:PutObject", on=B)),
        document(allow("s3:DeleteObject")),
    )
    await iam(shapes.PutUserPolicyRequest(user_name="alice", policy_name="own", policy_document=own))
    await iam(
        shapes.PutGroupPolicyRequest(group_name="readers", policy_name="shared", policy_document=shared)
    )
    made = await iam(
        shapes.CreatePolicyRequest(policy_name="deletes", path="/team/", policy_document=deletes)
    )
    await iam(shapes.AttachUserPolicyRequest(user_name="alice", policy_arn=made.policy.arn))
    return ALICE
