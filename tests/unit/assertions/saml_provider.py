"""A SAML identity provider: keys, metadata, and responses that it signs as a test asks."""

import datetime
from base64 import b64encode
from copy import deepcopy
from functools import cached_property
from typing import Any

import xmlsec
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from lxml import etree
from lxml.etree import _Element as Element

NOW = 1_800_000_000
ENTITY = "https://idp.example.com/saml"
RECIPIENT = "https://broker.example.com/saml"
AUDIENCE = "urn:amazon:webservices"

NS = 'xmlns:saml="urn:oasis:names:tc:SAML:2.0:assertion" xmlns:samlp="urn:oasis:names:tc:SAML:2.0:protocol"'
SHA1 = (xmlsec.Transform.RSA_SHA1, xmlsec.Transform.SHA1)
SHA256 = (xmlsec.Transform.RSA_SHA256, xmlsec.Transform.SHA256)
USUAL_ATTRIBUTES: dict[str, list[str]] = {
    "https://aws.amazon.com/SAML/Attributes/Role": [
        "arn:aws:iam::111111111111:role/reader,arn:aws:iam::111111111111:saml-provider/idp"
    ],
    "https://aws.amazon.com/SAML/Attributes/RoleSessionName": ["alice"],
}


def moment(offset: float = 0) -> str:
    """A moment `offset` seconds from NOW."""
    at = datetime.datetime.fromtimestamp(NOW + offset, datetime.UTC)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


class KeyPair:
    """A private key and a certificate for it."""

    def __init__(self, size: int = 2048, curve: ec.EllipticCurve | None = None) -> None:
        """An RSA key of `size` bits, or one of `curve`."""
        self.key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey = (
            rsa.generate_private_key(public_exponent=65537, key_size=size)
            if curve is None
            else ec.generate_private_key(curve)
        )
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "idp")])
        begins = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
        self.certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(self.key.public_key())
            .serial_number(1)
            .not_valid_before(begins)
            .not_valid_after(begins + datetime.timedelta(days=20_000))
            .sign(self.key, hashes.SHA256())
        )

    @cached_property
    def private_pem(self) -> str:
        return self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()

    @cached_property
    def pem(self) -> str:
        return self.certificate.public_bytes(Encoding.PEM).decode()

    @cached_property
    def base64(self) -> str:
        return b64encode(self.certificate.public_bytes(Encoding.DER)).decode()


def metadata(*pairs: KeyPair, entity: str = ENTITY, others: str = "", valid_until: str | None = None) -> str:
    keys = "".join(
        f'<KeyDescriptor use="signing"><KeyInfo xmlns="http://www.w3.org/2000/09/xmldsig#"><X509Data>'
        f"<X509Certificate>{pair.base64}</X509Certificate></X509Data></KeyInfo></KeyDescriptor>"
        for pair in pairs
    )
    until = "" if valid_until is None else f' validUntil="{valid_until}"'
    return (
        f'<?xml version="1.0"?><EntityDescriptor xmlns="urn:oasis:names:tc:SAML:2.0:metadata" entityID="{entity}"'
        f'{until}><IDPSSODescriptor protocolSupportEnumeration="urn:oasis:names:tc:SAML:2.0:protocol">{keys}{others}'
        '<SingleSignOnService Binding="urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect" '
        f'Location="{entity}/sso"/></IDPSSODescriptor></EntityDescriptor>'
    )


def assertion(**changes: Any) -> str:
    """An assertion's text; `changes` replace what it says, None takes an element or an attribute away."""
    said: dict[str, Any] = {
        "id": "_assertion",
        "issuer": ENTITY,
        "issued": moment(-10),
        "name_id": "alice",
        "format": "urn:oasis:names:tc:SAML:2.0:nameid-format:persistent",
        "recipient": RECIPIENT,
        "confirmed_until": moment(300),
        "confirmation_extra": "",
        "method": "urn:oasis:names:tc:SAML:2.0:cm:bearer",
        "not_before": moment(-60),
        "not_on_or_after": moment(300),
        "audience": AUDIENCE,
        "condition_extra": "",
        "session_end": None,
        "attributes": USUAL_ATTRIBUTES,
        "extra": "",
        "version": "2.0",
        **changes,
    }
    restriction = (
        ""
        if said["audience"] is None
        else f"<saml:AudienceRestriction><saml:Audience>{said['audience']}</saml:Audience></saml:AudienceRestriction>"
    )
    until = "" if said["confirmed_until"] is None else f' NotOnOrAfter="{said["confirmed_until"]}"'
    session = "" if said["session_end"] is None else f' SessionNotOnOrAfter="{said["session_end"]}"'
    attributes = "".join(
        f'<saml:Attribute Name="{name}">'
        + "".join(f"<saml:AttributeValue>{value}</saml:AttributeValue>" for value in values)
        + "</saml:Attribute>"
        for name, values in said["attributes"].items()
    )
    return (
        f'<saml:Assertion {NS} ID="{said["id"]}" Version="{said["version"]}" IssueInstant="{said["issued"]}">'
        f"<saml:Issuer>{said['issuer']}</saml:Issuer><saml:Subject>"
        f'<saml:NameID Format="{said["format"]}">{said["name_id"]}</saml:NameID>'
        f'<saml:SubjectConfirmation Method="{said["method"]}"><saml:SubjectConfirmationData '
        f'Recipient="{said["recipient"]}"{until}{said["confirmation_extra"]}/></saml:SubjectConfirmation></saml:Subject>'
        f'<saml:Conditions NotBefore="{said["not_before"]}" NotOnOrAfter="{said["not_on_or_after"]}">'
        f"{restriction}{said['condition_extra']}</saml:Conditions>"
        f'<saml:AuthnStatement AuthnInstant="{moment(-10)}"{session}><saml:AuthnContext><saml:AuthnContextClassRef>'
        "urn:oasis:names:tc:SAML:2.0:ac:classes:Password</saml:AuthnContextClassRef></saml:AuthnContext>"
        f"</saml:AuthnStatement><saml:AttributeStatement>{attributes}</saml:AttributeStatement>{said['extra']}"
        "</saml:Assertion>"
    )


def response(
    *inside: str | Element,
    issuer: str | None = ENTITY,
    status: str = "urn:oasis:names:tc:SAML:2.0:status:Success",
    extra: str = f'Destination="{RECIPIENT}"',
) -> Element:
    issued_by = "" if issuer is None else f"<saml:Issuer>{issuer}</saml:Issuer>"
    root = etree.fromstring(
        f'<samlp:Response {NS} ID="_response" Version="2.0" IssueInstant="{moment(-10)}" {extra}>{issued_by}'
        f'<samlp:Status><samlp:StatusCode Value="{status}"/></samlp:Status></samlp:Response>'
    )
    for one in inside:
        root.append(etree.fromstring(one) if isinstance(one, str) else one)
    return root


def sign(
    element: Element | str, pair: KeyPair, algorithms: Any = SHA256, *, uri: str | None = None
) -> Element:
    """The element, with an enveloped signature behind its Issuer."""
    signed = etree.fromstring(element) if isinstance(element, str) else element
    method, digest = algorithms
    signature = xmlsec.template.create(signed, xmlsec.Transform.EXCL_C14N, method, ns="ds")
    reference = xmlsec.template.add_reference(
        signature, digest, uri=f"#{signed.get('ID')}" if uri is None else uri
    )
    xmlsec.template.add_transform(reference, xmlsec.Transform.ENVELOPED)
    xmlsec.template.add_transform(reference, xmlsec.Transform.EXCL_C14N)
    signed.insert(1, signature)
    xmlsec.tree.add_ids(signed, ["ID"])
    context = xmlsec.SignatureContext()
    context.key = xmlsec.Key.from_memory(pair.private_pem, xmlsec.KeyFormat.PEM)
    context.sign(signature)
    # Parsed again: lxml does not find the names of nodes that xmlsec made.
    return etree.fromstring(etree.tostring(signed))


def encrypt(element: Element, pair: KeyPair) -> Element:
    """An EncryptedAssertion that holds `element`."""
    holder = etree.fromstring(f"<saml:EncryptedAssertion {NS}/>")
    holder.append(deepcopy(element))
    data = xmlsec.template.encrypted_data_create(
        holder, xmlsec.Transform.AES256_GCM, type=xmlsec.EncryptionType.ELEMENT, ns="xenc"
    )
    xmlsec.template.encrypted_data_ensure_cipher_value(data)
    info = xmlsec.template.encrypted_data_ensure_key_info(data, ns="ds")
    key = xmlsec.template.add_encrypted_key(info, xmlsec.Transform.RSA_OAEP)
    xmlsec.template.encrypted_data_ensure_cipher_value(key)
    manager = xmlsec.KeysManager()
    manager.add_key(xmlsec.Key.from_memory(pair.pem, xmlsec.KeyFormat.CERT_PEM))
    context = xmlsec.EncryptionContext(manager)
    context.key = xmlsec.Key.generate(xmlsec.KeyData.AES, 256, xmlsec.KeyDataType.SESSION)
    context.encrypt_xml(data, holder[0])
    return holder


def encoded(document: Element | str | bytes) -> str:
    if isinstance(document, str):
        return b64encode(document.encode()).decode()
    return b64encode(document if isinstance(document, bytes) else etree.tostring(document)).decode()
