"""From the claims of a web identity: condition keys, session tags, source identity.

IAM User Guide, "Available keys for AWS OIDC federation", "Pass session tags in AWS STS" and "Monitor and control
actions taken with assumed roles". Beyond IAM's list every claim is a condition key; of an object every member is, the
names joined by `/`.
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

    Policies compare names without case, so a token with two claims that differ only in case is refused: a condition on
    the one could match the other.
    """
    provider = identity.issuer.rpartition("://")[2].lower()
    claims = [(f"{provider}:{name.lower()}", values) for name, values in flattened_claims(identity.claims)]
    keys = dict(claims)
    checks.require(
        "claims",
        len(keys) == len(claims) <= MOST_KEYS,
        found=f"{len(claims)} claims with {len(keys)} names",
        wanted=f"at most {MOST_KEYS} claims, whose names differ in more than case",
    )
    if "azp" in identity.claims:
        keys[f"{provider}:oaud"] = keys.get(f"{provider}:aud", ())
    keys[f"{provider}:aud"] = identity.audience
    return keys


def flattened_claims(
    claims: Mapping[str, Any], prefix: str = "", depth: int = 1
) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Each claim that has values, with them; of an object each member, its names joined by `/`."""
    for name, value in claims.items():
        if prefix == "" and name.startswith(_AWS):
            continue  # `session_attributes` reads these
        if type(value) is str:  # first, because most are
            yield f"{prefix}{name}", (value,)
            continue
        if type(value) is dict:
            if depth < _DEEPEST:
                yield from flattened_claims(value, f"{prefix}{name}/", depth + 1)
            continue
        values = value if type(value) is list else [value]
        if all(type(one) in (str, int, float, bool) for one in values):
            yield f"{prefix}{name}", tuple(map(_text, values))


def _text(value: str | int | float | bool) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def session_attributes(identity: WebIdentityClaims, checks: Checks) -> RequestedSession:
    """The tags and the source identity that the token requests; raises CheckFailed where they are malformed."""
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
    """The value of a tag: a text, or a list of one."""
    values = value if type(value) is list else [value]
    if len(values) != 1 or type(values[0]) is not str:
        raise checks.fail("session tags", found=value, wanted="one text as the value of each tag")
    return str(values[0])


def _texts(value: Any, checks: Checks) -> list[str]:
    values: list[Any] = value if type(value) is list else [value]
    if not all(type(one) is str for one in values):
        raise checks.fail("transitive tag keys", found=value, wanted="a list of texts")
    return values
