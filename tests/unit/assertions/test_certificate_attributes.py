"""What a certificate says of a workload: tags, source identity, the name of its session."""

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from broker.assertions.certificate_attributes import (
    canonical_specifier,
    distribution_points_of,
    hex_serial_number,
    mapped_attributes,
    source_identity_of,
)
from tests.workload_certificates import authority, workload

ROOT = authority("the authority")
DEFAULT = {"x509Issuer": ("*",), "x509SAN": ("DNS", "URI", "Name/*"), "x509Subject": ("*",)}
NAMES = [
    (NameOID.COMMON_NAME, "alice"),
    (NameOID.ORGANIZATIONAL_UNIT_NAME, "Security"),
    (NameOID.ORGANIZATIONAL_UNIT_NAME, "Engineering"),
    (NameOID.ORGANIZATIONAL_UNIT_NAME, "Research"),
    (NameOID.PSEUDONYM, "al"),
]


def alternative(*names: x509.GeneralName) -> tuple[x509.ExtensionType, bool]:
    return x509.SubjectAlternativeName(list(names)), False


def test_attributes_become_tags_as_the_user_guide_says() -> None:
    directory = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Alice")])
    names = alternative(
        x509.DNSName("example.com"),
        x509.DNSName("second.example.com"),
        x509.UniformResourceIdentifier("spiffe://example.com/workload/alice"),
        x509.RFC822Name("alice@example.com"),
        x509.DirectoryName(directory),
    )
    own = workload(ROOT, NAMES, extensions=[names]).certificate
    found = mapped_attributes(own, DEFAULT)
    assert found.tags == {
        "x509Issuer/CN": "the authority",
        "x509SAN/DNS": "example.com",
        "x509SAN/URI": "spiffe://example.com/workload/alice",
        "x509SAN/Name/CN": "Alice",
        "x509Subject/CN": "alice",
        "x509Subject/OU": "Security/Engineering/Research",
    }
    assert found.left_out == ()


def test_an_attribute_without_a_short_name_is_mapped_by_its_identifier() -> None:
    own = workload(ROOT, NAMES).certificate
    pseudonym = NameOID.PSEUDONYM.dotted_string
    assert mapped_attributes(own, {"x509Subject": (pseudonym,)}).tags == {f"x509Subject/{pseudonym}": "al"}


def test_values_that_no_tag_can_have_are_left_out() -> None:
    own = workload(ROOT, "a*b", extensions=[alternative(x509.DNSName("*.example.com"))]).certificate
    found = mapped_attributes(own, DEFAULT)
    assert found.tags == {"x509Issuer/CN": "the authority"}
    assert found.left_out == ("x509SAN/DNS", "x509Subject/CN")


@pytest.mark.parametrize(
    ("field", "specifier", "shown"),
    [
        ("x509Subject", "*", "*"),
        ("x509Subject", "OU", "OU"),
        ("x509Issuer", "2.5.4.65", "2.5.4.65"),
        ("x509Subject", "ou", None),
        ("x509Subject", "DNS", None),
        ("x509Subject", "", None),
        ("x509SAN", "DNS", "DNS"),
        ("x509SAN", "Name", "Name/*"),
        ("x509SAN", "Name/", "Name/*"),
        ("x509SAN", "Name/CN", "Name/CN"),
        ("x509SAN", "*", None),
        ("x509SAN", "Email", None),
    ],
)
def test_specifiers_are_checked_and_shown_in_one_form(field: str, specifier: str, shown: str | None) -> None:
    assert canonical_specifier(field, specifier) == shown


@pytest.mark.parametrize(
    ("name", "number", "identity"),
    [
        ("alice", 1, "CN=alice"),
        ("a" * 61, 1, "CN=" + "a" * 61),
        ("a" * 62, 1, "a" * 62),
        ("a" * 64, 1, "a" * 64),
        ([(NameOID.ORGANIZATION_NAME, "Example")], 291, "ID=0123"),
        ([(NameOID.ORGANIZATION_NAME, "Example")], 17767, "ID=4567"),
    ],
)
def test_the_source_identity_is_as_the_user_guide_says(name: str, number: int, identity: str) -> None:
    assert source_identity_of(workload(ROOT, name, serial_number=number).certificate) == identity


@pytest.mark.parametrize("name", ["a*", "${aws:username}", "a\tb"])
def test_a_name_that_no_source_identity_can_have_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="cannot be a source identity"):
        source_identity_of(workload(ROOT, name).certificate)


def test_a_session_is_named_by_an_even_number_of_digits() -> None:
    assert hex_serial_number(workload(ROOT, serial_number=1).certificate) == "01"
    assert hex_serial_number(workload(ROOT, serial_number=0xABCD).certificate) == "abcd"


def test_the_first_distribution_points_are_found() -> None:
    urls = [f"http://example.com/{number}.crl" for number in range(5)]
    points = [x509.DistributionPoint([x509.UniformResourceIdentifier(url)], None, None, None) for url in urls]
    own = workload(ROOT, extensions=[(x509.CRLDistributionPoints(points), False)]).certificate
    assert distribution_points_of(own) == tuple(urls[:3])
    assert distribution_points_of(workload(ROOT).certificate) == ()
