"""Tags of trust anchors, profiles, revocation lists and subjects: case-sensitive keys."""

from collections.abc import Iterable, Mapping

from broker.errors import Refusal
from broker.operation import Call
from broker.protocol.shapes import rolesanywhere as shapes
from broker.roles_anywhere.refusals import invalid

_RESERVED_PREFIX = "aws:"


def merged_tags(call: Call, existing: Mapping[str, str], tags: Iterable[shapes.Tag]) -> dict[str, str]:
    """`existing` with `tags` added or replaced; raises ValidationException and TooManyTagsException."""
    added = list(tags)
    keys = [tag.key for tag in added]
    if len(set(keys)) != len(keys):
        raise invalid("Tag keys must be unique.")
    if any(key.lower().startswith(_RESERVED_PREFIX) for key in keys):
        raise invalid("Tag keys that begin with aws: are reserved.")
    merged = {**existing, **{tag.key: tag.value for tag in added}}
    if len(merged) > call.quotas.tags:
        raise Refusal("TooManyTagsException", f"A resource has at most {call.quotas.tags} tags.")
    return merged


def tag_shapes(tags: Mapping[str, str]) -> tuple[shapes.Tag, ...]:
    """Sorted by key."""
    return tuple(shapes.Tag(key=key, value=tags[key]) for key in sorted(tags))
