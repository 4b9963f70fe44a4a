"""IP addresses and ranges. An IPv4-mapped IPv6 address (`::ffff:192.0.2.1`, RFC 4291 2.5.5.2) becomes the IPv4 address.

A range of 96 bits or more within the mapped addresses becomes a range of IPv4. A shorter one is a range of IPv6 and
holds no IPv4 address: `::/0` is every IPv6 address, and `0.0.0.0/0` is needed beside it for IPv4.
"""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

_MAPPED_BITS = 96

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


def parse_address(text: str) -> Address:
    """The address; raises ValueError where `text` is not one."""
    address = ip_address(text)
    return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address


def parse_network(text: str) -> Network:
    """The range, or the one address; bits beyond the mask are ignored. Raises ValueError where `text` is neither."""
    network = ip_network(text, strict=False)
    if isinstance(network, IPv4Network) or network.prefixlen < _MAPPED_BITS:
        return network
    mapped = network.network_address.ipv4_mapped
    return network if mapped is None else IPv4Network((int(mapped), network.prefixlen - _MAPPED_BITS))
