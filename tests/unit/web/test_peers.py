"""Whose address counts: the peer's, and behind trusted proxies what they say, as far as all of them are trusted."""

import asyncio

import pytest

from broker.web.http import Request
from broker.web.peers import parse_networks, source_of
from broker.web.sockets import Peer

PROXIES = parse_networks(["10.0.0.0/8", "fd00::/8"])


def source(peer: str, *forwarded: str, is_secure: bool = False, proto: str = "") -> tuple[str, bool]:
    headers = [("x-forwarded-for", value) for value in forwarded]
    headers += [("x-forwarded-proto", proto)] if proto else []
    connection = asyncio.BaseTransport({"peername": (peer, 0), "sslcontext": is_secure or None})
    request = Request("GET", "/", tuple(headers), b"", Peer(connection), keeps_alive=True)
    return source_of(request, PROXIES)


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
        ("10.0.0.1", ["::ffff:c633:6407"], "::ffff:c633:6407"),  # it need not be spelled with dots
        ("fd00::1", ["2001:db8::7"], "2001:db8::7"),
        ("fd00::1%eth0", ["fe80::7%eth0"], "fe80::7"),
        ("", ["198.51.100.7"], ""),
    ],
)
def test_the_source_is_the_first_from_the_right_that_is_no_trusted_proxy(
    peer: str, forwarded: list[str], found: str
) -> None:
    assert source(peer, *forwarded) == (found, False)


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
