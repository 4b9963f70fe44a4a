"""Tokens of this broker's own identity pools (GetOpenIdToken), for AssumeRoleWithWebIdentity.

They name Cognito as their issuer, as at AWS, and are told from AWS's by their audience, a pool of this broker. The keys
are those of the issuer of the pool's account, whose roles alone they are for. INVARIANT: what that issuer signs itself
names itself as the issuer, so neither kind is ever taken for the other.
"""

from typing import NamedTuple

from broker.access.caller import Caller
from broker.access.identity_stores import CHECK, why_inactive
from broker.access.web_identities import WELL_KNOWN, KnownProvider
from broker.assertions.checks import Checks
from broker.assertions.key_sets import VerificationKey
from broker.assertions.unverified_token import UnverifiedToken
from broker.assertions.web_identity import WebIdentityClaims, unverified_issuer
from broker.credentials.issuer_keys import verification_keys
from broker.federation.federation import Federation
from broker.storage.identity_pool_records import STORE_USERS_CLAIM
from broker.storage.people_collections import IDENTITY_POOL_OWNERS, IDENTITY_POOLS
from broker.storage.store import TOKEN_ISSUERS, Transaction

COGNITO = "https://cognito-identity.amazonaws.com"
_LONGEST_POOL_ID = 55  # the model's IdentityPoolId


class PoolKeys(NamedTuple):
    """Who the token is of, and the keys that verify it; none where its pool gives no such tokens."""

    provider: KnownProvider
    keys: tuple[VerificationKey, ...]


async def find_pool_keys(
    federation: Federation, store: Transaction, account: str, token: UnverifiedToken, now: float
) -> PoolKeys | None:
    """None where the token is not of a pool of this broker: AWS's Cognito is another issuer of the same name."""
    audience = token.claims.get("aud")
    if (
        unverified_issuer(token) != COGNITO
        or not isinstance(audience, str)
        or len(audience) > _LONGEST_POOL_ID
    ):
        return None
    owner = await store.find(IDENTITY_POOL_OWNERS, "", audience)
    if owner is None:
        return None
    provider = KnownProvider(COGNITO, WELL_KNOWN[COGNITO], (owner.pool_id,))
    pool = await store.find(IDENTITY_POOLS, owner.account_id, owner.pool_id)
    issuer = await store.find(TOKEN_ISSUERS, owner.account_id)
    if owner.account_id != account or pool is None or not pool.allow_classic_flow:
        return PoolKeys(provider, ())
    # Who turns the issuer off expects that nobody comes in by it any more.
    if issuer is None or not issuer.is_enabled:
        return PoolKeys(provider, ())
    return PoolKeys(provider, verification_keys(issuer, now, federation.issuer.schedule))


async def as_store_users(
    store: Transaction, caller: Caller, identity: WebIdentityClaims, checks: Checks
) -> Caller:
    """The identity as the users of identity stores that its logins are; raises CheckFailed where one is not active."""
    users = tuple(map(str, identity.claims.get(STORE_USERS_CLAIM, ())))
    inactive = await why_inactive(store, users, identity.issued_at)
    checks.require(CHECK, not inactive, found=inactive, wanted="people who are active")
    return caller.given_to(users)
