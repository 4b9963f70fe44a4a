"""Tags of EKS resources: keys are compared with case."""

from collections.abc import Mapping

from broker.errors import Refusal
from broker.operation import Call

_RESERVED_PREFIX = "aws:"


def checked_tags(
    call: Call, existing: Mapping[str, str], added: Mapping[str, str], code: str = "InvalidParameterException"
) -> dict[str, str]:
    """`existing` with `added`; raises a Refusal with `code` for reserved keys and beyond the quota."""
    if any(key.lower().startswith(_RESERVED_PREFIX) for key in added):
        raise Refusal(code, "Tag keys that begin with aws: are reserved.")
    merged = {**existing, **added}
    if len(merged) > call.quotas.tags:
        raise Refusal(code, f"A resource has at most {call.quotas.tags} tags.")
    return merged
