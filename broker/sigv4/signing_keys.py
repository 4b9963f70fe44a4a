"""Signing keys: their derivation, and a bounded cache of them that the application owns.

"Derive a signing key": four chained HMACs over date, region, service and `aws4_request`. A key can sign
like its secret for one day, region and service, so the cache never prints one.
"""

import hmac

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hmac import HMAC

from broker.cache import Cache
from broker.names.secret import SecretKey
from broker.sigv4.signer import TERMINATOR

# A symmetric key is cached as an HMAC without a message: to copy it takes half the time of creating it.
SigningKey = HMAC | EllipticCurvePublicKey
_SHA256 = SHA256()  # one for all keys


class SigningKeys:
    """At most `limit` derived keys.

    An entry has the digest of the secret that made it: after a rotation the old key is not found, and the new one
    replaces it. The secret itself is never cached.
    """

    def __init__(self, limit: int = 16384) -> None:
        self._limit = limit
        self._keys: Cache[tuple[str, ...], tuple[bytes, SigningKey]] = Cache(limit)

    def __len__(self) -> int:
        return len(self._keys)

    def __repr__(self) -> str:
        return f"SigningKeys({len(self._keys)} of {self._limit})"

    def get(self, name: tuple[str, ...], secret_digest: bytes) -> SigningKey | None:
        """`name` is an access key id and the scope that the key was derived for."""
        entry = self._keys.get(name)
        if entry is None or not hmac.compare_digest(entry[0], secret_digest):
            return None
        return entry[1]

    def put(self, name: tuple[str, ...], secret_digest: bytes, key: SigningKey) -> None:
        """Only for a key that has just verified a signature: else unauthenticated requests could evict every entry."""
        self._keys.put(name, (secret_digest, key))


def derive_signing_key(secret: SecretKey, date: str, region: str, service: str) -> bytes:
    key = b"AWS4" + secret.reveal().encode()
    for step in (date, region, service, TERMINATOR):
        key = hmac.digest(key, step.encode(), "sha256")
    return key


def is_authenticated_by(key: HMAC, signature: str, message: bytes) -> bool:
    """`signature` is the lower-case hex of an HMAC-SHA256; compared in constant time."""
    return signature.isascii() and hmac.compare_digest(authenticate(key, message).hex(), signature)


def authenticate(key: HMAC, message: bytes) -> bytes:
    mac = key.copy()
    mac.update(message)
    return mac.finalize()


def set_up(key: bytes) -> HMAC:
    return HMAC(key, _SHA256)
