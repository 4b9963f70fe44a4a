"""Where managed policies are in use, by the counts and references that are kept with every write."""

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from itertools import groupby
from typing import Any

from broker.access.aws_managed import AnyManagedPolicy
from broker.iam import resources
from broker.iam.holders import HOLDERS, Holder
from broker.iam.rows import find_sources, rows_in_parts
from broker.operation import Call, Prepared, operation
from broker.paging import first_key, page_of_rows
from broker.protocol.shapes import iam as shapes
from broker.storage.derived_records import PolicyUse, RecordReference, policy_key, policy_target
from broker.storage.store import POLICY_USES, REFERENCES

PERMISSIONS_POLICY, PERMISSIONS_BOUNDARY = "PermissionsPolicy", "PermissionsBoundary"


async def use_of(call: Call, arn: str) -> PolicyUse:
    """How often the policy is in use in the caller's account."""
    return (await uses_of(call, [arn]))[0]


async def uses_of(call: Call, arns: Sequence[str]) -> list[PolicyUse]:
    found = await call.store.find_all(POLICY_USES, call.account, [policy_key(arn) for arn in arns])
    # Names may be spelled in another case than by a policy of an account that had the name before.
    return [
        use if use is not None and use.arn == arn else PolicyUse(arn=arn)
        for arn, use in zip(arns, found, strict=True)
    ]


def uses_counted(use: PolicyUse, usage_filter: str | None) -> int:
    """Uses of the kind that PolicyUsageFilter names; of both kinds where it names none."""
    if usage_filter == PERMISSIONS_POLICY:
        return use.attachments
    if usage_filter == PERMISSIONS_BOUNDARY:
        return use.boundaries
    return use.attachments + use.boundaries


def _uses(reference: RecordReference, usage_filter: str | None) -> bool:
    is_attached = usage_filter != PERMISSIONS_BOUNDARY and reference.is_attachment
    return is_attached or (usage_filter != PERMISSIONS_POLICY and reference.is_boundary)


@operation("iam:ListEntitiesForPolicy", prepare=resources.found_policy)
async def list_entities_for_policy(
    call: Call, request: shapes.ListEntitiesForPolicyRequest, prepared: Prepared[AnyManagedPolicy]
) -> shapes.ListEntitiesForPolicyResponse:
    rows = _rows(call, request, prepared.found)
    chosen = await page_of_rows(rows, _entity_key, request.marker, request.max_items)

    def of(word: str, shape: Callable[[Any], Any]) -> tuple[Any, ...]:
        return tuple(shape(record) for holder, record in chosen.items if holder.word == word)

    return shapes.ListEntitiesForPolicyResponse(
        policy_groups=of("Group", lambda g: shapes.PolicyGroup(group_name=g.group_name, group_id=g.group_id)),
        policy_users=of("User", lambda u: shapes.PolicyUser(user_name=u.user_name, user_id=u.user_id)),
        policy_roles=of("Role", lambda r: shapes.PolicyRole(role_name=r.role_name, role_id=r.role_id)),
        is_truncated=chosen.is_truncated,
        marker=chosen.marker,
    )


async def _rows(
    call: Call, request: shapes.ListEntitiesForPolicyRequest, policy: AnyManagedPolicy
) -> AsyncGenerator[tuple[Holder, Any], None]:
    """The entities that have the policy, in order of `_entity_key`."""
    prefix, path = f"{policy_target(policy.arn)} ", request.path_prefix or "/"
    wanted = {holder.noun: holder for holder in HOLDERS if request.entity_filter in (None, holder.word)}
    behind = f"{prefix}{first_key(request.marker)}"
    async with aclosing(rows_in_parts(call, REFERENCES, behind, request.max_items, prefix)) as parts:
        async for part in parts:
            using = [one for one in part if _uses(one, request.policy_usage_filter)]
            for noun, some in groupby(using, lambda one: one.source.partition("/")[0]):
                holder = wanted.get(noun)
                if holder is None:
                    continue
                for record in await find_sources(call, some, holder.entity.collection):
                    if record.path.startswith(path):
                        yield holder, record


def _entity_key(found: tuple[Holder, Any]) -> str:
    holder, record = found
    return f"{holder.noun}/{getattr(record, holder.field).lower()}"
