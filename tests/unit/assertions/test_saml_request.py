"""Authentication requests, signed in both forms, and our metadata: read by other libraries."""

import zlib
from base64 import b64decode
from urllib.parse import parse_qs, urlsplit

import pytest
import xmlsec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509 import load_pem_x509_certificate
from lxml import etree

from broker.assertions.saml_request import (
    AuthenticationRequest,
    RequestSigner,
    service_provider_metadata,
)
from broker.sealing.identity import new_signing_identity

DSIG, SAML = "{http://www.w3.org/2000/09/xmldsig#}", "{urn:oasis:names:tc:SAML:2.0:assertion}"
METADATA = "{urn:oasis:names:tc:SAML:2.0:metadata}"
REQUEST = AuthenticationRequest(
    request_id="_1",
    issued_at="2027-01-15T08:00:00Z",
    destination="https://idp.example/sso?tenant=a",
    consumer_url="https://access.example.com/saml",
    entity_id="urn:amazon:webservices",
)


@pytest.fixture(scope="module")
def signer() -> RequestSigner:
    made = new_signing_identity(1_800_000_000, bytes(16))
    return RequestSigner(made.private_key, made.certificate)


def test_the_query_of_a_redirect_is_signed_as_it_is_sent(signer: RequestSigner) -> None:
    query = urlsplit(REQUEST.redirect_url(signer)).query
    assert query.startswith("tenant=a&SAMLRequest=")
    signed, _, _ = query.removeprefix("tenant=a&").partition("&Signature=")
    values = parse_qs(query)
    key = load_pem_x509_certificate(signer.certificate.encode()).public_key()
    assert isinstance(key, RSAPublicKey)
    signature = b64decode(values["Signature"][0])
    key.verify(signature, signed.encode(), PKCS1v15(), SHA256())
    with pytest.raises(InvalidSignature):
        key.verify(signature, signed.encode() + b"a", PKCS1v15(), SHA256())
    document = zlib.decompress(b64decode(values["SAMLRequest"][0]), -zlib.MAX_WBITS)
    assert document == REQUEST.document()


def test_the_document_in_a_form_is_signed_behind_its_issuer(signer: RequestSigner) -> None:
    root = etree.fromstring(b64decode(REQUEST.form_value(signer)))
    assert [child.tag for child in root][:2] == [f"{SAML}Issuer", f"{DSIG}Signature"]
    assert _verifies(root, signer.certificate)
    root.set("AssertionConsumerServiceURL", "https://evil.example/")
    assert not _verifies(root, signer.certificate)


def _verifies(root: etree._Element, certificate: str) -> bool:
    xmlsec.tree.add_ids(root, ["ID"])
    context = xmlsec.SignatureContext()
    context.key = xmlsec.Key.from_memory(certificate.encode(), xmlsec.KeyFormat.CERT_PEM)
    try:
        context.verify(root.find(f"{DSIG}Signature"))
    except xmlsec.Error:
        return False
    return True


def test_without_a_key_nothing_is_signed() -> None:
    assert set(parse_qs(urlsplit(REQUEST.redirect_url()).query)) == {"tenant", "SAMLRequest"}
    assert etree.fromstring(b64decode(REQUEST.form_value())).find(f"{DSIG}Signature") is None


def test_metadata_have_the_certificates_of_requests_and_every_consumer(signer: RequestSigner) -> None:
    consumers = ["https://a.example/saml", "https://a.example/saml/acs/X"]
    root = etree.fromstring(service_provider_metadata("urn:x", consumers, [signer.certificate], signs=True))
    (descriptor,) = root
    assert descriptor.get("AuthnRequestsSigned") == "true"
    # The schema has the keys first, then the formats, then the consumers.
    assert [child.tag.removeprefix(METADATA) for child in descriptor] == [
        "KeyDescriptor",
        *["NameIDFormat"] * 4,
        *["AssertionConsumerService"] * 2,
    ]
    (text,) = (one.text for one in root.iter(f"{DSIG}X509Certificate"))
    pem = f"-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n"
    known = load_pem_x509_certificate(signer.certificate.encode())
    assert load_pem_x509_certificate(pem.encode()) == known
    services = root.findall(f".//{METADATA}AssertionConsumerService")
    assert [(one.get("Location"), one.get("isDefault")) for one in services] == [
        (consumers[0], "true"),
        (consumers[1], "false"),
    ]
    plain = etree.fromstring(service_provider_metadata("urn:x", consumers))
    assert plain[0].get("AuthnRequestsSigned") == "false"
