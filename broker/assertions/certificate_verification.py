"""Client certificates, verified (RFC 5280), beyond what the TLS handshake has shown.

The handshake has shown that the client holds the key, and that the chain leads to an authority of the operator's. It
happened once, and the connection stays open: so times and revocations are checked again for each request. Also refused
is what a handshake accepts: a certificate that is not for clients, weak keys and signatures.
"""

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import TypeVar

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.dsa import DSAPublicKey
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed448 import Ed448PublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from broker.assertions.checks import CheckFailed, Checks
from broker.assertions.client_certificate import ClientCertificate

MOST_CERTIFICATES = 10
SMALLEST_RSA_KEY, SMALLEST_CURVE = 2048, 256  # bits
_GOOD_DIGESTS = ("sha256", "sha384", "sha512")

_LISTS = re.compile(rb"-----BEGIN X509 CRL-----.+?-----END X509 CRL-----", re.DOTALL)

Extension = TypeVar("Extension", bound=x509.ExtensionType)
RevocationLists = tuple[x509.CertificateRevocationList, ...]


def parse_revocation_lists(content: bytes) -> RevocationLists:
    """The lists of a file, one in DER or any number in PEM; raises ValueError, in words for the operator."""
    try:
        found = _LISTS.findall(content)
        lists = tuple(map(x509.load_pem_x509_crl, found)) if found else (x509.load_der_x509_crl(content),)
        if any(_is_partial(one) for one in lists):
            raise ValueError("a delta, an indirect or a partial list, which cannot be used")
    except (ValueError, UnsupportedAlgorithm, x509.DuplicateExtension) as error:
        raise ValueError(f"is no certificate revocation list: {error}") from None
    return lists


def _is_partial(one: x509.CertificateRevocationList) -> bool:
    """RFC 5280, 5.2: what is critical and not understood makes a list unusable, and none is understood here."""
    return any(extension.critical for extension in one.extensions)


def verify_client_certificate(
    unverified_chain: Sequence[bytes], now: float, revocation_lists: RevocationLists | None, checks: Checks
) -> ClientCertificate:
    """Who holds the first certificate of the chain, which is in DER and ends with the authority; raises CheckFailed.

    `revocation_lists` None: revocation is not checked. Else each certificate below the authority needs a current
    list of its issuer.
    """
    try:
        chain = [x509.load_der_x509_certificate(one) for one in unverified_chain[: MOST_CERTIFICATES + 1]]
        return _verified(chain, now, revocation_lists, checks)
    except CheckFailed:
        raise
    except (
        ValueError,
        TypeError,
        UnsupportedAlgorithm,
        x509.DuplicateExtension,
        x509.InvalidVersion,
    ) as error:
        raise checks.fail("certificate", found=error, wanted="certificates that can be read") from None


def _verified(
    chain: list[x509.Certificate], now: float, lists: RevocationLists | None, checks: Checks
) -> ClientCertificate:
    checks.require(
        "chain",
        0 < len(chain) <= MOST_CERTIFICATES,
        found=f"{len(chain)} certificates",
        wanted=f"1 to {MOST_CERTIFICATES}",
    )
    own = chain[0]
    for one in chain:
        _require_current(one, now, checks)
    _require_for_clients(own, checks)
    for one in chain:
        _require_strong_key(one, checks)
    # The last is an authority of the operator's, trusted whatever its signature is.
    for one, issuer in pairwise(chain):
        _require_strong_signature(one, checks)
        if lists is not None:
            _require_not_revoked(one, issuer, lists, now, checks)
    return _facts_of(chain, checks)


def _require_current(one: x509.Certificate, now: float, checks: Checks) -> None:
    begins, ends = one.not_valid_before_utc, one.not_valid_after_utc
    checks.require(
        "validity",
        begins.timestamp() <= now <= ends.timestamp(),
        found=f"{_shown(one)}: {begins:%Y-%m-%dT%H:%M:%SZ} to {ends:%Y-%m-%dT%H:%M:%SZ}",
        wanted=f"certificates that are good at {int(now)}",
    )


def _require_for_clients(own: x509.Certificate, checks: Checks) -> None:
    constraints = _find(own, x509.BasicConstraints)
    checks.require(
        "no authority",
        constraints is None or not constraints.ca,
        found="the certificate of an authority" if constraints is not None and constraints.ca else "none",
        wanted="the certificate of a client",
    )
    extended = _find(own, x509.ExtendedKeyUsage)
    checks.require(
        "extended key usage",
        extended is not None and ExtendedKeyUsageOID.CLIENT_AUTH in extended,
        found=", ".join(one.dotted_string for one in extended or ()) or "none",
        wanted=f"{ExtendedKeyUsageOID.CLIENT_AUTH.dotted_string}, client authentication",
    )
    usage = _find(own, x509.KeyUsage)
    checks.require(
        "key usage",
        usage is None or usage.digital_signature,
        found="no digital signature" if usage is not None and not usage.digital_signature else "good",
        wanted="digital signature",
    )


def _require_strong_key(one: x509.Certificate, checks: Checks) -> None:
    key = one.public_key()
    if isinstance(key, RSAPublicKey):
        kind, is_good = f"RSA, {key.key_size} bits", key.key_size >= SMALLEST_RSA_KEY
    elif isinstance(key, EllipticCurvePublicKey):
        kind, is_good = f"{key.curve.name}", key.curve.key_size >= SMALLEST_CURVE
    else:
        kind = "DSA" if isinstance(key, DSAPublicKey) else type(key).__name__
        is_good = isinstance(key, Ed25519PublicKey | Ed448PublicKey)
    checks.require(
        "key",
        is_good,
        found=f"{_shown(one)}: {kind}",
        wanted=f"RSA of {SMALLEST_RSA_KEY} bits, a curve of {SMALLEST_CURVE}, Ed25519 or Ed448",
    )


def _require_strong_signature(one: x509.Certificate, checks: Checks) -> None:
    digest = one.signature_hash_algorithm
    checks.require(
        "signature algorithm",
        digest is None or digest.name in _GOOD_DIGESTS,
        found=f"{_shown(one)}: {digest.name if digest is not None else 'of the key'}",
        wanted="SHA-256 or more",
    )


def _require_not_revoked(
    one: x509.Certificate, issuer: x509.Certificate, lists: RevocationLists, now: float, checks: Checks
) -> None:
    current = [each for each in lists if _is_current_list(each, issuer, now)]
    checks.require(
        "revocation list",
        bool(current),
        found=f"no current list of {_shown(issuer)}" if not current else f"a list of {_shown(issuer)}",
        wanted="a list that its issuer has signed and that has not expired",
    )
    is_revoked = any(
        each.get_revoked_certificate_by_serial_number(one.serial_number) is not None for each in current
    )
    checks.require(
        "revocation",
        not is_revoked,
        found=f"{_shown(one)}: {'revoked' if is_revoked else 'not revoked'}",
        wanted="not revoked",
    )


def _is_current_list(one: x509.CertificateRevocationList, issuer: x509.Certificate, now: float) -> bool:
    begins, ends = one.last_update_utc, one.next_update_utc
    if one.issuer != issuer.subject or ends is None or not begins.timestamp() <= now < ends.timestamp():
        return False
    usage = _find(issuer, x509.KeyUsage)
    if usage is not None and not usage.crl_sign:
        return False
    return one.is_signature_valid(issuer.public_key())  # type: ignore[arg-type]  # a TypeError is caught above


def _facts_of(chain: list[x509.Certificate], checks: Checks) -> ClientCertificate:
    own = chain[0]
    common_names = [str(one.value) for one in own.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    checks.require(
        "common name",
        len(common_names) <= 1,
        found=", ".join(common_names) or "none",
        wanted="one common name, or none",
    )
    names = _find(own, x509.SubjectAlternativeName)
    return ClientCertificate(
        subject=own.subject.rfc4514_string(),
        issuer=own.issuer.rfc4514_string(),
        serial_number=f"{own.serial_number:x}",
        expires_at=int(min(one.not_valid_after_utc.timestamp() for one in chain)),
        common_name=common_names[0] if common_names else "",
        dns_names=tuple(names.get_values_for_type(x509.DNSName)) if names else (),
        uris=tuple(names.get_values_for_type(x509.UniformResourceIdentifier)) if names else (),
        email_addresses=tuple(names.get_values_for_type(x509.RFC822Name)) if names else (),
    )


def _find(one: x509.Certificate, kind: type[Extension]) -> Extension | None:
    try:
        return one.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None


def _shown(one: x509.Certificate) -> str:
    return one.subject.rfc4514_string() or f"number {one.serial_number:x}"
