"""What a service provider says: authentication requests, its own metadata (SAML 2.0 core 3.4, bindings 3.4 and 3.5).

Requests are signed where the identity provider wants that: what they ask for is proven by the answer alone. By redirect
the query is signed (bindings, 3.4.4.1), in a form the document.
"""

import zlib
from base64 import b64encode
from collections.abc import Sequence
from urllib.parse import urlencode

import msgspec
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from lxml import etree
from onelogin.saml2.utils import OneLogin_Saml2_Utils as Utils

from broker.assertions.private_keys import load_private_key
from broker.names.secret import SecretKey

_PROTOCOL, _SAML = "urn:oasis:names:tc:SAML:2.0:protocol", "urn:oasis:names:tc:SAML:2.0:assertion"
_METADATA = "urn:oasis:names:tc:SAML:2.0:metadata"
_SIGNATURE = "http://www.w3.org/2000/09/xmldsig#"
_RSA_SHA256 = "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256"
_SHA256 = "http://www.w3.org/2001/04/xmlenc#sha256"
_POST = "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST"
_NAME_ID_FORMATS = tuple(
    f"urn:oasis:names:tc:SAML:{name}"
    for name in (
        "2.0:nameid-format:persistent",
        "2.0:nameid-format:transient",
        "1.1:nameid-format:emailAddress",
        "1.1:nameid-format:unspecified",
    )
)


class RequestSigner(msgspec.Struct, frozen=True):
    """An RSA key and its certificate, both PEM."""

    private_key: SecretKey
    certificate: str


class AuthenticationRequest(msgspec.Struct, frozen=True, kw_only=True):
    """`issued_at` is an xs:dateTime; the answer is to come to `consumer_url`."""

    request_id: str
    issued_at: str
    destination: str
    consumer_url: str
    entity_id: str

    def document(self) -> bytes:
        root = etree.Element(
            f"{{{_PROTOCOL}}}AuthnRequest",
            {
                "ID": self.request_id,
                "Version": "2.0",
                "IssueInstant": self.issued_at,
                "Destination": self.destination,
                "ProtocolBinding": _POST,
                "AssertionConsumerServiceURL": self.consumer_url,
            },
            nsmap={"samlp": _PROTOCOL, "saml": _SAML},
        )
        etree.SubElement(root, f"{{{_SAML}}}Issuer").text = self.entity_id
        return etree.tostring(root)

    def redirect_url(self, signer: RequestSigner | None = None) -> str:
        """The destination with the request in its query, deflated without a header."""
        compressor = zlib.compressobj(wbits=-zlib.MAX_WBITS)
        deflated = compressor.compress(self.document()) + compressor.flush()
        joint = "&" if "?" in self.destination else "?"
        query = urlencode({"SAMLRequest": b64encode(deflated).decode()})
        return f"{self.destination}{joint}{query if signer is None else _signed_query(query, signer)}"

    def form_value(self, signer: RequestSigner | None = None) -> str:
        """What the field SAMLRequest of a form holds."""
        document = self.document()
        if signer is not None:
            key = signer.private_key.reveal()
            document = Utils.add_sign(document, key, signer.certificate, False, _RSA_SHA256, _SHA256)
        return b64encode(document).decode()


def _signed_query(query: str, signer: RequestSigner) -> str:
    key = load_private_key(signer.private_key.reveal())
    assert isinstance(key, RSAPrivateKey), "it was made as one"
    signed = f"{query}&{urlencode({'SigAlg': _RSA_SHA256})}"
    signature = key.sign(signed.encode(), PKCS1v15(), SHA256())
    return f"{signed}&{urlencode({'Signature': b64encode(signature).decode()})}"


def service_provider_metadata(
    entity_id: str, consumer_urls: Sequence[str], certificates: Sequence[str] = (), *, signs: bool = False
) -> bytes:
    """What an identity provider is given to know us by; the first consumer is the usual one.

    `certificates` (PEM) are those of the keys that sign requests, `signs` says that all requests are signed.
    """
    root = etree.Element(f"{{{_METADATA}}}EntityDescriptor", {"entityID": entity_id}, nsmap={"md": _METADATA})
    descriptor = etree.SubElement(
        root,
        f"{{{_METADATA}}}SPSSODescriptor",
        {
            "AuthnRequestsSigned": str(signs).lower(),
            "WantAssertionsSigned": "true",
            "protocolSupportEnumeration": _PROTOCOL,
        },
    )
    for certificate in certificates:
        key = etree.SubElement(descriptor, f"{{{_METADATA}}}KeyDescriptor", {"use": "signing"})
        information = etree.SubElement(key, f"{{{_SIGNATURE}}}KeyInfo", nsmap={"ds": _SIGNATURE})
        data = etree.SubElement(information, f"{{{_SIGNATURE}}}X509Data")
        etree.SubElement(data, f"{{{_SIGNATURE}}}X509Certificate").text = "".join(
            line for line in certificate.splitlines() if "-----" not in line
        )
    for name_format in _NAME_ID_FORMATS:
        etree.SubElement(descriptor, f"{{{_METADATA}}}NameIDFormat").text = name_format
    for index, url in enumerate(consumer_urls, 1):
        etree.SubElement(
            descriptor,
            f"{{{_METADATA}}}AssertionConsumerService",
            {"Binding": _POST, "Location": url, "index": str(index), "isDefault": str(index == 1).lower()},
        )
    return etree.tostring(root, xml_declaration=True, encoding="utf-8")
