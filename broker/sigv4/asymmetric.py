"""SigV4A: the key pair of a secret, and signatures made with it.

"AWS Signature Version 4A (SigV4a)": the private key is drawn from the secret by NIST SP 800-108 (HMAC-SHA256 in
counter mode) so that both sides can derive it; FIPS 186-4 appendix B.4.2 turns the bytes into a scalar by trying
counters until one falls in range.
"""

import hmac

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDSA,
    SECP256R1,
    EllipticCurvePublicKey,
    derive_private_key,
)
from cryptography.hazmat.primitives.hashes import SHA256

from broker.names.secret import SecretKey
from broker.sigv4.signer import ASYMMETRIC

_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551  # of the curve P-256 (FIPS 186-4)
_FIRST_BLOCK = (1).to_bytes(4, "big")
_KEY_BITS = (256).to_bytes(4, "big")


def derive_private_scalar(access_key_id: str, secret: SecretKey) -> int:
    """The private key as a number between 1 and the curve's order."""
    key = b"AWS4A" + secret.reveal().encode()
    prefix = _FIRST_BLOCK + ASYMMETRIC.encode() + b"\x00" + access_key_id.encode()
    for counter in range(1, 255):
        candidate = hmac.digest(key, prefix + bytes([counter]) + _KEY_BITS, "sha256")
        scalar = int.from_bytes(candidate, "big")
        if scalar <= _ORDER - 2:
            return scalar + 1
    raise ArithmeticError("no counter gives a key: the chance of it is below 2**-8000")


def derive_public_key(access_key_id: str, secret: SecretKey) -> EllipticCurvePublicKey:
    return derive_private_key(derive_private_scalar(access_key_id, secret), SECP256R1()).public_key()


def is_signed_by(key: EllipticCurvePublicKey, signature: str, message: bytes) -> bool:
    """`signature` is the hex of a DER-encoded ECDSA signature over SHA-256."""
    try:
        key.verify(bytes.fromhex(signature), message, ECDSA(SHA256()))
    except (InvalidSignature, ValueError):
        return False
    return True
