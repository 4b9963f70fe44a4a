"""Private keys that decrypt assertions."""

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from broker.assertions.key_sets import SMALLEST_RSA_KEY


def require_private_key(pem: str) -> None:
    """Raises ValueError, whose text does not quote the key, unless it is an unencrypted RSA private key in PEM."""
    try:
        key = load_pem_private_key(pem.encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):  # TypeError: it is encrypted
        raise ValueError("not an unencrypted private key in PEM") from None
    if not isinstance(key, RSAPrivateKey) or key.key_size < SMALLEST_RSA_KEY:
        raise ValueError(f"not an RSA key of at least {SMALLEST_RSA_KEY} bits")
