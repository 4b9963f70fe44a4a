"""The AWS attributes of a SAML assertion: roles, session name, condition keys, session tags.

IAM User Guide, "Configure SAML assertions for the authentication response" and "Available keys for SAML-based AWS STS
federation". Names of attributes are compared exactly.
"""

import re
from base64 import b64encode
from hashlib import sha1

import msgspec

from broker.assertions.checks import Checks
from broker.assertions.requested_session import RequestedSession
from broker.assertions.saml_assertion import SamlAssertion

_AWS = "https://aws.amazon.com/SAML/Attributes/"
_TAG = f"{_AWS}PrincipalTag:"
_FORMAT = "urn:oasis:names:tc:SAML:2.0:nameid-format:"
_is_session_name = re.compile(r"[\w+=,.@-]{2,64}", re.ASCII).fullmatch
_is_duration = re.compile(r"[0-9]{3,5}").fullmatch

SHORTEST_SESSION, LONGEST_SESSION = 900, 43_200  # seconds

_EDU_PERSON, _EDU_ORG = "urn:oid:1.3.6.1.4.1.5923.1.1.1.", "urn:oid:1.3.6.1.4.1.5923.1.2.1."
_CLAIMS, _MICROSOFT = (
    "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/",
    "http://schemas.microsoft.com/ws/2008/06/",
)

# Attribute -> condition key, with all values of the attribute.
_LISTS = {
    f"{_EDU_PERSON}1": "edupersonaffiliation",
    f"{_EDU_PERSON}4": "edupersonorgunitdn",
    f"{_EDU_PERSON}7": "edupersonentitlement",
    f"{_EDU_PERSON}9": "edupersonscopedaffiliation",
    f"{_EDU_PERSON}10": "edupersontargetedid",
    f"{_EDU_PERSON}11": "edupersonassurance",
    f"{_EDU_ORG}2": "eduorghomepageuri",
    f"{_EDU_ORG}3": "eduorgidentityauthnpolicyuri",
    f"{_EDU_ORG}4": "eduorglegalname",
    f"{_EDU_ORG}5": "eduorgsuperioruri",
    f"{_EDU_ORG}6": "eduorgwhitepagesuri",
    "urn:oid:2.5.4.3": "cn",
}
# Attribute -> condition key with one value. Where two attributes fill one key, the first in this order is used.
_SINGLES = {
    f"{_EDU_PERSON}2": "edupersonnickname",
    f"{_EDU_PERSON}3": "edupersonorgdn",
    f"{_EDU_PERSON}5": "edupersonprimaryaffiliation",
    f"{_EDU_PERSON}6": "edupersonprincipalname",
    f"{_EDU_PERSON}8": "edupersonprimaryorgunitdn",
    f"{_CLAIMS}name": "name",
    "http://schemas.xmlsoap.org/claims/CommonName": "commonname",
    f"{_CLAIMS}givenname": "givenname",
    f"{_CLAIMS}surname": "surname",
    f"{_CLAIMS}emailaddress": "mail",
    f"{_MICROSOFT}identity/claims/primarygroupsid": "uid",
    "urn:oid:2.5.4.3": "commonname",
    "urn:oid:2.5.4.4": "surname",
    "urn:oid:2.5.4.42": "givenname",
    "urn:oid:2.5.4.45": "x500uniqueidentifier",
    "urn:oid:0.9.2342.19200300.100.1.1": "uid",
    "urn:oid:0.9.2342.19200300.100.1.3": "mail",
    "urn:oid:0.9.2342.19200300.100.1.45": "organizationstatus",
}


class OfferedRole(msgspec.Struct, frozen=True):
    """A role that the subject may assume by the assertion, and the ARN of the provider in the role's account."""

    role_arn: str
    provider_arn: str


def offered_roles(assertion: SamlAssertion, checks: Checks) -> tuple[OfferedRole, ...]:
    """The pairs of the Role attribute, in either order; raises CheckFailed."""
    values = assertion.attributes.get(f"{_AWS}Role", ())
    checks.require("roles", bool(values), found="no Role attribute", wanted="a role and its provider")
    found = []
    for value in values:
        arns = [part.strip() for part in value.split(",")]
        roles = [arn for arn in arns if ":role/" in arn]
        providers = [arn for arn in arns if ":saml-provider/" in arn]
        if not len(arns) == 2 == len(roles) + len(providers) or len(roles) != 1:
            raise checks.fail("roles", found=value, wanted="ROLE_ARN,PROVIDER_ARN")
        found.append(OfferedRole(roles[0], providers[0]))
    return tuple(found)


def role_session_name(assertion: SamlAssertion, checks: Checks) -> str:
    name = _single(assertion, f"{_AWS}RoleSessionName", checks)
    if name is None or not _is_session_name(name):
        raise checks.fail("role session name", found=name, wanted="2 to 64 letters, digits or _+=,.@-")
    return name


def session_duration(assertion: SamlAssertion, checks: Checks) -> int | None:
    """Seconds, None where the provider states none."""
    text = _single(assertion, f"{_AWS}SessionDuration", checks)
    if text is None:
        return None
    if not _is_duration(text) or not SHORTEST_SESSION <= int(text) <= LONGEST_SESSION:
        raise checks.fail(
            "session duration", found=text, wanted=f"{SHORTEST_SESSION} to {LONGEST_SESSION} seconds"
        )
    return int(text)


def session_attributes(assertion: SamlAssertion, checks: Checks) -> RequestedSession:
    tags = {
        name.removeprefix(_TAG): _single(assertion, name, checks) or ""
        for name in assertion.attributes
        if name.startswith(_TAG)
    }
    return RequestedSession(
        tags,
        assertion.attributes.get(f"{_AWS}TransitiveTagKeys", ()),
        _single(assertion, f"{_AWS}SourceIdentity", checks),
    )


def name_qualifier(issuer: str, account: str, provider_name: str) -> str:
    """AWS's name for a provider in an account: base64 of SHA-1 of the issuer, the account, `/` and the name."""
    return b64encode(
        sha1(f"{issuer}{account}/{provider_name}".encode(), usedforsecurity=False).digest()
    ).decode()


def subject_type(assertion: SamlAssertion) -> str:
    """`persistent` and `transient` by their names, any other format by its URI."""
    short = assertion.name_id.format.removeprefix(_FORMAT)
    return short if short in ("persistent", "transient") else assertion.name_id.format


def condition_keys(assertion: SamlAssertion, account: str, provider_name: str) -> dict[str, tuple[str, ...]]:
    """The keys that trust policies read, in lower case."""
    keys: dict[str, tuple[str, ...]] = {
        "saml:aud": (assertion.recipient,),
        "saml:iss": (assertion.issuer,),
        "saml:sub": (assertion.name_id.value,),
        "saml:sub_type": (subject_type(assertion),),
        "saml:namequalifier": (name_qualifier(assertion.issuer, account, provider_name),),
        "saml:doc": (f"{account}/{provider_name}",),
    }
    for attribute, key in _LISTS.items():
        values = assertion.attributes.get(attribute)
        if values:
            keys[f"saml:{key}"] = values
    for attribute, key in _SINGLES.items():
        values = assertion.attributes.get(attribute)
        if values is not None and len(values) == 1:
            keys.setdefault(f"saml:{key}", values)
    return keys


def _single(assertion: SamlAssertion, name: str, checks: Checks) -> str | None:
    """The value of an attribute, or None; raises CheckFailed for several values."""
    values = assertion.attributes.get(name)
    if values is None:
        return None
    checks.require("attribute", len(values) == 1, found=f"{len(values)} values of {name}", wanted="one")
    return values[0]
