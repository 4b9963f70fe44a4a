"""What is wrong with the settings of the listener that Envoy asks by gRPC."""

import json
import sys

import pytest

from broker.config import ConfigurationError, load_settings

HERE = "127.0.0.1:9466"
ROUTE = {"host": "shop", "path": "/", "action": "s3:GetObject", "resource": "arn:aws:s3:::a"}


def faults(address: str, **more: str) -> str:
    variables = {"BROKER_LISTEN_FORWARD_GRPC": address, "BROKER_AUTHORIZE_ROUTES": json.dumps([ROUTE])}
    try:
        load_settings(None, {**variables, **more})
    except ConfigurationError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("address", ["", HERE, "[::1]:9466", "localhost:9466"])
def test_it_listens_on_this_machine(address: str) -> None:
    assert faults(address) == ""


@pytest.mark.parametrize("address", ["0.0.0.0:9466", "[::]:9466", "10.0.0.1:9466", "broker.example.com:9466"])
def test_it_listens_nowhere_else(address: str) -> None:
    found = faults(address, BROKER_LISTEN_ALLOW_PLAIN_HTTP="true")
    assert found.startswith(f"listen.forward_grpc: {address} is not on this machine alone")


def test_it_needs_an_address_and_a_route() -> None:
    assert "listen.forward_grpc" in faults("9466")
    assert "listen.forward_grpc denies everything" in faults(HERE, BROKER_AUTHORIZE_ROUTES="[]")


@pytest.mark.parametrize("module", ["grpc", "google.protobuf"])
def test_without_the_extra_it_says_what_to_install(module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    needed = "listen.forward_grpc needs packages that are not installed: pip install 'broker[grpc]'"
    assert faults(HERE) == needed
    assert faults("") == ""
