"""GetWebIdentityToken: a user or role gets a token of its account's issuer, to prove its identity to other services.

IAM User Guide, "Understanding token claims"; STS API Reference. `ou_path` is a list and `principal_id` is there, as in
AWS's tokens; the guide shows a text, and leaves the other out. A token never outlives the session that asked for it.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from broker.access.caller import Caller
from broker.access.organization import find_organization, organization_keys
from broker.access.resource import Resource
from broker.assertions.token_signing import SIGNING_ALGORITHMS
from broker.audit.event import iso_time, uuid_text
from broker.credentials.issuer_keys import signed_token
from broker.errors import Refusal, access_denied, validation_error
from broker.names.arn import sts_arn
from broker.names.principal import AssumedRole, IamUser
from broker.operation import Call, Prepared, operation
from broker.protocol.shapes import sts as shapes
from broker.storage.records import TokenIssuer
from broker.storage.store import TOKEN_ISSUERS
from broker.sts.session_references import REFERENCE_ENTROPY, session_reference
from broker.sts.session_tags import passed_tags

DEFAULT_DURATION = 300  # seconds
LARGEST_PAYLOAD = 14_984  # bytes of claims in JSON, as measured on AWS

_OWN_IDENTITY = "AWSIdentity"  # SubjectMode
_CLAIMS = "https://sts.amazonaws.com/"  # the claim that contains AWS's own claims

_NO_CLAIMS: Mapping[str, str] = {}

# Condition key of the session -> claim.
_SESSION_CLAIMS = {
    "aws:federatedprovider": "federated_provider",
    "aws:sourceidentity": "source_identity",
    "ec2:roledelivery": "ec2_role_delivery",
    "ec2:sourceinstancearn": "ec2_source_instance_arn",
}


class Asked(msgspec.Struct, frozen=True):
    """The ARN of the token's subject, and its duration in seconds."""

    subject: str
    duration: int


class IssuedToken(msgspec.Struct, frozen=True):
    """A signed token, its id, and when it expires, in epoch seconds."""

    text: str
    token_id: str
    expires_at: int

    def __repr__(self) -> str:
        return f"IssuedToken({self.token_id}, ***)"


async def asked_token(call: Call, request: shapes.GetWebIdentityTokenRequest) -> Prepared[Asked]:
    """The subject of the token, and the condition keys of its audience, its duration and its algorithm."""
    if request.signing_algorithm not in SIGNING_ALGORITHMS:
        raise validation_error(
            f"1 validation error detected: Value '{request.signing_algorithm}' at 'signingAlgorithm' failed to "
            f"satisfy constraint: Member must satisfy enum value set: [{', '.join(SIGNING_ALGORITHMS)}]"
        )
    _require_own_identity(request)
    passed_tags(request.tags)
    asked = Asked(_subject(call.caller), request.duration_seconds or DEFAULT_DURATION)
    keys: dict[str, str | tuple[str, ...]] = {
        "sts:IdentityTokenAudience": request.audience,
        "sts:DurationSeconds": str(asked.duration),
        "sts:SigningAlgorithm": request.signing_algorithm,
        "sts:SubjectMode": _OWN_IDENTITY,
    }
    return Prepared(Resource(sts_arn(call.account, "self"), keys=keys), asked)


def _require_own_identity(request: shapes.GetWebIdentityTokenRequest) -> None:
    """Sessions of this broker have no trusted identity propagation context, whose subject is OriginIdentity."""
    if request.subject_mode not in (None, _OWN_IDENTITY):
        raise validation_error(
            "The calling session has no trusted identity propagation context: SubjectMode must be AWSIdentity."
        )
    if request.scope is not None:
        raise validation_error("Scope can be given only where SubjectMode is OriginIdentity.")


def _subject(caller: Caller) -> str:
    """The ARN of the user or of the role, not of the session."""
    principal = caller.principal
    if isinstance(principal, AssumedRole):
        return principal.role_arn
    if isinstance(principal, IamUser):
        return principal.arn
    raise access_denied("Only users and roles may call GetWebIdentityToken")


@operation("sts:GetWebIdentityToken", prepare=asked_token)
async def get_web_identity_token(
    call: Call, request: shapes.GetWebIdentityTokenRequest, prepared: Prepared[Asked]
) -> shapes.GetWebIdentityTokenResponse:
    if request.tags:
        await call.require("sts:TagGetWebIdentityToken", prepared.resource)
    expires_at = int(call.now) + prepared.found.duration
    _require_within_session(call.caller, expires_at)
    issuer = await get_enabled_issuer(call)
    issued = await issued_token(call, issuer, request, prepared.found)
    return shapes.GetWebIdentityTokenResponse(web_identity_token=issued.text, expiration=issued.expires_at)


async def issued_token(
    call: Call,
    issuer: TokenIssuer,
    request: shapes.GetWebIdentityTokenRequest,
    asked: Asked,
    *,
    more_claims: Mapping[str, str] = _NO_CLAIMS,
    header_type: str = "JWT",
) -> IssuedToken:
    """The signed token for `request`, which the gate must have allowed. `header_type` is the `typ` of its header."""
    expires_at, token_id = int(call.now) + asked.duration, uuid_text(call.entropy(16))
    claims = {
        "iss": call.federation.issuer.identifier(issuer.issuer_id),
        "sub": asked.subject,
        "aud": request.audience[0] if len(request.audience) == 1 else request.audience,
        "iat": int(call.now),
        "exp": expires_at,
        "jti": token_id,
        _CLAIMS: await _own_claims(call, request, asked.subject),
        **more_claims,
    }
    if len(msgspec.json.encode(claims)) > LARGEST_PAYLOAD:
        raise Refusal("JWTPayloadSizeExceededException", "JWT payload exceeds maximum allowed size")
    claims |= session_reference(call.mint.keyring(), call.caller, call.entropy(REFERENCE_ENTROPY))
    payload = msgspec.json.encode(claims)
    text = signed_token(issuer, request.signing_algorithm, payload, call.now, header_type)
    return IssuedToken(text, token_id, expires_at)


def _require_within_session(caller: Caller, expires_at: int) -> None:
    session_ends_at = caller.token_expires_at
    if session_ends_at is not None and expires_at > session_ends_at:
        raise Refusal(
            "SessionDurationEscalationException",
            "The requested token duration would extend the session beyond its original expiration time.",
        )


async def get_enabled_issuer(call: Call) -> TokenIssuer:
    """The issuer of the caller's account; raises Refusal where it is off."""
    issuer = await call.store.find(TOKEN_ISSUERS, call.account)
    if issuer is None or not issuer.is_enabled or not call.federation.issuer.url:
        raise Refusal(
            "OutboundWebIdentityFederationDisabledException",
            "Outbound web identity federation is disabled for this account.",
            reason="" if call.federation.issuer.url else "federation.issuer_url is not set",
        )
    return issuer


async def _own_claims(call: Call, request: shapes.GetWebIdentityTokenRequest, subject: str) -> dict[str, Any]:
    """AWS's claims about the account, the principal and its session; claims without a value are omitted."""
    caller = call.caller
    known = caller.condition_keys
    claims: dict[str, Any] = {
        "aws_account": call.account,
        "source_region": call.facts.region,
        "principal_id": subject,
        **await _organization_claims(call),
        **{claim: known[key][0] for key, claim in _SESSION_CLAIMS.items() if key in known},
    }
    if caller.token_expires_at is not None:
        claims["original_session_exp"] = iso_time(caller.token_expires_at)
    if caller.tags:
        claims["principal_tags"] = dict(caller.tags)
    if request.tags:
        claims["request_tags"] = {tag.key: tag.value for tag in request.tags}
    return claims


async def _organization_claims(call: Call) -> dict[str, Any]:
    organization = await find_organization(call.store)
    keys = {} if organization is None else organization_keys(organization, call.account, None)
    if not keys:
        return {}
    return {"org_id": keys["aws:principalorgid"][0], "ou_path": keys["aws:principalorgpaths"]}
