"""OAuth 2.0 Token Exchange (RFC 8693): a proof of identity is exchanged for credentials or a token of a role.

Nothing is decided here that STS does not decide: each kind of subject token is the request of an STS operation, with
the operation's own proof, the gate that it passes and the session that it mints.

| subject token | operation |
|---|---|
| a token of a registered OpenID Connect provider | AssumeRoleWithWebIdentity |
| a SAML response, or an assertion that is signed itself | AssumeRoleWithSAML |
| a request that AWS credentials have signed: this very one | AssumeRole |
| an access token of this issuer, for this issuer | AssumeRole, by the session that the token is of |

An access token is one of GetWebIdentityToken, which that session then has to be allowed for the audience.

INVARIANT: what limits a session limits what is exchanged for it. A token of GetWebIdentityToken says who its principal
is and not what limits the session that asked for it, so it is no subject token. An access token for the issuer itself
carries its session, sealed.
"""

from base64 import b64encode, urlsafe_b64decode
from binascii import Error as NotBase64
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from msgspec.structs import replace

from broker.access.caller import Caller
from broker.access.facts import RequestFacts
from broker.access.restrictions import refuse_restricted
from broker.access.sessions import opened_caller
from broker.assertions.checks import CheckFailed, Checks
from broker.assertions.token_signing import RS256
from broker.errors import Refusal
from broker.federation.federation import Federation
from broker.operation import Call, Prepared, find_operation, model, perform
from broker.protocol.request import read_request
from broker.protocol.shapes import sts as shapes
from broker.sealing.envelope import SealBroken
from broker.sealing.keyring import Keyring
from broker.sealing.session import SessionExpired, open_session, require_current
from broker.storage.store import Transaction
from broker.sts.assume_role_with_saml import prove_saml
from broker.sts.assume_role_with_web_identity import prove_web_identity
from broker.sts.issued_tokens import OwnIssuer, verify_own_token
from broker.sts.session_policies import NOT_ATTACHABLE
from broker.sts.token_requests import (
    ACCESS_TOKEN,
    CREDENTIALS,
    SAML2,
    SIGNED_REQUEST,
    ExchangeRequest,
    invalid_request,
)
from broker.sts.web_identity_token import DEFAULT_DURATION, IssuedToken, asked_token, issued_token

DEFAULT_SESSION_NAME = "token-exchange"
SESSION_CLAIM = "urn:x-aws:session"  # the token's session, sealed; only the broker can open it
HEADER_TYPE = "at+jwt"  # as RFC 9068 calls an access token that is a JWT

_NOT_GOOD = "The subject token is not valid."

# Error codes that are not caused by the subject token.
_OWN_FAULTS = {"ServiceUnavailable": "temporarily_unavailable", "InternalFailure": "server_error"}

# The proof of a caller by the signature of the request itself.
Signed = Callable[[], Awaitable[Caller]]


class ProvenSubject(msgspec.Struct, frozen=True):
    """The proven caller, and the operation of the exchange: its name and its request."""

    caller: Caller
    operation: str
    request: Any


class Exchanged(msgspec.Struct, frozen=True):
    """The answer of the operation, and the token where one was requested."""

    answer: Any
    token: IssuedToken | None = None


async def prove_subject(
    federation: Federation,
    store: Transaction,
    facts: RequestFacts,
    keyring: Keyring,
    issuer: OwnIssuer,
    asked: ExchangeRequest,
    signed: Signed,
) -> ProvenSubject:
    """Raises Refusal: for a subject token as the operation does, for a signed request as `signed` does."""
    checks = Checks()
    if asked.subject_token_type == SIGNED_REQUEST:
        caller = await signed()
        if caller.access_key_id != asked.unverified_subject_token:
            raise invalid_request(
                "The subject token has to be the id of the access key that signs the request."
            )
        return _assuming(caller, asked)
    if asked.subject_token_type == ACCESS_TOKEN:
        caller = await _own_session(federation, store, facts.now, keyring, issuer, asked, checks)
        return _assuming(caller, asked)
    if asked.subject_token_type == SAML2:
        name, request = "AssumeRoleWithSAML", _request("AssumeRoleWithSAML", asked, **_saml(asked))
        caller = await prove_saml(federation, store, facts.now, request, checks, or_assertion=True)
        return ProvenSubject(caller, name, request)
    name = "AssumeRoleWithWebIdentity"
    token = {"WebIdentityToken": asked.unverified_subject_token, "RoleSessionName": _session_name(asked)}
    request = _request(name, asked, **token)
    return ProvenSubject(
        await prove_web_identity(federation, store, facts.now, request, checks), name, request
    )


def _assuming(caller: Caller, asked: ExchangeRequest) -> ProvenSubject:
    refuse_restricted(caller, "sts", "AssumeRole")
    return ProvenSubject(
        caller, "AssumeRole", _request("AssumeRole", asked, RoleSessionName=_session_name(asked))
    )


def _session_name(asked: ExchangeRequest) -> str:
    return DEFAULT_SESSION_NAME if asked.role_session_name is None else asked.role_session_name


def _saml(asked: ExchangeRequest) -> dict[str, str]:
    assert asked.provider_arn is not None, "a SAML assertion is read with its provider"
    return {"PrincipalArn": asked.provider_arn, "SAMLAssertion": _saml_text(asked.unverified_subject_token)}


def _saml_text(unverified_text: str) -> str:
    """Converts base64url, which the RFC uses, to the plain base64 of STS."""
    text = unverified_text.rstrip("=")
    try:
        if not text.isascii() or "+" in text or "/" in text:
            raise ValueError("not base64url")
        return b64encode(urlsafe_b64decode(text + "=" * (-len(text) % 4))).decode()
    except (NotBase64, ValueError):
        raise invalid_request(
            _NOT_GOOD, reason="check failed: document: found other text, wanted base64url"
        ) from None


def _request(operation: str, asked: ExchangeRequest, **parameters: str) -> Any:
    """The operation's request, checked by every constraint of its model."""
    policies = {f"PolicyArns.member.{number}.arn": arn for number, arn in enumerate(asked.policy_arns, 1)}
    # A token's duration is not that of its session.
    is_timed = asked.duration is not None and asked.issued_token_type == CREDENTIALS
    duration = {"DurationSeconds": str(asked.duration)} if is_timed else {}
    return read_request(
        model("sts"), operation, {"RoleArn": asked.role_arn, **parameters, **policies, **duration}
    )


async def _own_session(
    federation: Federation,
    store: Transaction,
    now: float,
    keyring: Keyring,
    issuer: OwnIssuer,
    asked: ExchangeRequest,
    checks: Checks,
) -> Caller:
    token = asked.unverified_subject_token
    return await session_of_access_token(federation, store, now, keyring, issuer, token, checks)


async def session_of_access_token(
    federation: Federation,
    store: Transaction,
    now: float,
    keyring: Keyring,
    issuer: OwnIssuer,
    unverified_token: str,
    checks: Checks,
) -> Caller:
    """The session of an access token of this issuer, in its current state; raises Refusal."""
    try:
        claims = await verify_own_token(
            federation, keyring, store, issuer, unverified_token, now, checks, audience=issuer.identifier
        )
        session = claims.claims.get(SESSION_CLAIM)
        wanted = f"an access token that was exchanged for the audience {issuer.identifier}"
        if type(session) is not str:
            raise checks.fail("session", found="none", wanted=wanted)
        opened = open_session(keyring, session)
        require_current(opened, opened.claims.access_key_id, now)
    except CheckFailed as failed:
        raise invalid_request(_NOT_GOOD, reason=f"check failed: {failed}") from None
    except (SessionExpired, SealBroken) as broken:
        raise invalid_request(_NOT_GOOD, reason=f"check failed: session: {broken.reason}") from None
    return await opened_caller(store, opened)


async def exchange(
    call: Call, issuer: OwnIssuer, asked: ExchangeRequest, subject: ProvenSubject
) -> Exchanged:
    """Perform the operation, and issue the token where one is requested; the caller of `call` is the subject."""
    answer = await perform(find_operation("sts", subject.operation), call, subject.request)
    if asked.issued_token_type == CREDENTIALS:
        return Exchanged(answer)
    text = answer.credentials.session_token
    opened = open_session(call.mint.keyring(), text)
    session = replace(call, caller=await opened_caller(call.store, opened))
    left = opened.claims.expires_at - int(call.now)
    request = shapes.GetWebIdentityTokenRequest(
        audience=asked.audience,
        signing_algorithm=RS256,
        duration_seconds=min(asked.duration or DEFAULT_DURATION, left),
    )
    prepared = await asked_token(session, request)
    assert isinstance(prepared, Prepared)
    await session.require("sts:GetWebIdentityToken", prepared.resource)
    more = {"scope": " ".join(asked.policy_arns)} if asked.policy_arns else {}
    if asked.audience == (issuer.identifier,):  # else other audiences could exchange it, too
        more[SESSION_CLAIM] = text
    token = await issued_token(
        session, issuer.record, request, prepared.found, more_claims=more, header_type=HEADER_TYPE
    )
    return Exchanged(answer, token)


def as_oauth_refusal(refusal: Refusal) -> Refusal:
    """The refusal of an operation with a code of RFC 6749, 5.2, or RFC 8693, 2.2.2; the reason keeps AWS's.

    "If either the subject_token or actor_token are invalid for any reason, or are unacceptable based on policy", it is
    invalid_request; what is not given for the role is invalid_target.
    """
    if refusal.code.islower():
        return refusal
    code, status = _OWN_FAULTS.get(refusal.code, "invalid_request"), refusal.status
    if refusal.code in _OWN_FAULTS:
        status = 503 if refusal.code == "ServiceUnavailable" else 500
    elif refusal.code == "AccessDenied":
        code = "invalid_target"
    elif refusal.message.endswith(NOT_ATTACHABLE):
        code = "invalid_scope"
    reason = f"{refusal.code}: {refusal.reason or refusal.message}"
    return Refusal(code, refusal.message, reason=reason, status=status)
