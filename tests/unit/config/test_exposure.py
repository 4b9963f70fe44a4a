"""Listeners that would show secrets to a network, and a master key that others can read."""

from pathlib import Path

import pytest

from broker.app.master_key import find_master_key
from broker.config import ConfigurationError, Keys, load_settings, warnings_of_exposure

TLS = {"BROKER_TLS_CERTIFICATE_FILE": "c.pem", "BROKER_TLS_KEY_FILE": "k.pem"}
ALLOWED = {"BROKER_LISTEN_ALLOW_PLAIN_HTTP": "true"}


@pytest.mark.parametrize("address", ["127.0.0.1:8080", "[::1]:8080", "localhost:8080", "127.9.9.9:1"])
def test_on_this_machine_alone_plain_http_is_allowed(address: str) -> None:
    assert load_settings(None, {"BROKER_LISTEN_API": address}).listen.api == address


@pytest.mark.parametrize("address", ["0.0.0.0:8080", "[::]:80", "10.0.0.1:8080", "sts.example.com:80"])
def test_elsewhere_plain_http_is_refused_unless_it_is_allowed(address: str) -> None:
    with pytest.raises(ConfigurationError, match=r"listen\.api: .* listen\.allow_plain_http = true"):
        load_settings(None, {"BROKER_LISTEN_API": address})
    for enough in (TLS, ALLOWED):
        load_settings(None, {"BROKER_LISTEN_API": address, **enough})


def test_operations_for_other_machines_are_warned_of_unless_they_are_meant() -> None:
    opened = {"BROKER_LISTEN_OPERATIONS": "0.0.0.0:9464"}
    (warning,) = warnings_of_exposure(load_settings(None, opened))
    assert "0.0.0.0:9464" in warning and "listen.allow_public_operations" in warning
    meant = {**opened, "BROKER_LISTEN_ALLOW_PUBLIC_OPERATIONS": "true"}
    assert list(warnings_of_exposure(load_settings(None, meant))) == []
    assert list(warnings_of_exposure(load_settings(None, {}))) == []


@pytest.mark.parametrize("address", ["0.0.0.0:1338", "[::]:80", "10.0.0.1:80", "203.0.113.7:80"])
def test_metadata_for_a_network_is_warned_of_unless_it_is_meant(address: str) -> None:
    opened = {"BROKER_LISTEN_METADATA": f"127.0.0.1:1338,{address}"}
    (warning,) = warnings_of_exposure(load_settings(None, opened))
    assert address in warning and "listen.allow_public_metadata" in warning
    meant = {**opened, "BROKER_LISTEN_ALLOW_PUBLIC_METADATA": "true"}
    assert list(warnings_of_exposure(load_settings(None, meant))) == []


def test_the_addresses_that_awss_sdks_ask_are_not_warned_of() -> None:
    usual = "169.254.169.254:80,169.254.170.2:80,169.254.170.23:80,[fd00:ec2::254]:80,[fd00:ec2::23]:80"
    assert list(warnings_of_exposure(load_settings(None, {"BROKER_LISTEN_METADATA": usual}))) == []


@pytest.mark.parametrize("mode", [0o644, 0o604, 0o620, 0o602, 0o777])
@pytest.mark.parametrize("name", ["master.key", "master.key.previous"])
def test_a_master_key_that_others_can_read_or_replace_is_refused(
    tmp_path: Path, mode: int, name: str
) -> None:
    for one in ("master.key", "master.key.previous"):
        (tmp_path / one).write_text(bytes(range(32)).hex())
        (tmp_path / one).chmod(0o600)
    (tmp_path / name).chmod(mode)
    file = str(tmp_path / "master.key")
    with pytest.raises(ConfigurationError, match=rf"chmod 600 {tmp_path}/{name}"):
        find_master_key(Keys(master_key_file=file), {})
    assert find_master_key(Keys(master_key_file=file, allow_readable_master_key=True), {}) is not None


@pytest.mark.parametrize("mode", [0o400, 0o600, 0o440, 0o640])
def test_a_master_key_of_its_owner_and_group_is_used(tmp_path: Path, mode: int) -> None:
    """440 is what Kubernetes gives a Secret's file, for the group of the pod."""
    (tmp_path / "master.key").write_text(bytes(range(32)).hex())
    (tmp_path / "master.key").chmod(mode)
    assert find_master_key(Keys(master_key_file=str(tmp_path / "master.key")), {}) is not None
