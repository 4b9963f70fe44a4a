"""What a person pastes to set up a provider."""

import pytest

from broker.errors import Refusal
from broker.portal.console.new_provider import (
    SamlDescription,
    describe_metadata,
    openid_path,
    saml_path,
    without_discovery,
)
from tests.unit.assertions.saml_provider import KeyPair, metadata


@pytest.mark.parametrize(
    ("pasted", "issuer"),
    [
        (" https://id.example/ ", "https://id.example/"),
        ("https://id.example/x/.well-known/openid-configuration", "https://id.example/x"),
        ("https://id.example", "https://id.example"),
    ],
)
def test_the_url_of_a_discovery_document_is_taken_for_its_issuer(pasted: str, issuer: str):
    assert without_discovery(pasted) == issuer


async def test_metadata_say_who_and_with_which_certificates():
    found = await describe_metadata(metadata(KeyPair(), entity="https://idp.example.com/staff"))
    assert isinstance(found, SamlDescription)
    assert (found.entity_id, found.suggested_name) == ("https://idp.example.com/staff", "idp.example.com")
    assert found.redirect_url == "https://idp.example.com/staff/sso"
    assert [(one.key_id, one.kind) for one in found.certificates] == [("CN=idp", "RSA, 2048 bits")]


async def test_an_entity_id_that_is_no_url_still_gives_a_name():
    found = await describe_metadata(metadata(KeyPair(), entity="urn:example:staff idp"))
    assert isinstance(found, SamlDescription)
    assert found.suggested_name == "urn-example-staff-idp"


@pytest.mark.parametrize("text", ["", "<a/>", "no xml"])
async def test_what_is_no_metadata_is_refused_as_the_operation_refuses_it(text: str):
    found = await describe_metadata(text)
    assert isinstance(found, Refusal)
    assert found.message.startswith("Could not parse metadata")


def test_the_pages_of_providers_have_addresses_of_their_own():
    account = "111111111111"
    arn = f"arn:aws:iam::{account}:oidc-provider/id.example:8443/a b"
    assert openid_path(account, arn) == f"/console/{account}/providers/openid/id.example%3A8443/a%20b"
    assert saml_path(account, f"arn:aws:iam::{account}:saml-provider/staff").endswith("/providers/saml/staff")
