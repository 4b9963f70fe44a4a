"""One sealing key: its identity, its state, and the ciphers made from it once.

A key's secret is never used directly: HKDF-SHA256 (RFC 5869) derives a key for each use, so that the output of one
use is of no help against another.
"""

import enum
import hmac
from hashlib import blake2b

import msgspec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hmac import HMAC
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

KEY_ID_SIZE = 8
SECRET_SIZE = 32
KEY_ENTROPY = KEY_ID_SIZE + SECRET_SIZE

NONCE_SIZE = 12  # of AES-GCM

FOREVER = float("inf")


class KeyMaterial:
    """The ciphers of one secret, set up once: a set-up for each message would cost more than sealing it.

    `aead` seals envelopes; `authenticate` is HMAC-SHA256 for derived secrets; `nonce` is BLAKE2b (RFC 7693) under
    a key that is used for nonces only.
    """

    __slots__ = ("_mac", "_nonce_hash", "_secret", "aead")

    def __init__(self, secret: bytes) -> None:
        if len(secret) != SECRET_SIZE:
            raise ValueError(f"a sealing key's secret has {SECRET_SIZE} bytes")
        self._secret = secret
        self.aead = AESGCM(_expand(secret, b"aead", SECRET_SIZE))
        self._mac = HMAC(_expand(secret, b"mac", SECRET_SIZE), SHA256())
        self._nonce_hash = blake2b(key=_expand(secret, b"nonce blake2b", SECRET_SIZE), digest_size=NONCE_SIZE)

    def authenticate(self, message: bytes) -> bytes:
        """HMAC-SHA256 of `message`: 32 bytes."""
        mac = self._mac.copy()
        mac.update(message)
        return mac.finalize()

    def nonce(self, message: bytes) -> bytes:
        """Keyed BLAKE2b of `message`: NONCE_SIZE bytes that cannot be predicted without the key."""
        hashed = self._nonce_hash.copy()
        hashed.update(message)
        return hashed.digest()

    def derive(self, purpose: bytes, size: int) -> bytes:
        """`size` bytes for `purpose`; other purposes have other bytes."""
        return _expand(self._secret, b"purpose:" + purpose, size)

    def reveal(self) -> bytes:
        """The secret itself: only for the encoding of a keyring, which is then sealed."""
        return self._secret

    def __eq__(self, other: object) -> bool:
        return isinstance(other, KeyMaterial) and hmac.compare_digest(self._secret, other._secret)

    def __hash__(self) -> int:
        return hash(self.authenticate(b"hash"))

    def __repr__(self) -> str:
        return "KeyMaterial(***)"

    def __reduce__(self) -> str:
        raise TypeError("key material is never pickled")


def _expand(secret: bytes, label: bytes, size: int) -> bytes:
    return HKDF(SHA256(), size, salt=None, info=b"broker/sealing/1/" + label).derive(secret)


class KeyState(enum.StrEnum):
    """staged: opens, never seals; primary: seals and opens; retired: opens until `opens_until`."""

    STAGED = "staged"
    PRIMARY = "primary"
    RETIRED = "retired"


class SealingKey(msgspec.Struct, frozen=True):
    """A key of a keyring. Times are epoch seconds; `opens_until` is FOREVER until the key is retired."""

    id: bytes
    material: KeyMaterial
    created_at: float
    state: KeyState
    promoted_at: float | None = None
    retired_at: float | None = None
    opens_until: float = FOREVER

    def opens_at(self, now: float) -> bool:
        return now < self.opens_until


def new_key(now: float, entropy: bytes, state: KeyState = KeyState.STAGED) -> SealingKey:
    """A new key from KEY_ENTROPY bytes of entropy."""
    if len(entropy) < KEY_ENTROPY:
        raise ValueError(f"a sealing key needs {KEY_ENTROPY} bytes of entropy")
    material = KeyMaterial(entropy[KEY_ID_SIZE:KEY_ENTROPY])
    return SealingKey(id=entropy[:KEY_ID_SIZE], material=material, created_at=now, state=state)


def derive_key(key: SealingKey, purpose: bytes, size: int = SECRET_SIZE) -> bytes:
    """Raw key bytes for `purpose`, for ciphers that are not envelopes; at most 8,160 (HKDF-SHA256)."""
    return key.material.derive(purpose, size)


def purpose_key(key: SealingKey, purpose: bytes) -> SealingKey:
    """`key` for `purpose`: the same id, state and times, with a derived secret.

    An envelope sealed for one purpose does not open for another. Costs a key set-up: `Keyring.for_purpose` caches it.
    """
    return msgspec.structs.replace(key, material=KeyMaterial(derive_key(key, purpose)))
