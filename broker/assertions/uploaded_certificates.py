"""X.509 certificates in PEM that are uploaded: a server's with its key and chain, and those of users.

"Manage server certificates in IAM": a certificate is in PEM, unencrypted, and valid at the time of upload; its chain
begins with the certificate that signed it, and each is signed by the next.
"""

import re
from collections.abc import Sequence
from itertools import pairwise

import msgspec
from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256

from broker.assertions.private_keys import LARGEST_RSA_KEY, is_pair, load_private_key

MOST_CERTIFICATES_IN_CHAIN = 10

_BEGIN, _END = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"
_is_base64 = re.compile(r"[A-Za-z0-9+/=\s]+").fullmatch


class CertificateFacts(msgspec.Struct, frozen=True):
    """`expires_at` in epoch seconds; `digest` is SHA-256 over the DER encoding, in hexadecimal digits."""

    expires_at: int
    digest: str


class BrokenCertificate(ValueError):
    """The certificate, its chain or its key cannot be used: the text says why, for the client. It quotes no key."""


class KeyMismatch(ValueError):
    """The private key is not that of the certificate."""


class BrokenChain(ValueError):
    """The certificate at `index` of the chain is not signed by the next one; -1 is the certificate of the server."""

    def __init__(self, index: int) -> None:
        super().__init__(f"certificate {index} is not signed by the next one")
        self.index = index


def certificate_end(pem: bytes) -> float:
    """When the first certificate ends, in epoch seconds; raises ValueError."""
    return x509.load_pem_x509_certificates(pem)[0].not_valid_after_utc.timestamp()


def check_certificate(pem: str, now: float) -> CertificateFacts:
    """What the one certificate in `pem` says; raises BrokenCertificate."""
    return _facts(_load_one(pem, now))


def check_server_certificate(pem: str, private_key: str, chain: str | None, now: float) -> CertificateFacts:
    """As `check_certificate`; raises also KeyMismatch and BrokenChain, and BrokenCertificate for key and chain."""
    certificate = _load_one(pem, now)
    try:
        key = load_private_key(private_key)
    except ValueError as error:
        raise BrokenCertificate(f"Unable to parse private key: {error}.") from None
    if not is_pair(key, certificate.public_key()):
        raise KeyMismatch
    if chain is not None:
        _require_chain(certificate, _load(chain, "certificate chain"))
    return _facts(certificate)


def _load_one(pem: str, now: float) -> x509.Certificate:
    found = _load(pem, "certificate")
    if len(found) != 1:
        raise BrokenCertificate(
            "Unable to parse certificate. Please ensure that it is one certificate, in PEM format."
        )
    (certificate,) = found
    begins, ends = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if now < begins.timestamp():
        raise BrokenCertificate(f"The certificate is not valid before {begins:%Y-%m-%dT%H:%M:%SZ}.")
    if now > ends.timestamp():
        raise BrokenCertificate(f"The certificate expired at {ends:%Y-%m-%dT%H:%M:%SZ}.")
    return certificate


def _load(pem: str, noun: str) -> list[x509.Certificate]:
    """All certificates of `pem`, which holds nothing else; raises BrokenCertificate."""
    *blocks, rest = pem.split(_END)
    broken = BrokenCertificate(f"Unable to parse {noun}. Please ensure the {noun} is in PEM format.")
    if not blocks or rest.strip():
        raise broken
    if len(blocks) > MOST_CERTIFICATES_IN_CHAIN:
        raise BrokenCertificate(f"The {noun} has more than {MOST_CERTIFICATES_IN_CHAIN} certificates.")
    try:
        found = []
        for block in blocks:
            content = block.strip()
            if not content.startswith(_BEGIN) or not _is_base64(content.removeprefix(_BEGIN)):
                raise broken
            found.append(x509.load_pem_x509_certificate(f"{content}\n{_END}\n".encode()))
        if any(_is_too_long(one) for one in found):
            raise BrokenCertificate(f"The {noun} has an RSA key of more than {LARGEST_RSA_KEY} bits.")
    except BrokenCertificate:
        raise
    except (ValueError, TypeError, UnsupportedAlgorithm, x509.InvalidVersion):
        raise broken from None
    return found


def _is_too_long(certificate: x509.Certificate) -> bool:
    key = certificate.public_key()
    return isinstance(key, RSAPublicKey) and key.key_size > LARGEST_RSA_KEY


def _require_chain(certificate: x509.Certificate, chain: Sequence[x509.Certificate]) -> None:
    for index, (one, issuer) in enumerate(pairwise((certificate, *chain)), -1):
        try:
            one.verify_directly_issued_by(issuer)
        except (InvalidSignature, ValueError, TypeError, UnsupportedAlgorithm):
            raise BrokenChain(index) from None


def _facts(certificate: x509.Certificate) -> CertificateFacts:
    return CertificateFacts(
        int(certificate.not_valid_after_utc.timestamp()), certificate.fingerprint(SHA256()).hex()
    )
