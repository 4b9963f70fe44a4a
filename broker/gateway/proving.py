"""The caller of a request to S3: proven as everywhere, refused with S3's codes and sentences."""

from broker.access.caller import Caller
from broker.access.prove import Prover
from broker.errors import Refusal
from broker.gateway.refusals import access_denied
from broker.names.principal import Anonymous
from broker.sigv4.authorization import UnverifiedAuthorization, UnverifiedRequest, find_authorization
from broker.sigv4.verify import VerifiedRequest
from broker.storage.store import Transaction

SERVICE = "s3"
SKEW = 900  # seconds; "the difference between the request time and the server's time is too large"

ANONYMOUS = Caller(principal=Anonymous(), account="")

_OF_VERSION_2 = "&AWSAccessKeyId="

# Codes of the query services -> those of S3, with its sentences.
_OF_TOKENS = {
    "InvalidClientTokenId": ("InvalidToken", "The provided token is malformed or otherwise invalid."),
    "ExpiredToken": ("ExpiredToken", "The provided token has expired."),
}
_UNKNOWN_KEY = ("InvalidAccessKeyId", "The AWS Access Key Id you provided does not exist in our records.")


def read_authorization(request: UnverifiedRequest, now: float) -> UnverifiedAuthorization | None:
    """None for a request without a signature. Raises Refusal where it is malformed, or not of this time."""
    header = next((value for name, value in request.headers if name == "authorization"), "")
    if header.startswith("AWS ") or _OF_VERSION_2 in f"&{request.query}":
        raise Refusal(
            "InvalidRequest",
            "The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256.",
        )
    if _is_form(request):
        if header or "X-Amz-" in request.query:
            raise Refusal(
                "InvalidArgument", "Only one auth mechanism allowed", reason="a form that is signed twice"
            )
        return None  # its fields say who signed it
    try:
        authorization = find_authorization(request)
    except Refusal as refusal:
        if refusal.code != "IncompleteSignature":
            raise
        code = "AuthorizationHeaderMalformed" if header else "AuthorizationQueryParametersError"
        raise Refusal(code, refusal.message, reason=refusal.reason) from None
    if authorization is not None:
        _require_current(authorization, now)
    return authorization


def _is_form(request: UnverifiedRequest) -> bool:
    content_type = next((value for name, value in request.headers if name == "content-type"), "")
    return request.method == "POST" and content_type.strip().lower().startswith("multipart/form-data")


def _require_current(authorization: UnverifiedAuthorization, now: float) -> None:
    """The clauses: fifteen minutes for a header; a presigned URL from its date until X-Amz-Expires."""
    age = now - authorization.timestamp
    if not authorization.presigned:
        if abs(int(age)) > SKEW:
            raise Refusal(
                "RequestTimeTooSkewed",
                "The difference between the request time and the current time is too large.",
                members={"MaxAllowedSkewMilliseconds": str(SKEW * 1000)},
            )
        return
    if authorization.expires is None:
        raise Refusal(
            "AuthorizationQueryParametersError",
            "Query-string authentication version 4 requires the X-Amz-Algorithm, X-Amz-Credential, X-Amz-Signature, "
            "X-Amz-Date, X-Amz-SignedHeaders, and X-Amz-Expires parameters.",
        )
    if age < -SKEW:
        raise Refusal("AccessDenied", "Request is not valid yet")
    if age > authorization.expires:
        raise Refusal("AccessDenied", "Request has expired", reason="the presigned URL has expired")


async def prove(
    prover: Prover,
    store: Transaction,
    request: UnverifiedRequest,
    authorization: UnverifiedAuthorization,
    now: float,
) -> tuple[Caller, VerifiedRequest]:
    """Raises Refusal with S3's codes."""
    try:
        return await prover.prove(store, request, authorization, SERVICE, now)
    except Refusal as refusal:
        raise _as_s3_says(refusal, authorization) from None


async def prove_form(
    prover: Prover, store: Transaction, authorization: UnverifiedAuthorization, policy: str, now: float
) -> Caller:
    """Who signed the policy of a form. Raises Refusal with S3's codes."""
    try:
        return await prover.prove_post_policy(store, authorization, policy, SERVICE, now)
    except Refusal as refusal:
        raise _as_s3_says(refusal, authorization) from None


def _as_s3_says(refusal: Refusal, authorization: UnverifiedAuthorization) -> Refusal:
    if refusal.code not in _OF_TOKENS:
        return refusal
    has_token = authorization.session_token is not None
    code, message = _OF_TOKENS[refusal.code] if has_token else _UNKNOWN_KEY
    members = {} if has_token else {"AWSAccessKeyId": authorization.access_key_id[:128]}
    return Refusal(code, message, reason=refusal.reason or refusal.message, members=members)


def anonymous(*, is_allowed: bool) -> Caller:
    """Raises Refusal where `gateway.anonymous` is off: then no bucket policy can make anything public."""
    if not is_allowed:
        raise access_denied("the request is not signed, and gateway.anonymous is off")
    return ANONYMOUS
