"""What a service provider says: authentication requests, its own metadata (SAML 2.0 core 3.4, bindings 3.4 and 3.5).

Requests are not signed, as AWS's are not: what they ask for is proven by the answer alone.
"""

import zlib
from base64 import b64encode
from urllib.parse import urlencode

import msgspec
from lxml import etree

_PROTOCOL, _SAML = "urn:oasis:names:tc:SAML:2.0:protocol", "urn:oasis:names:tc:SAML:2.0:assertion"
_METADATA = "urn:oasis:names:tc:SAML:2.0:metadata"
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

    def redirect_url(self) -> str:
        """The destination with the request in its query, deflated without a header."""
        compressor = zlib.compressobj(wbits=-zlib.MAX_WBITS)
        deflated = compressor.compress(self.document()) + compressor.flush()
        joint = "&" if "?" in self.destination else "?"
        return f"{self.destination}{joint}{urlencode({'SAMLRequest': b64encode(deflated).decode()})}"

    def form_value(self) -> str:
        """What the field SAMLRequest of a form holds."""
        return b64encode(self.document()).decode()


def service_provider_metadata(entity_id: str, consumer_url: str) -> bytes:
    """What an identity provider is given to know us by."""
    root = etree.Element(f"{{{_METADATA}}}EntityDescriptor", {"entityID": entity_id}, nsmap={"md": _METADATA})
    descriptor = etree.SubElement(
        root,
        f"{{{_METADATA}}}SPSSODescriptor",
        {
            "AuthnRequestsSigned": "false",
            "WantAssertionsSigned": "true",
            "protocolSupportEnumeration": _PROTOCOL,
        },
    )
    for name_format in _NAME_ID_FORMATS:
        etree.SubElement(descriptor, f"{{{_METADATA}}}NameIDFormat").text = name_format
    etree.SubElement(
        descriptor,
        f"{{{_METADATA}}}AssertionConsumerService",
        {"Binding": _POST, "Location": consumer_url, "index": "1", "isDefault": "true"},
    )
    return etree.tostring(root, xml_declaration=True, encoding="utf-8")
