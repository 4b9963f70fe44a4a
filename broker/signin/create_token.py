"""CreateOAuth2Token: `aws login` trades a code or its refresh token for credentials of the person who allowed it.

Where the person allowed it to act with a role, they are credentials of that role's session: they end with it.
"""

from base64 import urlsafe_b64encode

import msgspec

from broker.access.caller import Caller
from broker.access.facts import RequestFacts
from broker.access.login_clients import login_client_resource
from broker.approvals import approving_caller
from broker.assertions.checks import CheckFailed, Checks
from broker.assertions.proof_of_possession import LEEWAY, PossessionProof, verify_possession
from broker.credentials.login_sessions import begin_login, find_login, refresh_login
from broker.credentials.mint import TemporaryCredentials
from broker.credentials.sso_clients import hash_of_client
from broker.credentials.sso_codes import find_code, take_code
from broker.errors import Refusal
from broker.federation.federation import Federation
from broker.federation.replay import use_once
from broker.names.principal import IamUser, Root
from broker.operation import Call, Prepared, operation
from broker.protocol.shapes import signin as shapes
from broker.sealing.claims import AssumedRoleClaims
from broker.storage.sso_records import Approval
from broker.storage.store import Transaction

_PATH = "/v1/token"
_CREDENTIALS_SECONDS = 900
_CODE, _REFRESH = "authorization_code", "refresh_token"
_EXPIRED = {_CODE: "AUTHCODE_EXPIRED", _REFRESH: "TOKEN_EXPIRED"}

Request = shapes.CreateOAuth2TokenRequest


async def _person(
    federation: Federation, store: Transaction, facts: RequestFacts, request: Request
) -> Caller:
    """Whom the code or the refresh token is of."""
    body = request.token_input
    if body.grant_type == _CODE:
        code = await find_code(store, body.code or "", facts.now)
        approval = None if code is None else code.approval
    else:
        login = await find_login(store, body.refresh_token or "")
        approval = None if login is None else login.approval
    if approval is None:
        raise _denied(_EXPIRED[body.grant_type], "it is none that was given out, or has expired")
    try:
        return await approving_caller(federation, store, approval, facts.now)
    except Refusal as refusal:
        raise _denied("USER_CREDENTIALS_CHANGED", refusal.reason) from None


async def _proven_client(call: Call, request: Request) -> Prepared[PossessionProof]:
    body = request.token_input
    resource = login_client_resource(body.client_id, body.redirect_uri, call.facts.region, call.account)
    try:
        proof = verify_possession(request.dpop or "", "POST", request.host or "", _PATH, call.now, Checks())
    except CheckFailed as failed:
        raise Refusal(
            "ValidationException", "The DPoP proof is missing or not valid.", reason=f"DPoP: {failed}"
        ) from None
    return Prepared(resource, proof)


@operation("signin:CreateOAuth2Token", prepare=_proven_client, prove=_person)
async def create_o_auth2_token(
    call: Call, request: Request, prepared: Prepared[PossessionProof]
) -> shapes.CreateOAuth2TokenResponse:
    body, proof = request.token_input, prepared.found
    until = call.now + 2 * LEEWAY
    if not await use_once(
        call.store, call.account, f"dpop {proof.thumbprint}", proof.proof_id, call.now, until
    ):
        raise Refusal(
            "ValidationException", "The DPoP proof is missing or not valid.", reason="DPoP: used before"
        )
    try:
        approval, refresh_token = await _traded(call, body, proof.thumbprint)
    except Refusal as refusal:
        if refusal.code != "InvalidGrantException":
            raise
        raise _denied(_EXPIRED[body.grant_type], refusal.reason) from None
    return _answer(call, body, approval, refresh_token)


async def _traded(
    call: Call, body: shapes.CreateOAuth2TokenRequestBody, thumbprint: str
) -> tuple[Approval, str]:
    store, entropy, now = call.store, call.entropy, call.now
    if body.grant_type == _REFRESH:
        token = _required(body.refresh_token, "refreshToken")
        return await refresh_login(store, token, body.client_id, thumbprint, entropy, now)
    code = await take_code(
        store,
        _required(body.code, "code"),
        hash_of_client(body.client_id),
        _required(body.redirect_uri, "redirectUri"),
        _required(body.code_verifier, "codeVerifier"),
        now,
    )
    return code.approval, begin_login(store, code.approval, body.client_id, thumbprint, entropy, now)


def _answer(
    call: Call, body: shapes.CreateOAuth2TokenRequestBody, approval: Approval, refresh_token: str
) -> shapes.CreateOAuth2TokenResponse:
    duration = min(_CREDENTIALS_SECONDS, approval.ends_at - int(call.now))
    minted = _minted(call, approval, duration)
    return shapes.CreateOAuth2TokenResponse(
        token_output=shapes.CreateOAuth2TokenResponseBody(
            access_token=shapes.AccessToken(
                access_key_id=minted.access_key_id,
                secret_access_key=minted.secret.reveal(),
                session_token=minted.session_token,
            ),
            token_type="aws_sigv4",  # noqa: S106  no password
            expires_in=duration,
            refresh_token=refresh_token,
            id_token=_id_token(call, body.client_id, approval) if body.grant_type == _CODE else None,
        )
    )


def _minted(call: Call, approval: Approval, duration: int) -> TemporaryCredentials:
    claims, principal = call.caller.claims, call.caller.principal
    if approval.role_claims is not None:
        assert isinstance(claims, AssumedRoleClaims), "the session of a role was approved"
        return call.mint.scoped(claims, now=call.now, duration=duration)
    assert isinstance(principal, IamUser | Root), "who acts as themselves is one of the two"
    return call.mint.session_token(
        principal,
        now=call.now,
        duration=duration,
        mfa_authenticated_at=approval.mfa_authenticated_at,
        mfa_serial=approval.mfa_serial,
        issuer_access_key_id=approval.access_key_id,
    )


def _id_token(call: Call, client_id: str, approval: Approval) -> str:
    """Who has signed in, for the client alone: it came from the token endpoint itself, so it has no signature (OpenID
    Connect Core 1.0, 2: "none" is for tokens of the code flow; the client verifies none).
    """
    claims = {
        "iss": call.portal_url,
        "sub": call.caller.principal.arn,
        "aud": client_id,
        "iat": int(call.now),
        "exp": approval.ends_at,
    }
    parts = (msgspec.json.encode(part) for part in ({"alg": "none", "typ": "JWT"}, claims))
    return ".".join([*(urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts), ""])


def _required(value: str | None, name: str) -> str:
    if value is None:
        raise Refusal("ValidationException", f"This grant type needs {name}.")
    return value


def _denied(error: str, reason: str) -> Refusal:
    return Refusal(
        "AccessDeniedException",
        "The code or the refresh token is not valid any more. Sign in again.",
        reason=reason,
        status=400,
        oauth_error=error,
    )
