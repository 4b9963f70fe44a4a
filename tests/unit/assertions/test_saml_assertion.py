"""Which recipients of an assertion are ours: those of the settings, and all forms of AWS's address where it is one."""

import pytest

from broker.assertions.saml_assertion import AWS_CONSUMER, Expected

OURS, ID = "https://access.example.com/saml", "SAMLPROV0000000000001"


@pytest.mark.parametrize(
    "recipient",
    [
        AWS_CONSUMER,
        "https://eu-central-1.signin.aws.amazon.com/saml",
        "https://us-gov-west-1.signin.aws.amazon.com/saml",
        "https://signin.aws.amazon.com/static/saml",
        "https://us-east-1.signin.aws.amazon.com/static/saml",
        f"https://signin.aws.amazon.com/saml/acs/{ID}",
        f"https://us-east-1.signin.aws.amazon.com/saml/acs/{ID}",
    ],
)
def test_where_awss_address_is_a_recipient_so_are_its_other_forms(recipient: str) -> None:
    assert Expected((OURS, AWS_CONSUMER), (), provider_id=ID).admits(recipient)
    assert not Expected((OURS,), (), provider_id=ID).admits(recipient)
    assert Expected((recipient,), ()).admits(recipient)


@pytest.mark.parametrize(
    "recipient",
    [
        "",
        f"{OURS}/",
        "http://signin.aws.amazon.com/saml",
        "https://signin.aws.amazon.com/saml/",
        "https://signin.aws.amazon.com/saml?x=1",
        "https://signin.aws.amazon.com.evil.example/saml",
        "https://evil.signin.aws.amazon.com/saml",
        "https://evil.example/https://signin.aws.amazon.com/saml",
        "https://a.us-east-1.signin.aws.amazon.com/saml",
        "https://signin.aws.amazon.com/static/saml/acs/SAMLPROV0000000000001",
        "https://signin.aws.amazon.com/saml/acs/SAMLPROV0000000000002",
        "https://signin.aws.amazon.com/saml/acs/",
        f"{AWS_CONSUMER}\n",
    ],
)
def test_no_other_address_is_a_recipient(recipient: str) -> None:
    assert not Expected((OURS, AWS_CONSUMER), (), provider_id=ID).admits(recipient)


def test_the_address_of_one_provider_is_none_where_it_is_not_known_which_one() -> None:
    assert not Expected((AWS_CONSUMER,), ()).admits("https://signin.aws.amazon.com/saml/acs/")
    assert not Expected((AWS_CONSUMER,), ()).admits(f"https://signin.aws.amazon.com/saml/acs/{ID}")
