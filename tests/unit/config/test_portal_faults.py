"""Settings of a portal that would send passwords over a network as they are, or that are no addresses."""

import re
from pathlib import Path

import pytest

from broker.config import ConfigurationError, load_settings

GUIDE = Path(__file__).parents[3] / "config" / "portal-providers.md"
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


@pytest.mark.parametrize("account", ["12345", "operators", "1" * 13])
def test_the_operators_account_is_the_id_of_one(account: str) -> None:
    with pytest.raises(ConfigurationError, match=r"portal\.operator_account"):
        load_settings(None, {"BROKER_PORTAL_OPERATOR_ACCOUNT": account})


ENTRY = '{"name": "company", "issuer": "https://login.example.com", "client_id": "portal", "client_secret": "s3cret"}'


def test_ways_to_sign_in_are_tables_in_the_file_and_json_in_the_variable(tmp_path: Path) -> None:
    file = tmp_path / "broker.toml"
    file.write_text(
        '[[portal.openid_connect]]\nname = "company"\nissuer = "https://login.example.com"\n'
        'client_id = "portal"\nclient_secret = "s3cret"\n'
    )
    (from_file,) = load_settings(file, {}).portal.openid_connect
    (from_variable,) = load_settings(
        None, {"BROKER_PORTAL_OPENID_CONNECT": f"[{ENTRY}]"}
    ).portal.openid_connect
    assert from_file == from_variable
    assert from_file.client_secret.reveal() == "s3cret"
    assert "s3cret" not in repr(from_file)


@pytest.mark.parametrize(
    "text",
    [
        ENTRY,
        "[7]",
        "not JSON",
        f"[{ENTRY.replace('client_id', 'clientid')}]",
        "[" + ENTRY.replace("}", ', "unknown": 1}') + "]",
        "[" + ENTRY.replace('"s3cret"', "7") + "]",
    ],
)
def test_what_is_no_list_of_ways_to_sign_in_is_refused_without_its_secret(text: str) -> None:
    with pytest.raises(ConfigurationError, match=r"portal\.openid_connect is a list of tables") as refused:
        load_settings(None, {"BROKER_PORTAL_OPENID_CONNECT": text})
    assert "s3cret" not in str(refused.value)


def test_nobody_signs_in_at_the_broker_itself() -> None:
    issuer = "https://sts.example.com/01234567-89ab-cdef-0123-456789abcdef"
    entry = ENTRY.replace("https://login.example.com", issuer)
    settings = {"BROKER_PORTAL_OPENID_CONNECT": f"[{entry}]"}
    load_settings(None, settings)
    with pytest.raises(ConfigurationError, match="is this broker itself"):
        load_settings(None, {**settings, "BROKER_FEDERATION_ISSUER_URL": "https://sts.example.com"})


@pytest.mark.parametrize("text", re.findall(r"```toml\n(.*?)```", GUIDE.read_text(), re.DOTALL))
def test_every_example_of_the_guide_for_providers_loads(text: str, tmp_path: Path) -> None:
    file = tmp_path / "broker.toml"
    file.write_text(text)
    chosen = load_settings(file, {}).portal
    assert chosen.openid_connect or chosen.saml
