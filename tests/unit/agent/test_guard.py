"""Who is answered at the agent's addresses."""

import pytest

from broker.agent.guard import Guard
from broker.names.addresses import parse_network
from broker.web.http import Request


class Peer:
    """The address that the kernel gives."""

    def __init__(self, address: str) -> None:
        self.address = address


def request(peer: str, *headers: tuple[str, str]) -> Request:
    return Request("GET", "/v1/credentials", headers, b"", Peer(peer), True)  # type: ignore[arg-type]


GUARD = Guard(["169.254.170.23", "fd00:ec2::23"], [parse_network("10.42.0.0/24"), parse_network("fd42::/64")])


@pytest.mark.parametrize(
    ("peer", "host"),
    [
        ("10.42.0.7", "169.254.170.23"),
        ("10.42.0.7", "169.254.170.23:80"),
        ("::ffff:10.42.0.7", "169.254.170.23"),
        ("fd42::7", "[fd00:ec2::23]"),
        ("fd42::7%eth0", "[fd00:ec2:0::23]:80"),
    ],
)
def test_who_asks_from_a_network_by_the_listeners_address_is_answered(peer: str, host: str) -> None:
    assert GUARD.why_not(request(peer, ("host", host))) == ""


@pytest.mark.parametrize(
    "host", ["attacker.example", "169.254.170.2", "localhost", "", "169.254.170.23.example", "fd00:ec2::24"]
)
def test_another_name_is_refused(host: str) -> None:
    assert "name" in GUARD.why_not(request("10.42.0.7", ("host", host)))


def test_a_request_without_a_host_is_refused() -> None:
    assert GUARD.why_not(request("10.42.0.7")) != ""


@pytest.mark.parametrize("peer", ["10.42.1.7", "192.0.2.1", "fd43::1", "", "unix"])
def test_a_foreign_address_is_refused(peer: str) -> None:
    assert "address" in GUARD.why_not(request(peer, ("host", "169.254.170.23")))


@pytest.mark.parametrize("header", ["x-forwarded-for", "forwarded"])
def test_what_came_through_a_proxy_is_refused(header: str) -> None:
    asked = request("10.42.0.7", ("host", "169.254.170.23"), (header, "for=10.0.0.1"))
    assert "proxy" in GUARD.why_not(asked)
