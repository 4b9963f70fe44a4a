"""Metadata of SAML providers: what is read, and what is refused."""

from base64 import b64decode, b64encode
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.assertions.saml_metadata import parse_saml_metadata, provider_metadata, time_of
from tests.unit.assertions.saml_provider import ENTITY, NOW, KeyPair, metadata, moment

PAIR, OTHER = KeyPair(), KeyPair()
GOOD = metadata(PAIR)

# The certificate with an unknown kind of key: 1.2.844.113549.1.1.1 instead of RSA's 1.2.840.113549.1.1.1.
_RSA, _UNKNOWN = bytes.fromhex("2a864886f70d010101"), bytes.fromhex("2a864c86f70d010101")
UNKNOWN_KIND = b64encode(b64decode(PAIR.base64).replace(_RSA, _UNKNOWN)).decode()

_VERSION_3, _VERSION_34 = bytes.fromhex("a003020102"), bytes.fromhex("a003020122")
UNKNOWN_VERSION = b64encode(b64decode(PAIR.base64).replace(_VERSION_3, _VERSION_34, 1)).decode()


def test_a_providers_name_keys_and_address_are_read() -> None:
    found = parse_saml_metadata(GOOD)
    assert (found.entity_id, found.certificates) == (ENTITY, (PAIR.pem,))
    assert (found.redirect_url, found.post_url) == (f"{ENTITY}/sso", "")
    assert (found.valid_until, found.wants_signed_requests) == (None, False)


def test_what_is_stored_is_parsed_once_and_another_text_is_another_providers() -> None:
    assert provider_metadata(GOOD) is provider_metadata("".join(GOOD))
    assert provider_metadata(metadata(OTHER)).certificates == (OTHER.pem,)
    long = GOOD.replace("<IDPSSODescriptor", " " * 70_000 + "<IDPSSODescriptor")
    assert provider_metadata(long) == provider_metadata(GOOD)
    assert provider_metadata(long) is not provider_metadata(long)


def test_all_signing_certificates_are_read_and_those_for_encryption_are_not() -> None:
    assert parse_saml_metadata(metadata(PAIR, OTHER, PAIR)).certificates == (PAIR.pem, OTHER.pem)
    both = metadata(PAIR, OTHER).replace('use="signing"', 'use="encryption"', 1)
    assert parse_saml_metadata(both).certificates == (OTHER.pem,)
    unspecified = metadata(PAIR).replace(' use="signing"', "")
    assert parse_saml_metadata(unspecified).certificates == (PAIR.pem,)


def test_the_earliest_end_of_validity_counts() -> None:
    until = metadata(PAIR, valid_until=moment(3600)).replace(
        "<IDPSSODescriptor", f'<IDPSSODescriptor validUntil="{moment(60)}"'
    )
    assert parse_saml_metadata(until).valid_until == NOW + 60


@pytest.mark.parametrize(
    "text",
    [
        "",
        "not XML",
        "<a/>",
        GOOD.replace("EntityDescriptor", "EntitiesDescriptor"),
        GOOD.replace("IDPSSODescriptor", "SPSSODescriptor"),
        GOOD.replace("SAML:2.0:protocol", "SAML:1.1:protocol"),
        GOOD.replace(f'entityID="{ENTITY}"', 'entityID=""'),
        metadata(),
        metadata(KeyPair(1024)),
        GOOD.replace(PAIR.base64, "AAAA"),
        GOOD.replace(PAIR.base64, "***"),
        GOOD.replace(PAIR.base64, UNKNOWN_KIND),
        GOOD.replace(PAIR.base64, UNKNOWN_VERSION),
        metadata(*[PAIR] * 21),
        metadata(PAIR, valid_until="tomorrow"),
        metadata(PAIR, valid_until="2027-01-01T00:00:00"),
        GOOD.replace("<EntityDescriptor", "<!DOCTYPE a><EntityDescriptor", 1),
    ],
)
def test_what_is_no_metadata_of_a_provider_that_can_be_trusted_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        parse_saml_metadata(text)


@pytest.mark.parametrize(
    "text",
    [
        GOOD.replace("<IDPSSO", "<!-- First the key of the back channel. --><IDPSSO"),
        GOOD.replace("?>", "?><!-- made by the installer -->", 1),
        f"{GOOD}<!-- the end -->",
        GOOD.replace(PAIR.base64, f"{PAIR.base64[:40]}<!-- -->{PAIR.base64[40:]}"),
    ],
)
def test_comments_in_metadata_are_read_over(text: str) -> None:
    """Those that Shibboleth's installer writes have some."""
    assert parse_saml_metadata(text) == parse_saml_metadata(GOOD)


def test_addresses_that_no_browser_should_be_sent_to_are_left_out() -> None:
    assert parse_saml_metadata(GOOD.replace(f"{ENTITY}/sso", "javascript:alert(1)")).redirect_url == ""


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2027-01-15T08:00:00Z", NOW),
        ("2027-01-15T08:00:00.5Z", NOW + 0.5),
        ("2027-01-15T08:00:00.1234567Z", NOW + 0.123456),
        ("2027-01-15T09:00:00+01:00", NOW),
    ],
)
def test_times_are_parsed(text: str, seconds: float) -> None:
    assert time_of(text) == pytest.approx(seconds)


@given(st.text(max_size=40))
def test_any_text_is_a_time_or_refused(text: str) -> None:
    with suppress(ValueError):
        assert isinstance(time_of(text), float)
