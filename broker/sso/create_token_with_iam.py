"""CreateTokenWithIAM: an application that signs its requests trades a person's ID token for an access token (RFC 7523).

The gate is asked whether the caller may (`sso-oauth:CreateTokenWithIAM`) for the application that it says it is, by
an ARN of its own account. Applications are not registered: policies say who may act as which. The token has to be one
that an OpenID Connect provider of the portal's settings has issued for the portal's client, so it gives no roles
beyond those that it gives to whoever trades it with AssumeRoleWithWebIdentity. The access token ends with it, is not
refreshed, and does what one of `aws sso login` does.
"""

import re

from broker.access.resource import Resource
from broker.approvals import require_admitted_person
from broker.assertions.checks import CheckFailed, Checks
from broker.assertions.sign_in_token import verify_for_client
from broker.assertions.unverified_token import read_token
from broker.assertions.web_identity import WebIdentityClaims, unverified_issuer
from broker.credentials.sso_clients import ACCOUNT_ACCESS, hash_of_client
from broker.credentials.sso_sessions import (
    ACCESS_SECONDS,
    begin_session,
    invalid_grant,
    new_session_id,
)
from broker.errors import Refusal
from broker.federation.openid_connect import OpenIdConnectSignIn, identity_of
from broker.federation.provider_keys import ProviderUnreachable
from broker.federation.replay import use_once
from broker.operation import Call, Prepared, operation
from broker.protocol.shapes import sso_oidc as shapes
from broker.storage.portal_records import OpenIdConnectIdentity
from broker.storage.sso_records import Approval

_JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"  # noqa: S105  no password
_is_application = re.compile(r"arn:aws:sso::([0-9]{12}):application/[\w+=,.@/-]{1,200}", re.ASCII).fullmatch


async def _application(call: Call, request: shapes.CreateTokenWithIAMRequest) -> Prepared[str]:
    named = _is_application(request.client_id)
    if named is None or named[1] != call.account:
        raise Refusal(
            "InvalidClientException",
            "The client is an application of the caller's account: arn:aws:sso::ACCOUNT:application/NAME.",
        )
    return Prepared(Resource(request.client_id, call.account), request.client_id)


@operation("sso-oidc:CreateTokenWithIAM", prepare=_application, judged_as="sso-oauth:CreateTokenWithIAM")
async def create_token_with_iam(
    call: Call, request: shapes.CreateTokenWithIAMRequest, prepared: Prepared[str]
) -> shapes.CreateTokenWithIAMResponse:
    if request.grant_type != _JWT_BEARER:
        raise Refusal("UnsupportedGrantTypeException", f"The only grant type is {_JWT_BEARER}.")
    if set(request.scope) - {ACCOUNT_ACCESS}:
        raise Refusal("InvalidScopeException", f"The only scope is {ACCOUNT_ACCESS}.")
    if request.assertion is None:
        raise Refusal("InvalidRequestException", "This grant type needs assertion.")
    identity = await _proven(call, request.assertion)
    try:
        await require_admitted_person(call.federation.sign_ins, call.store, identity, int(call.now))
    except Refusal as refusal:
        raise invalid_grant(refusal.reason) from None
    approval = Approval(
        session_id=new_session_id(identity.subject, call.entropy),
        identity=identity,
        access_key_id="",
        signed_in_at=int(call.now),
        ends_at=min(identity.expires_at, int(call.now) + ACCESS_SECONDS),
    )
    name, client = prepared.found.rpartition("/")[2], hash_of_client(prepared.found)
    tokens = begin_session(call.store, approval, client, name, call.entropy, call.now, is_refreshable=False)
    return shapes.CreateTokenWithIAMResponse(
        access_token=tokens.access_token,
        token_type="Bearer",  # noqa: S106  no password
        expires_in=tokens.expires_in,
        issued_token_type=_ACCESS_TOKEN,
        scope=(ACCOUNT_ACCESS,),
    )


async def _proven(call: Call, unverified_token: str) -> OpenIdConnectIdentity:
    """The person that the token vouches for; raises InvalidGrantException, and the journal names the failed check."""
    federation, checks = call.federation, Checks()
    try:
        token = read_token(unverified_token, checks)
        sign_in = _issuer_of(federation.sign_ins.openid_connect, unverified_issuer(token), checks)
        keys = await federation.keys.get(sign_in.issuer, token.key_id)
        claims = verify_for_client(
            token,
            keys,
            issuer=sign_in.issuer,
            client_id=sign_in.client_id,
            now=call.now,
            leeway=federation.leeway,
            checks=checks,
        )
    except CheckFailed as failed:
        raise invalid_grant(f"check failed: {failed}") from None
    except ProviderUnreachable as error:
        raise invalid_grant(f"check failed: provider's keys: {error}") from None
    if federation.single_use:
        await _require_unused(call, claims, token.signing_input)
    return identity_of(sign_in, claims)


def _issuer_of(
    known: tuple[OpenIdConnectSignIn, ...], issuer: str | None, checks: Checks
) -> OpenIdConnectSignIn:
    for one in known:
        if one.issuer == issuer:
            return one
    raise checks.fail("issuer", found=issuer, wanted="that of an entry of portal.openid_connect")


async def _require_unused(call: Call, claims: WebIdentityClaims, signing_input: str) -> None:
    identifier = f"token with IAM {claims.claims.get('jti') or signing_input}"
    until = claims.expires_at + call.federation.leeway
    if not await use_once(call.store, "", claims.issuer, identifier, call.now, until):
        raise invalid_grant("check failed: single use: it was used before")
