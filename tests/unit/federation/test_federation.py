"""The broker as an issuer: which identifiers are its own."""

import pytest

from broker.federation.federation import IssuerRules

ID = "0b8e5b26-9c52-4a3e-8f0c-6a1f6f0f7a11"
URL = "https://example.com/issuers"
RULES = IssuerRules(URL)


def test_an_identifier_is_the_url_and_the_id():
    assert RULES.identifier(ID) == f"{URL}/{ID}"
    assert RULES.is_own(RULES.identifier(ID))


@pytest.mark.parametrize(
    "issuer",
    [
        None,
        "",
        ID,
        URL,
        f"{URL}/",
        f"{URL}/realms/one",
        f"{URL}/{ID}/more",
        f"{URL}/{ID.upper()}",
        f"https://example.com/{ID}",
        f"https://other.example.com/issuers/{ID}",
    ],
)
def test_another_provider_at_the_same_host_is_no_issuer_of_the_broker(issuer):
    assert not RULES.is_own(issuer)


def test_a_broker_that_issues_no_tokens_has_no_issuer():
    assert not IssuerRules().is_own(f"/{ID}")
