"""SAML assertions that come without a response: they are proven by a signature of their own, or not at all."""

from copy import deepcopy
from typing import Any

import pytest
from lxml import etree

from broker.assertions.checks import CheckFailed, Checks
from broker.assertions.saml_assertion import LEEWAY, Expected, SamlAssertion
from broker.assertions.saml_metadata import parse_saml_metadata
from broker.assertions.saml_response import is_encrypted, read_response, verify_assertion
from broker.assertions.xml_documents import SAML
from tests.saml_wrappings import WRAPPINGS, Caught
from tests.unit.assertions.saml_provider import (
    AUDIENCE,
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

EXPECTED = Expected((RECIPIENT,), (AUDIENCE,))
PAIR, OTHER = KeyPair(), KeyPair()


def verify(document: Any, **question: Any) -> SamlAssertion:
    checks = question.pop("checks", None) or Checks()
    usual = {
        "provider": parse_saml_metadata(metadata(PAIR)),
        "private_keys": (),
        "expected": EXPECTED,
        "now": NOW,
        **question,
    }
    root = read_response(encoded(document), checks, or_assertion=True)
    return verify_assertion(root, checks=checks, **usual)


def refused_by(document: Any, **question: Any) -> str:
    """The name of the check that fails."""
    checks = Checks()
    with pytest.raises(CheckFailed) as failed:
        verify(document, checks=checks, **question)
    assert checks.made[-1] is failed.value.check
    return failed.value.check.name


def test_an_assertion_that_the_provider_signed_is_proven() -> None:
    proven = verify(sign(assertion(), PAIR))
    assert (proven.id, proven.name_id.value, proven.recipient) == ("_assertion", "alice", RECIPIENT)
    assert (proven.audiences, proven.issued_at) == ((AUDIENCE,), NOW - 10)
    assert proven.attributes == {name: tuple(values) for name, values in USUAL_ATTRIBUTES.items()}


def test_an_encrypted_assertion_is_opened_and_has_to_be_signed_inside() -> None:
    document = encrypt(sign(assertion(), PAIR), OTHER)
    assert is_encrypted(document)
    keys = (OTHER.private_pem,)
    assert verify(deepcopy(document), private_keys=keys).name_id.value == "alice"
    assert refused_by(deepcopy(document)) == "private keys"
    unsigned = encrypt(etree.fromstring(assertion()), OTHER)
    assert refused_by(unsigned, private_keys=keys) == "signed"


def test_an_assertion_without_a_signature_is_refused_whatever_signed_what_it_came_from() -> None:
    assert refused_by(etree.fromstring(assertion())) == "signed"
    (unsigned,) = sign(response(assertion()), PAIR).iter(f"{SAML}Assertion")
    assert refused_by(unsigned) == "signed"


def test_an_assertion_that_somebody_else_signed_or_changed_is_refused() -> None:
    assert refused_by(sign(assertion(), OTHER)) == "signature"
    changed = sign(assertion(), PAIR)
    changed.find(f"{SAML}Subject/{SAML}NameID").text = "root"
    assert refused_by(changed) == "signature"
    assert refused_by(sign(assertion(), PAIR, SHA1)) == "signature algorithm"


@pytest.mark.parametrize(
    ("changes", "check"),
    [
        ({"issuer": "https://other.example.com"}, "issuer"),
        ({"audience": "urn:other"}, "audience"),
        ({"audience": None}, "audience"),
        ({"recipient": "https://other.example.com/saml"}, "recipient"),
        ({"method": "urn:oasis:names:tc:SAML:2.0:cm:sender-vouches"}, "subject confirmation"),
        ({"confirmed_until": moment(-LEEWAY)}, "subject confirmation not on or after"),
        ({"confirmed_until": None}, "subject confirmation"),
        ({"not_on_or_after": moment(-LEEWAY)}, "conditions not on or after"),
        ({"not_before": moment(LEEWAY + 1)}, "conditions not before"),
        ({"issued": moment(-300 - LEEWAY)}, "redemption"),
        ({"session_end": moment(-LEEWAY)}, "session"),
        ({"version": "1.1"}, "version"),
    ],
    ids=str,
)
def test_what_an_assertion_in_a_response_has_to_say_one_alone_has_to_say_too(
    changes: dict[str, Any], check: str
) -> None:
    assert refused_by(sign(assertion(**changes), PAIR)) == check


def test_expired_metadata_proves_nothing() -> None:
    provider = parse_saml_metadata(metadata(PAIR, valid_until=moment(0)))
    assert refused_by(sign(assertion(), PAIR), provider=provider) == "metadata validity"


@pytest.mark.parametrize("wrap", WRAPPINGS, ids=lambda wrap: wrap.__name__)
def test_no_assertion_that_wrapping_forged_is_proven_alone(wrap: Any) -> None:
    """Whatever assertion of the wrapped message is taken out: what is proven, if anything, was signed for alice."""
    caught = Caught(response(sign(assertion(), PAIR)), sign(response(assertion()), PAIR))
    proven = []
    for one in wrap(caught).iter(f"{SAML}Assertion"):
        alone = etree.fromstring(etree.tostring(one, with_tail=False))
        try:
            proven.append(verify(alone).name_id.value)
        except CheckFailed as failed:
            assert failed.check.name in ("assertions", "signed", "signed element", "signature")
    assert set(proven) <= {"alice"}


def test_only_a_response_is_read_where_an_assertion_alone_is_not_asked_for() -> None:
    checks = Checks()
    with pytest.raises(CheckFailed) as failed:
        read_response(encoded(sign(assertion(), PAIR)), checks)
    assert failed.value.check.name == "response"


@pytest.mark.parametrize("document", [f"<saml:Subject {NS}/>", "<Assertion/>"])
def test_what_is_neither_a_response_nor_an_assertion_is_refused(document: str) -> None:
    assert refused_by(etree.fromstring(document)) == "response"
