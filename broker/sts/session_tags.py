"""Session tags, passed and inherited ("Pass session tags in AWS STS").

Keys are case-insensitive. A transitive tag of the calling session remains transitive, and no later session of the chain
may set its key again.
"""

from collections.abc import Mapping, Sequence

import msgspec

from broker.access.caller import Caller
from broker.errors import Refusal
from broker.protocol.constraints import compile_pattern
from broker.protocol.shapes import sts as shapes

TAG_LIMIT = 50
RESERVED_PREFIX = "aws:"

# The model's tagKeyType and tagValueType, for tags that are not parameters of the request.
_is_key = compile_pattern(r"[\p{L}\p{Z}\p{N}_.:/=+\-@]{1,128}")
_is_value = compile_pattern(r"[\p{L}\p{Z}\p{N}_.:/=+\-@]{0,256}")


class SessionTags(msgspec.Struct, frozen=True):
    """The tags of a new session, passed and inherited ones; `transitive_keys` are among them."""

    tags: Mapping[str, str]
    transitive_keys: tuple[str, ...]


NO_TAGS = SessionTags({}, ())


def session_tags(caller: Caller, tags: Sequence[shapes.Tag], transitive_keys: Sequence[str]) -> SessionTags:
    """The tags of a session that `caller` requests; raises InvalidParameterValue with AWS's message."""
    handed_on = caller.transitive_tag_keys
    if not tags and not transitive_keys and not handed_on:
        return NO_TAGS
    inherited = {key: caller.session_tags[key] for key in handed_on if key in caller.session_tags}
    return _merged(inherited, tags, transitive_keys)


def asserted_tags(tags: Mapping[str, str], transitive_keys: Sequence[str]) -> SessionTags:
    """The tags of a session with an assertion's tags: it is the first of a chain and inherits none."""
    if not all(_is_key(key) and _is_value(value) for key, value in tags.items()):
        raise _invalid(
            "A session tag of the assertion is no tag: its key or its value is too long or not allowed."
        )
    return _merged({}, [shapes.Tag(key=key, value=value) for key, value in tags.items()], transitive_keys)


def _merged(
    inherited: Mapping[str, str], tags: Sequence[shapes.Tag], transitive_keys: Sequence[str]
) -> SessionTags:
    passed = passed_tags(tags)
    _require_transitive(passed, transitive_keys, inherited)
    merged = {**inherited, **passed}
    if len(merged) > TAG_LIMIT:
        raise _invalid(f"The number of session tags is over the limit of {TAG_LIMIT}.")
    wanted = {key.lower() for key in transitive_keys}
    # In the tag's spelling, so that the next session of the chain finds the tag.
    chosen = (key for key in passed if key.lower() in wanted)
    return SessionTags(merged, (*inherited, *chosen))


def passed_tags(tags: Sequence[shapes.Tag]) -> dict[str, str]:
    passed = {tag.key: tag.value for tag in tags}
    if len({key.lower() for key in passed}) != len(tags):
        raise _invalid("Duplicate tag keys found. Please note that Tag keys are case insensitive.")
    if any(key.lower().startswith(RESERVED_PREFIX) for key in passed):
        raise _invalid("aws: prefixed tag key names are not allowed for external use.")
    return passed


def _require_transitive(
    passed: Mapping[str, str], transitive_keys: Sequence[str], inherited: Mapping[str, str]
) -> None:
    passed_keys = {key.lower() for key in passed}
    if any(key.lower() not in passed_keys for key in transitive_keys):
        raise _invalid("The specified transitive tag key must be included in the requested tags.")
    if any(key.lower() in passed_keys for key in inherited):
        raise _invalid(
            "One of the specified transitive tag keys can't be set because it conflicts with a transitive tag key "
            "from the calling session."
        )


def _invalid(message: str) -> Refusal:
    return Refusal("InvalidParameterValue", message)
