"""Requests that are signed with the key of an X.509 certificate ("IAM Roles Anywhere authentication signing process").

Canonical request and string to sign are those of SigV4. The credential begins with the certificate's serial number, in
decimal, and no key is derived: the signature is that of the certificate's own key over the string to sign. Whether the
certificate is trusted is not asked here.
"""

from typing import Any

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.mldsa import (
    MLDSA44PublicKey,
    MLDSA65PublicKey,
    MLDSA87PublicKey,
)
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256

from broker.sigv4 import refusals
from broker.sigv4.authorization import UnverifiedAuthorization, UnverifiedRequest
from broker.sigv4.canonical import canonical_request, string_to_sign
from broker.sigv4.signer import CERTIFICATE_PREFIX
from broker.sigv4.verify import Dialect, payload_hash_of, require_current, require_scope, require_signed

RSA = f"{CERTIFICATE_PREFIX}RSA-SHA256"
ECDSA_SHA256 = f"{CERTIFICATE_PREFIX}ECDSA-SHA256"
ML_DSA = f"{CERTIFICATE_PREFIX}MLDSA"

CERTIFICATE = "x-amz-x509"

_LONGEST_SIGNATURE = 2 * 4627  # hexadecimal digits: ML-DSA-87 (FIPS 204, table 2)
_SERIAL_NUMBER_BITS = 8 * 20  # of a positive number with the most octets that it may have (RFC 5280, 4.1.2.2)


class CertificateKey(msgspec.Struct, frozen=True):
    """The public key of the certificate in the request, and the serial number beside it."""

    key: Any
    serial_number: int


def algorithm_of(key: object) -> str | None:
    """The one algorithm for which a key of this kind is used; None where there is none."""
    if isinstance(key, RSAPublicKey):
        return RSA
    if isinstance(key, EllipticCurvePublicKey):
        return ECDSA_SHA256
    return ML_DSA if isinstance(key, MLDSA44PublicKey | MLDSA65PublicKey | MLDSA87PublicKey) else None


def verify_certificate_signature(
    request: UnverifiedRequest,
    authorization: UnverifiedAuthorization,
    certificate: CertificateKey,
    now: float,
    *,
    service: str,
    dialect: Dialect,
) -> None:
    """Whether the key has signed this request, now; raises Refusal with the dialect's code.

    All headers `x-amz-…` and Host must be signed, the certificate's and its chain's among them. ValueError for the
    authorization of another request.
    """
    if authorization.request is not request:
        raise ValueError("an authorization proves the request that it was read from, and no other")
    code = dialect.mismatch_code
    if authorization.presigned:
        raise refusals.mismatch("A certificate's signature is in the Authorization header.", code)
    require_current(authorization, int(now), dialect)
    require_signed(authorization, dialect)
    for name in (CERTIFICATE, "x-amz-date"):
        if name not in authorization.signer.headers.all or name not in authorization.headers:
            raise refusals.unsigned_header(name, code)
    if not request.method.isalpha() or not request.path.startswith("/"):
        raise refusals.mismatch("The request line is malformed.", code)
    require_scope(authorization, (service,), None, dialect)
    # Python writes no number of thousands of digits, as which anybody may number a certificate of their own.
    is_short = certificate.serial_number.bit_length() < _SERIAL_NUMBER_BITS
    if not is_short or authorization.access_key_id != str(certificate.serial_number):
        raise refusals.mismatch("The credential is not the serial number of the certificate.", code)
    if authorization.signer.scope.algorithm != algorithm_of(certificate.key):
        raise refusals.mismatch("The algorithm is not that of the certificate's key.", code)
    try:
        canonical = canonical_request(authorization, payload_hash_of(authorization, dialect), True)
        to_sign = string_to_sign(authorization, canonical).encode()
    except UnicodeEncodeError:
        raise refusals.mismatch("The request is not valid UTF-8.", code) from None
    if not _is_signed_by(certificate.key, authorization.signature, to_sign):
        raise refusals.mismatch("The signature is not that of the certificate's key.", code)


def _is_signed_by(key: Any, signature: str, message: bytes) -> bool:
    if len(signature) > _LONGEST_SIGNATURE:
        return False
    try:
        raw = bytes.fromhex(signature)
        if isinstance(key, RSAPublicKey):
            key.verify(raw, message, PKCS1v15(), SHA256())
        elif isinstance(key, EllipticCurvePublicKey):
            key.verify(raw, message, ECDSA(SHA256()))
        else:
            key.verify(raw, message)
    except (InvalidSignature, ValueError):
        return False
    return True
