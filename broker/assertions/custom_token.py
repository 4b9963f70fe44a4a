"""What an identity plugin says of a token: MinIO's "Identity Management Plugin", read strictly."""

from collections.abc import Mapping
from typing import Any

import msgspec

from broker.assertions.checks import Checks
from broker.assertions.web_identity_attributes import MOST_KEYS, flattened_claims
from broker.strict_json import read_object

APPROVED, REFUSED = 200, 403  # HTTP statuses of the plugin's answers

SHORTEST_VALIDITY, LONGEST_VALIDITY = 900, 365 * 24 * 3600  # seconds; MinIO's
LONGEST_REASON = 256  # characters

# Claims that say nothing here: MinIO's, and the one that the plugin's own member is called by.
_RESERVED = frozenset(("exp", "parent", "sub", "user"))


class TokenRefused(Exception):
    """The plugin does not approve of the token; the reason is the plugin's, and shown to the client."""


class TokenHolder(msgspec.Struct, frozen=True):
    """The subject that the plugin names. `keys` are condition keys, in lower case; `longest` is in seconds."""

    user: str
    longest: int
    keys: Mapping[str, tuple[str, ...]]


def read_plugin_answer(status: int, body: bytes, checks: Checks) -> TokenHolder:
    """Raises TokenRefused, CheckFailed for an approval that cannot be used, and ValueError for what is no answer."""
    if status == REFUSED:
        raise TokenRefused(_reason(body))
    if status != APPROVED:
        raise ValueError(f"status {status}")
    answer = read_object(body)
    user, longest = answer.get("user"), answer.get("maxValiditySeconds")
    checks.require("user", type(user) is str and bool(user), found=user, wanted="a text")
    checks.require(
        "longest validity",
        type(longest) is int and SHORTEST_VALIDITY <= longest < LONGEST_VALIDITY,
        found=longest,
        wanted=f"a whole number of seconds from {SHORTEST_VALIDITY} to less than {LONGEST_VALIDITY}",
    )
    claims = answer.get("claims")
    checks.require(
        "claims", claims is None or type(claims) is dict, found=type(claims).__name__, wanted="an object"
    )
    assert isinstance(user, str)
    assert isinstance(longest, int)
    return TokenHolder(user, longest, {"custom:user": (user,), **_keys(claims or {}, checks)})


def _keys(claims: dict[str, Any], checks: Checks) -> dict[str, tuple[str, ...]]:
    """Names differ without case in policies: two claims that differ in nothing else could pass for one another."""
    found = [
        (name.lower(), values) for name, values in flattened_claims(claims) if name.lower() not in _RESERVED
    ]
    keys = dict(found)
    checks.require(
        "claims",
        len(keys) == len(found) <= MOST_KEYS,
        found=f"{len(found)} claims with {len(keys)} names",
        wanted=f"at most {MOST_KEYS} claims, whose names differ not in case alone",
    )
    return {f"custom:{name}": values for name, values in keys.items()}


def _reason(body: bytes) -> str:
    """What a refusal says, as far as it can be shown."""
    try:
        reason = read_object(body).get("reason")
    except ValueError:
        return ""
    if type(reason) is not str:
        return ""
    return "".join(one if one.isprintable() else " " for one in reason[:LONGEST_REASON]).strip()
