"""IP addresses and ranges. IPv4 written inside IPv6 (`::ffff:192.0.2.1`, RFC 4291 2.5.5.2) is the IPv4 that it is.

A range of 96 bits or more within the mapped addresses is a range of IPv4. A shorter one is a range of IPv6 and holds no
IPv4 address: who writes `::/0` means every IPv6 address, and writes `0.0.0.0/0` beside it for the others.
"""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

_MAPPED_BITS = 96

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


def parse_address(text: str) -> Address:
    """The address; raises ValueError where `text` is none."""
    address = ip_address(text)
    return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address


def parse_network(text: str) -> Network:
    """The range, or the one address; bits beyond the mask are ignored. Raises ValueError where `text` is neither."""
    network = ip_network(text, strict=False)
    if isinstance(network, IPv4Network) or network.prefixlen < _MAPPED_BITS:
        return network
    mapped = network.network_address.ipv4_mapped
    return network if mapped is None else IPv4Network((int(mapped), network.prefixlen - _MAPPED_BITS))
