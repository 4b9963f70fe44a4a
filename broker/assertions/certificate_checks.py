"""Checks of certificates that more than one kind of verification makes (RFC 5280): times, keys, signatures."""

from functools import lru_cache
from typing import TypeVar

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.dsa import DSAPublicKey
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed448 import Ed448PublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.mldsa import (
    MLDSA44PublicKey,
    MLDSA65PublicKey,
    MLDSA87PublicKey,
)
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from broker.assertions.checks import Checks

SMALLEST_RSA_KEY, SMALLEST_CURVE = 2048, 256  # bits
_GOOD_DIGESTS = ("sha256", "sha384", "sha512")
_GOOD_KEYS = Ed25519PublicKey | Ed448PublicKey | MLDSA44PublicKey | MLDSA65PublicKey | MLDSA87PublicKey

# What the library raises for what it cannot read. Some of it is only a kind that it has no class for: names that are
# x400Address or ediPartyName, a TLS feature without a name.
UNREADABLE = (
    ValueError,
    TypeError,
    LookupError,
    UnsupportedAlgorithm,
    x509.DuplicateExtension,
    x509.InvalidVersion,
    x509.UnsupportedGeneralNameType,
)

Extension = TypeVar("Extension", bound=x509.ExtensionType)


def require_current(one: x509.Certificate, now: float, checks: Checks) -> None:
    begins, ends = one.not_valid_before_utc, one.not_valid_after_utc
    checks.require(
        "validity",
        begins.timestamp() <= now <= ends.timestamp(),
        found=f"{shown_certificate(one)}: {begins:%Y-%m-%dT%H:%M:%SZ} to {ends:%Y-%m-%dT%H:%M:%SZ}",
        wanted=f"certificates that are good at {int(now)}",
    )


def require_strong_key(one: x509.Certificate, checks: Checks) -> None:
    key = one.public_key()
    if isinstance(key, RSAPublicKey):
        kind, is_good = f"RSA, {key.key_size} bits", key.key_size >= SMALLEST_RSA_KEY
    elif isinstance(key, EllipticCurvePublicKey):
        kind, is_good = f"{key.curve.name}", key.curve.key_size >= SMALLEST_CURVE
    else:
        kind = "DSA" if isinstance(key, DSAPublicKey) else type(key).__name__
        is_good = isinstance(key, _GOOD_KEYS)
    checks.require(
        "key",
        is_good,
        found=f"{shown_certificate(one)}: {kind}",
        wanted=f"RSA of {SMALLEST_RSA_KEY} bits, a curve of {SMALLEST_CURVE}, Ed25519, Ed448 or ML-DSA",
    )


def require_strong_signature(one: x509.Certificate, checks: Checks) -> None:
    digest = one.signature_hash_algorithm
    checks.require(
        "signature algorithm",
        digest is None or digest.name in _GOOD_DIGESTS,
        found=f"{shown_certificate(one)}: {digest.name if digest is not None else 'of the key'}",
        wanted="SHA-256 or more",
    )


def find_extension(one: x509.Certificate, kind: type[Extension]) -> Extension | None:
    try:
        return one.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None


@lru_cache(maxsize=256)
def shown_certificate(one: x509.Certificate) -> str:
    return one.subject.rfc4514_string() or f"number {one.serial_number:x}"
