"""Signature, date, skew and scope -> a VerifiedRequest, or AWS's exact refusal.

The order of checks is AWS's: time, signed headers, scope, signature. A proof covers the method, the path, the query
(as a multiset of parameters), the signed headers and the body. It does not cover other headers.
"""

import enum
import re
from collections.abc import Collection
from hashlib import sha256

import msgspec
from cryptography.hazmat.primitives.hmac import HMAC

from broker.names.secret import SecretKey
from broker.sigv4 import refusals
from broker.sigv4.asymmetric import derive_public_key, is_signed_by
from broker.sigv4.authorization import UnverifiedAuthorization, UnverifiedRequest
from broker.sigv4.canonical import EMPTY_SHA256, canonical_request, string_to_sign
from broker.sigv4.encoding import query_pairs, trimmed, wire_text
from broker.sigv4.refusals import missing_authentication_token as missing_authentication_token
from broker.sigv4.signer import ASYMMETRIC, SYMMETRIC, UnverifiedSigner, is_region_name
from broker.sigv4.signing_keys import (
    SigningKey,
    SigningKeys,
    derive_signing_key,
    is_authenticated_by,
    set_up,
)

UNSIGNED_PAYLOAD = "UNSIGNED-PAYLOAD"
CONTENT_SHA256 = "x-amz-content-sha256"
_is_sha256 = re.compile(r"[0-9a-f]{64}").fullmatch
_is_base64 = re.compile(r"[A-Za-z0-9+/]+={0,2}").fullmatch
_CONTENT_SHA256_QUERY = b"X-Amz-Content-Sha256"


class BodyLocation(enum.Enum):
    """Where the body of a request is while its signature is verified.

    IN_REQUEST: it has been read, and is hashed. FOLLOWS: it has not been read; what the request claims of it in
    x-amz-content-sha256 is verified as signed, and whoever reads the body has to check it. NOT_SENT: a proxy asks about
    a request and does not pass on its body. The hash in x-amz-content-sha256 is then the one that was signed, and
    whoever has the body compares it; without that header no body was signed.
    """

    IN_REQUEST = "in the request"
    FOLLOWS = "follows"
    NOT_SENT = "not sent"


class Dialect(msgspec.Struct, frozen=True):
    """How the families of services differ. Times are in seconds.

    `longest_presigned` bounds a presigned URL whatever its X-Amz-Expires says: AWS's query services give it the
    fifteen minutes of any signature (aws/aws-sdk-go#2167), S3 seven days. `honour_expires` also refuses what is
    older than its X-Amz-Expires; AWS's query services ignore it, and aws-iam-authenticator relies on that
    (kubernetes-sigs/aws-iam-authenticator#160).
    """

    mismatch_code: str = refusals.SIGNATURE_DOES_NOT_MATCH
    skew: int = 900
    longest_presigned: int = 900
    honour_expires: bool = True
    normalise_path: bool = True
    unsigned_payload: bool = False
    body: BodyLocation = BodyLocation.IN_REQUEST


QUERY = Dialect()
JSON = Dialect(mismatch_code="InvalidSignatureException")
S3 = Dialect(longest_presigned=604_800, normalise_path=False, unsigned_payload=True)
S3_STREAMED = msgspec.structs.replace(S3, body=BodyLocation.FOLLOWS)


class VerifiedRequest(msgspec.Struct, frozen=True):
    """A request whose signature is proven, and the authorization that proved it; only `verify` makes one.

    A header that is not among the signed ones is not proven. `payload` is the last line of the canonical request: the
    hash of the body, or what S3 has in its place. `signing_key` verifies the signatures of chunks that follow.
    """

    request: UnverifiedRequest
    authorization: UnverifiedAuthorization
    payload: str
    signing_key: SigningKey

    @property
    def body_is_signed(self) -> bool:
        return self.payload != UNSIGNED_PAYLOAD


def verify(
    request: UnverifiedRequest,
    authorization: UnverifiedAuthorization,
    secret: SecretKey,
    now: float,
    signing_keys: SigningKeys,
    *,
    services: Collection[str],
    regions: Collection[str] | None = None,
    dialect: Dialect = QUERY,
) -> VerifiedRequest:
    """Verify `authorization`, which find_authorization read from this `request`.

    `now` is in epoch seconds; `services` are the signing names this endpoint answers to; `regions` None accepts
    every region. Raises Refusal SignatureDoesNotMatch (or the dialect's code), RequestExpired; ValueError for the
    authorization of another request.
    """
    if authorization.request is not request:
        raise ValueError("an authorization proves the request that it was read from, and no other")
    # A certificate's signature is verified elsewhere (`certificate_signatures`); no secret ever makes one.
    if authorization.signer.scope.is_of_certificate:
        raise refusals.unsupported_algorithm(authorization.signer.scope.algorithm)
    second = int(now)  # compared with a signing time, which has no fraction
    if authorization.presigned or abs(second - authorization.timestamp) > dialect.skew:
        require_current(authorization, second, dialect)
    require_signed(authorization, dialect)
    # INVARIANT: method and path are one line each of the canonical request
    if not request.method.isalpha() or not request.path.startswith("/"):
        raise refusals.mismatch("The request line is malformed.", dialect.mismatch_code)
    require_scope(authorization, services, regions, dialect)
    try:
        payload_hash = payload_hash_of(authorization, dialect)
        canonical = canonical_request(authorization, payload_hash, dialect.normalise_path)
        to_sign = string_to_sign(authorization, canonical)
        key = _find_key(authorization, to_sign.encode(), secret, signing_keys)
    except UnicodeEncodeError:
        raise refusals.mismatch("The request is not valid UTF-8.", dialect.mismatch_code) from None
    if key is None:
        raise refusals.signature_mismatch(canonical, to_sign, dialect.mismatch_code)
    return VerifiedRequest(request, authorization, payload_hash, key)


def verify_post_policy(
    authorization: UnverifiedAuthorization,
    policy: str,
    secret: SecretKey,
    now: float,
    signing_keys: SigningKeys,
    *,
    services: Collection[str],
) -> None:
    """Raises Refusal where the owner of `secret` has not signed `policy`, the base64 in a form of S3's.

    "Calculating a signature" (Browser-based uploads using POST): the base64 itself is the string to sign. It holds no
    line break and no hyphen, so no other string to sign is ever one.
    """
    if authorization.signer.scope.algorithm != SYMMETRIC:
        raise refusals.unsupported_algorithm(authorization.signer.scope.algorithm)
    require_current(authorization, int(now), S3)
    require_scope(authorization, services, None, S3)
    if not _is_base64(policy) or _find_key(authorization, policy.encode(), secret, signing_keys) is None:
        raise refusals.mismatch(
            "The request signature we calculated does not match the signature you provided. Check your key and signing "
            "method.",
            reason="the policy of the form was signed with another key",
        )


def require_current(authorization: UnverifiedAuthorization, now: int, dialect: Dialect) -> None:
    """Clauses "Signature expired" and "Signature not yet current" (Troubleshoot signed requests), ends inclusive."""
    signed = authorization.timestamp
    if signed > now + dialect.skew:
        raise refusals.not_yet_current(authorization.signed_at, now, dialect.skew, dialect.mismatch_code)
    lifetime = dialect.skew
    if authorization.presigned:
        lifetime = dialect.longest_presigned
        expires = authorization.expires
        if dialect.honour_expires and expires is not None and now > signed + expires:
            raise refusals.request_expired()
    if now > signed + lifetime:
        raise refusals.signature_expired(authorization.signed_at, now, lifetime, dialect.mismatch_code)


def require_signed(authorization: UnverifiedAuthorization, dialect: Dialect) -> None:
    """Host and all x-amz-* headers must be signed; the usual case is one comparison of sets."""
    if not authorization.signer.headers.needing_no_check.issuperset(authorization.headers):
        _require_signed_headers(authorization, dialect)


def _require_signed_headers(authorization: UnverifiedAuthorization, dialect: Dialect) -> None:
    """The clause: "You must include the host header [...] and any x-amz-* headers in the request".

    An added x-amz-* header would otherwise be obeyed without proof. The hash of the body may be unsigned where it is
    right, because the signature covers the body anyway. Content-Type may be unsigned, as on AWS: botocore's presigned
    URLs leave it out.
    """
    signed = authorization.signer.headers.all
    if "host" not in signed:
        raise refusals.unsigned_header("Host' or ':authority", dialect.mismatch_code)
    for name in authorization.headers:
        if name.startswith("x-amz-") and name not in signed and not _is_proven(name, authorization, dialect):
            raise refusals.unsigned_header(name, dialect.mismatch_code)


def _is_proven(name: str, authorization: UnverifiedAuthorization, dialect: Dialect) -> bool:
    """Whether `name` is x-amz-content-sha256 with the right value; aws-requests-auth sends it unsigned.

    Where the body follows, the value itself is the last line of the canonical request.
    """
    if name != CONTENT_SHA256:
        return False
    if dialect.body is BodyLocation.FOLLOWS or _is_not_sent(authorization, dialect):
        return True  # it is in the canonical request, as the hash of the body: another one fails
    return trimmed(authorization.headers[name]) == _computed_hash(authorization)


def _is_not_sent(authorization: UnverifiedAuthorization, dialect: Dialect) -> bool:
    return dialect.body is BodyLocation.NOT_SENT and not authorization.request.body


def require_scope(
    authorization: UnverifiedAuthorization,
    services: Collection[str],
    regions: Collection[str] | None,
    dialect: Dialect,
) -> None:
    """Raises one refusal with everything that is wrong with the credential scope, in AWS's order."""
    scope, day = authorization.signer.scope, authorization.signed_at[:8]
    is_region_right = (regions is None and scope.is_region_named) or _is_region_accepted(
        authorization, regions
    )
    if is_region_right and scope.service in services and scope.date == day:
        return
    wrong = []
    if not is_region_right:
        region = scope.region or ",".join(authorization.region_set)
        wrong.append(f"Credential should be scoped to a valid region, not '{region}'. ")
    if scope.service not in services:
        expected = "' or '".join(sorted(services))
        wrong.append(f"Credential should be scoped to correct service: '{expected}'. ")
    if scope.date != day:
        wrong.append(
            "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: "
            f"'{scope.date}' != '{day}', from '{authorization.signed_at}'."
        )
    raise refusals.mismatch("".join(wrong), dialect.mismatch_code)


def _is_region_accepted(authorization: UnverifiedAuthorization, regions: Collection[str] | None) -> bool:
    """A SigV4A region set is accepted where one of its patterns matches an accepted region."""
    scope = authorization.signer.scope
    if scope.algorithm != ASYMMETRIC:
        return scope.is_region_named and (regions is None or authorization.region in regions)
    patterns = authorization.region_set
    if not all(pattern == "*" or is_region_name(pattern.removesuffix("*")) for pattern in patterns):
        return False
    return regions is None or any(_covers(pattern, region) for pattern in patterns for region in regions)


def _covers(pattern: str, region: str) -> bool:
    return region.startswith(pattern[:-1]) if pattern.endswith("*") else region == pattern


def payload_hash_of(authorization: UnverifiedAuthorization, dialect: Dialect) -> str:
    """The hash of the body as it arrived; a claim in x-amz-content-sha256 must agree with it.

    UNSIGNED-PAYLOAD is S3's alone ("Authenticating requests", Amazon S3 API reference); its presigned URLs imply
    it. Query and JSON services sign the body always, presigned requests included (of a GET, the empty body).
    """
    # An unsigned claim was refused before, unless it is the right hash.
    claimed = authorization.headers.get(CONTENT_SHA256, "")
    if claimed:
        claimed = trimmed(claimed)
    if dialect.body is BodyLocation.FOLLOWS:
        return claimed or _claim_in_query(authorization)
    is_implied = authorization.presigned and not claimed and not dialect.normalise_path  # S3's presigned URLs
    if dialect.unsigned_payload and (claimed == UNSIGNED_PAYLOAD or is_implied):
        return UNSIGNED_PAYLOAD
    if _is_not_sent(authorization, dialect) and _is_sha256(claimed):
        return claimed
    computed = _computed_hash(authorization)
    if claimed and claimed != computed:
        raise refusals.mismatch(
            "The provided 'x-amz-content-sha256' header does not match what was computed.",
            dialect.mismatch_code,
        )
    return computed


def _claim_in_query(authorization: UnverifiedAuthorization) -> str:
    """The claim of a request without the header: in the query of a presigned one, unsigned where it is nowhere.

    Raises Refusal, because "x-amz-content-sha256 is required for all AWS Signature Version 4 requests" to S3.
    """
    if not authorization.presigned:
        raise refusals.missing_content_hash()
    claims = [
        value for name, value in query_pairs(authorization.request.query) if name == _CONTENT_SHA256_QUERY
    ]
    if len(claims) > 1:
        raise refusals.repeated(CONTENT_SHA256)
    return wire_text(claims[0]) if claims else UNSIGNED_PAYLOAD


def _computed_hash(authorization: UnverifiedAuthorization) -> str:
    body = authorization.request.body
    return sha256(body).hexdigest() if body else EMPTY_SHA256


def _find_key(
    authorization: UnverifiedAuthorization, to_sign: bytes, secret: SecretKey, signing_keys: SigningKeys
) -> SigningKey | None:
    """The key that the signature was made with; None where it was made with another."""
    signer = authorization.signer
    known = signing_keys.get(signer.key_name, secret.digest)
    key = known or _derive(signer, secret)
    if not is_signed_with(key, authorization.signature, to_sign):
        return None
    if known is None:
        signing_keys.put(signer.key_name, secret.digest, key)
    return key


def is_signed_with(key: SigningKey, signature: str, message: bytes) -> bool:
    if isinstance(key, HMAC):
        return is_authenticated_by(key, signature, message)
    return is_signed_by(key, signature, message)


def _derive(signer: UnverifiedSigner, secret: SecretKey) -> SigningKey:
    scope = signer.scope
    if scope.algorithm == ASYMMETRIC:
        return derive_public_key(signer.access_key_id, secret)
    return set_up(derive_signing_key(secret, scope.date, scope.region, scope.service))
