"""Tags of analyzers: case-sensitive keys."""

from collections.abc import Mapping

from broker.analyzer.refusals import invalid
from broker.operation import Call

_RESERVED_PREFIX = "aws:"


def checked_tags(call: Call, existing: Mapping[str, str], added: Mapping[str, str]) -> dict[str, str]:
    """`existing` with `added`; raises ValidationException."""
    if any(key.lower().startswith(_RESERVED_PREFIX) for key in added):
        raise invalid("Tag keys that begin with aws: are reserved.")
    merged = {**existing, **added}
    if len(merged) > call.quotas.tags:
        raise invalid(f"An analyzer has at most {call.quotas.tags} tags.")
    return merged
