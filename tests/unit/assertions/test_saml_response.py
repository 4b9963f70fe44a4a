"""SAML responses: which are proven, and which check refuses the others."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree
from xmlsec import Transform

from broker.assertions.checks import CheckFailed, Checks
from broker.assertions.saml_assertion import LEEWAY, Expected, SamlAssertion
from broker.assertions.saml_metadata import parse_saml_metadata
from broker.assertions.saml_response import (
    LONGEST_RESPONSE,
    read_response,
    verify_response,
)
from broker.assertions.xml_documents import SAML, SIGNATURE
from tests.saml_wrappings import WRAPPINGS, Caught
from tests.unit.assertions.saml_provider import (
    AUDIENCE,
    ENTITY,
    NOW,
    NS,
    RECIPIENT,
    SHA1,
    USUAL_ATTRIBUTES,
    KeyPair,
    assertion,
    encoded,
    encrypt,
    metadata,
    moment,
    response,
    sign,
)

EXPECTED = Expected((RECIPIENT, "https://signin.aws.amazon.com/saml"), (AUDIENCE,))
PAIR, OTHER = KeyPair(), KeyPair()

ATTRIBUTE = '<saml:Attribute Name="x"/>'


def verify(document: Any, **question: Any) -> SamlAssertion:
    checks = question.pop("checks", None) or Checks()
    usual = {
        "provider": parse_saml_metadata(metadata(PAIR)),
        "private_keys": (),
        "expected": EXPECTED,
        "now": NOW,
        **question,
    }
    return verify_response(read_response(encoded(document), checks), checks=checks, **usual)


def refused_by(document: Any, **question: Any) -> str:
    """The name of the check that fails."""
    checks = Checks()
    with pytest.raises(CheckFailed) as failed:
        verify(document, checks=checks, **question)
    assert checks.made[-1] is failed.value.check
    return failed.value.check.name


def signed_assertion(**changes: Any) -> Any:
    return response(sign(assertion(**changes), PAIR))


def test_a_response_with_a_signed_assertion_is_proven() -> None:
    proven = verify(signed_assertion())
    assert (proven.issuer, proven.name_id.value, proven.recipient) == (ENTITY, "alice", RECIPIENT)
    assert proven.name_id.format == "urn:oasis:names:tc:SAML:2.0:nameid-format:persistent"
    assert proven.audiences == (AUDIENCE,)
    assert proven.attributes == {name: tuple(values) for name, values in USUAL_ATTRIBUTES.items()}
    assert (proven.id, proven.issued_at, proven.session_expires_at) == ("_assertion", NOW - 10, None)


def test_a_signed_response_is_proven_with_the_assertion_in_it() -> None:
    assert verify(sign(response(assertion()), PAIR)).name_id.value == "alice"


def test_a_signed_response_with_a_signed_assertion_is_proven() -> None:
    assert verify(sign(response(sign(assertion(), PAIR)), PAIR)).name_id.value == "alice"


def test_an_encrypted_assertion_is_opened_with_one_of_the_private_keys() -> None:
    for document in (
        response(encrypt(sign(assertion(), PAIR), OTHER)),
        sign(response(encrypt(etree.fromstring(assertion()), OTHER)), PAIR),
    ):
        keys = (PAIR.private_pem, OTHER.private_pem)
        assert verify(deepcopy(document), private_keys=keys).name_id.value == "alice"
        assert refused_by(deepcopy(document)) == "private keys"
        assert refused_by(deepcopy(document), private_keys=(PAIR.private_pem,)) == "decryption"


@pytest.mark.parametrize("kind", [None, "http://www.w3.org/2001/04/xmlenc#Content", "text/xml"])
def test_what_is_encrypted_as_something_else_than_an_element_is_no_assertion(kind: str | None) -> None:
    document = response(encrypt(sign(assertion(), PAIR), OTHER))
    (data,) = document.iter("{http://www.w3.org/2001/04/xmlenc#}EncryptedData")
    del data.attrib["Type"]
    if kind is not None:
        data.set("Type", kind)
    assert refused_by(document, private_keys=(OTHER.private_pem,)) in ("decryption", "signed", "decrypted")


def test_each_of_several_signing_certificates_is_tried() -> None:
    provider = parse_saml_metadata(metadata(OTHER, PAIR))
    assert verify(signed_assertion(), provider=provider).name_id.value == "alice"


def test_an_assertion_may_be_for_the_url_of_aws() -> None:
    recipient = "https://signin.aws.amazon.com/saml"
    document = response(sign(assertion(recipient=recipient), PAIR), extra=f'Destination="{recipient}"')
    assert verify(document).recipient == recipient


def test_white_space_and_line_breaks_in_base64_are_accepted() -> None:
    checks = Checks()
    text = encoded(signed_assertion())
    lines = "\r\n".join(text[start : start + 76] for start in range(0, len(text), 76))
    provider = parse_saml_metadata(metadata(PAIR))
    assert (
        verify_response(read_response(lines, checks), provider, (), EXPECTED, NOW, checks).id == "_assertion"
    )


@pytest.mark.parametrize(
    ("changes", "check"),
    [
        ({"issuer": "https://other.example.com"}, "issuer"),
        ({"version": "1.1"}, "version"),
        ({"issued": moment(-300 - LEEWAY)}, "redemption"),
        ({"issued": moment(LEEWAY + 1)}, "issue instant"),
        ({"issued": "yesterday"}, "form"),
        ({"issued": "2027-01-15T08:00:00"}, "form"),
        ({"name_id": ""}, "subject"),
        ({"recipient": "https://evil.example.com/saml"}, "recipient"),
        ({"recipient": RECIPIENT + "/"}, "recipient"),
        ({"recipient": ""}, "recipient"),
        ({"confirmed_until": moment(-LEEWAY)}, "subject confirmation not on or after"),
        ({"confirmed_until": None}, "subject confirmation"),
        (
            {"confirmation_extra": f' NotBefore="{moment(LEEWAY + 1)}"'},
            "subject confirmation not before",
        ),
        ({"method": "urn:oasis:names:tc:SAML:2.0:cm:sender-vouches"}, "subject confirmation"),
        ({"not_before": moment(LEEWAY + 1)}, "conditions not before"),
        ({"not_on_or_after": moment(-LEEWAY)}, "conditions not on or after"),
        ({"audience": "urn:other"}, "audience"),
        ({"audience": None}, "audience"),
        ({"condition_extra": "<saml:Condition/>"}, "conditions"),
        (
            {
                "condition_extra": "<saml:AudienceRestriction><saml:Audience>urn:other</saml:Audience>"
                "</saml:AudienceRestriction>"
            },
            "audience",
        ),
        ({"session_end": moment(-LEEWAY)}, "session"),
        ({"extra": f"<saml:AttributeStatement>{2 * ATTRIBUTE}</saml:AttributeStatement>"}, "attributes"),
        ({"extra": "<saml:AttributeStatement><saml:EncryptedAttribute/></saml:AttributeStatement>"}, "form"),
        ({"extra": "<saml:Subject/>"}, "Subject"),
        ({"extra": "<saml:Conditions/>"}, "Conditions"),
    ],
    ids=str,
)
def test_a_signed_assertion_with_a_wrong_element_is_refused(changes: dict[str, Any], check: str) -> None:
    assert refused_by(signed_assertion(**changes)) == check


def test_a_clock_that_is_a_little_off_refuses_nothing() -> None:
    for changes in (
        {"issued": moment(LEEWAY)},
        {"not_before": moment(LEEWAY)},
        {"not_on_or_after": moment(1 - LEEWAY)},
    ):
        assert verify(signed_assertion(**changes)).id == "_assertion"


def test_a_failed_sign_in_is_no_proof() -> None:
    document = response(sign(assertion(), PAIR), status="urn:oasis:names:tc:SAML:2.0:status:Responder")
    assert refused_by(document) == "status"


@pytest.mark.parametrize("name", ["alice ", " alice", "alice\u00a0", "\u2028alice", "alice\n", "\u3000alice"])
def test_white_space_around_a_subject_makes_another_subject(name: str) -> None:
    proven = verify(signed_assertion(name_id=name))
    assert proven.name_id.value == name


@pytest.mark.parametrize("value", ["admin ", " admin", "admin\u00a0", "\u2028admin"])
def test_white_space_around_the_value_of_an_attribute_makes_another_value(value: str) -> None:
    proven = verify(signed_assertion(attributes={**USUAL_ATTRIBUTES, "level": [value]}))
    assert proven.attributes["level"] == (value,)


def test_a_subject_of_white_space_alone_is_refused() -> None:
    assert refused_by(signed_assertion(name_id=" \u00a0\n")) == "subject"


@pytest.mark.parametrize("audience", [f"\n  {AUDIENCE}\t", f" {AUDIENCE}"])
def test_white_space_around_an_audience_is_a_matter_of_layout(audience: str) -> None:
    assert verify(signed_assertion(audience=audience)).audiences == (AUDIENCE,)


def test_a_no_break_space_beside_an_audience_is_not() -> None:
    assert refused_by(signed_assertion(audience=f"{AUDIENCE}\u00a0")) == "audience"


def test_a_failure_without_an_assertion_is_refused_with_its_status() -> None:
    """As SimpleSAMLphp answers a passive request for a person who has not signed in."""
    codes = '<samlp:StatusCode Value="urn:x:Responder"><samlp:StatusCode Value="urn:x:NoPassive"/></samlp:StatusCode>'
    status = f"<samlp:Status>{codes}<samlp:StatusMessage>not signed in</samlp:StatusMessage></samlp:Status>"
    document = f'<samlp:Response {NS} ID="_r" Version="2.0">{status}</samlp:Response>'
    with pytest.raises(CheckFailed) as failed:
        verify(document)
    assert failed.value.check.name == "status"
    assert failed.value.check.found == "urn:x:Responder, urn:x:NoPassive, not signed in"


def test_a_response_without_a_status_is_refused_by_it() -> None:
    document = f'<samlp:Response {NS} ID="_r" Version="2.0"/>'
    assert refused_by(document) == "status"


def test_a_response_for_another_destination_is_refused() -> None:
    document = response(sign(assertion(), PAIR), extra='Destination="https://evil.example.com/"')
    assert refused_by(document) == "destination"


def test_a_response_by_another_issuer_than_its_assertion_is_refused() -> None:
    assert refused_by(response(sign(assertion(), PAIR), issuer="https://other.example.com")) == "issuer"


def test_a_response_to_a_request_has_to_answer_that_one() -> None:
    expected = Expected((RECIPIENT,), (AUDIENCE,), request_id="_request")
    answering = response(
        sign(assertion(confirmation_extra=' InResponseTo="_request"'), PAIR), extra='InResponseTo="_request"'
    )
    assert verify(deepcopy(answering), expected=expected).id == "_assertion"
    assert verify(answering).id == "_assertion"
    assert refused_by(signed_assertion(), expected=expected) == "request"
    half = response(sign(assertion(), PAIR), extra='InResponseTo="_request"')
    assert refused_by(half, expected=expected) == "request"


def test_metadata_that_has_expired_proves_nothing() -> None:
    provider = parse_saml_metadata(metadata(PAIR, valid_until=moment(-1)))
    assert refused_by(signed_assertion(), provider=provider) == "metadata validity"


# Signatures


def test_an_unsigned_response_is_refused() -> None:
    assert refused_by(response(assertion())) == "signed"


def test_a_stripped_signature_is_refused() -> None:
    document = signed_assertion()
    signature = document.find(f".//{SIGNATURE}Signature")
    signature.getparent().remove(signature)
    assert refused_by(document) == "signed"


def test_the_signature_of_an_unknown_key_is_refused() -> None:
    assert refused_by(response(sign(assertion(), OTHER))) == "signature"
    assert refused_by(sign(response(assertion()), OTHER)) == "signature"


def test_a_certificate_in_the_signature_is_ignored() -> None:
    document = response(sign(assertion(), OTHER))
    signature = document.find(f".//{SIGNATURE}Signature")
    info = etree.SubElement(signature, f"{SIGNATURE}KeyInfo")
    data = etree.SubElement(info, f"{SIGNATURE}X509Data")
    etree.SubElement(data, f"{SIGNATURE}X509Certificate").text = OTHER.base64
    assert refused_by(document) == "signature"


def test_a_changed_assertion_is_refused() -> None:
    document = signed_assertion()
    document.find(f".//{SAML}NameID").text = "root"
    assert refused_by(document) == "signature"


def test_a_changed_response_around_its_signed_assertion_is_refused_where_it_is_signed_too() -> None:
    document = sign(response(sign(assertion(), PAIR)), PAIR)
    document.set("Destination", "https://signin.aws.amazon.com/saml")
    assert refused_by(document) == "signature"


def test_a_bad_signature_of_the_assertion_is_refused_inside_of_a_signed_response() -> None:
    assert refused_by(sign(response(sign(assertion(), OTHER)), PAIR)) == "signature"


@pytest.mark.parametrize(
    ("curve", "method"),
    [(ec.SECP256R1(), Transform.ECDSA_SHA256), (ec.SECP384R1(), Transform.ECDSA_SHA384)],
    ids=["P-256", "P-384"],
)
def test_keys_of_elliptic_curves_sign_as_well(curve: ec.EllipticCurve, method: Any) -> None:
    """No provider of the tests has such keys: neither SimpleSAMLphp 1.19 nor pysaml2 signs with them."""
    pair = KeyPair(curve=curve)
    document = response(sign(assertion(), pair, (method, Transform.SHA256)))
    provider = parse_saml_metadata(metadata(pair))
    assert verify(document, provider=provider).id == "_assertion"
    other = parse_saml_metadata(metadata(KeyPair(curve=curve)))
    assert refused_by(document, provider=other) == "signature"


def test_sha1_is_refused_unless_it_is_allowed() -> None:
    assert refused_by(response(sign(assertion(), PAIR, SHA1))) == "signature algorithm"
    allowing = Expected((RECIPIENT,), (AUDIENCE,), allow_sha1=True)
    assert verify(response(sign(assertion(), PAIR, SHA1)), expected=allowing).id == "_assertion"


def test_a_weak_digest_under_a_strong_signature_is_refused() -> None:
    document = response(sign(assertion(), PAIR, (Transform.RSA_SHA256, Transform.SHA1)))
    assert refused_by(document) == "digest algorithm"


def test_a_signature_made_with_a_shared_secret_is_refused() -> None:
    document = signed_assertion()
    method = document.find(f".//{SIGNATURE}SignatureMethod")
    method.set("Algorithm", "http://www.w3.org/2001/04/xmldsig-more#hmac-sha256")
    assert refused_by(document) == "signature algorithm"


@pytest.mark.parametrize(
    "algorithm",
    [
        "http://www.w3.org/TR/1999/REC-xslt-19991116",
        "http://www.w3.org/TR/1999/REC-xpath-19991116",
        "http://www.w3.org/2002/06/xmldsig-filter2",
        "http://www.w3.org/2000/09/xmldsig#base64",
        "http://www.w3.org/TR/2001/REC-xml-c14n-20010315",
    ],
)
def test_other_transforms_are_refused(algorithm: str) -> None:
    document = signed_assertion()
    (transforms,) = document.iter(f"{SIGNATURE}Transforms")
    added = etree.SubElement(transforms, f"{SIGNATURE}Transform")
    added.set("Algorithm", algorithm)
    assert refused_by(document) == "transforms"
    transforms.remove(added)
    transforms[1].set("Algorithm", algorithm)
    assert refused_by(document) == "transforms"


@pytest.mark.parametrize("uri", ["", "http://127.0.0.1:1/", "file:///etc/passwd", "#_other", "#xpointer(/)"])
def test_a_reference_to_anything_but_the_element_itself_is_refused(uri: str) -> None:
    document = signed_assertion()
    document.find(f".//{SIGNATURE}Reference").set("URI", uri)
    assert refused_by(document) == "signed element"


def test_an_element_without_an_id_cannot_be_signed() -> None:
    document = signed_assertion()
    document.find(f"{SAML}Assertion").set("ID", "")
    document.find(f".//{SIGNATURE}Reference").set("URI", "#")
    assert refused_by(document) == "signed element"


def test_a_second_reference_is_refused() -> None:
    document = signed_assertion()
    reference = document.find(f".//{SIGNATURE}Reference")
    reference.getparent().append(deepcopy(reference))
    assert refused_by(document) == "signature form"


def test_a_second_signature_is_refused() -> None:
    document = signed_assertion()
    signature = document.find(f".//{SIGNATURE}Signature")
    signature.getparent().append(deepcopy(signature))
    assert refused_by(document) == "signatures"


@pytest.mark.parametrize("wrapped", WRAPPINGS, ids=lambda wrapped: wrapped.__name__)
def test_a_wrapped_signature_proves_nothing(wrapped: Callable[[Caught], Any]) -> None:
    caught = Caught(signed_assertion(), sign(response(assertion()), PAIR))
    assert refused_by(wrapped(caught)) == WRAPPINGS[wrapped]


# XML


@pytest.mark.parametrize("split", ["alice<!-- -->", "<!-- -->alice", "al<!-- -->ice", "alice<?a?>.evil"])
def test_comments_and_instructions_that_split_a_text_are_refused(split: str) -> None:
    document = etree.tostring(signed_assertion()).replace(b">alice<", f">{split}<".encode(), 1)
    assert refused_by(document) == "document"


def test_comments_around_the_document_are_refused() -> None:
    document = etree.tostring(signed_assertion())
    for changed in (b"<!-- a -->" + document, document + b"<!-- a -->", b"<?a b?>" + document):
        assert refused_by(changed) == "document"


@pytest.mark.parametrize(
    "prefix",
    [
        "<!DOCTYPE a>",
        '<!DOCTYPE a SYSTEM "http://127.0.0.1:1/a.dtd">',
        '<!DOCTYPE a [<!ENTITY b "root">]>',
        '<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]>',
        '<!DOCTYPE a [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;"><!ENTITY c "&b;&b;&b;&b;&b;">]>',
        '<?xml version="1.0"?><?xml-stylesheet href="http://127.0.0.1:1/"?>',
    ],
    ids=str,
)
def test_document_types_entities_and_stylesheets_are_refused(prefix: str) -> None:
    assert refused_by(prefix.encode() + etree.tostring(signed_assertion())) == "document"


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32", "utf-7"])
def test_another_encoding_hides_nothing(encoding: str) -> None:
    text = f'<?xml version="1.0" encoding="{encoding}"?><!DOCTYPE a><a/>'
    assert refused_by(text.encode(encoding)) == "document"


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"a",
        b"<a>",
        b"<a/>",
        b"\xff\xfe",
        b"<a>" * 300 + b"</a>" * 300,
        b"<a>" + b"<b/>" * 20_001 + b"</a>",
        b"<Response/>",
    ],
    ids=lambda document: document[:10],
)
def test_what_is_no_response_is_refused(document: bytes) -> None:
    assert refused_by(document) in ("document", "response", "size")


def test_an_oversized_response_is_refused_unread() -> None:
    checks = Checks()
    with pytest.raises(CheckFailed, match="size"):
        read_response("A" * (LONGEST_RESPONSE + 1), checks)


def test_a_response_of_another_version_is_refused() -> None:
    document = signed_assertion()
    document.set("Version", "1.1")
    assert refused_by(document) == "version"


def test_an_assertion_alone_is_no_response() -> None:
    assert refused_by(sign(assertion(), PAIR)) == "response"


_SIGNED = etree.tostring(signed_assertion())


@settings(max_examples=300)
@given(st.integers(0, len(_SIGNED) - 1), st.binary(min_size=1, max_size=3), st.integers(0, 3))
def test_a_change_of_any_byte_proves_nothing_else(position: int, inserted: bytes, removed: int) -> None:
    changed = _SIGNED[:position] + inserted + _SIGNED[position + removed :]
    checks = Checks()
    try:
        proven = verify(changed, checks=checks)
    except CheckFailed as failed:
        assert checks.made[-1] is failed.check
        return
    assert proven == verify(_SIGNED), "what is outside of the signature may change, what is proven may not"
