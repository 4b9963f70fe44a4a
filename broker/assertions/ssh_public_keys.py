"""RSA public keys of SSH clients, in OpenSSH's encoding (RFC 4253, section 6.6) or as PEM; their fingerprints."""

from base64 import b64decode
from hashlib import md5

import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_public_key,
    load_ssh_public_key,
)

from broker.assertions.key_sets import SMALLEST_RSA_KEY

_SSH, _PEM = "ssh-rsa ", "-----BEGIN "


class SshKeyFacts(msgspec.Struct, frozen=True):
    """The key in both encodings. `fingerprint` is MD5, as `ssh-keygen -l -E md5` shows it."""

    ssh: str
    pem: str
    fingerprint: str


class UnknownEncoding(ValueError):
    """Neither of the two encodings."""


class BrokenPublicKey(ValueError):
    """The key cannot be read, or is not of the kind or the length that is accepted."""


def read_ssh_public_key(text: str) -> SshKeyFacts:
    """The key that `text` holds, one of either encoding; raises UnknownEncoding or BrokenPublicKey."""
    key = _load(text.strip())
    if not isinstance(key, RSAPublicKey) or key.key_size < SMALLEST_RSA_KEY:
        raise BrokenPublicKey(f"not an RSA key of at least {SMALLEST_RSA_KEY} bits")
    ssh = key.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
    digest = md5(b64decode(ssh.split()[1]), usedforsecurity=False).hexdigest()
    return SshKeyFacts(
        ssh=ssh,
        pem=key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode(),
        fingerprint=":".join(digest[start : start + 2] for start in range(0, len(digest), 2)),
    )


def _load(text: str) -> object:
    if not text.startswith((_SSH, _PEM)):
        raise UnknownEncoding
    if text.startswith(_SSH) and len(text.splitlines()) > 1:
        raise BrokenPublicKey("more than one line")
    load = load_ssh_public_key if text.startswith(_SSH) else load_pem_public_key
    try:
        return load(text.encode())
    except (ValueError, UnsupportedAlgorithm):
        raise BrokenPublicKey("not a public key") from None
