"""ID tokens that are for a client of ours (OpenID Connect Core 1.0, 3.1.3.7), and those that answer a sign-in of it.

STS takes tokens of several applications; these are for the one that people sign in with.
"""

from collections.abc import Sequence
from hmac import compare_digest

from broker.assertions.checks import Checks
from broker.assertions.key_sets import VerificationKey
from broker.assertions.unverified_token import UnverifiedToken
from broker.assertions.web_identity import WebIdentityClaims, verify_web_identity

_LONGEST_NAME = 64  # characters


def verify_sign_in(
    token: UnverifiedToken,
    keys: Sequence[VerificationKey],
    *,
    issuer: str,
    client_id: str,
    nonce: str,
    now: float,
    leeway: int,
    checks: Checks,
) -> WebIdentityClaims:
    """Who has signed in; raises CheckFailed."""
    identity = verify_for_client(
        token, keys, issuer=issuer, client_id=client_id, now=now, leeway=leeway, checks=checks
    )
    found = token.claims.get("nonce")
    is_ours = type(found) is str and compare_digest(found.encode(), nonce.encode())
    # The nonce of another sign-in is as secret as this one.
    checks.require("nonce", is_ours, found="another" if found else "none", wanted="that of this sign-in")
    return identity


def verify_for_client(
    token: UnverifiedToken,
    keys: Sequence[VerificationKey],
    *,
    issuer: str,
    client_id: str,
    now: float,
    leeway: int,
    checks: Checks,
) -> WebIdentityClaims:
    """The person that the issuer vouches for to this client; raises CheckFailed."""
    identity = verify_web_identity(
        token, keys, issuer=issuer, client_ids=[client_id], now=now, leeway=leeway, checks=checks
    )
    stated = token.claims.get("aud")
    audience = stated if type(stated) is list else [stated]
    # `azp`, which is checked already, does not stand for it: 3.1.3.7, steps 3 to 5.
    checks.require("audience", client_id in audience, found=stated, wanted=client_id)
    return identity


def name_in(identity: WebIdentityClaims, name_claims: tuple[str, ...]) -> str:
    """What pages call the person: the first of the claims that is a name, else the subject. It proves nothing."""
    for claim in name_claims:
        value = identity.claims.get(claim)
        if type(value) is str and value.isprintable() and value.strip():
            return value.strip()[:_LONGEST_NAME]
    return identity.subject[:_LONGEST_NAME]
