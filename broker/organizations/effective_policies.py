"""Effective policies: AWS has them for tag policies and the like, not for service and resource control policies."""

from typing import Any

from broker.errors import Refusal
from broker.operation import Call, Prepared, operation
from broker.organizations.membership import Inside, Target, inside
from broker.organizations.nodes import node_target
from broker.organizations.refusals import missing
from broker.protocol.shapes import organizations as shapes
from broker.storage.organization_records import Organization


def _target(organization: Organization, request: Any) -> Target:
    """The node that is asked about; for the caller's own account policies name `*`."""
    keys = {"organizations:PolicyType": request.policy_type}
    if request.target_id is None:
        return Target(keys=keys)
    return node_target(organization, request.target_id, lambda: missing("target"), keys)


@operation(
    "organizations:DescribeEffectivePolicy",
    prepare=inside("DescribeEffectivePolicy", _target),
)
async def describe_effective_policy(
    call: Call, request: shapes.DescribeEffectivePolicyRequest, prepared: Prepared[Inside]
) -> shapes.DescribeEffectivePolicyResponse:
    """No type that has effective policies can be enabled here, so there is none."""
    raise Refusal(
        "EffectivePolicyNotFoundException",
        "If you ran this action on the management account, this policy type is not enabled. If you ran the action from "
        "a member account, the account doesn't have an effective policy of this type.",
    )
