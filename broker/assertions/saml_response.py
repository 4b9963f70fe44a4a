"""SAML 2.0 responses, verified (SAML 2.0 core and profiles, section 4.1.4.3, as AWS's sign-in applies it).

The response or its assertion is signed by the provider. What is read is what was signed (`saml_signed_assertion`): the
assertion inside the signed response, or the signed assertion alone; which may also come without a response.
"""

import binascii
from base64 import b64decode
from collections.abc import Iterator, Sequence

from lxml.etree import _Element as Element
from msgspec.structs import replace

from broker.assertions.checks import Checks
from broker.assertions.saml_assertion import Expected, NameId, SamlAssertion
from broker.assertions.saml_metadata import ProviderMetadata, time_of
from broker.assertions.saml_signed_assertion import (
    ASSERTION,
    ENCRYPTED_ASSERTION,
    signed_alone,
    signed_in_response,
)
from broker.assertions.xml_documents import PROTOCOL, SAML, read_document, text_of, value_of

LONGEST_RESPONSE = 100_000  # characters of base64, as in the model of AssumeRoleWithSAML
REDEEM_WITHIN = 300  # seconds: STS, "Token must be redeemed within 5 minutes of issuance"

_SUCCESS = "urn:oasis:names:tc:SAML:2.0:status:Success"
_BEARER = "urn:oasis:names:tc:SAML:2.0:cm:bearer"
_CONDITIONS = frozenset(f"{SAML}{name}" for name in ("AudienceRestriction", "OneTimeUse", "ProxyRestriction"))


def read_response(unverified_text: str, checks: Checks, *, or_assertion: bool = False) -> Element:
    """The root of the response in base64 text, or of an assertion without a response; raises CheckFailed."""
    root = _read(unverified_text, checks)
    if or_assertion and is_assertion(root):
        return root
    checks.require(
        "response", root.tag == f"{PROTOCOL}Response", found=root.tag, wanted=f"{PROTOCOL}Response"
    )
    checks.require("version", root.get("Version") == "2.0", found=root.get("Version"), wanted="2.0")
    return root


def _read(unverified_text: str, checks: Checks) -> Element:
    size = len(unverified_text)
    checks.require(
        "size", size <= LONGEST_RESPONSE, found=size, wanted=f"at most {LONGEST_RESPONSE} characters"
    )
    try:
        return read_document(b64decode("".join(unverified_text.split()), validate=True))
    except (binascii.Error, ValueError) as error:
        raise checks.fail("document", found=error, wanted="XML in base64") from None


def unverified_issuer(root: Element) -> str:
    """The issuer that the response names, to find its provider; "" where it names none. Nothing proves it yet."""
    found = root.find(f"{SAML}Issuer")
    if found is None:
        found = root.find(f"{SAML}Assertion/{SAML}Issuer")
    return "" if found is None else (found.text or "").strip()


def is_assertion(root: Element) -> bool:
    return root.tag in (ASSERTION, ENCRYPTED_ASSERTION)


def is_encrypted(root: Element) -> bool:
    """Whether the assertion comes encrypted; a response that carries others too is refused later."""
    return root.tag == ENCRYPTED_ASSERTION or root.find(ENCRYPTED_ASSERTION) is not None


def verify_response(
    root: Element,
    provider: ProviderMetadata,
    private_keys: Sequence[str],
    expected: Expected,
    now: float,
    checks: Checks,
) -> SamlAssertion:
    """The assertion of `provider` in the response; raises CheckFailed. `private_keys` (PEM) decrypt it.

    Each check is noted in `checks`, in order.
    """
    _require_valid(provider, now, checks)
    if _status_code(root) != _SUCCESS:  # mostly without an assertion, whose lack would hide why
        raise checks.fail("status", found=_status(root), wanted=_SUCCESS)
    try:
        response, assertion = signed_in_response(root, provider, private_keys, expected, checks)
        _verify_response_element(response, provider, expected, checks)
        verified = _verify_assertion(assertion, provider, expected, now, checks)
        return _with_request_of(verified, response, checks)
    except ValueError as error:  # a malformed element or time
        raise checks.fail("form", found=error) from None


def verify_assertion(
    root: Element,
    provider: ProviderMetadata,
    private_keys: Sequence[str],
    expected: Expected,
    now: float,
    checks: Checks,
) -> SamlAssertion:
    """As `verify_response`, of an assertion without a response: it carries its signature itself (RFC 7522, 3)."""
    _require_valid(provider, now, checks)
    try:
        assertion = signed_alone(root, provider, private_keys, expected, checks)
        return _verify_assertion(assertion, provider, expected, now, checks)
    except ValueError as error:  # an element or a time that is not of its form
        raise checks.fail("form", found=error) from None


def _require_valid(provider: ProviderMetadata, now: float, checks: Checks) -> None:
    checks.require(
        "metadata validity",
        provider.valid_until is None or now < provider.valid_until,
        found=provider.valid_until,
        wanted=f"later than {int(now)}",
    )


def _verify_response_element(
    response: Element, provider: ProviderMetadata, expected: Expected, checks: Checks
) -> None:
    checks.require("status", _status_code(response) == _SUCCESS, found=_status(response), wanted=_SUCCESS)
    issuers = response.findall(f"{SAML}Issuer")
    for issuer in issuers:
        _require_issuer(text_of(issuer), provider, checks)
    destination = response.get("Destination")
    checks.require(
        "destination",
        destination is None or expected.admits(destination),
        found=destination,
        wanted=" or ".join(expected.recipients),
    )
    _require_request(response.get("InResponseTo"), expected, checks)


def _status_code(response: Element) -> str | None:
    code = response.find(f"{PROTOCOL}Status/{PROTOCOL}StatusCode")
    return None if code is None else code.get("Value")


def _status(response: Element) -> str:
    """The codes of the status, the outer one first, and its message: why a provider failed."""
    status = response.find(f"{PROTOCOL}Status")
    if status is None:
        return "no status"
    codes = [code.get("Value", "") for code in status.iter(f"{PROTOCOL}StatusCode")]
    return ", ".join([*codes, *filter(None, [status.findtext(f"{PROTOCOL}StatusMessage")])])


def _require_issuer(issuer: str, provider: ProviderMetadata, checks: Checks) -> None:
    checks.require("issuer", issuer == provider.entity_id, found=issuer, wanted=provider.entity_id)


def _require_request(answered: str | None, expected: Expected, checks: Checks) -> None:
    """InResponseTo has to name our request; where we made none, it is not checked."""
    checks.require(
        "request",
        expected.request_id is None or answered == expected.request_id,
        found=answered,
        wanted=expected.request_id,
    )


def _with_request_of(assertion: SamlAssertion, response: Element, checks: Checks) -> SamlAssertion:
    """The same with the request that response and assertion answer: the same one (profiles, 4.1.4.2)."""
    answered, stated = assertion.in_response_to, response.get("InResponseTo", "")
    checks.require("request", not answered or stated in ("", answered), found=stated, wanted=answered)
    return replace(assertion, in_response_to=answered or stated)


def _verify_assertion(
    assertion: Element, provider: ProviderMetadata, expected: Expected, now: float, checks: Checks
) -> SamlAssertion:
    checks.require("version", assertion.get("Version") == "2.0", found=assertion.get("Version"), wanted="2.0")
    identifier = assertion.get("ID", "")
    checks.require("id", bool(identifier), found="none", wanted="an ID")
    issuer = text_of(_one(assertion, "Issuer", checks))
    _require_issuer(issuer, provider, checks)
    issued_at = _issued_at(assertion, now, expected.leeway, checks)
    subject = _one(assertion, "Subject", checks)
    name_id = _name_id(subject, checks)
    recipient, confirmed_until, answered = _verify_confirmation(subject, expected, now, checks)
    conditions = _one(assertion, "Conditions", checks)
    _verify_period(conditions, "conditions", now, expected.leeway, checks)
    return SamlAssertion(
        identifier,
        issuer,
        name_id,
        recipient,
        _verify_audiences(conditions, expected, checks),
        issued_at,
        min(confirmed_until, issued_at + REDEEM_WITHIN) + expected.leeway,
        _session_end(assertion, now, expected.leeway, checks),
        _attributes(assertion, checks),
        answered,
    )


def _one(parent: Element, name: str, checks: Checks) -> Element:
    found = parent.findall(f"{SAML}{name}")
    checks.require(name, len(found) == 1, found=f"{len(found)} {name} elements", wanted="one")
    return found[0]


def _issued_at(assertion: Element, now: float, leeway: int, checks: Checks) -> float:
    text = assertion.get("IssueInstant", "")
    issued_at = time_of(text)
    checks.require("issue instant", issued_at <= now + leeway, found=text, wanted=f"not after {int(now)}")
    checks.require(
        "redemption",
        now < issued_at + REDEEM_WITHIN + leeway,
        found=text,
        wanted=f"within {REDEEM_WITHIN // 60} minutes before {int(now)}",
    )
    return issued_at


def _name_id(subject: Element, checks: Checks) -> NameId:
    element = _one(subject, "NameID", checks)
    value = value_of(element)
    checks.require(
        "subject",
        0 < len(value) <= 1024 and not value.isspace(),
        found=len(value),
        wanted="1 to 1024 characters, not of white space alone",
    )
    return NameId(value, element.get("Format", ""))


def _verify_confirmation(
    subject: Element, expected: Expected, now: float, checks: Checks
) -> tuple[str, float, str]:
    """The recipient, until when the bearer is confirmed, and the id of the request that is answered."""
    confirmation = _one(subject, "SubjectConfirmation", checks)
    method = confirmation.get("Method")
    checks.require("subject confirmation", method == _BEARER, found=method, wanted=_BEARER)
    data = _one(confirmation, "SubjectConfirmationData", checks)
    recipient = data.get("Recipient", "")
    checks.require(
        "recipient",
        expected.admits(recipient),
        found=recipient,
        wanted=" or ".join(expected.recipients),
    )
    checks.require(
        "subject confirmation", "NotOnOrAfter" in data.attrib, found="no NotOnOrAfter", wanted="NotOnOrAfter"
    )
    _verify_period(data, "subject confirmation", now, expected.leeway, checks)
    _require_request(data.get("InResponseTo"), expected, checks)
    return recipient, time_of(data.get("NotOnOrAfter", "")), data.get("InResponseTo", "")


def _verify_period(element: Element, name: str, now: float, leeway: int, checks: Checks) -> None:
    begins, ends = element.get("NotBefore"), element.get("NotOnOrAfter")
    checks.require(
        f"{name} not before",
        begins is None or time_of(begins) <= now + leeway,
        found=begins,
        wanted=f"not after {int(now)}",
    )
    checks.require(
        f"{name} not on or after",
        ends is None or now < time_of(ends) + leeway,
        found=ends,
        wanted=f"later than {int(now)}",
    )


def _verify_audiences(conditions: Element, expected: Expected, checks: Checks) -> tuple[str, ...]:
    """Every restriction has to name one of our audiences; an unknown condition is refused."""
    unknown = [str(one.tag) for one in conditions if one.tag not in _CONDITIONS]
    checks.require("conditions", not unknown, found=", ".join(unknown) or "known ones", wanted="known ones")
    restrictions = conditions.findall(f"{SAML}AudienceRestriction")
    checks.require(
        "audience", bool(restrictions), found="no restriction", wanted=" or ".join(expected.audiences)
    )
    named: list[str] = []
    for restriction in restrictions:
        audiences = [text_of(one) for one in restriction.findall(f"{SAML}Audience")]
        checks.require(
            "audience",
            any(one in expected.audiences for one in audiences),
            found=", ".join(audiences),
            wanted=" or ".join(expected.audiences),
        )
        named += audiences
    return tuple(named)


def _session_end(assertion: Element, now: float, leeway: int, checks: Checks) -> float | None:
    statements = assertion.findall(f"{SAML}AuthnStatement")
    checks.require("authentication", bool(statements), found="no AuthnStatement", wanted="an AuthnStatement")
    ends = [time_of(text) for one in statements if (text := one.get("SessionNotOnOrAfter")) is not None]
    end = min(ends, default=None)
    checks.require("session", end is None or now < end + leeway, found=end, wanted=f"later than {int(now)}")
    return end


def _attributes(assertion: Element, checks: Checks) -> dict[str, tuple[str, ...]]:
    pairs = list(_read_attributes(assertion))
    attributes = dict(pairs)
    checks.require(
        "attributes",
        len(attributes) == len(pairs),
        found="the same attribute twice",
        wanted="each attribute once, with all its values",
    )
    return attributes


def _read_attributes(assertion: Element) -> Iterator[tuple[str, tuple[str, ...]]]:
    for statement in assertion.findall(f"{SAML}AttributeStatement"):
        if statement.find(f"{SAML}EncryptedAttribute") is not None:
            raise ValueError("encrypted attributes are not accepted: encrypt the assertion")
        for attribute in statement.findall(f"{SAML}Attribute"):
            values = attribute.findall(f"{SAML}AttributeValue")
            yield attribute.get("Name", ""), tuple(map(_value, values))


def _value(element: Element) -> str:
    """The text of a value; that of eduPersonTargetedID is inside a NameID."""
    inner = list(element)
    if len(inner) == 1 and inner[0].tag == f"{SAML}NameID" and not (element.text or "").strip():
        return value_of(inner[0])
    return value_of(element)
