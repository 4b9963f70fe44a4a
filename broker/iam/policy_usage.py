"""Where managed policies are in use: counted from the records, so that no stored counter can be wrong."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import msgspec

from broker.access.aws_managed import AnyManagedPolicy
from broker.iam import resources
from broker.iam.holders import HOLDERS, Holder
from broker.operation import Call, Prepared, operation
from broker.paging import page
from broker.protocol.shapes import iam as shapes

PERMISSIONS_POLICY, PERMISSIONS_BOUNDARY = "PermissionsPolicy", "PermissionsBoundary"


class PolicyUsage(msgspec.Struct, frozen=True):
    """How often each ARN is attached, and how often it is a permissions boundary, in one account."""

    attachments: Counter[str]
    boundaries: Counter[str]

    def count(self, arn: str, usage_filter: str | None) -> int:
        """Uses of the kind that PolicyUsageFilter names; of both kinds where it names none."""
        if usage_filter == PERMISSIONS_POLICY:
            return self.attachments[arn]
        if usage_filter == PERMISSIONS_BOUNDARY:
            return self.boundaries[arn]
        return self.attachments[arn] + self.boundaries[arn]


async def count_usage(call: Call) -> PolicyUsage:
    """The usage in the caller's account."""
    usage = PolicyUsage(Counter(), Counter())
    for _, record in await _holders(call):
        usage.attachments.update(record.attached_policies)
        usage.boundaries.update(_boundaries(record))
    return usage


async def _holders(call: Call) -> list[tuple[Holder, Any]]:
    return [
        (holder, record)
        for holder in HOLDERS
        for record in await call.store.scan(holder.entity.collection, call.account)
    ]


def _boundaries(record: Any) -> tuple[str, ...]:
    boundary = getattr(record, "permissions_boundary", None)
    return () if boundary is None else (boundary,)


def _uses(record: Any, arn: str, usage_filter: str | None) -> bool:
    is_attached = usage_filter != PERMISSIONS_BOUNDARY and arn in record.attached_policies
    return is_attached or (usage_filter != PERMISSIONS_POLICY and arn in _boundaries(record))


@operation("iam:ListEntitiesForPolicy", prepare=resources.found_policy)
async def list_entities_for_policy(
    call: Call, request: shapes.ListEntitiesForPolicyRequest, prepared: Prepared[AnyManagedPolicy]
) -> shapes.ListEntitiesForPolicyResponse:
    policy = prepared.found
    prefix = request.path_prefix or "/"
    found = [
        (holder, record)
        for holder, record in await _holders(call)
        if request.entity_filter in (None, holder.word)
        and record.path.startswith(prefix)
        and _uses(record, policy.arn, request.policy_usage_filter)
    ]
    chosen = page(found, _entity_key, request.marker, request.max_items)

    def of(word: str, shape: Callable[[Any], Any]) -> tuple[Any, ...]:
        return tuple(shape(record) for holder, record in chosen.items if holder.word == word)

    return shapes.ListEntitiesForPolicyResponse(
        policy_groups=of("Group", lambda g: shapes.PolicyGroup(group_name=g.group_name, group_id=g.group_id)),
        policy_users=of("User", lambda u: shapes.PolicyUser(user_name=u.user_name, user_id=u.user_id)),
        policy_roles=of("Role", lambda r: shapes.PolicyRole(role_name=r.role_name, role_id=r.role_id)),
        is_truncated=chosen.is_truncated,
        marker=chosen.marker,
    )


def _entity_key(found: tuple[Holder, Any]) -> str:
    holder, record = found
    return f"{holder.noun}/{getattr(record, holder.field).lower()}"
