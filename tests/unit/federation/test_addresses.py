"""Addresses: which a provider may have."""

from ipaddress import ip_address

import pytest

from broker.federation.addresses import find_address, is_admitted

PUBLIC = ["8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8"]
PRIVATE = [
    *("127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "100.64.0.1", "0.0.0.0", "198.18.0.1"),
    *("::1", "::", "fd12:3456::1", "::ffff:10.0.0.1", "64:ff9b::10.0.0.1", "2002:0a00:0001::", "::10.0.0.1"),
    *("224.0.0.1", "ff02::1", "240.0.0.1", "255.255.255.255", "fec0::1", "64:ff9b:1::8.8.8.8"),
]
METADATA = [
    *("169.254.169.254", "169.254.170.2", "fe80::1", "fd00:ec2::254", "100.100.100.200"),
    *("168.63.129.16", "192.0.0.192", "fd20:ce::254", "fd00:c1::a9fe:a9fe", "fd00:42::42"),
    *("fd00:100::100:200", "fd00:a9fe:a9fe::1"),
    *("::ffff:169.254.169.254", "64:ff9b::169.254.169.254", "2002:a9fe:a9fe::", "::169.254.169.254"),
]
# 169.254.169.254 in the four forms of RFC 6052, section 2.2, for prefixes of 48, 56, 64 and 96 bits.
LOCALLY_TRANSLATED = [
    *("64:ff9b:1:a9fe:a9:fe00:808:808", "64:ff9b:1:a9:fe:a9fe::"),
    *("64:ff9b:1:0:a9:fea9:fe00:0", "64:ff9b:1::169.254.169.254"),
]
EVERYTHING = ("0.0.0.0/0", "::/0")


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address_is_admitted(address: str) -> None:
    assert is_admitted(ip_address(address), ())


@pytest.mark.parametrize("address", PRIVATE)
def test_a_private_address_is_admitted_only_where_the_operator_says_so(address: str) -> None:
    assert not is_admitted(ip_address(address), ())
    assert is_admitted(ip_address(address), EVERYTHING)


@pytest.mark.parametrize("address", [*METADATA, *LOCALLY_TRANSLATED])
def test_metadata_services_and_link_local_networks_are_never_admitted(address: str) -> None:
    assert not is_admitted(ip_address(address), EVERYTHING)


def test_a_network_admits_its_own_addresses_only() -> None:
    assert is_admitted(ip_address("10.1.2.3"), ("10.1.0.0/16",))
    assert is_admitted(ip_address("::ffff:10.1.2.3"), ("10.1.0.0/16",))
    assert not is_admitted(ip_address("10.2.2.3"), ("10.1.0.0/16", "fd00::/8"))


def test_an_address_is_found_in_a_host() -> None:
    assert find_address("127.0.0.1") == ip_address("127.0.0.1")
    assert find_address("[::1]") == ip_address("::1")
    assert find_address("fe80::1%eth0") == ip_address("fe80::1")
    assert find_address("idp.example.com") is None
