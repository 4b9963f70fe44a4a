"""Tokens that an account's issuer has issued, presented to the broker again: verified, introspected, revoked.

Introspection is RFC 7662, revocation RFC 7009. The record of a revoked token lasts until the token has expired. A
verifier of signatures alone does not learn of that: only introspection says that it is good no more. Nor is a token
good whose role or user is gone (a namesake is another one), or whose session was revoked, with the others of that
time or alone, or with the key that sealed it.
"""

from typing import Any

import msgspec

from broker.access.revocations import issued_from
from broker.access.trust import find_role
from broker.assertions.checks import CheckFailed, Checks
from broker.assertions.unverified_token import read_token
from broker.assertions.web_identity import WebIdentityClaims, verify_web_identity
from broker.credentials.issuer_keys import verification_keys
from broker.federation.federation import LONGEST_LEEWAY, Federation
from broker.names.arn import parse_arn
from broker.sealing.keyring import Keyring
from broker.storage.records import Once, Role, TokenIssuer, User
from broker.storage.store import ONCE, REVOCATIONS, USERS, Transaction
from broker.sts.session_references import require_session

# The claims of a token that introspection shows (RFC 7662, 2.2).
_INTROSPECTED = ("iss", "sub", "aud", "exp", "iat", "jti", "scope")


class OwnIssuer(msgspec.Struct, frozen=True):
    """The issuer of the endpoint: its account, its identifier and its record."""

    account: str
    identifier: str
    record: TokenIssuer


async def verify_own_token(
    federation: Federation,
    keyring: Keyring,
    store: Transaction,
    issuer: OwnIssuer,
    unverified_token: str,
    now: float,
    checks: Checks,
    *,
    audience: str | None = None,
) -> WebIdentityClaims:
    """The claims of a valid token of this issuer, for `audience` (None: for any audience).

    Raises CheckFailed.
    """
    token = read_token(unverified_token, checks)
    claims = verify_web_identity(
        token,
        verification_keys(issuer.record, now, federation.issuer.schedule),
        issuer=issuer.identifier,
        client_ids=None if audience is None else (audience,),
        now=now,
        leeway=federation.leeway,
        checks=checks,
    )
    # Without leeway: a token that has expired for its verifiers has expired here.
    checks.require(
        "own expiry", now < claims.expires_at, found=claims.expires_at, wanted=f"later than {int(now)}"
    )
    is_revoked = await store.find(ONCE, issuer.account, _revocation_key(claims)) is not None
    checks.require("revocation", not is_revoked, found="it was revoked", wanted="a token not revoked")
    await _require_standing(store, claims, checks)
    await require_session(keyring, store, claims.claims, now, checks)
    return claims


async def _require_standing(store: Transaction, claims: WebIdentityClaims, checks: Checks) -> None:
    """Raises unless the token's role or user exists and its sessions of that time have not been revoked."""
    account = parse_arn(claims.subject).account
    record = await _find_subject(store, account, claims.subject)
    checks.require(
        "subject's record",
        record is not None and record.created_at <= claims.issued_at,
        found=f"{claims.subject} is gone, or is a namesake",
        wanted="the role or user that the token was issued to",
    )
    assert record is not None
    identity = record.role_id if isinstance(record, Role) else record.user_id
    good_from = issued_from(await store.find(REVOCATIONS, account), identity)
    checks.require(
        "sessions revoked",
        claims.issued_at >= good_from,
        found=claims.issued_at,
        wanted=f"issued at {good_from} or later",
    )


async def _find_subject(store: Transaction, account: str, arn: str) -> Role | User | None:
    role = await find_role(store, arn)
    if role is not None:
        return role
    user = await store.find(USERS, account, arn.rpartition("/")[2])
    return user if user is not None and user.arn == arn else None


async def introspect(
    federation: Federation,
    keyring: Keyring,
    store: Transaction,
    issuer: OwnIssuer,
    unverified_token: str,
    now: float,
) -> dict[str, Any]:
    """The claims of a valid token; of any other only that it is inactive, without the reason."""
    try:
        claims = await verify_own_token(federation, keyring, store, issuer, unverified_token, now, Checks())
    except CheckFailed:
        return {"active": False}
    shown = {name: claims.claims[name] for name in _INTROSPECTED if name in claims.claims}
    return {"active": True, "token_type": "Bearer", **shown}


async def revoke(
    federation: Federation,
    keyring: Keyring,
    store: Transaction,
    issuer: OwnIssuer,
    unverified_token: str,
    now: float,
) -> WebIdentityClaims | None:
    """Revoke the token and return its claims; None where it is not valid, so that there is nothing to revoke.

    Everyone who has a token may revoke it.
    """
    try:
        claims = await verify_own_token(federation, keyring, store, issuer, unverified_token, now, Checks())
    except CheckFailed:
        return None
    # Until the token has expired even with the largest leeway that can be configured.
    expires_at = claims.expires_at + LONGEST_LEEWAY
    store.put(
        ONCE, issuer.account, Once(used_at=int(now)), key=_revocation_key(claims), expires_at=expires_at
    )
    return claims


def _revocation_key(claims: WebIdentityClaims) -> str:
    # This broker gives every token that it signs a unique id.
    return f"revoked-token/{claims.claims['jti']}"
