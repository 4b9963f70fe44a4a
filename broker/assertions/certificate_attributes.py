"""What a workload's certificate says of it: session tags, source identity, session name.

"The IAM Roles Anywhere trust model", sections "Trust policy", "Certificate attribute mapping" and "Source identity
rules": relative distinguished names become tags such as `x509Subject/CN`, several values of one kind are joined by
slashes, and a value that no session tag can have is left out.
"""

from collections.abc import Mapping, Sequence

import msgspec
import regex
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from broker.assertions.certificate_checks import find_extension

SUBJECT, ISSUER, ALTERNATIVE = "x509Subject", "x509Issuer", "x509SAN"
EVERY = "*"
DNS, URI, NAME = "DNS", "URI", "Name"

MOST_DISTRIBUTION_POINTS = 3
_LONGEST_WITH_PREFIX, _LONGEST_COMMON_NAME = 61, 64  # characters

# The names of RFC 4519 and RFC 5280, appendix A; any other attribute is called by its object identifier.
_SHORT_NAMES = {
    NameOID.COMMON_NAME: "CN",
    NameOID.COUNTRY_NAME: "C",
    NameOID.ORGANIZATION_NAME: "O",
    NameOID.ORGANIZATIONAL_UNIT_NAME: "OU",
    NameOID.STATE_OR_PROVINCE_NAME: "ST",
    NameOID.LOCALITY_NAME: "L",
    NameOID.STREET_ADDRESS: "STREET",
    NameOID.DOMAIN_COMPONENT: "DC",
    NameOID.USER_ID: "UID",
    NameOID.SERIAL_NUMBER: "SERIALNUMBER",
    NameOID.SURNAME: "SN",
    NameOID.GIVEN_NAME: "GN",
    NameOID.TITLE: "T",
    NameOID.DN_QUALIFIER: "DNQ",
    NameOID.EMAIL_ADDRESS: "EMAIL",
}
_IDENTIFIERS = {name: identifier for identifier, name in _SHORT_NAMES.items()}

_is_tag_value = regex.compile(r"[\p{L}\p{Z}\p{N}_.:/=+\-@]{1,256}").fullmatch
# "Pattern: [\p{L}\p{Z}\p{N}_.:/=+\-@]+" of sourceIdentity (CreateSession).
_is_source_identity = regex.compile(r"[\p{L}\p{Z}\p{N}_.:/=+\-@]{2,64}").fullmatch
_is_identifier = regex.compile(r"[0-2](\.[0-9]{1,20}){1,12}").fullmatch


class Attributes(msgspec.Struct, frozen=True):
    """The tags by their keys, and the keys of attributes whose values no tag can have."""

    tags: Mapping[str, str]
    left_out: tuple[str, ...]


def canonical_specifier(field: str, specifier: str) -> str | None:
    """A specifier of a mapping rule as it is shown; None for one that names nothing in this field."""
    if field != ALTERNATIVE:
        return specifier if specifier == EVERY or _is_attribute(specifier) else None
    if specifier in (DNS, URI):
        return specifier
    kind, _, attribute = specifier.partition("/")
    if kind != NAME:
        return None
    if attribute in ("", EVERY):
        return f"{NAME}/{EVERY}"
    return specifier if _is_attribute(attribute) else None


def _is_attribute(name: str) -> bool:
    return name in _IDENTIFIERS or bool(_is_identifier(name))


def mapped_attributes(own: x509.Certificate, mappings: Mapping[str, Sequence[str]]) -> Attributes:
    """The session tags of a certificate; `mappings` are the specifiers of each field."""
    found = {
        SUBJECT: _of_name(own.subject),
        ISSUER: _of_name(own.issuer),
        ALTERNATIVE: _of_alternative_names(own),
    }
    tags: dict[str, str] = {}
    left_out: list[str] = []
    for field, specifiers in mappings.items():
        for name, value in found[field].items():
            if not any(_covers(specifier, name) for specifier in specifiers):
                continue
            if _is_tag_value(value):
                tags[f"{field}/{name}"] = value
            else:
                left_out.append(f"{field}/{name}")
    return Attributes(tags, tuple(left_out))


def _covers(specifier: str, name: str) -> bool:
    """`*` and `Name/*` cover every attribute that has a short name; others have to be named."""
    if specifier == name:
        return True
    kind, _, attribute = name.rpartition("/")
    every = f"{kind}/{EVERY}" if kind else EVERY
    return specifier == every and attribute in _IDENTIFIERS


def _of_name(name: x509.Name, prefix: str = "") -> dict[str, str]:
    values: dict[str, str] = {}
    for attribute in name:
        key = prefix + _SHORT_NAMES.get(attribute.oid, attribute.oid.dotted_string)
        text = _text_of(attribute.value)
        values[key] = f"{values[key]}/{text}" if key in values else text
    return values


def _text_of(value: str | bytes) -> str:
    return value if isinstance(value, str) else value.hex()


def _of_alternative_names(own: x509.Certificate) -> dict[str, str]:
    """The first of each kind."""
    names = find_extension(own, x509.SubjectAlternativeName)
    if names is None:
        return {}
    values: dict[str, str] = {}
    for kind, type_of_kind in ((DNS, x509.DNSName), (URI, x509.UniformResourceIdentifier)):
        for value in names.get_values_for_type(type_of_kind)[:1]:
            values[kind] = value
    for name in names.get_values_for_type(x509.DirectoryName)[:1]:
        values |= _of_name(name, f"{NAME}/")
    return values


def source_identity_of(own: x509.Certificate) -> str:
    """`CN=` and the common name, the name alone where it is long, `ID=` and the serial number where there is none.

    Raises ValueError, in words for the operator, for a name that no source identity can have.
    """
    name = _of_name(own.subject).get("CN", "")
    found = name if len(name) > _LONGEST_WITH_PREFIX else f"CN={name}"
    found = found if name else f"ID={hex_serial_number(own)}"
    if len(name) > _LONGEST_COMMON_NAME or not _is_source_identity(found):
        raise ValueError(f"the common name {name[:100]!r} cannot be a source identity")
    return found


def hex_serial_number(own: x509.Certificate) -> str:
    """An even number of hexadecimal digits, which is also the default name of a session."""
    digits = f"{own.serial_number:x}"
    return digits.zfill(len(digits) + len(digits) % 2)


def subject_of(own: x509.Certificate) -> str:
    return own.subject.rfc4514_string()


def issuer_of(own: x509.Certificate) -> str:
    return own.issuer.rfc4514_string()


def pem_of(own: x509.Certificate) -> str:
    return own.public_bytes(Encoding.PEM).decode()


def distribution_points_of(one: x509.Certificate) -> tuple[str, ...]:
    """The URLs at which its issuer publishes lists, the first MOST_DISTRIBUTION_POINTS of them."""
    points = find_extension(one, x509.CRLDistributionPoints)
    urls = [
        name.value
        for point in points or ()
        for name in point.full_name or ()
        if isinstance(name, x509.UniformResourceIdentifier)
    ]
    return tuple(urls[:MOST_DISTRIBUTION_POINTS])
