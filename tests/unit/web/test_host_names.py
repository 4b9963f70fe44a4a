import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.web.host_names import is_called_by, parse_host_names
from broker.web.http import Request
from broker.web.sockets import Peer

NAMES = parse_host_names(["Metadata.Example.", "node_1"])


def called_by(host: str | None) -> bool:
    headers = (("accept", "*/*"),) if host is None else (("accept", "*/*"), ("host", host))
    return is_called_by(Request("GET", "/", headers, b"", PEER, keeps_alive=True), NAMES)


class _NoTransport:
    """A transport of a connection that has no socket."""

    def get_extra_info(self, name: str) -> object:
        return {"peername": ("127.0.0.1", 1)}.get(name)


PEER = Peer(_NoTransport())  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "host",
    [
        "169.254.169.254",
        "127.0.0.1:1338",
        "[::1]",
        "[fd00:ec2::254]:80",
        "[fe80::1%25eth0]:80",
        "::1",
        "localhost",
        "LOCALHOST:1338",
        "localhost.:1338",
        "metadata.example",
        "METADATA.example.:80",
        "Node_1",
        None,
    ],
)
def test_addresses_localhost_and_listed_names_are_answered(host: str | None):
    assert called_by(host)


@pytest.mark.parametrize(
    "host",
    [
        "",
        ":1338",
        "rebind.example",
        "rebind.example:1338",
        "evil.localhost",
        "localhost.rebind.example",
        "evil.metadata.example",
        "metadata.example.rebind.example",
        "127.0.0.1.rebind.example",
        "127.0.0.1.",
        "2130706433",
        "0x7f.1",
        "[localhost]",
        "localhost, rebind.example",
        "localhost\n",
        "localhost..",
        "ⓛocalhost",
        "localhost\x00",
    ],
)
def test_other_names_are_not(host: str):
    assert not called_by(host)


@given(st.ip_addresses(), st.none() | st.integers(0, 65535))
def test_every_address_is_answered_at_every_port(address: object, port: int | None):
    host = f"[{address}]" if ":" in str(address) else str(address)
    assert called_by(host if port is None else f"{host}:{port}")
