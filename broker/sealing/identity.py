"""Signatures on instance identity documents, as `openssl` verifies them.

Three forms, of RSA-2048 and SHA-256 (EC2 User Guide, "Instance identity documents"): the bare signature (PKCS#1 v1.5,
RFC 8017), and PKCS#7 signed data (RFC 2315) with the document and without the certificate, which the verifier
must have. AWS's oldest form, `pkcs7`, is DSA with SHA-1 there; here it is RSA as well, and the same commands verify it.

`cryptography.x509`, and what depends on it, is imported at first use: it would take a tenth of every start.
"""

from base64 import b64encode
from datetime import UTC, datetime, timedelta
from textwrap import wrap

import msgspec
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from broker.names.secret import SecretKey

SERIAL_ENTROPY = 16
_LIFE = timedelta(days=365 * 30)
_LINE = 64  # characters of base64 in a line, as in PEM


class KeyAndCertificate(msgspec.Struct, frozen=True):
    """PEM texts; the certificate is public."""

    private_key: SecretKey
    certificate: str


class Signatures(msgspec.Struct, frozen=True):
    """Base64 in lines, without BEGIN and END lines."""

    signature: str
    pkcs7: str
    rsa2048: str


def new_signing_identity(
    now: float, entropy: bytes, common_name: str = "broker instance identity"
) -> KeyAndCertificate:
    """A new RSA-2048 key and its self-signed certificate, valid for thirty years from `now` (epoch seconds).

    `entropy` is SERIAL_ENTROPY bytes for the serial number. The library draws the randomness of the key itself: it
    makes RSA keys in no other way. Takes about a tenth of a second.
    """
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    begins = datetime.fromtimestamp(int(now), UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(int.from_bytes(entropy[:SERIAL_ENTROPY], "big") >> 1 or 1)
        .not_valid_before(begins - timedelta(days=1))
        .not_valid_after(begins + _LIFE)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .sign(key, SHA256())
    )
    private_key = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    return KeyAndCertificate(SecretKey(private_key), certificate.public_bytes(Encoding.PEM).decode())


def sign_document(identity: KeyAndCertificate, document: bytes) -> Signatures:
    """All signatures of `document`; takes a few milliseconds. Raises ValueError for a key that is not an RSA key."""
    from cryptography.hazmat.primitives.serialization.pkcs7 import PKCS7Options, PKCS7SignatureBuilder
    from cryptography.x509 import load_pem_x509_certificate

    key = load_pem_private_key(identity.private_key.reveal().encode(), None)
    if not isinstance(key, rsa.RSAPrivateKey):
        raise ValueError("instance identity documents are signed with an RSA key")
    certificate = load_pem_x509_certificate(identity.certificate.encode())
    bare = key.sign(document, padding.PKCS1v15(), SHA256())
    builder = PKCS7SignatureBuilder().set_data(document).add_signer(certificate, key, SHA256())
    options = [PKCS7Options.Binary, PKCS7Options.NoAttributes, PKCS7Options.NoCerts]
    signed_data = _lines(builder.sign(Encoding.DER, options))
    return Signatures(signature=_lines(bare), pkcs7=signed_data, rsa2048=signed_data)


def _lines(signed: bytes) -> str:
    return "\n".join(wrap(b64encode(signed).decode(), _LINE))
