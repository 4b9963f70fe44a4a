"""Signatures of CloudTrail's digest files: SHA-256 with RSA (PKCS #1 v1.5, RFC 8017), keys of 2,048 bits.

"CloudTrail digest file structure" says what is signed. The same text and key give the same signature.
"""

from hashlib import sha256

import msgspec
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from broker.names.secret import SecretKey

ALGORITHM = "SHA256withRSA"
_FINGERPRINT = 16  # bytes, as many as AWS's have


class DigestKeyPair(msgspec.Struct, frozen=True):
    """The private key in PEM, the public one in DER (PKCS #1), and what digest files call it."""

    private_key: SecretKey
    public_key: bytes
    fingerprint: str


def new_digest_key() -> DigestKeyPair:
    """Takes about a tenth of a second. The library draws the randomness itself: it makes keys in no other way."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    public = key.public_key().public_bytes(Encoding.DER, PublicFormat.PKCS1)
    return DigestKeyPair(SecretKey(private), public, sha256(public).hexdigest()[: 2 * _FINGERPRINT])


def sign_digest(private_key: SecretKey, end: str, path: str, content: bytes, previous: str | None) -> str:
    """In hexadecimal. `path` is `BUCKET/KEY`, `end` the digest's end as it has it, `previous` the signature before."""
    text = f"{end}\n{path}\n{sha256(content).hexdigest()}\n{previous if previous is not None else 'null'}"
    key = load_pem_private_key(private_key.reveal().encode(), None)
    assert isinstance(key, rsa.RSAPrivateKey)
    return key.sign(text.encode(), padding.PKCS1v15(), SHA256()).hex()
