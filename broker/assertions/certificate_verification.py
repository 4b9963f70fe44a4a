"""Client certificates, verified (RFC 5280), beyond what the TLS handshake has shown.

The handshake has shown that the client holds the key, and that the chain leads to an authority of the operator's. It
happened once, and the connection stays open: so times and revocations are checked again for each request. Also refused
is what a handshake accepts: a certificate that is not for clients, weak keys and signatures.
"""

from collections.abc import Sequence
from itertools import pairwise

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from broker.assertions.certificate_checks import (
    UNREADABLE,
    find_extension,
    require_current,
    require_strong_key,
    require_strong_signature,
    shown_certificate,
)
from broker.assertions.checks import CheckFailed, Checks
from broker.assertions.client_certificate import ClientCertificate
from broker.assertions.revocation_lists import RevocationLists, is_current_list, is_revoked

MOST_CERTIFICATES = 10


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
    except UNREADABLE as error:
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
        require_current(one, now, checks)
    _require_for_clients(own, checks)
    for one in chain:
        require_strong_key(one, checks)
    # The last is an authority of the operator's, trusted whatever its signature is.
    for one, issuer in pairwise(chain):
        require_strong_signature(one, checks)
        if lists is not None:
            _require_not_revoked(one, issuer, lists, now, checks)
    return _facts_of(chain, checks)


def _require_for_clients(own: x509.Certificate, checks: Checks) -> None:
    constraints = find_extension(own, x509.BasicConstraints)
    checks.require(
        "no authority",
        constraints is None or not constraints.ca,
        found="the certificate of an authority" if constraints is not None and constraints.ca else "none",
        wanted="the certificate of a client",
    )
    extended = find_extension(own, x509.ExtendedKeyUsage)
    checks.require(
        "extended key usage",
        extended is not None and ExtendedKeyUsageOID.CLIENT_AUTH in extended,
        found=", ".join(one.dotted_string for one in extended or ()) or "none",
        wanted=f"{ExtendedKeyUsageOID.CLIENT_AUTH.dotted_string}, client authentication",
    )
    usage = find_extension(own, x509.KeyUsage)
    checks.require(
        "key usage",
        usage is None or usage.digital_signature,
        found="no digital signature" if usage is not None and not usage.digital_signature else "good",
        wanted="digital signature",
    )


def _require_not_revoked(
    one: x509.Certificate, issuer: x509.Certificate, lists: RevocationLists, now: float, checks: Checks
) -> None:
    current = [each for each in lists if is_current_list(each, issuer, now)]
    checks.require(
        "revocation list",
        bool(current),
        found=f"no current list of {shown_certificate(issuer)}"
        if not current
        else f"a list of {shown_certificate(issuer)}",
        wanted="a list that its issuer has signed and that has not expired",
    )
    revoked = is_revoked(one.serial_number, current)
    checks.require(
        "revocation",
        not revoked,
        found=f"{shown_certificate(one)}: {'revoked' if revoked else 'not revoked'}",
        wanted="not revoked",
    )


def _facts_of(chain: list[x509.Certificate], checks: Checks) -> ClientCertificate:
    own = chain[0]
    common_names = [str(one.value) for one in own.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    checks.require(
        "common name",
        len(common_names) <= 1,
        found=", ".join(common_names) or "none",
        wanted="one common name, or none",
    )
    names = find_extension(own, x509.SubjectAlternativeName)
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
