"""Managed policies attached to users, groups and roles."""

from typing import Any

import msgspec

from broker.access.gather import find_managed_policy
from broker.errors import Refusal
from broker.iam.entities import POLICY, no_such_entity, require_policy_arn, require_room
from broker.iam.holders import HOLDERS, Holder, HolderRecord
from broker.iam.protection import require_attachable
from broker.iam.resources import Keys
from broker.names.arn import parse_arn
from broker.operation import Call, Prepared, operation
from broker.paging import page
from broker.protocol.shapes import iam as shapes


def _policy_arn_key(request: Any) -> Keys:
    return {"iam:PolicyARN": request.policy_arn}


async def _attach(holder: Holder, call: Call, request: Any, record: HolderRecord) -> None:
    arn = request.policy_arn
    require_policy_arn(arn)
    if await find_managed_policy(call.store, call.account, arn) is None:
        raise Refusal("NoSuchEntity", f"Policy {arn} does not exist or is not attachable.")
    require_attachable(arn, holder.noun)
    if arn in record.attached_policies:
        return
    require_room(call, record.attached_policies, holder.attached_quota, f"PoliciesPer{holder.word}")
    attached = (*record.attached_policies, arn)
    holder.put(call, msgspec.structs.replace(record, attached_policies=attached))


async def _detach(holder: Holder, call: Call, request: Any, record: HolderRecord) -> None:
    require_policy_arn(request.policy_arn)
    left = tuple(arn for arn in record.attached_policies if arn != request.policy_arn)
    if left == record.attached_policies:
        raise no_such_entity(POLICY, request.policy_arn)
    holder.put(call, msgspec.structs.replace(record, attached_policies=left))


async def _list(holder: Holder, call: Call, request: Any, record: HolderRecord) -> Any:
    prefix = request.path_prefix or "/"
    attached = [arn for arn in record.attached_policies if path_of(arn).startswith(prefix)]
    chosen = page(attached, sort_key, request.marker, request.max_items)
    return holder.answer(
        "ListAttached{}PoliciesResponse",
        attached_policies=tuple(attached_shape(arn) for arn in chosen.items),
        is_truncated=chosen.is_truncated,
        marker=chosen.marker,
    )


def attached_shape(arn: str) -> shapes.AttachedPolicy:
    return shapes.AttachedPolicy(policy_name=name_of(arn), policy_arn=arn)


def name_of(arn: str) -> str:
    return arn.rpartition("/")[2]


def path_of(arn: str) -> str:
    """The path of a policy: `/` for `…:policy/name`, `/a/` for `…:policy/a/name`."""
    return parse_arn(arn).resource.removeprefix("policy").rpartition("/")[0] + "/"


def sort_key(arn: str) -> str:
    """Policies are ordered by name, then ARN: one of AWS's and one of the account may have the same name."""
    return f"{name_of(arn).lower()} {arn}"


def _declare(holder: Holder) -> None:
    changed = holder.found_to_change(_policy_arn_key)

    @operation(f"iam:Attach{holder.word}Policy", prepare=changed)
    async def attach_policy(call: Call, request: Any, prepared: Prepared[HolderRecord]) -> None:
        await _attach(holder, call, request, prepared.found)

    @operation(f"iam:Detach{holder.word}Policy", prepare=changed)
    async def detach_policy(call: Call, request: Any, prepared: Prepared[HolderRecord]) -> None:
        await _detach(holder, call, request, prepared.found)

    @operation(f"iam:ListAttached{holder.word}Policies", prepare=holder.found())
    async def list_attached_policies(call: Call, request: Any, prepared: Prepared[HolderRecord]) -> Any:
        return await _list(holder, call, request, prepared.found)


for _holder in HOLDERS:
    _declare(_holder)
