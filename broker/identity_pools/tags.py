"""Tags of identity pools: keys are compared with case."""

from collections.abc import Mapping

from broker.identity_pools.refusals import invalid
from broker.operation import Call

_LONGEST_KEY, _LONGEST_VALUE = 128, 256


def checked_tags(call: Call, existing: Mapping[str, str], added: Mapping[str, str]) -> dict[str, str]:
    """`existing` with `added`; raises InvalidParameterException."""
    for key, value in added.items():
        if not 0 < len(key) <= _LONGEST_KEY or len(value) > _LONGEST_VALUE:
            raise invalid(
                f"A tag has a key of 1 to {_LONGEST_KEY} and a value of at most {_LONGEST_VALUE} characters."
            )
        if key.lower().startswith("aws:"):
            raise invalid("Tag keys that begin with aws: are reserved.")
    merged = {**existing, **added}
    if len(merged) > call.quotas.tags:
        raise invalid(f"A resource has at most {call.quotas.tags} tags.")
    return merged
