"""JSON Web Key Sets (RFC 7517): the published signing keys of a provider.

A key that cannot verify (a symmetric one, one for encryption, a weak or broken one, of an unknown kind) is skipped: a
set may have keys for other purposes. A set without any key that can verify is refused.
"""

from typing import Any

import msgspec
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed448 import Ed448PublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm
from jwt.exceptions import InvalidKeyError

from broker.assertions.unverified_token import CURVE_ALGORITHMS, RSA_ALGORITHMS
from broker.strict_json import read_object

PublicKey = RSAPublicKey | EllipticCurvePublicKey | Ed25519PublicKey | Ed448PublicKey

MOST_KEYS = 100
SMALLEST_RSA_KEY, LARGEST_RSA_KEY = 2048, 8192  # bits; a larger key makes verification too slow

_EDWARDS_CURVES = ("Ed25519", "Ed448")


class VerificationKey(msgspec.Struct, frozen=True):
    """A public key, and the algorithms that it may verify; `key_id` is empty where the provider gives it none."""

    key_id: str
    algorithms: tuple[str, ...]
    key: PublicKey


def parse_key_set(unverified_text: bytes) -> tuple[VerificationKey, ...]:
    """The keys of a JWK set that can verify signatures; raises ValueError where it is malformed, or has no such key."""
    entries = read_object(unverified_text).get("keys")
    if type(entries) is not list:
        raise ValueError("not a JWK set: no list of keys")
    if len(entries) > MOST_KEYS:
        raise ValueError(f"{len(entries)} keys; at most {MOST_KEYS}")
    found = [key for key in map(_find_key, entries) if key is not None]
    if not found:
        raise ValueError("no key that can verify a signature")
    return tuple(found)


def _find_key(entry: Any) -> VerificationKey | None:
    if type(entry) is not dict or not _is_for_verifying(entry):
        return None
    key_id = entry.get("kid", "")
    if type(key_id) is not str:
        return None
    try:
        key, algorithms = _key_and_algorithms(entry)
    except (InvalidKeyError, ValueError, TypeError):  # TypeError: a member that is not a string
        return None
    stated = entry.get("alg")
    if stated is not None:
        algorithms = tuple(name for name in algorithms if name == stated)
    return VerificationKey(key_id, algorithms, key) if algorithms else None


def _is_for_verifying(entry: dict[str, Any]) -> bool:
    """RFC 7517, 4.2 and 4.3; a private key that was published by mistake is known to everyone."""
    operations = entry.get("key_ops", ["verify"])
    may_verify = type(operations) is list and "verify" in operations
    return entry.get("use", "sig") == "sig" and "d" not in entry and may_verify


def _key_and_algorithms(entry: dict[str, Any]) -> tuple[PublicKey, tuple[str, ...]]:
    kind, curve = entry.get("kty"), entry.get("crv")
    if kind == "RSA":
        rsa = RSAAlgorithm.from_jwk(entry)
        if not isinstance(rsa, RSAPublicKey) or not SMALLEST_RSA_KEY <= rsa.key_size <= LARGEST_RSA_KEY:
            raise ValueError("an RSA key of this size is not accepted")
        return rsa, RSA_ALGORITHMS
    if kind == "EC" and curve in CURVE_ALGORITHMS:
        point = ECAlgorithm.from_jwk(entry)
        assert isinstance(point, EllipticCurvePublicKey)
        return point, (CURVE_ALGORITHMS[curve],)
    if kind == "OKP" and curve in _EDWARDS_CURVES:
        edwards = OKPAlgorithm.from_jwk(entry)
        assert isinstance(edwards, Ed25519PublicKey | Ed448PublicKey)
        return edwards, ("EdDSA",)
    raise ValueError("of an unknown kind")
