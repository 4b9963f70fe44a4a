"""IPv4 written inside IPv6, as an address and as a range: one and the same IPv4."""

from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.names.addresses import parse_address, parse_network

V4 = st.ip_addresses(v=4)
MAPPED = 0xFFFF << 32


def mapped(address: object, *, has_dots: bool) -> str:
    return f"::ffff:{address}" if has_dots else str(IPv6Address(MAPPED | int(ip_address(str(address)))))


@given(address=V4, has_dots=st.booleans(), is_upper=st.booleans())
def test_a_mapped_address_is_the_ipv4_address_in_every_spelling(address, has_dots, is_upper):
    text = mapped(address, has_dots=has_dots)
    assert parse_address(text.upper() if is_upper else text) == parse_address(str(address)) == address


@given(address=V4, prefix=st.integers(0, 32), has_dots=st.booleans())
def test_a_mapped_range_is_the_ipv4_range_whatever_bits_are_set_beyond_its_mask(address, prefix, has_dots):
    written = f"{mapped(address, has_dots=has_dots)}/{96 + prefix}"
    assert parse_network(written) == IPv4Network((int(address), prefix), strict=False)


@given(address=st.ip_addresses(v=6), prefix=st.integers(0, 95))
def test_a_range_that_is_wider_than_all_mapped_addresses_is_one_of_ipv6(address, prefix):
    assert parse_network(f"{address}/{prefix}") == IPv6Network((int(address), prefix), strict=False)


@pytest.mark.parametrize(
    "text", ["::/0", "::ffff:0:0/95", "::/96", "::10.0.0.0/104", "64:ff9b::/96", "::fffe:0:0/96"]
)
def test_only_what_lies_within_the_mapped_addresses_is_ipv4(text):
    assert parse_network(text) == IPv6Network(text, strict=False)


def test_a_single_address_is_a_range_of_one():
    assert parse_network("::ffff:10.0.0.1") == parse_network("10.0.0.1") == IPv4Network("10.0.0.1/32")
    assert parse_network("2001:db8::1") == IPv6Network("2001:db8::1/128")


@pytest.mark.parametrize("text", ["", "10.0.0", "::ffff:10.0.0.0/129", "10.0.0.0/33", "nowhere", "::g"])
def test_what_is_none_is_refused(text):
    for parse in (parse_address, parse_network):
        with pytest.raises(ValueError):
            parse(text)
