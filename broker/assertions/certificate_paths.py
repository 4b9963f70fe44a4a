"""The path from the certificate of a workload to a trust anchor (RFC 5280, section 6, as `cryptography` does it).

"The IAM Roles Anywhere trust model", section "Signature validation", says what a certificate has to be: X.509v3, no
authority, for digital signatures, signed with SHA-256 or more. Refused beside that: keys that are too weak, a
certificate whose extended key usage leaves out client authentication, and critical extensions or name constraints that
are not understood.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import lru_cache
from itertools import pairwise

import msgspec
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.x509.oid import ExtendedKeyUsageOID
from cryptography.x509.verification import (
    Criticality,
    ExtensionPolicy,
    PolicyBuilder,
    Store,
    VerificationError,
)

from broker.assertions.certificate_checks import (
    UNREADABLE,
    find_extension,
    require_current,
    require_strong_key,
    require_strong_signature,
    shown_certificate,
)
from broker.assertions.checks import CheckFailed, Checks
from broker.assertions.revocation_lists import (
    RevocationLists,
    is_current_list,
    is_list_of,
    is_revoked,
    parse_revocation_lists,
)

MOST_IN_CHAIN = 5  # "MUST NOT exceed the maximum depth of 5 certificates"
LONGEST_SERIAL_NUMBER = 20  # bytes (RFC 5280, 4.1.2.2)

_CLIENT_PURPOSES = (ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE)


class Anchors(msgspec.Struct, frozen=True):
    """What a path may end with. `is_repository`: these certificates themselves are trusted, and nothing they sign."""

    certificates: tuple[x509.Certificate, ...]
    is_repository: bool = False


def read_certificate(unverified_der: bytes, checks: Checks) -> x509.Certificate:
    """Raises CheckFailed."""
    try:
        found = x509.load_der_x509_certificate(unverified_der)
        found.public_key()
        found.extensions  # noqa: B018  it is read here, so that no error comes later
    except UNREADABLE as error:
        raise checks.fail("certificate", found=error, wanted="a certificate that can be read") from None
    # The library takes a signature that says of its last bits that they are not used, which none covers.
    is_whole = unverified_der.endswith(b"\0" + found.signature)
    checks.require("certificate", is_whole, found="a signature with unused bits", wanted="whole octets")
    return found


@lru_cache(maxsize=256)
def parse_anchors(pem: str, is_repository: bool = False) -> Anchors:
    """The certificates of a trust anchor; raises ValueError, in words for the client, for what cannot be one."""
    try:
        certificates = tuple(x509.load_pem_x509_certificates(pem.encode()))
    except UNREADABLE as error:
        raise ValueError(f"The certificate data cannot be read: {error}") from None
    checks = Checks()
    try:
        for one in certificates:
            _require_anchor(one, checks, is_repository=is_repository)
    except CheckFailed as failed:
        raise ValueError(f"A certificate cannot be a trust anchor: {failed}") from None
    except UNREADABLE as error:
        raise ValueError(f"The certificate data cannot be read: {error}") from None
    return Anchors(certificates, is_repository)


def _require_anchor(one: x509.Certificate, checks: Checks, *, is_repository: bool) -> None:
    require_strong_key(one, checks)
    require_strong_signature(one, checks)
    _require_version(one, checks)
    if is_repository:
        _require_for_clients(one, checks)
        _require_self_signed(one, checks)
        return
    constraints, usage = find_extension(one, x509.BasicConstraints), find_extension(one, x509.KeyUsage)
    checks.require(
        "authority",
        constraints is not None and constraints.ca,
        found=f"{shown_certificate(one)}: basic constraints without CA",
        wanted="CA: true",
    )
    checks.require(
        "key usage",
        usage is not None and usage.key_cert_sign,
        found=f"{shown_certificate(one)}: no certificate sign",
        wanted="certificate sign",
    )
    _require_client_purpose(one, checks)


def _require_self_signed(one: x509.Certificate, checks: Checks) -> None:
    try:
        one.verify_directly_issued_by(one)
    except (*UNREADABLE, InvalidSignature) as error:
        raise checks.fail(
            "self-signed", found=f"{shown_certificate(one)}: {error}", wanted="its own signature"
        ) from None


def verify_path(
    own: x509.Certificate,
    unverified_chain: Sequence[bytes],
    anchors: Anchors,
    now: float,
    checks: Checks,
) -> tuple[x509.Certificate, ...]:
    """The path from `own` to an anchor, both included; raises CheckFailed. Revocation is another question.

    `unverified_chain` are intermediate certificates in DER, in any order, used or not.
    """
    checks.require(
        "chain",
        len(unverified_chain) <= MOST_IN_CHAIN,
        found=f"{len(unverified_chain)} certificates",
        wanted=f"at most {MOST_IN_CHAIN}",
    )
    try:
        _require_end_entity(own, now, checks)
        between = [read_certificate(one, checks) for one in unverified_chain]
        path = (own,) if anchors.is_repository else _found_path(own, between, anchors, now, checks)
        if anchors.is_repository:
            _require_in_repository(own, between, anchors, checks)
        # What `own` has to be was checked first, and all but the time of an anchor when it was made one.
        for one in path[1:-1]:
            require_strong_key(one, checks)
            require_strong_signature(one, checks)
            _require_issues(one, checks)
        for one in path[1:]:
            require_current(one, now, checks)
    except UNREADABLE as error:
        raise checks.fail("certificate", found=error, wanted="certificates that can be read") from None
    return path


def _require_end_entity(own: x509.Certificate, now: float, checks: Checks) -> None:
    _require_version(own, checks)
    serial_number = own.serial_number
    checks.require(
        "serial number",
        0 < serial_number < 1 << (8 * LONGEST_SERIAL_NUMBER - 1),
        found=f"{serial_number:x}"[:80],
        wanted=f"a positive one of at most {LONGEST_SERIAL_NUMBER} bytes",
    )
    checks.require("subject", bool(list(own.subject)), found="an empty subject", wanted="a subject")
    require_current(own, now, checks)
    _require_for_clients(own, checks)
    require_strong_key(own, checks)
    require_strong_signature(own, checks)


def _require_version(one: x509.Certificate, checks: Checks) -> None:
    checks.require("version", one.version is x509.Version.v3, found=one.version.name, wanted="v3")


def _require_for_clients(own: x509.Certificate, checks: Checks) -> None:
    constraints, usage = find_extension(own, x509.BasicConstraints), find_extension(own, x509.KeyUsage)
    checks.require(
        "no authority",
        constraints is None or not constraints.ca,
        found=f"{shown_certificate(own)}: the certificate of an authority",
        wanted="that of an end entity",
    )
    checks.require(
        "key usage",
        usage is not None and usage.digital_signature,
        found=f"{shown_certificate(own)}: {'none' if usage is None else 'no digital signature'}",
        wanted="digital signature",
    )
    _require_client_purpose(own, checks)


def _require_client_purpose(one: x509.Certificate, checks: Checks) -> None:
    """RFC 5280, 4.2.1.12: "the certificate MUST only be used for one of the purposes indicated"."""
    purposes = find_extension(one, x509.ExtendedKeyUsage)
    checks.require(
        "extended key usage",
        purposes is None or any(purpose in purposes for purpose in _CLIENT_PURPOSES),
        found=f"{shown_certificate(one)}: {', '.join(each.dotted_string for each in purposes or ())}",
        wanted="none, or client authentication",
    )


def _require_issues(one: x509.Certificate, checks: Checks) -> None:
    usage = find_extension(one, x509.KeyUsage)
    checks.require(
        "key usage of an issuer",
        usage is None or usage.key_cert_sign,
        found=f"{shown_certificate(one)}: no certificate sign",
        wanted="certificate sign",
    )
    _require_client_purpose(one, checks)


def _require_in_repository(
    own: x509.Certificate, between: Sequence[x509.Certificate], anchors: Anchors, checks: Checks
) -> None:
    checks.require("chain", not between, found=f"{len(between)} certificates", wanted="none for a repository")
    checks.require(
        "path",
        own in anchors.certificates,
        found=f"{shown_certificate(own)} is not in the repository",
        wanted="one of its certificates",
    )


def _found_path(
    own: x509.Certificate,
    between: list[x509.Certificate],
    anchors: Anchors,
    now: float,
    checks: Checks,
) -> tuple[x509.Certificate, ...]:
    verifier = (
        PolicyBuilder()
        .store(Store(list(anchors.certificates)))
        .time(datetime.fromtimestamp(now, UTC).replace(tzinfo=None))
        .max_chain_depth(MOST_IN_CHAIN)
        .extension_policies(ca_policy=_AUTHORITY, ee_policy=_END_ENTITY)
        .build_client_verifier()
    )
    try:
        path = tuple(verifier.verify(own, between).chain)
    except VerificationError as error:
        raise checks.fail("path", found=error, wanted="a path to the trust anchor") from None
    checks.require(
        "path", path[0] == own, found=shown_certificate(path[0]), wanted="a path that begins with the signer"
    )
    return path


_AUTHORITY = ExtensionPolicy.permit_all().require_present(x509.BasicConstraints, Criticality.AGNOSTIC, None)
_END_ENTITY = ExtensionPolicy.permit_all()


def require_not_revoked(
    path: Sequence[x509.Certificate], lists: RevocationLists, now: float, checks: Checks
) -> None:
    """Raises CheckFailed for a certificate of the path that its issuer has revoked.

    Where there is a list in the name of an issuer, one of them has to be signed by it and be current: an old list, or
    one by another key, says nothing. An issuer without a list in its name is not asked.
    """
    for one, issuer in pairwise(path):
        named = tuple(each for each in lists if each.issuer == issuer.subject)
        if not named:
            continue
        try:
            signed = tuple(each for each in named if is_list_of(each, issuer))
            current = [each for each in signed if is_current_list(each, issuer, now)]
        except UNREADABLE as error:
            raise checks.fail("revocation list", found=error, wanted="lists that can be read") from None
        revoked = is_revoked(one.serial_number, signed)
        checks.require(
            "revocation",
            not revoked,
            found=f"{shown_certificate(one)}, {one.serial_number:x}: {'revoked' if revoked else 'not revoked'}",
            wanted="not revoked",
        )
        checks.require(
            "revocation list",
            bool(current),
            found=f"{len(named)} in the name of {shown_certificate(issuer)}, {len(current)} of them good now",
            wanted="a list that its issuer has signed and that has not expired",
        )


def has_current_list(lists: RevocationLists, issuer: x509.Certificate, now: float) -> bool:
    try:
        return any(is_current_list(one, issuer, now) for one in lists)
    except UNREADABLE:
        return False


def require_list_of(content: bytes, anchors: Anchors) -> int:
    """Check a list to import. Raises ValueError, in words for the client; answers when the first one expires.

    Where one of the anchors has the name of its issuer, that anchor has signed it. Others are lists of intermediate
    authorities, whose certificates come with requests.
    """
    lists = parse_revocation_lists(content)
    for one in lists:
        named = [each for each in anchors.certificates if each.subject == one.issuer]
        try:
            is_theirs = not named or any(is_list_of(one, each) for each in named)
        except UNREADABLE:
            is_theirs = False
        if not is_theirs:
            raise ValueError("The list is not signed by the trust anchor whose name it has.")
        if one.next_update_utc is None:
            raise ValueError("The list does not say when the next one comes (nextUpdate).")
    return min(int(one.next_update_utc.timestamp()) for one in lists if one.next_update_utc is not None)


# A list is parsed once for all requests: 300,000 bytes take milliseconds.
parse_imported = lru_cache(maxsize=64)(parse_revocation_lists)
