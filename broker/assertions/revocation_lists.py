"""Certificate revocation lists (RFC 5280, section 5): complete ones of one issuer, read and asked."""

import re
from collections.abc import Sequence

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from broker.assertions.certificate_checks import UNREADABLE, find_extension

_LISTS = re.compile(rb"-----BEGIN X509 CRL-----.+?-----END X509 CRL-----", re.DOTALL)

RevocationLists = tuple[x509.CertificateRevocationList, ...]


def parse_revocation_lists(content: bytes) -> RevocationLists:
    """The lists of a file, one in DER or any number in PEM; raises ValueError, in words for the operator."""
    try:
        found = _LISTS.findall(content)
        lists = tuple(map(x509.load_pem_x509_crl, found)) if found else (x509.load_der_x509_crl(content),)
        if any(_is_partial(one) for one in lists):
            raise ValueError("a delta, an indirect or a partial list, which cannot be used")
    except UNREADABLE as error:
        raise ValueError(f"is no certificate revocation list: {error}") from None
    return lists


def _is_partial(one: x509.CertificateRevocationList) -> bool:
    """RFC 5280, 5.2: what is critical and not understood makes a list unusable, and none is understood here."""
    return any(extension.critical for extension in one.extensions)


def is_current_list(one: x509.CertificateRevocationList, issuer: x509.Certificate, now: float) -> bool:
    """Whether `issuer` has signed the list, and it is good now; raises TypeError for a key that signs no lists."""
    begins, ends = one.last_update_utc, one.next_update_utc
    if ends is None or not begins.timestamp() <= now < ends.timestamp():
        return False
    return is_list_of(one, issuer)


def is_list_of(one: x509.CertificateRevocationList, issuer: x509.Certificate) -> bool:
    """Whether `issuer` has signed the list, and may; raises TypeError for a key that signs no lists."""
    if one.issuer != issuer.subject:
        return False
    usage = find_extension(issuer, x509.KeyUsage)
    if usage is not None and not usage.crl_sign:
        return False
    return one.is_signature_valid(issuer.public_key())  # type: ignore[arg-type]


def is_revoked(serial_number: int, lists: Sequence[x509.CertificateRevocationList]) -> bool:
    return any(one.get_revoked_certificate_by_serial_number(serial_number) is not None for one in lists)


def latest_issue(content: bytes) -> float:
    """When the latest of the lists was issued (thisUpdate), in epoch seconds; raises ValueError."""
    return max(one.last_update_utc.timestamp() for one in parse_revocation_lists(content))


def pem_of_lists(content: bytes) -> str:
    """The lists in PEM; raises ValueError."""
    return "".join(one.public_bytes(Encoding.PEM).decode() for one in parse_revocation_lists(content))
