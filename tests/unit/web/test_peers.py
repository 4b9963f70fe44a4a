"""Whose address counts: the peer's, and behind trusted proxies what they say, as far as all of them are trusted."""

import asyncio
from collections.abc import Sequence

import pytest

from broker.web.http import Request
from broker.web.peers import certificates_of, parse_networks, source_of
from broker.web.sockets import Peer

PROXIES = ("10.0.0.0/8", "fd00::/8")


def source(
    peer: str,
    *forwarded: str,
    is_secure: bool = False,
    proto: str = "",
    networks: Sequence[str] = PROXIES,
) -> tuple[str, bool]:
    headers = [("x-forwarded-for", value) for value in forwarded]
    headers += [("x-forwarded-proto", proto)] if proto else []
    connection = asyncio.BaseTransport({"peername": (peer, 0), "sslcontext": is_secure or None})
    request = Request("GET", "/", tuple(headers), b"", Peer(connection), keeps_alive=True)
    return source_of(request, parse_networks(networks))


@pytest.mark.parametrize(
    ("peer", "forwarded", "found"),
    [
        ("192.0.2.1", ["198.51.100.7"], "192.0.2.1"),  # who is no proxy is not believed
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", ["198.51.100.7"], "198.51.100.7"),
        ("10.0.0.1", ["203.0.113.9, 198.51.100.7"], "198.51.100.7"),  # what the client wrote itself
        ("10.0.0.1", ["203.0.113.9", "198.51.100.7"], "198.51.100.7"),  # in a header of its own
        ("10.0.0.1", ["198.51.100.7, 10.0.0.2"], "198.51.100.7"),  # two proxies
        ("10.0.0.1", ["10.0.0.3, 10.0.0.2"], "10.0.0.3"),  # a client among the proxies
        ("10.0.0.1", ["198.51.100.7, unknown"], "10.0.0.1"),
        ("10.0.0.1", ["198.51.100.7, unknown, 10.0.0.2"], "10.0.0.2"),
        ("::ffff:10.0.0.1", ["198.51.100.7"], "198.51.100.7"),
        ("10.0.0.1", ["198.51.100.7, ::ffff:10.0.0.2"], "198.51.100.7"),
        ("10.0.0.1", ["::ffff:198.51.100.7"], "198.51.100.7"),
        ("10.0.0.1", ["::ffff:c633:6407"], "198.51.100.7"),  # it need not be spelled with dots
        ("10.0.0.1", ["::FFFF:198.51.100.7"], "198.51.100.7"),
        (
            "10.0.0.1",
            ["198.51.100.7, ::ffff:a00:2"],
            "198.51.100.7",
        ),  # a proxy, not a client of an inner network
        ("10.0.0.1", ["198.51.100.7, ::FFFF:10.0.0.2"], "198.51.100.7"),
        ("10.0.0.1", ["198.51.100.7, 0:0:0:0:0:ffff:10.0.0.2"], "198.51.100.7"),
        ("::ffff:a00:1", ["198.51.100.7"], "198.51.100.7"),
        ("fd00::1", ["2001:DB8:0::7"], "2001:db8::7"),
        ("fd00::1", ["2001:db8::7"], "2001:db8::7"),
        ("fd00::1%eth0", ["fe80::7%eth0"], "fe80::7"),
        ("", ["198.51.100.7"], ""),
    ],
)
def test_the_source_is_the_first_from_the_right_that_is_no_trusted_proxy(
    peer: str, forwarded: list[str], found: str
) -> None:
    assert source(peer, *forwarded) == (found, False)


@pytest.mark.parametrize("network", ["10.0.0.0/8", "::ffff:10.0.0.0/104", "::ffff:a00:0/104"])
@pytest.mark.parametrize("peer", ["10.0.0.1", "::ffff:10.0.0.1", "::ffff:a00:1"])
def test_a_proxy_is_trusted_whatever_it_and_its_network_are_written_as(network: str, peer: str) -> None:
    assert source(peer, "198.51.100.7", networks=[network]) == ("198.51.100.7", False)
    other = peer.replace("10.0", "11.0").replace("a00", "b00")
    assert source(other, "198.51.100.7", networks=[network]) == ("11.0.0.1", False)


def test_a_network_of_all_ipv6_trusts_no_ipv4_proxy() -> None:
    for peer in ("10.0.0.1", "::ffff:10.0.0.1"):
        assert source(peer, "198.51.100.7", networks=["::/0"]) == ("10.0.0.1", False)
    assert source("2001:db8::1", "198.51.100.7", networks=["::/0"]) == ("198.51.100.7", False)


def test_only_a_trusted_proxy_says_that_the_client_spoke_tls() -> None:
    assert source("10.0.0.1", "198.51.100.7", proto="https")[1]
    assert source("10.0.0.1", "198.51.100.7", proto="HTTPS")[1]
    assert not source("10.0.0.1", "198.51.100.7", proto="http")[1]
    assert not source("192.0.2.1", "198.51.100.7", proto="https")[1]
    assert source("192.0.2.1", is_secure=True)[1]
    assert source("10.0.0.1", "198.51.100.7", is_secure=True)[1]


def test_what_is_too_long_for_an_address_is_none() -> None:
    """A header may have eight thousand characters, and whatever was looked at is remembered."""
    assert source("10.0.0.1", f"fe80::7%{'x' * 8000}") == ("10.0.0.1", False)


@pytest.mark.parametrize(
    ("peer", "is_shown"), [("192.0.2.1", True), ("10.0.0.1", False), ("::ffff:10.0.0.1", False)]
)
def test_a_trusted_proxy_shows_no_certificate_of_its_clients(peer: str, is_shown: bool) -> None:
    class Shown(Peer):
        def client_certificates(self) -> tuple[bytes, ...]:
            return (b"a certificate",)

    connection = asyncio.BaseTransport({"peername": (peer, 0)})
    request = Request("GET", "/", (), b"", Shown(connection), keeps_alive=True)
    assert certificates_of(request, parse_networks(PROXIES))() == ((b"a certificate",) if is_shown else ())
    assert certificates_of(request, ())() == (b"a certificate",)
