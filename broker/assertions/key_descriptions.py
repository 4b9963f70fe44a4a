"""What a provider's keys are, in words, for the operator who sets the provider up or watches its rotation."""

from base64 import b64decode
from typing import Any

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from broker.assertions.key_sets import PublicKey, VerificationKey, parse_key_set
from broker.strict_json import read_object


class KeyDescription(msgspec.Struct, frozen=True):
    """`begins` and `expires` are those of the key's certificate, in epoch seconds; None where it has none.

    They are shown and decide nothing: a key counts as long as the provider publishes it.
    """

    key_id: str
    kind: str
    algorithm: str
    begins: float | None = None
    expires: float | None = None


def describe_keys(unverified_text: bytes) -> tuple[KeyDescription, ...]:
    """The keys of a JWK set that can verify signatures; raises ValueError as `parse_key_set` does."""
    dates = _dates_by_key_id(read_object(unverified_text).get("keys"))
    return tuple(_describe(key, dates.get(key.key_id)) for key in parse_key_set(unverified_text))


def describe_certificate(pem: str) -> KeyDescription:
    """Raises ValueError where it is no certificate. `key_id` is its subject."""
    certificate = x509.load_pem_x509_certificate(pem.encode())
    begins, expires = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    algorithm = certificate.signature_hash_algorithm
    return KeyDescription(
        certificate.subject.rfc4514_string(),
        _kind_of(certificate.public_key()),
        algorithm.name if algorithm is not None else "",
        begins.timestamp(),
        expires.timestamp(),
    )


def _describe(key: VerificationKey, dates: tuple[float, float] | None) -> KeyDescription:
    begins, expires = dates or (None, None)
    return KeyDescription(key.key_id, _kind_of(key.key), ", ".join(key.algorithms), begins, expires)


def _kind_of(key: PublicKey | Any) -> str:
    if isinstance(key, RSAPublicKey):
        return f"RSA, {key.key_size} bits"
    if isinstance(key, EllipticCurvePublicKey):
        return f"EC, {key.curve.name}"
    return type(key).__name__.removesuffix("PublicKey").lstrip("_")


def _dates_by_key_id(entries: Any) -> dict[str, tuple[float, float]]:
    """When the first certificate of each key begins and expires (RFC 7517, 4.7)."""
    found = {}
    for entry in entries if type(entries) is list else ():
        chain = entry.get("x5c") if type(entry) is dict else None
        if type(chain) is not list or not chain or type(entry.get("kid")) is not str:
            continue
        try:
            certificate = x509.load_der_x509_certificate(b64decode(chain[0], validate=True))
        except (ValueError, TypeError):
            continue
        begins, expires = certificate.not_valid_before_utc, certificate.not_valid_after_utc
        found[entry["kid"]] = (begins.timestamp(), expires.timestamp())
    return found
