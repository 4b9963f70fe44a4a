"""What a signed or encrypted document refers to, outside of itself, is never opened: no file, whatever it is."""

from base64 import b64decode, b64encode
from copy import deepcopy
from hashlib import sha256
from pathlib import Path

import pytest
import xmlsec
from lxml import etree
from lxml.etree import _Element as Element

from broker.assertions.checks import CheckFailed, Checks
from broker.assertions.saml_assertion import Expected, SamlAssertion
from broker.assertions.saml_metadata import parse_saml_metadata
from broker.assertions.saml_response import read_response, verify_response
from tests.unit.assertions.saml_provider import (
    AUDIENCE,
    NOW,
    RECIPIENT,
    KeyPair,
    assertion,
    encoded,
    encrypt,
    metadata,
    response,
    sign,
)

PAIR = KeyPair()
DSIG, XENC = "{http://www.w3.org/2000/09/xmldsig#}", "{http://www.w3.org/2001/04/xmlenc#}"


def verify(document: Element) -> SamlAssertion:
    checks = Checks()
    provider = parse_saml_metadata(metadata(PAIR))
    root = read_response(encoded(document), checks)
    return verify_response(
        root, provider, [PAIR.private_pem], Expected((RECIPIENT,), (AUDIENCE,)), NOW, checks
    )


def refused_by(document: Element) -> str:
    with pytest.raises(CheckFailed) as failed:
        verify(document)
    return failed.value.check.name


def test_a_manifest_in_a_signature_is_refused_before_it_is_looked_at(tmp_path: Path) -> None:
    """Its digest is right: were the file read, nothing would be wrong."""
    file = tmp_path / "file"
    file.write_bytes(b"content")
    document = response(sign(assertion(), PAIR))
    signature = document.find(f".//{DSIG}Signature")
    assert signature is not None
    manifest = etree.SubElement(etree.SubElement(signature, f"{DSIG}Object"), f"{DSIG}Manifest")
    reference = etree.SubElement(manifest, f"{DSIG}Reference", URI=str(file))
    etree.SubElement(reference, f"{DSIG}DigestMethod", Algorithm="http://www.w3.org/2001/04/xmlenc#sha256")
    digest = b64encode(sha256(file.read_bytes()).digest()).decode()
    etree.SubElement(reference, f"{DSIG}DigestValue").text = digest
    assert refused_by(document) == "signature objects"


def test_what_is_encrypted_is_in_the_document_itself(tmp_path: Path) -> None:
    encrypted = encrypt(sign(assertion(), PAIR), PAIR)
    assert verify(response(deepcopy(encrypted))).name_id.value == "alice"
    cipher = encrypted.find(f"{XENC}EncryptedData/{XENC}CipherData")
    value = cipher.find(f"{XENC}CipherValue") if cipher is not None else None
    assert cipher is not None and value is not None
    file = tmp_path / "octets"
    file.write_bytes(b64decode(value.text or ""))
    cipher.remove(value)
    etree.SubElement(cipher, f"{XENC}CipherReference", URI=str(file))
    assert refused_by(response(encrypted)) == "encryption"


def test_the_library_opens_no_file_that_a_document_names(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"content")
    signature = xmlsec.template.create(
        etree.Element("root"), xmlsec.Transform.EXCL_C14N, xmlsec.Transform.RSA_SHA256
    )
    xmlsec.template.add_reference(signature, xmlsec.Transform.SHA256, uri=str(file))
    context = xmlsec.SignatureContext()
    context.key = xmlsec.Key.from_memory(PAIR.private_pem, xmlsec.KeyFormat.PEM)
    with pytest.raises(xmlsec.Error):
        context.sign(signature)
