"""Private keys in PEM: those that decrypt assertions, and those of server certificates.

A library's own check of an RSA key takes minutes where the key is long enough, so a key's size is looked at first, and
a signature that its public key verifies is the check.
"""

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDSA,
    EllipticCurvePrivateKey,
    EllipticCurvePublicKey,
)
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from broker.assertions.key_sets import SMALLEST_RSA_KEY

LARGEST_RSA_KEY = 8192  # bits

PrivateKey = RSAPrivateKey | EllipticCurvePrivateKey

_SIGNED = b"a proof that the private key belongs to the public one"


def require_private_key(pem: str) -> None:
    """Raises ValueError, whose text does not quote the key, unless it is an unencrypted RSA private key in PEM."""
    key = load_private_key(pem)
    if not isinstance(key, RSAPrivateKey) or key.key_size < SMALLEST_RSA_KEY:
        raise ValueError(f"not an RSA key of at least {SMALLEST_RSA_KEY} bits")
    if not is_pair(key, key.public_key()):
        raise ValueError("not a key that can sign")


def load_private_key(pem: str) -> PrivateKey:
    """The RSA or elliptic curve key; raises ValueError, whose text does not quote it, for all else and encrypted ones.

    Nothing is proven of its numbers: `is_pair` does.
    """
    try:
        key = load_pem_private_key(pem.encode(), password=None, unsafe_skip_rsa_key_validation=True)
    except (ValueError, TypeError, UnsupportedAlgorithm):  # TypeError: it is encrypted
        raise ValueError("not an unencrypted private key in PEM") from None
    if not isinstance(key, RSAPrivateKey | EllipticCurvePrivateKey):
        raise ValueError("neither an RSA key nor one of an elliptic curve")
    if isinstance(key, RSAPrivateKey) and key.key_size > LARGEST_RSA_KEY:
        raise ValueError(f"longer than {LARGEST_RSA_KEY} bits")
    return key


def is_pair(private_key: PrivateKey, public_key: PublicKeyTypes) -> bool:
    """Whether `public_key` verifies what `private_key` signs."""
    try:
        if isinstance(private_key, RSAPrivateKey):
            if not isinstance(public_key, RSAPublicKey):
                return False
            signature = private_key.sign(_SIGNED, PKCS1v15(), SHA256())
            public_key.verify(signature, _SIGNED, PKCS1v15(), SHA256())
        else:
            if not isinstance(public_key, EllipticCurvePublicKey):
                return False
            signature = private_key.sign(_SIGNED, ECDSA(SHA256()))
            public_key.verify(signature, _SIGNED, ECDSA(SHA256()))
    except (InvalidSignature, ValueError):
        return False
    return True
