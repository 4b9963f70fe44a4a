"""The one assertion of a message, and that the provider signed it: inside a response, or alone.

INVARIANT: what is given back is what was signed (`xml_signatures`), and there is no other assertion around it or in it:
one anywhere else is a forgery being prepared.
"""

from collections.abc import Sequence

import xmlsec
from lxml import etree
from lxml.etree import _Element as Element
from onelogin.saml2.utils import OneLogin_Saml2_Utils as Utils

from broker.assertions.checks import Checks
from broker.assertions.saml_assertion import Expected
from broker.assertions.saml_metadata import ProviderMetadata
from broker.assertions.xml_documents import SAML, SIGNATURE, read_document
from broker.assertions.xml_signatures import signature_of, signed_content

ASSERTION, ENCRYPTED_ASSERTION = f"{SAML}Assertion", f"{SAML}EncryptedAssertion"

_ENCRYPTION = "{http://www.w3.org/2001/04/xmlenc#}"
_ENCRYPTED = f"{_ENCRYPTION}EncryptedData"
# What would be opened is then elsewhere, or the result of transforms (XPath, XSLT) that the document brings along.
_INDIRECT = (f"{_ENCRYPTION}CipherReference", f"{SIGNATURE}Transforms")


def signed_in_response(
    root: Element,
    provider: ProviderMetadata,
    private_keys: Sequence[str],
    expected: Expected,
    checks: Checks,
) -> tuple[Element, Element]:
    """The response, as signed where it is, and the one assertion in it, as signed or as part of the signed response."""
    response_signature = signature_of(root, checks)
    response = root
    if response_signature is not None:
        response = signed_content(
            root, response_signature, provider.certificates, checks, allow_sha1=expected.allow_sha1
        )
    assertion = _only_assertion(response, private_keys, checks)
    signature = signature_of(assertion, checks)
    checks.require(
        "signed",
        response_signature is not None or signature is not None,
        found="neither the response nor its assertion is signed",
        wanted="one of them signed",
    )
    if signature is not None:
        assertion = signed_content(
            assertion, signature, provider.certificates, checks, allow_sha1=expected.allow_sha1
        )
    return response, assertion


def _only_assertion(response: Element, private_keys: Sequence[str], checks: Checks) -> Element:
    """The one assertion, deciphered where it is encrypted."""
    plain, encrypted = response.findall(ASSERTION), response.findall(ENCRYPTED_ASSERTION)
    everywhere = list(response.iter(ASSERTION, ENCRYPTED_ASSERTION))
    checks.require(
        "assertions",
        len(plain) + len(encrypted) == 1 == len(everywhere),
        found=f"{len(everywhere)} assertions, {len(plain) + len(encrypted)} of them in the response itself",
        wanted="one, in the response itself",
    )
    return plain[0] if plain else _opened(encrypted[0], private_keys, checks)


def _opened(encrypted: Element, private_keys: Sequence[str], checks: Checks) -> Element:
    """The one assertion that is encrypted in the element."""
    opened = _decrypted(encrypted, private_keys, checks)
    checks.require("decrypted", opened.tag == ASSERTION, found=opened.tag, wanted="an assertion")
    nested = [one for one in opened.iter(ASSERTION, ENCRYPTED_ASSERTION) if one is not opened]
    checks.require(
        "assertions", not nested, found=f"{len(nested)} more inside the encrypted one", wanted="one"
    )
    return opened


def _decrypted(encrypted: Element, private_keys: Sequence[str], checks: Checks) -> Element:
    data = encrypted.findall(_ENCRYPTED)
    checks.require("encryption", len(data) == 1, found=f"{len(data)} EncryptedData", wanted="one")
    indirect = list(encrypted.iter(*_INDIRECT))
    checks.require(
        "encryption",
        not indirect,
        found=f"{len(indirect)} references or transforms",
        wanted="the octets themselves",
    )
    checks.require("private keys", bool(private_keys), found="none", wanted="a private key of the provider")
    for key in private_keys:
        try:
            # In its place: what was encrypted may use the prefixes that are declared around it.
            opened = Utils.decrypt_element(data[0], key, inplace=True)
        except xmlsec.Error:
            continue
        # Bytes, where the type that is stated is no element's.
        if isinstance(opened, Element) and isinstance(opened.tag, str):
            return read_document(etree.tostring(opened, with_tail=False))
    raise checks.fail("decryption", found=f"opened by none of {len(private_keys)} keys", wanted="a known key")


def signed_alone(
    root: Element,
    provider: ProviderMetadata,
    private_keys: Sequence[str],
    expected: Expected,
    checks: Checks,
) -> Element:
    """The assertion that `root` is, or that is encrypted in it. Nothing around it is signed, so it has to be itself."""
    everywhere = list(root.iter(ASSERTION, ENCRYPTED_ASSERTION))
    checks.require(
        "assertions", len(everywhere) == 1, found=f"{len(everywhere)} assertions", wanted="one alone"
    )
    assertion = root if root.tag == ASSERTION else _opened(root, private_keys, checks)
    signature = signature_of(assertion, checks)
    if signature is None:
        raise checks.fail("signed", found="the assertion is not signed", wanted="a signature of its own")
    checks.require("signed", True, found="the assertion")
    return signed_content(assertion, signature, provider.certificates, checks, allow_sha1=expected.allow_sha1)
