"""Enveloped XML signatures (XML-DSig core, SAML 2.0 core section 5.4): finds what the provider has signed.

The law: nothing is read of the received document. Read are the canonical bytes whose digest is in the signed
`SignedInfo`, parsed again. So neither a second element with the same ID nor a comment nor a transform can make the
broker read anything that was not signed.
"""

import hashlib
import hmac
from base64 import b64decode
from collections.abc import Sequence
from copy import deepcopy
from functools import lru_cache

import xmlsec
from lxml import etree
from lxml.etree import _Element as Element

from broker.assertions.checks import Checks
from broker.assertions.xml_documents import SIGNATURE, read_document

# DANGER: the library opens whatever file or URL a document names (`URI` of a reference in a manifest, of a
# CipherReference, of a RetrievalMethod), before anything is proven. Without these callbacks it opens none.
xmlsec.cleanup_callbacks()

_EXCLUSIVE = "http://www.w3.org/2001/10/xml-exc-c14n#"
_ENVELOPED = "http://www.w3.org/2000/09/xmldsig#enveloped-signature"
_PREFIXES = f"{{{_EXCLUSIVE}}}InclusiveNamespaces"
_DSIG, _DSIG_MORE = "http://www.w3.org/2000/09/xmldsig#", "http://www.w3.org/2001/04/xmldsig-more#"
_DSIG_2007, _XMLENC = "http://www.w3.org/2007/05/xmldsig-more#", "http://www.w3.org/2001/04/xmlenc#"

METHODS = frozenset(
    (
        *(f"{_DSIG_MORE}rsa-sha{size}" for size in (256, 384, 512)),
        *(f"{_DSIG_MORE}ecdsa-sha{size}" for size in (256, 384, 512)),
        *(f"{_DSIG_2007}sha{size}-rsa-MGF1" for size in (256, 384, 512)),
    )
)
DIGESTS = {
    f"{_XMLENC}sha256": "sha256",
    f"{_DSIG_MORE}sha384": "sha384",
    f"{_XMLENC}sha512": "sha512",
}
# Weak: accepted only where `allow_sha1` is set.
WEAK_METHODS = frozenset((f"{_DSIG}rsa-sha1", f"{_DSIG_MORE}ecdsa-sha1"))
WEAK_DIGESTS = {f"{_DSIG}sha1": "sha1"}


def signature_of(element: Element, checks: Checks) -> Element | None:
    """The signature that `element` envelops, None where it has none; raises CheckFailed where it has several."""
    found = element.findall(f"{SIGNATURE}Signature")
    checks.require("signatures", len(found) <= 1, found=len(found), wanted="at most one for an element")
    return found[0] if found else None


def signed_content(
    element: Element,
    signature: Element,
    certificates: Sequence[str],
    checks: Checks,
    *,
    allow_sha1: bool = False,
) -> Element:
    """What the holder of one of `certificates` (PEM) signed of `element`, parsed again; raises CheckFailed."""
    reference = _require_form(element, signature, checks, allow_sha1)
    checks.require(
        "signature",
        _is_signed_by(element, signature, certificates),
        found=f"made by none of {len(certificates)} keys",
        wanted="made by a signing key of the provider's metadata",
    )
    content = _canonical(element, reference)
    digest_name = (DIGESTS | WEAK_DIGESTS)[_algorithm(reference, "DigestMethod")]
    stated = b64decode(reference.findtext(f"{SIGNATURE}DigestValue") or "")
    checks.require(
        "digest",
        hmac.compare_digest(hashlib.new(digest_name, content).digest(), stated),
        found="another content than the one that was signed",
        wanted="the content that was signed",
    )
    return read_document(content)


def _require_form(element: Element, signature: Element, checks: Checks, allow_sha1: bool) -> Element:
    """The one reference of the signature; raises CheckFailed where the signature is not as SAML requires.

    "Signatures MUST NOT contain ds:Object" (SAML 2.0 errata, E91): a manifest in one has references of its own.
    """
    infos = signature.findall(f"{SIGNATURE}SignedInfo")
    references = signature.findall(f"{SIGNATURE}SignedInfo/{SIGNATURE}Reference")
    checks.require(
        "signature form",
        len(infos) == len(references) == 1,
        found=f"{len(references)} references",
        wanted="one reference",
    )
    info, reference = infos[0], references[0]
    methods = METHODS | WEAK_METHODS if allow_sha1 else METHODS
    method = _algorithm(info, "SignatureMethod")
    checks.require("signature algorithm", method in methods, found=method, wanted="SHA-256 or better")
    canonicalization = _algorithm(info, "CanonicalizationMethod")
    checks.require(
        "canonicalization", canonicalization == _EXCLUSIVE, found=canonicalization, wanted=_EXCLUSIVE
    )
    digests = DIGESTS | WEAK_DIGESTS if allow_sha1 else DIGESTS
    digest = _algorithm(reference, "DigestMethod")
    checks.require("digest algorithm", digest in digests, found=digest, wanted="SHA-256 or better")
    transforms = [
        transform.get("Algorithm")
        for transform in reference.iterfind(f"{SIGNATURE}Transforms/{SIGNATURE}Transform")
    ]
    checks.require(
        "transforms",
        transforms == [_ENVELOPED, _EXCLUSIVE],
        found=", ".join(map(str, transforms)),
        wanted="the enveloped signature transform and exclusive canonicalization",
    )
    identifier, target = element.get("ID"), reference.get("URI")
    checks.require(
        "signed element",
        bool(identifier) and target == f"#{identifier}",
        found=target,
        wanted=f"#{identifier}",
    )
    objects = signature.findall(f"{SIGNATURE}Object")
    checks.require("signature objects", not objects, found=f"{len(objects)} objects", wanted="none")
    return reference


def _algorithm(parent: Element, name: str) -> str:
    found = parent.find(f"{SIGNATURE}{name}")
    return "" if found is None else found.get("Algorithm", "")


def _is_signed_by(element: Element, signature: Element, certificates: Sequence[str]) -> bool:
    """Whether one of the certificates' keys made the signature; its own KeyInfo is ignored."""
    xmlsec.tree.add_ids(element, ["ID"])
    return any(_is_made_with(_key_of(certificate), signature) for certificate in certificates)


def _is_made_with(key: xmlsec.Key, signature: Element) -> bool:
    context = xmlsec.SignatureContext()
    context.key = key  # a copy of its own
    context.set_enabled_key_data([xmlsec.constants.KeyDataX509])
    try:
        context.verify(signature)
    except xmlsec.Error:
        return False
    return True


@lru_cache(maxsize=1000)
def _key_of(certificate: str) -> xmlsec.Key:
    """The key of a certificate (PEM), which a provider signs with for years."""
    return xmlsec.Key.from_memory(certificate, xmlsec.constants.KeyDataFormatCertPem)


def _canonical(element: Element, reference: Element) -> bytes:
    """The exclusive canonical form of `element` without its signature: the digest is computed of it."""
    copy = deepcopy(element)
    copy.tail = None
    signature = copy.find(f"{SIGNATURE}Signature")
    assert signature is not None
    _remove(copy, signature)
    listed = reference.find(f"{SIGNATURE}Transforms/{SIGNATURE}Transform/{_PREFIXES}")
    prefixes = [] if listed is None else listed.get("PrefixList", "").split()
    return etree.tostring(
        copy, method="c14n", exclusive=True, with_comments=False, inclusive_ns_prefixes=prefixes
    )


def _remove(parent: Element, child: Element) -> None:
    """Remove `child`, but not the text behind it."""
    tail, before = child.tail or "", child.getprevious()
    if before is None:
        parent.text = (parent.text or "") + tail
    else:
        before.tail = (before.tail or "") + tail
    parent.remove(child)
