"""ID tokens of OpenID Connect providers, verified (OpenID Connect Core 1.0, 3.1.3.7, as STS applies it)."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from broker.assertions.checks import Checks
from broker.assertions.json_web_token import verify_signature
from broker.assertions.key_sets import VerificationKey
from broker.assertions.unverified_token import UnverifiedToken

LEEWAY = 60  # seconds that a provider's clock may differ from ours, either way
REDEEM_WITHIN = 24 * 3600  # seconds: STS, "Token must be redeemed within 24 hours of issuance"
LONGEST_SUBJECT = 255  # characters

# The end of the year 9999, the last one that dates can have.
_LAST_TIME = 253_402_300_799


class WebIdentityClaims(msgspec.Struct, frozen=True):
    """The claims of a token whose signature, times, issuer and audience have been verified.

    `audience` is `azp` where the token has one, else all of `aud`. Times are epoch seconds. `claims` are all claims.
    """

    issuer: str
    subject: str
    audience: tuple[str, ...]
    issued_at: int
    expires_at: int
    claims: Mapping[str, Any]


def unverified_issuer(token: UnverifiedToken) -> str | None:
    """The issuer that the token names, to find its keys; only a signature by these proves it."""
    issuer = token.claims.get("iss")
    return issuer if type(issuer) is str else None


def verify_web_identity(
    token: UnverifiedToken,
    keys: Sequence[VerificationKey],
    *,
    issuer: str,
    client_ids: Sequence[str] | None,
    now: float,
    checks: Checks,
    leeway: int = LEEWAY,
) -> WebIdentityClaims:
    """The token's claims, if `issuer` made it for one of `client_ids` and it is valid now; raises CheckFailed.

    `client_ids` None: any audience, which only a condition of the trust policy can restrict. Each check is noted in
    `checks`, in order.
    """
    claims = token.claims
    checks.require("issuer", claims.get("iss") == issuer, found=claims.get("iss"), wanted=issuer)
    verify_signature(token, keys, checks)
    issued_at, expires_at = verify_times(claims, now, leeway, checks)
    checks.require(
        "redemption",
        now < issued_at + REDEEM_WITHIN + leeway,
        found=issued_at,
        wanted=f"within {REDEEM_WITHIN // 3600} hours before {int(now)}",
    )
    audience = _verify_audience(claims, client_ids, checks)
    subject = claims.get("sub")
    checks.require(
        "subject",
        type(subject) is str and 0 < len(subject) <= LONGEST_SUBJECT,
        found=subject,
        wanted=f"a text of at most {LONGEST_SUBJECT} characters",
    )
    assert isinstance(subject, str)
    return WebIdentityClaims(issuer, subject, audience, issued_at, expires_at, claims)


def verify_times(claims: Mapping[str, Any], now: float, leeway: int, checks: Checks) -> tuple[int, int]:
    """`iat` and `exp`, whole seconds; raises CheckFailed where the token is not valid now."""
    expires_at = _require_time(claims, "exp", checks)
    issued_at = _require_time(claims, "iat", checks)
    checks.require("expiry", now < expires_at + leeway, found=expires_at, wanted=f"later than {int(now)}")
    if "nbf" in claims:
        not_before = _require_time(claims, "nbf", checks)
        checks.require(
            "not before", not_before <= now + leeway, found=not_before, wanted=f"not after {int(now)}"
        )
    checks.require("issued at", issued_at <= now + leeway, found=issued_at, wanted=f"not after {int(now)}")
    return issued_at, expires_at


def _require_time(claims: Mapping[str, Any], name: str, checks: Checks) -> int:
    """A NumericDate (RFC 7519, section 2), in whole seconds."""
    value: Any = claims.get(name)
    if type(value) not in (int, float) or not 0 <= value <= _LAST_TIME:
        raise checks.fail(name, found=value if name in claims else "no such claim", wanted="epoch seconds")
    return int(value)


def _verify_audience(
    claims: Mapping[str, Any], client_ids: Sequence[str] | None, checks: Checks
) -> tuple[str, ...]:
    """IAM User Guide, "Available keys for AWS OIDC federation": where a token has `azp`, that is the audience."""
    authorized_party, audience = claims.get("azp"), claims.get("aud")
    stated = audience if authorized_party is None else authorized_party
    values: list[Any] = stated if type(stated) is list else [stated]
    if not all(type(value) is str for value in values):
        raise checks.fail("audience", found=values, wanted="texts")
    checks.require(
        "audience",
        any(client_ids is None or value in client_ids for value in values),
        found=", ".join(values),
        wanted="one of the provider's client ids: " + ", ".join(client_ids or ()),
    )
    return tuple(values)
