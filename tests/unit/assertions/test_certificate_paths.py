"""Paths to trust anchors and revocation, without a server; the catalogue of attacks is in tests/e2e."""

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtensionOID
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.assertions.certificate_paths import (
    Anchors,
    has_current_list,
    parse_anchors,
    read_certificate,
    require_list_of,
    require_not_revoked,
    verify_path,
)
from broker.assertions.checks import CheckFailed, Checks
from broker.assertions.revocation_lists import parse_revocation_lists
from tests.workload_certificates import Issued, authority, workload

AT = datetime(2026, 11, 30, 12, tzinfo=UTC)
NOW = AT.timestamp()
ROOT = authority("root", now=AT)
BETWEEN = authority("between", issuer=ROOT, now=AT)
OWN = workload(BETWEEN, now=AT)


def path_of(own: Issued, *chain: Issued, anchors: Anchors | None = None, now: float = NOW) -> list[str]:
    checks = Checks()
    found = verify_path(
        read_certificate(own.der, checks),
        [one.der for one in chain],
        anchors or parse_anchors(ROOT.pem),
        now,
        checks,
    )
    return [one.subject.rfc4514_string() for one in found]


def failed(check: str, *arguments: Issued, **more: float) -> None:
    with pytest.raises(CheckFailed) as caught:
        path_of(*arguments, **more)
    assert caught.value.check.name == check


def test_a_path_begins_with_the_signer_and_ends_with_the_anchor() -> None:
    assert path_of(OWN, BETWEEN) == ["CN=machine", "CN=between", "CN=root"]


def test_an_intermediate_authority_can_be_the_anchor() -> None:
    assert path_of(OWN, anchors=parse_anchors(BETWEEN.pem)) == ["CN=machine", "CN=between"]


def test_the_chain_may_be_in_any_order_and_have_more_than_is_needed() -> None:
    below = authority("below", issuer=BETWEEN, now=AT)
    own = workload(below, now=AT)
    assert path_of(own, BETWEEN, authority("other", now=AT), below) == [
        "CN=machine",
        "CN=below",
        "CN=between",
        "CN=root",
    ]


def test_the_first_and_the_last_second_of_a_certificate_are_good() -> None:
    ends = (AT + timedelta(days=30)).timestamp()
    begins = (AT - timedelta(days=1)).timestamp()
    assert path_of(OWN, BETWEEN, now=ends) and path_of(OWN, BETWEEN, now=begins)
    failed("validity", OWN, BETWEEN, now=ends + 1)
    failed("validity", OWN, BETWEEN, now=begins - 1)


def test_names_are_not_identities() -> None:
    """Another authority with the same name, and another certificate with the same name and number, prove nothing."""
    double = authority("root", now=AT)
    failed("path", workload(double, now=AT))
    failed("path", workload(double, now=AT), double)


# A changed byte may make the serial number negative: the library warns, and the path is refused.
@pytest.mark.filterwarnings("ignore:Parsed a serial number")
@settings(max_examples=60, deadline=None)
@given(st.data())
def test_no_changed_byte_of_a_certificate_is_accepted(data: st.DataObject) -> None:
    der = bytearray(OWN.der)
    at = data.draw(st.integers(0, len(der) - 1))
    der[at] ^= data.draw(st.integers(1, 255))
    checks = Checks()
    with pytest.raises(CheckFailed):
        own = read_certificate(bytes(der), checks)
        verify_path(own, [BETWEEN.der], parse_anchors(ROOT.pem), NOW, checks)


def test_a_signature_has_no_unused_bits() -> None:
    """Else one certificate would have several encodings, each with a good signature."""
    der = next(one.der for one in iter(lambda: workload(BETWEEN, now=AT), None) if not one.der[-1] & 1)
    signature = x509.load_der_x509_certificate(der).signature
    assert der.endswith(b"\0" + signature)
    other = der.removesuffix(b"\0" + signature) + b"\1" + signature
    assert x509.load_der_x509_certificate(other).signature == signature
    with pytest.raises(CheckFailed, match="unused bits"):
        read_certificate(other, Checks())


@pytest.mark.parametrize("content", [b"", b"\x30\x00", b"\xff" * 100, OWN.pem.encode()])
def test_what_is_no_certificate_is_refused(content: bytes) -> None:
    with pytest.raises(CheckFailed, match="that can be read"):
        read_certificate(content, Checks())


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        (ExtensionOID.SUBJECT_ALTERNATIVE_NAME, "3004a5028000"),  # an ediPartyName
        (ExtensionOID.CRL_DISTRIBUTION_POINTS, "300a3008a006a004a502a100"),
        (ExtensionOID.TLS_FEATURE, "3003020163"),  # one without a name
    ],
)
def test_what_the_library_has_no_class_for_is_refused_and_no_fault_of_ours(
    kind: x509.ObjectIdentifier, content: str
) -> None:
    extension = x509.UnrecognizedExtension(kind, bytes.fromhex(content))
    own = workload(None, now=AT, extensions=[(extension, False)])
    with pytest.raises(CheckFailed, match="that can be read"):
        read_certificate(own.der, Checks())


@pytest.mark.parametrize(
    ("pem", "words"),
    [
        ("", "cannot be read"),
        (workload(None, now=AT).pem, "basic constraints without CA"),
        (authority(usage=None, now=AT).pem, "no certificate sign"),
    ],
)
def test_what_cannot_be_an_anchor_is_refused(pem: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        parse_anchors(pem)


def test_a_repository_has_certificates_that_have_signed_themselves() -> None:
    own = workload(None, now=AT)
    assert path_of(own, anchors=parse_anchors(own.pem, True)) == ["CN=machine"]
    with pytest.raises(ValueError, match="self-signed"):
        parse_anchors(OWN.pem, True)
    with pytest.raises(ValueError, match="an authority"):
        parse_anchors(ROOT.pem, True)


PATH = (OWN.certificate, BETWEEN.certificate, ROOT.certificate)
NUMBER = OWN.certificate.serial_number


def revoked(*lists: bytes, now: float = NOW) -> str:
    """The check that fails, or nothing."""
    parsed = tuple(one for content in lists for one in parse_revocation_lists(content))
    try:
        require_not_revoked(PATH, parsed, now, Checks())
    except CheckFailed as error:
        return error.check.name
    return ""


def test_a_certificate_is_revoked_by_its_issuer_alone() -> None:
    assert revoked() == ""
    assert revoked(BETWEEN.revoking()) == ""
    assert revoked(BETWEEN.revoking(NUMBER)) == "revocation"
    assert revoked(ROOT.revoking(NUMBER)) == "", "another issuer's number"
    assert revoked(authority("other", now=AT).revoking(NUMBER)) == ""
    assert revoked(ROOT.revoking(BETWEEN.certificate.serial_number)) == "revocation"


def test_a_list_in_the_issuers_name_has_to_be_its_own_and_current() -> None:
    forged = BETWEEN.revoking(key=authority("evil").key)
    expired, future = BETWEEN.revoking(begins=-9, ends=-1), BETWEEN.revoking(begins=1, ends=2)
    for one in (forged, expired, future):
        assert revoked(one) == "revocation list"
        assert revoked(one, BETWEEN.revoking()) == ""
    assert revoked(BETWEEN.revoking(NUMBER, begins=-9, ends=-1), BETWEEN.revoking()) == "revocation"
    assert revoked(BETWEEN.revoking(NUMBER, key=authority("evil").key), BETWEEN.revoking()) == ""


def test_an_authority_that_may_not_sign_lists_says_nothing() -> None:
    silent = authority("between", issuer=ROOT, usage=(False, True, False), key=BETWEEN.key, now=AT)
    lists = parse_revocation_lists(BETWEEN.revoking())
    with pytest.raises(CheckFailed, match="revocation list"):
        require_not_revoked((OWN.certificate, silent.certificate), lists, NOW, Checks())
    assert has_current_list(lists, BETWEEN.certificate, NOW)
    assert not has_current_list(lists, silent.certificate, NOW)


def test_a_list_to_import_is_signed_by_the_anchor_whose_name_it_has() -> None:
    anchors = parse_anchors(ROOT.pem)
    require_list_of(ROOT.revoking(), anchors)
    require_list_of(BETWEEN.revoking(), anchors)
    with pytest.raises(ValueError, match="not signed by the trust anchor"):
        require_list_of(authority("root").revoking(), anchors)
    with pytest.raises(ValueError, match="no certificate revocation list"):
        require_list_of(b"no list", anchors)


def test_constraints_on_directory_names_are_not_understood_and_refuse() -> None:
    names = x509.NameConstraints([x509.DirectoryName(ROOT.name)], None)
    between = authority("between", issuer=ROOT, extensions=[(names, True)], now=AT)
    failed("path", workload(between, now=AT), between)
