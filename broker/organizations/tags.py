"""Tags of an organization's root, units, accounts, policies and resource policy: case-sensitive keys, fifty of them."""

from collections.abc import Iterable, Mapping
from typing import Any

from broker.access.resource import Resource
from broker.operation import Call, request_tag_keys
from broker.organizations.refusals import constraint, invalid_input
from broker.protocol.shapes import organizations as shapes

_RESERVED_PREFIX = "aws:"


async def new_tags(call: Call, resource: Resource, request: Any) -> dict[str, str]:
    """The tags that something new begins with; its creator must be allowed to tag it, too."""
    if request.tags:
        judged = Resource(
            resource.arn,
            resource.account,
            keys={**resource.keys, **request_tag_keys(request)},
            policy=resource.policy,
        )
        await call.require("organizations:TagResource", judged)
    return merged_tags(call, {}, request.tags)


def merged_tags(call: Call, existing: Mapping[str, str], tags: Iterable[shapes.Tag]) -> dict[str, str]:
    """`existing` with `tags` added or replaced; raises InvalidInput- and ConstraintViolationException."""
    added = list(tags)
    keys = [tag.key for tag in added]
    if len(set(keys)) != len(keys):
        raise invalid_input("DUPLICATE_TAG_KEY", "Tag keys must be unique among the tags of a resource.")
    require_own_keys(keys)
    merged = {**existing, **{tag.key: tag.value for tag in added}}
    if len(merged) > call.quotas.tags:
        raise constraint(
            "MAX_TAG_LIMIT_EXCEEDED", "You have exceeded the number of tags allowed on this resource."
        )
    return merged


def require_own_keys(keys: Iterable[str]) -> None:
    if any(key.lower().startswith(_RESERVED_PREFIX) for key in keys):
        raise invalid_input(
            "INVALID_SYSTEM_TAGS_PARAMETER", "You specified a tag key that is a system tag, reserved for AWS."
        )


def tag_shapes(tags: Mapping[str, str]) -> tuple[shapes.Tag, ...]:
    """Sorted by key."""
    return tuple(shapes.Tag(key=key, value=tags[key]) for key in sorted(tags))
