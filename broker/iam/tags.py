"""Tags of IAM entities: a later tag replaces an earlier one of the same key, with its own spelling.

Of users and roles, whose tags may become those of their sessions, keys are compared without case; of all other entities
with case. Source: "Tags for IAM resources" of the IAM User Guide, "Rules for tagging"; what AWS answers was recorded by
LocalStack's tests in 2026.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from broker.access.resource import Resource
from broker.errors import Refusal
from broker.operation import Call, request_tag_keys
from broker.protocol.shapes import iam as shapes

RESERVED_PREFIX = "aws:"
_WITHOUT_CASE = frozenset({"iam:TagUser", "iam:TagRole"})


async def new_tags(call: Call, tag_action: str, entity: Resource, request: Any) -> dict[str, str]:
    """The tags that a new entity begins with; raises AccessDenied where its creator may not tag it, else `merge_tags`.

    To create with tags takes both permissions (openshift/installer#1073), or who may not tag could have any tag that
    policies look at. Tagging has no condition keys but those of the tags: a boundary is none of them.
    """
    if request.tags:
        await call.require(tag_action, Resource(entity.arn, keys=request_tag_keys(request)))
    return merge_tags(call, tag_action, {}, request.tags)


def merge_tags(
    call: Call, tag_action: str, existing: Mapping[str, str], tags: Sequence[shapes.Tag]
) -> dict[str, str]:
    """`existing` with `tags` added or replaced; `tag_action` is that of the entity's kind.

    Raises InvalidInput for the same key twice and for the reserved prefix, LimitExceeded beyond the quota.
    """
    same = _comparison(tag_action)
    added = {same(tag.key) for tag in tags}
    if len(added) != len(tags):
        note = " Please note that Tag keys are case insensitive." if tag_action in _WITHOUT_CASE else ""
        raise Refusal("InvalidInput", f"Duplicate tag keys found.{note}")
    if any(tag.key.lower().startswith(RESERVED_PREFIX) for tag in tags):
        raise Refusal("InvalidInput", "aws: prefixed tag key names are not allowed for external use.")
    merged = {key: value for key, value in existing.items() if same(key) not in added}
    merged.update((tag.key, tag.value) for tag in tags)
    if len(merged) > call.quotas.tags:
        raise Refusal("LimitExceeded", "The number of tags has reached the maximum limit.")
    return merged


def without_tags(tag_action: str, existing: Mapping[str, str], tag_keys: Iterable[str]) -> dict[str, str]:
    """`existing` without `tag_keys`; a key that does not exist is no error."""
    same = _comparison(tag_action)
    removed = {same(key) for key in tag_keys}
    return {key: value for key, value in existing.items() if same(key) not in removed}


def _comparison(tag_action: str) -> Callable[[str], str]:
    return str.lower if tag_action in _WITHOUT_CASE else str


def tag_shapes(tags: Mapping[str, str]) -> tuple[shapes.Tag, ...]:
    """Tags as answers list them: sorted by key."""
    return tuple(shapes.Tag(key=key, value=tags[key]) for key in sorted(tags))


def tag_key(tag: shapes.Tag) -> str:
    """The key by which a list of tags is paged."""
    return tag.key
