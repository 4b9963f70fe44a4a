"""Inline policies: documents in the record of a user, group or role, deleted with it."""

from typing import Any

import msgspec

from broker.errors import Refusal
from broker.iam.documents import require_document
from broker.iam.holders import HOLDERS, Holder, HolderRecord
from broker.operation import Call, Prepared, operation
from broker.paging import page
from broker.policy import policy_size


async def _put(holder: Holder, call: Call, request: Any, record: HolderRecord) -> None:
    policies = {**record.inline_policies, request.policy_name: request.policy_document}
    limit = getattr(call.quotas, holder.inline_quota)
    if sum(map(policy_size, policies.values())) > limit:
        raise Refusal(
            "LimitExceeded",
            f"Maximum policy size of {limit} bytes exceeded for {holder.noun} {holder.name_in(request)}",
        )
    require_document(request.policy_document)
    holder.put(call, msgspec.structs.replace(record, inline_policies=policies))


async def _get(holder: Holder, call: Call, request: Any, record: HolderRecord) -> Any:
    if request.policy_name not in record.inline_policies:
        raise _no_such_policy(holder, request)
    return holder.answer(
        "Get{}PolicyResponse",
        **{holder.field: getattr(record, holder.field)},
        policy_name=request.policy_name,
        policy_document=record.inline_policies[request.policy_name],
    )


async def _delete(holder: Holder, call: Call, request: Any, record: HolderRecord) -> None:
    if request.policy_name not in record.inline_policies:
        raise _no_such_policy(holder, request)
    left = {name: text for name, text in record.inline_policies.items() if name != request.policy_name}
    holder.put(call, msgspec.structs.replace(record, inline_policies=left))


async def _list(holder: Holder, call: Call, request: Any, record: HolderRecord) -> Any:
    chosen = page(record.inline_policies, str, request.marker, request.max_items)
    return holder.answer(
        "List{}PoliciesResponse",
        policy_names=chosen.items,
        is_truncated=chosen.is_truncated,
        marker=chosen.marker,
    )


def _no_such_policy(holder: Holder, request: Any) -> Refusal:
    return Refusal(
        "NoSuchEntity", f"The {holder.noun} policy with name {request.policy_name} cannot be found."
    )


def _declare(holder: Holder) -> None:
    @operation(f"iam:Put{holder.word}Policy", prepare=holder.found_to_change())
    async def put_policy(call: Call, request: Any, prepared: Prepared[HolderRecord]) -> None:
        await _put(holder, call, request, prepared.found)

    @operation(f"iam:Get{holder.word}Policy", prepare=holder.found())
    async def get_policy(call: Call, request: Any, prepared: Prepared[HolderRecord]) -> Any:
        return await _get(holder, call, request, prepared.found)

    @operation(f"iam:Delete{holder.word}Policy", prepare=holder.found_to_change())
    async def delete_policy(call: Call, request: Any, prepared: Prepared[HolderRecord]) -> None:
        await _delete(holder, call, request, prepared.found)

    @operation(f"iam:List{holder.word}Policies", prepare=holder.found())
    async def list_policies(call: Call, request: Any, prepared: Prepared[HolderRecord]) -> Any:
        return await _list(holder, call, request, prepared.found)


for _holder in HOLDERS:
    _declare(_holder)
