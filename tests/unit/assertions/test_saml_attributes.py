"""The AWS attributes of a SAML assertion."""

import base64
import hashlib
from typing import Any

import pytest

from broker.assertions.checks import CheckFailed, Checks
from broker.assertions.requested_session import RequestedSession
from broker.assertions.saml_assertion import NameId, SamlAssertion
from broker.assertions.saml_attributes import (
    OfferedRole,
    condition_keys,
    name_qualifier,
    offered_roles,
    role_session_name,
    session_attributes,
    session_duration,
    subject_type,
)

AWS = "https://aws.amazon.com/SAML/Attributes/"
ROLE, PROVIDER = "arn:aws:iam::111111111111:role/path/reader", "arn:aws:iam::111111111111:saml-provider/idp"
EMAIL = "urn:oasis:names:tc:SAML:1.1:nameid-format:emailAddress"
PERSISTENT = "urn:oasis:names:tc:SAML:2.0:nameid-format:persistent"


def assertion(name_format: str = PERSISTENT, **attributes: Any) -> SamlAssertion:
    """With attributes of AWS by their short names."""
    return plain({f"{AWS}{name}": values for name, values in attributes.items()}, name_format)


def plain(attributes: dict[str, tuple[str, ...]], name_format: str = PERSISTENT) -> SamlAssertion:
    return SamlAssertion(
        "_a", "https://idp", NameId("alice", name_format), "https://broker/saml", (), 0, 0, None, attributes
    )


def test_roles_are_read_in_either_order() -> None:
    found = offered_roles(assertion(Role=(f"{ROLE},{PROVIDER}", f" {PROVIDER} , {ROLE} ")), Checks())
    assert found == (OfferedRole(ROLE, PROVIDER),) * 2


@pytest.mark.parametrize(
    "value", ["", ROLE, PROVIDER, f"{ROLE},{ROLE}", f"{PROVIDER},{PROVIDER}", f"{ROLE},{PROVIDER},x", "a,b"]
)
def test_a_role_attribute_of_another_form_is_refused(value: str) -> None:
    with pytest.raises(CheckFailed, match="roles"):
        offered_roles(assertion(Role=(value,)), Checks())


def test_an_assertion_without_roles_is_refused() -> None:
    with pytest.raises(CheckFailed, match="no Role attribute"):
        offered_roles(assertion(), Checks())


def test_the_session_name_is_one_name() -> None:
    assert (
        role_session_name(assertion(RoleSessionName=("alice@example.com",)), Checks()) == "alice@example.com"
    )
    for values in ((), ("a",), ("a" * 65,), ("a b",), ("é" * 3,), ("alice", "bob"), ("alice\n",)):
        with pytest.raises(CheckFailed):
            role_session_name(assertion(RoleSessionName=values), Checks())
    with pytest.raises(CheckFailed):
        role_session_name(assertion(), Checks())


def test_the_session_duration_is_within_bounds() -> None:
    assert session_duration(assertion(), Checks()) is None
    assert session_duration(assertion(SessionDuration=("3600",)), Checks()) == 3600
    for text in ("899", "43201", "-900", "1e3", "", "٩٠٠"):
        with pytest.raises(CheckFailed):
            session_duration(assertion(SessionDuration=(text,)), Checks())


def test_tags_and_the_source_identity_are_read() -> None:
    found = session_attributes(
        assertion(
            **{"PrincipalTag:Project": ("one",), "PrincipalTag:Empty": ("",)},
            TransitiveTagKeys=("Project",),
            SourceIdentity=("alice",),
        ),
        Checks(),
    )
    assert found == RequestedSession({"Project": "one", "Empty": ""}, ("Project",), "alice")
    assert session_attributes(assertion(), Checks()) == RequestedSession()
    with pytest.raises(CheckFailed):
        session_attributes(assertion(**{"PrincipalTag:Project": ("one", "two")}), Checks())


def test_the_subject_and_its_provider_are_condition_keys() -> None:
    assert condition_keys(assertion(), "111111111111", "idp") == {
        "saml:aud": ("https://broker/saml",),
        "saml:iss": ("https://idp",),
        "saml:sub": ("alice",),
        "saml:sub_type": ("persistent",),
        "saml:namequalifier": (name_qualifier("https://idp", "111111111111", "idp"),),
        "saml:doc": ("111111111111/idp",),
    }


def test_the_name_qualifier_is_aws_hash() -> None:
    digest = hashlib.sha1(b"https://idp111111111111/idp").digest()
    assert name_qualifier("https://idp", "111111111111", "idp") == base64.b64encode(digest).decode()


@pytest.mark.parametrize(
    ("name_format", "shown"),
    [
        (PERSISTENT, "persistent"),
        ("urn:oasis:names:tc:SAML:2.0:nameid-format:transient", "transient"),
        (EMAIL, EMAIL),
        (
            "urn:oasis:names:tc:SAML:2.0:nameid-format:kerberos",
            "urn:oasis:names:tc:SAML:2.0:nameid-format:kerberos",
        ),
        ("", ""),
    ],
)
def test_the_subject_type_is_short_where_iam_has_a_name_for_it(name_format: str, shown: str) -> None:
    assert subject_type(assertion(name_format)) == shown


@pytest.mark.parametrize(
    ("attribute", "values", "key"),
    [
        ("urn:oid:1.3.6.1.4.1.5923.1.1.1.1", ("staff", "member"), "saml:edupersonaffiliation"),
        ("urn:oid:1.3.6.1.4.1.5923.1.1.1.6", ("alice@example.edu",), "saml:edupersonprincipalname"),
        ("urn:oid:1.3.6.1.4.1.5923.1.2.1.4", ("Example",), "saml:eduorglegalname"),
        ("urn:oid:2.5.4.3", ("Alice",), "saml:cn"),
        ("urn:oid:2.5.4.3", ("Alice",), "saml:commonname"),
        (
            "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/emailaddress",
            ("a@example.com",),
            "saml:mail",
        ),
        ("urn:oid:0.9.2342.19200300.100.1.1", ("alice",), "saml:uid"),
    ],
)
def test_attributes_of_directories_are_condition_keys(
    attribute: str, values: tuple[str, ...], key: str
) -> None:
    assert condition_keys(plain({attribute: values}), "111111111111", "idp")[key] == values


def test_a_key_of_one_value_is_not_filled_by_several() -> None:
    keys = condition_keys(
        plain({"urn:oid:0.9.2342.19200300.100.1.1": ("alice", "root")}), "111111111111", "idp"
    )
    assert "saml:uid" not in keys


def test_an_attribute_cannot_override_what_the_assertion_proves() -> None:
    keys = condition_keys(plain({"saml:sub": ("root",), "sub": ("root",)}), "111111111111", "idp")
    assert keys["saml:sub"] == ("alice",)
