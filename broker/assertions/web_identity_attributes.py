"""What a web identity brings to the session that is made for it: condition keys, session tags, source identity.

IAM User Guide, "Available keys for AWS OIDC federation", "Pass session tags in AWS STS" and "Monitor and control
actions taken with assumed roles". Beyond IAM's list each claim is a condition key; of an object each member, its names
joined by `/`.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from broker.assertions.checks import Checks
from broker.assertions.requested_session import RequestedSession
from broker.assertions.web_identity import WebIdentityClaims

_AWS = "https://aws.amazon.com/"
_TAGS, _SOURCE_IDENTITY = f"{_AWS}tags", f"{_AWS}source_identity"
_PRINCIPAL_TAGS, _TRANSITIVE = "principal_tags", "transitive_tag_keys"

MOST_KEYS = 500
_DEEPEST = 4


def condition_keys(identity: WebIdentityClaims, checks: Checks) -> dict[str, tuple[str, ...]]:
    """The keys that trust policies read, in lower case: `PROVIDER:sub` and the like; raises CheckFailed.

    Names differ without case in policies, so a token with two claims that differ in nothing else is refused: the one
    could pass for the other.
    """
    provider = identity.issuer.rpartition("://")[2].lower()
    claims = [(f"{provider}:{name.lower()}", values) for name, values in _flattened(identity.claims)]
    keys = dict(claims)
    checks.require(
        "claims",
        len(keys) == len(claims) <= MOST_KEYS,
        found=f"{len(claims)} claims with {len(keys)} names",
        wanted=f"at most {MOST_KEYS} claims, whose names differ not in case alone",
    )
    if "azp" in identity.claims:
        keys[f"{provider}:oaud"] = keys.get(f"{provider}:aud", ())
    keys[f"{provider}:aud"] = identity.audience
    return keys


def _flattened(
    claims: Mapping[str, Any], prefix: str = "", depth: int = 1
) -> Iterator[tuple[str, tuple[str, ...]]]:
    for name, value in claims.items():
        if prefix == "" and name.startswith(_AWS):
            continue  # these are read as session attributes
        if type(value) is str:  # as most are
            yield f"{prefix}{name}", (value,)
            continue
        if type(value) is dict:
            if depth < _DEEPEST:
                yield from _flattened(value, f"{prefix}{name}/", depth + 1)
            continue
        values = value if type(value) is list else [value]
        if all(type(one) in (str, int, float, bool) for one in values):
            yield f"{prefix}{name}", tuple(map(_text, values))


def _text(value: str | int | float | bool) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def session_attributes(identity: WebIdentityClaims, checks: Checks) -> RequestedSession:
    """The tags and the source identity that the token's claims ask for; raises CheckFailed for a wrong form."""
    tags, transitive = _nested_tags(identity.claims, checks)
    for name, value in identity.claims.items():
        if name.startswith(f"{_TAGS}/{_PRINCIPAL_TAGS}/"):
            tags[name.removeprefix(f"{_TAGS}/{_PRINCIPAL_TAGS}/")] = _single(value, checks)
    flat_transitive = identity.claims.get(f"{_TAGS}/{_TRANSITIVE}", [])
    transitive += _texts(flat_transitive, checks)
    source_identity = identity.claims.get(_SOURCE_IDENTITY)
    checks.require(
        "source identity",
        source_identity is None or type(source_identity) is str,
        found=type(source_identity).__name__,
        wanted="a text",
    )
    return RequestedSession(tags, tuple(transitive), source_identity)


def _nested_tags(claims: Mapping[str, Any], checks: Checks) -> tuple[dict[str, str], list[str]]:
    found = claims.get(_TAGS, {})
    checks.require("session tags", type(found) is dict, found=type(found).__name__, wanted="an object")
    pairs = found.get(_PRINCIPAL_TAGS, {})
    checks.require(
        "session tags", type(pairs) is dict, found=type(pairs).__name__, wanted="an object of tags"
    )
    tags = {key: _single(value, checks) for key, value in pairs.items()}
    return tags, _texts(found.get(_TRANSITIVE, []), checks)


def _single(value: Any, checks: Checks) -> str:
    """A tag has one value; tokens write it as a text, or as a list of one."""
    values = value if type(value) is list else [value]
    if len(values) != 1 or type(values[0]) is not str:
        raise checks.fail("session tags", found=value, wanted="one text as the value of each tag")
    return str(values[0])


def _texts(value: Any, checks: Checks) -> list[str]:
    values: list[Any] = value if type(value) is list else [value]
    if not all(type(one) is str for one in values):
        raise checks.fail("transitive tag keys", found=value, wanted="a list of texts")
    return values
