"""AssumeRoleWithWebIdentity: a subject of an OpenID Connect provider assumes a role that trusts the provider.

STS API Reference. The provider is the one of the role's account whose URL the token names as its issuer; Google and
Cognito are known to every account, and so are Amazon and Facebook, whose access tokens come with a ProviderId. The
sentences that a client reads are AWS's; the journal names the failed check.
"""

from broker.access.assumable import account_of_role
from broker.access.caller import Caller
from broker.access.facts import RequestFacts
from broker.access.identity_stores import CHECK, ProvenPerson, with_store_users
from broker.access.web_identities import KnownProvider, find_provider, web_identity_caller_in
from broker.assertions.checks import CheckFailed, Checks
from broker.assertions.key_sets import VerificationKey
from broker.assertions.unverified_token import UnverifiedToken, read_token
from broker.assertions.web_identity import (
    WebIdentityClaims,
    unverified_issuer,
    verify_web_identity,
)
from broker.errors import Refusal
from broker.federation.federation import LONGEST_LEEWAY, Federation
from broker.federation.provider_keys import ProviderUnreachable
from broker.federation.replay import use_once
from broker.operation import Absent, Call, Prepared, operation
from broker.protocol.shapes import sts as shapes
from broker.storage.store import Transaction
from broker.sts.access_token_identity import prove_access_token, refuse_any_application
from broker.sts.answers import credentials_shape
from broker.sts.asserted_roles import AssertedRole, asserted_role, minted_session, refused_assertion
from broker.sts.pool_tokens import as_store_users, find_pool_keys

_NOT_A_JWT = "The ID Token provided is not a valid JWT. (You may see this error if you sent an Access Token)"
_NO_KEY = (
    "Couldn't retrieve verification key from your identity provider,  please reference "
    "AssumeRoleWithWebIdentity documentation for requirements"
)

# The check that failed -> error code and message; failures of other checks get no explanation.
_SENTENCES = {
    "key": ("InvalidIdentityToken", _NO_KEY),
    "audience": ("InvalidIdentityToken", "Incorrect token audience"),
    # As where no trust policy admits the subject.
    CHECK: ("AccessDenied", "Not authorized to perform sts:AssumeRoleWithWebIdentity"),
    "redemption": ("ExpiredTokenException", "Token must be redeemed within 24 hours of issuance"),
}
# As on AWS: else a session could be exchanged for another again and again, past its expiry and its limits.
_OWN_TOKEN = (
    "InvalidIdentityToken",
    "A token that GetWebIdentityToken of this broker has issued cannot be traded for its credentials.",
)
_NOT_VALIDATED = ("InvalidIdentityToken", "The web identity token that was passed could not be validated.")


async def web_identity_caller(
    federation: Federation,
    store: Transaction,
    facts: RequestFacts,
    request: shapes.AssumeRoleWithWebIdentityRequest,
) -> Caller:
    """The subject that the token proves; raises Refusal as STS does."""
    return await prove_web_identity(federation, store, facts.now, request, Checks())


async def prove_web_identity(
    federation: Federation,
    store: Transaction,
    now: float,
    request: shapes.AssumeRoleWithWebIdentityRequest,
    checks: Checks,
) -> Caller:
    """As `web_identity_caller`, with every check noted in `checks`, the one that failed last."""
    if request.provider_id is not None:
        return await prove_access_token(federation, store, now, request, checks)
    account = account_of_role(request.role_arn)
    try:
        token = read_token(request.web_identity_token, checks)
    except CheckFailed as failed:
        raise refused_assertion("InvalidIdentityToken", _NOT_A_JWT, failed) from None
    if federation.issuer.is_own(unverified_issuer(token)):
        raise refused_assertion(
            *_OWN_TOKEN, checks.fail("provider", found="this broker itself", wanted="another issuer")
        )
    of_pool = await find_pool_keys(federation, store, account, token, now)
    if of_pool is not None:
        provider, keys = of_pool
    else:
        provider = await _require_provider(store, account, token, checks)
        keys = await _get_keys(federation, provider, token, checks)
    try:
        identity = verify_web_identity(
            token,
            keys,
            issuer=str(token.claims["iss"]),
            client_ids=provider.client_ids,
            now=now,
            leeway=federation.leeway,
            checks=checks,
        )
        caller = web_identity_caller_in(account, provider, identity, checks)
        person = ProvenPerson(identity.subject, identity.claims)
        caller = await with_store_users(store, caller, person, checks)
        if of_pool is not None:
            caller = await as_store_users(store, caller, identity, checks)
    except CheckFailed as failed:
        raise _refusal_of(failed, now) from None
    if federation.single_use:
        await _require_unused(store, account, identity, token, now, checks)
    return caller


async def _require_provider(
    store: Transaction, account: str, token: UnverifiedToken, checks: Checks
) -> KnownProvider:
    """Raises InvalidIdentityToken where the account has no provider of the token's issuer."""
    stated = unverified_issuer(token)
    provider = await find_provider(store, account, stated)
    if provider is None:
        wanted = f"the URL of a provider of account {account}"
        message = f"No OpenIDConnect provider found in your account for {stated}"
        failed = checks.fail("provider", found=stated, wanted=wanted)
        raise refused_assertion("InvalidIdentityToken", message, failed)
    checks.require("provider", True, found=provider.name)
    return provider


async def _get_keys(
    federation: Federation, provider: KnownProvider, token: UnverifiedToken, checks: Checks
) -> tuple[VerificationKey, ...]:
    try:
        keys = await federation.keys.get(provider.issuer, token.key_id, provider.thumbprints)
    except ProviderUnreachable as error:
        failed = checks.fail(
            "provider's keys", found=error, wanted=f"the keys that {provider.issuer} publishes"
        )
        raise refused_assertion("InvalidIdentityToken", _NO_KEY, failed) from None
    checks.require("provider's keys", True, found=", ".join(key.key_id or "(without id)" for key in keys))
    return keys


def _refusal_of(failed: CheckFailed, now: float) -> Refusal:
    check = failed.check
    if check.name == "expiry":
        message = f"Token expired: current date/time {int(now)} must be before the expiration date/time {check.found}"
        return refused_assertion("ExpiredTokenException", message, failed)
    return refused_assertion(*_SENTENCES.get(check.name, _NOT_VALIDATED), failed)


async def _require_unused(
    store: Transaction,
    account: str,
    identity: WebIdentityClaims,
    token: UnverifiedToken,
    now: float,
    checks: Checks,
) -> None:
    """By the token's own id where it has one, else by the signed part of it.

    Not by the signature: from an ECDSA signature, everyone can compute a second one that is valid as well.
    """
    identifier = str(identity.claims.get("jti") or token.signing_input)
    expires_at = identity.expires_at + LONGEST_LEEWAY
    is_first = await use_once(store, account, identity.issuer, identifier, now, expires_at)
    try:
        checks.require(
            "single use", is_first, found=f"{identifier} was used before", wanted="a token not used yet"
        )
    except CheckFailed as failed:
        raise refused_assertion(*_NOT_VALIDATED, failed) from None


async def role_for_web_identity(
    call: Call, request: shapes.AssumeRoleWithWebIdentityRequest
) -> Prepared[AssertedRole] | Absent:
    return await asserted_role(call, request.role_arn, request.role_session_name)


@operation("sts:AssumeRoleWithWebIdentity", prepare=role_for_web_identity, prove=web_identity_caller)
async def assume_role_with_web_identity(
    call: Call, request: shapes.AssumeRoleWithWebIdentityRequest, prepared: Prepared[AssertedRole]
) -> shapes.AssumeRoleWithWebIdentityResponse:
    asserted, session = call.caller.asserted, prepared.found.session
    assert asserted is not None, "the proof of this flow made the caller"
    if refusal := await refuse_any_application(call, prepared.resource, Checks()):
        raise refusal
    minted = await minted_session(call, request, prepared)
    return shapes.AssumeRoleWithWebIdentityResponse(
        credentials=credentials_shape(minted),
        subject_from_web_identity_token=asserted.subject,
        assumed_role_user=shapes.AssumedRoleUser(assumed_role_id=session.user_id, arn=session.arn),
        packed_policy_size=minted.packed_policy_size,
        provider=call.caller.principal.arn,
        audience=asserted.audience,
        source_identity=asserted.attributes.source_identity,
        session_token_utilization=minted.utilization,
        session_token_size=minted.token_size,
    )
