"""Metadata of SAML identity providers (SAML 2.0 Metadata), as CreateSAMLProvider stores it."""

from base64 import b64decode
from datetime import datetime
from functools import lru_cache
from urllib.parse import urlsplit

import msgspec
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import Encoding
from lxml.etree import _Element as Element

from broker.assertions.key_sets import SMALLEST_RSA_KEY
from broker.assertions.xml_documents import METADATA, SIGNATURE, read_document, text_of

LARGEST_METADATA = 10_000_000  # characters, as in IAM's model
MOST_CERTIFICATES = 20

# Only documents of at most this many characters are cached, and this many of them: 16 MB with their parsed form.
_LONGEST_CACHED, _MOST_CACHED = 65_536, 128

_SAML_2 = "urn:oasis:names:tc:SAML:2.0:protocol"
_REDIRECT = "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect"
_POST = "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST"


class ProviderMetadata(msgspec.Struct, frozen=True):
    """Parsed metadata: certificates as PEM, `valid_until` in epoch seconds or None."""

    entity_id: str
    certificates: tuple[str, ...]
    valid_until: float | None = None
    redirect_url: str = ""
    post_url: str = ""
    wants_signed_requests: bool = False


def provider_metadata(stored_text: str) -> ProviderMetadata:
    """As `parse_saml_metadata`, but cached for texts of a usual size."""
    return (
        _parse_cached(stored_text)
        if len(stored_text) <= _LONGEST_CACHED
        else parse_saml_metadata(stored_text)
    )


def parse_saml_metadata(unverified_text: str) -> ProviderMetadata:
    """Raises ValueError unless the text is the metadata of one identity provider, with acceptable keys."""
    if len(unverified_text) > LARGEST_METADATA:
        raise ValueError(f"more than {LARGEST_METADATA} characters")
    root = read_document(unverified_text.encode(), ignore_comments=True)
    if root.tag != f"{METADATA}EntityDescriptor":
        raise ValueError("not a SAML 2.0 EntityDescriptor")
    descriptors = [
        descriptor
        for descriptor in root.findall(f"{METADATA}IDPSSODescriptor")
        if _SAML_2 in descriptor.get("protocolSupportEnumeration", "").split()
    ]
    entity_id = root.get("entityID", "")
    if not entity_id or len(descriptors) != 1:
        raise ValueError(
            "not the metadata of one SAML 2.0 identity provider: an entityID, one IDPSSODescriptor"
        )
    (descriptor,) = descriptors
    ends = [time_of(text) for one in (root, descriptor) if (text := one.get("validUntil")) is not None]
    return ProviderMetadata(
        entity_id,
        _signing_certificates(descriptor),
        min(ends, default=None),
        redirect_url=_location(descriptor, _REDIRECT),
        post_url=_location(descriptor, _POST),
        wants_signed_requests=descriptor.get("WantAuthnRequestsSigned") in ("true", "1"),
    )


_parse_cached = lru_cache(maxsize=_MOST_CACHED)(parse_saml_metadata)


def _signing_certificates(descriptor: Element) -> tuple[str, ...]:
    """The certificates of all signing keys: during a key rotation there are two."""
    found: list[str] = []
    for key in descriptor.findall(f"{METADATA}KeyDescriptor"):
        if key.get("use", "signing") == "signing":
            found += [
                certificate_of(text_of(element))
                for element in key.iterfind(
                    f"{SIGNATURE}KeyInfo/{SIGNATURE}X509Data/{SIGNATURE}X509Certificate"
                )
            ]
    if not 0 < len(found) <= MOST_CERTIFICATES:
        raise ValueError(f"{len(found)} signing certificates; at least one, at most {MOST_CERTIFICATES}")
    return tuple(dict.fromkeys(found))


def certificate_of(text: str) -> str:
    """The certificate in base64 text as PEM; raises ValueError where it is malformed, or its key is weak.

    In metadata a certificate only contains the key: its dates and its issuer are not checked (SAML 2.0 Metadata
    Interoperability Profile).
    """
    try:
        certificate = x509.load_der_x509_certificate(b64decode("".join(text.split()), validate=True))
        key = certificate.public_key()
    except (UnsupportedAlgorithm, x509.InvalidVersion) as error:  # which are not ValueErrors
        raise ValueError(f"a certificate that cannot be read: {error}") from None
    if isinstance(key, RSAPublicKey):
        if key.key_size < SMALLEST_RSA_KEY:
            raise ValueError(f"an RSA key of {key.key_size} bits; at least {SMALLEST_RSA_KEY}")
    elif not isinstance(key, EllipticCurvePublicKey):
        raise ValueError("a key that is neither RSA nor of an elliptic curve")
    return certificate.public_bytes(Encoding.PEM).decode()


def _location(descriptor: Element, binding: str) -> str:
    for service in descriptor.iterfind(f"{METADATA}SingleSignOnService"):
        location = service.get("Location", "")
        if service.get("Binding") == binding and urlsplit(location).scheme in ("https", "http"):
            return location
    return ""


def time_of(text: str) -> float:
    """Epoch seconds of an xs:dateTime with a time zone; raises ValueError."""
    moment = datetime.fromisoformat(text.strip())
    if moment.tzinfo is None or "T" not in text:
        raise ValueError(f"{text!r} is not a time with a time zone")
    return moment.timestamp()
