"""Settings of a portal that would send passwords over a network as they are, or that are no addresses."""

import pytest

from broker.config import ConfigurationError, load_settings

TLS = {"BROKER_TLS_CERTIFICATE_FILE": "c.pem", "BROKER_TLS_KEY_FILE": "k.pem"}
URL = {"BROKER_PORTAL_URL": "https://access.example.com"}


@pytest.mark.parametrize("address", ["127.0.0.1:8443", "[::1]:8443", "localhost:8443", "127.0.0.2:1"])
def test_on_this_machine_alone_a_portal_needs_no_tls(address: str) -> None:
    assert load_settings(None, {"BROKER_LISTEN_PORTAL": address}).listen.portal == address


@pytest.mark.parametrize("address", ["0.0.0.0:8443", "[::]:8443", "10.0.0.1:8443", "access.example.com:8443"])
def test_elsewhere_it_needs_tls_or_the_address_of_a_reverse_proxy(address: str) -> None:
    with pytest.raises(ConfigurationError, match=r"listen\.portal: .* passwords would cross the network"):
        load_settings(None, {"BROKER_LISTEN_PORTAL": address})
    for enough in (TLS, URL):
        load_settings(None, {"BROKER_LISTEN_PORTAL": address, **enough})


@pytest.mark.parametrize(
    "url",
    [
        "access.example.com",
        "https://access.example.com/",
        "https://A.example",
        "https://u@h",
        "ftp://h",
        "https://",
    ],
)
def test_the_address_of_a_portal_is_an_origin(url: str) -> None:
    with pytest.raises(ConfigurationError, match=r"portal\.url"):
        load_settings(None, {"BROKER_PORTAL_URL": url})


@pytest.mark.parametrize(
    "url", ["sts.example.com", "https://a'b", 'https://a"b', "https://a b", "https://a\\b"]
)
def test_the_url_of_the_api_is_one_that_shells_can_be_told(url: str) -> None:
    with pytest.raises(ConfigurationError, match=r"portal\.api_url"):
        load_settings(None, {"BROKER_PORTAL_API_URL": url})


def test_an_address_that_is_none_is_told() -> None:
    with pytest.raises(ConfigurationError, match=r"listen\.portal: '8443' is not HOST:PORT"):
        load_settings(None, {"BROKER_LISTEN_PORTAL": "8443"})
