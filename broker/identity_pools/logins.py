"""The tokens that an app presents (`Logins`): each is proven, or the request is refused.

What a client reads is AWS's sentence where it is known; the journal names the check that failed.
"""

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec.structs import replace

from broker.access.identity_stores import ProvenPerson, admitted
from broker.assertions.checks import CheckFailed, Checks
from broker.assertions.key_sets import VerificationKey
from broker.assertions.unverified_token import UnverifiedToken, read_token
from broker.assertions.web_identity import WebIdentityClaims, unverified_issuer, verify_web_identity
from broker.errors import Refusal
from broker.federation.federation import LONGEST_LEEWAY
from broker.federation.provider_keys import ProviderUnreachable
from broker.federation.replay import use_once
from broker.identity_pools.developer_tokens import LOGIN, open_developer_token
from broker.identity_pools.providers import PoolProvider, find_pool_provider
from broker.identity_pools.refusals import not_authorized
from broker.operation import Call
from broker.storage.identity_pool_records import IdentityPoolRecord, identity_shard, login_key
from broker.storage.people_collections import LINKED_LOGINS

_NOT_VALID = "Invalid login token. The token could not be validated."
_SENTENCES = {
    "token": "Invalid login token. Not a valid OpenId Connect identity token.",
    "issuer": "Invalid login token. Issuer doesn't match providerName",
    "audience": "Invalid login token. Incorrect token audience.",
}


class ProvenLogin(msgspec.Struct, frozen=True):
    """A subject of `provider` (the name in `Logins`), by a token that was verified; `key` is that of its role mapping.

    `use` is what tells the token from all others, `expires_at` when it cannot be used any more. `tags` are session tags
    that the token itself gives. `store_users` are who the subject is in an identity store of the provider.
    """

    provider: str
    key: str
    subject: str
    audience: str
    claims: Mapping[str, Any]
    use: str
    expires_at: float
    tags: Mapping[str, str] = {}
    store_users: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"ProvenLogin({self.provider}, {self.subject!r})"


async def proven_logins(
    call: Call, pool: IdentityPoolRecord, unverified_logins: Mapping[str, str]
) -> tuple[ProvenLogin, ...]:
    """All of them; raises NotAuthorizedException where one is not of a provider of the pool, or not valid."""
    return tuple([await _proven(call, pool, name, token) for name, token in unverified_logins.items()])


async def _proven(
    call: Call, pool: IdentityPoolRecord, unverified_name: str, unverified_token: str
) -> ProvenLogin:
    if unverified_name == LOGIN:
        return await _developer(call, pool, unverified_token)
    provider = await find_pool_provider(call.store, pool, unverified_name)
    if provider is None:
        message = "Token is not from a supported provider of this identity pool."
        raise not_authorized(message, f"pool {pool.pool_id} has no provider {unverified_name!r}")
    checks = Checks()
    try:
        token = read_token(unverified_token, checks)
        issuer = _required_issuer(call, provider, token, checks)
        keys = await _keys(call, provider, token)
        identity = verify_web_identity(
            token,
            keys,
            issuer=issuer,
            client_ids=provider.client_ids,
            now=call.now,
            checks=checks,
            leeway=call.federation.leeway,
        )
    except CheckFailed as failed:
        raise _refusal_of(failed, call.now) from None
    login = _login_of(provider, token, identity)
    person = ProvenPerson(identity.subject, identity.claims)
    try:
        users = await admitted(call.store, pool.account_id, provider.key, person, checks)
    except CheckFailed as failed:
        raise _refusal_of(failed, call.now) from None
    return replace(login, store_users=users)


async def _developer(call: Call, pool: IdentityPoolRecord, unverified_token: str) -> ProvenLogin:
    """A user for whom the app's own server vouches, as long as the identity is still linked to that user."""
    token = open_developer_token(call.mint.keyring(), unverified_token, pool.pool_id, call.now)
    if token is None or token.provider != pool.developer_provider:
        raise not_authorized(_NOT_VALID, f"the broker has made no such token for pool {pool.pool_id}")
    if call.now >= token.expires_at:
        message = f"Invalid login token. Token expired: {int(call.now)} >= {token.expires_at}"
        raise not_authorized(message, "check failed: expiry")
    key = login_key(pool.pool_id, token.provider, token.user)
    linked = await call.store.find(LINKED_LOGINS, identity_shard(pool.pool_id), key)
    if linked is None or linked.identity_id != token.identity_id:
        raise not_authorized(_NOT_VALID, f"{token.user!r} is not linked to {token.identity_id} any more")
    proven = developer_login(pool, token.provider, token.user)
    return replace(proven, use=unverified_token, expires_at=token.expires_at, tags=token.tags)


def developer_login(pool: IdentityPoolRecord, provider: str, user: str) -> ProvenLogin:
    """INVARIANT: the app's own server, which has the permission, says so."""
    claims = {"iss": LOGIN, "sub": user}
    return ProvenLogin(provider, provider, user, pool.pool_id, claims, "", 0.0)


def _required_issuer(call: Call, provider: PoolProvider, token: UnverifiedToken, checks: Checks) -> str:
    """What the token states, if it is the provider's; a token of this broker is never one."""
    stated = unverified_issuer(token)
    is_own = call.federation.issuer.is_own(stated)
    checks.require(
        "issuer",
        stated in provider.issuers and not is_own,
        found=stated,
        wanted=f"{' or '.join(provider.issuers)}, which is not this broker",
    )
    assert stated is not None, "it was required"
    return stated


async def _keys(call: Call, provider: PoolProvider, token: UnverifiedToken) -> tuple[VerificationKey, ...]:
    issuer = provider.issuers[0]
    try:
        return await call.federation.keys.get(issuer, token.key_id, provider.thumbprints)
    except ProviderUnreachable as error:
        message = "The keys of the identity provider cannot be fetched now."
        raise Refusal("ExternalServiceException", message, reason=f"{issuer}: {error}") from None


def _login_of(provider: PoolProvider, token: UnverifiedToken, identity: WebIdentityClaims) -> ProvenLogin:
    audience = next(one for one in identity.audience if one in provider.client_ids)
    return ProvenLogin(
        provider.name,
        provider.key_for(audience),
        identity.subject,
        audience,
        identity.claims,
        str(identity.claims.get("jti") or token.signing_input),
        identity.expires_at + LONGEST_LEEWAY,
    )


def _refusal_of(failed: CheckFailed, now: float) -> Refusal:
    check, reason = failed.check, f"check failed: {failed}"
    if check.name == "expiry":
        message = f"Invalid login token. Token expired: {int(now)} >= {check.found}"
        return not_authorized(message, reason)
    return not_authorized(_SENTENCES.get(check.name, _NOT_VALID), reason)


async def require_unused(call: Call, pool: IdentityPoolRecord, logins: tuple[ProvenLogin, ...]) -> None:
    """Where the operator wants each token to be traded once only, here and by AssumeRoleWithWebIdentity."""
    if not call.federation.single_use:
        return
    for one in logins:
        issuer = str(one.claims["iss"])
        if not await use_once(call.store, pool.account_id, issuer, one.use, call.now, one.expires_at):
            raise not_authorized(_NOT_VALID, f"check failed: single use: {one.provider}")
