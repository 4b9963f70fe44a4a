"""ID tokens that answer a sign-in of ours (OpenID Connect Core 1.0, 3.1.3.7): for our client, and for this sign-in.

STS takes tokens of several applications; a sign-in takes the one that it has asked for.
"""

from collections.abc import Sequence
from hmac import compare_digest

from broker.assertions.checks import Checks
from broker.assertions.json_web_token import UnverifiedToken
from broker.assertions.key_sets import VerificationKey
from broker.assertions.web_identity import WebIdentityClaims, verify_web_identity


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
    identity = verify_web_identity(
        token, keys, issuer=issuer, client_ids=[client_id], now=now, leeway=leeway, checks=checks
    )
    stated = token.claims.get("aud")
    audience = stated if type(stated) is list else [stated]
    # `azp`, which is checked already, does not stand for it: 3.1.3.7, steps 3 to 5.
    checks.require("audience", client_id in audience, found=stated, wanted=client_id)
    found = token.claims.get("nonce")
    is_ours = type(found) is str and compare_digest(found.encode(), nonce.encode())
    # The nonce of another sign-in is as secret as this one.
    checks.require("nonce", is_ours, found="another" if found else "none", wanted="that of this sign-in")
    return identity
