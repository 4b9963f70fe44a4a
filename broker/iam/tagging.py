"""Tags of users, roles, managed policies, instance profiles and MFA devices: the operations on all are written once.

What a tag may be: `tags.py`.
"""

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from broker.iam import entities, resources
from broker.iam.paging import page
from broker.iam.tags import merge_tags, tag_key, tag_shapes, without_tags
from broker.operation import Call, ResourceOf, operation
from broker.protocol.shapes import iam as shapes
from broker.storage.collection import Collection
from broker.storage.store import MFA_DEVICES


class Tagged(msgspec.Struct, frozen=True):
    """One row. `word` makes the names of operations and shapes (`TagUser`); `get` finds what a request names."""

    word: str
    collection: Collection[Any]
    resource: ResourceOf
    get: Callable[[Call, Any], Awaitable[Any]]


TAGGED = (
    Tagged(
        "User",
        entities.USER.collection,
        resources.user_resource,
        lambda call, request: entities.get_user(call, request.user_name),
    ),
    Tagged(
        "Role",
        entities.ROLE.collection,
        resources.role_resource,
        lambda call, request: entities.get_role(call, request.role_name),
    ),
    Tagged(
        "Policy",
        entities.POLICY.collection,
        resources.policy_resource,
        lambda call, request: entities.get_policy(call, request.policy_arn),
    ),
    Tagged(
        "InstanceProfile",
        entities.INSTANCE_PROFILE.collection,
        resources.instance_profile_resource,
        lambda call, request: entities.get_instance_profile(call, request.instance_profile_name),
    ),
    Tagged(
        "MFADevice",
        MFA_DEVICES,
        resources.mfa_resource,
        lambda call, request: entities.get_mfa_device(call, request.serial_number),
    ),
)


def _declare(row: Tagged) -> None:
    @operation(f"iam:Tag{row.word}", resource=row.resource)
    async def tag(call: Call, request: Any) -> None:
        record = await row.get(call, request)
        tagged = msgspec.structs.replace(record, tags=merge_tags(call, record.tags, request.tags))
        call.store.put(row.collection, call.account, tagged)

    @operation(f"iam:Untag{row.word}", resource=row.resource)
    async def untag(call: Call, request: Any) -> None:
        record = await row.get(call, request)
        untagged = msgspec.structs.replace(record, tags=without_tags(record.tags, request.tag_keys))
        call.store.put(row.collection, call.account, untagged)

    @operation(f"iam:List{row.word}Tags", resource=row.resource)
    async def list_tags(call: Call, request: Any) -> Any:
        record = await row.get(call, request)
        chosen = page(tag_shapes(record.tags), tag_key, request.marker, request.max_items)
        answer = getattr(shapes, f"List{row.word}TagsResponse")
        return answer(tags=chosen.items, is_truncated=chosen.is_truncated, marker=chosen.marker)


for _row in TAGGED:
    _declare(_row)
