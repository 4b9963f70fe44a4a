"""Which addresses a provider may have: public ones, and private ones that the operator admits.

A provider's URL is untrusted: any account that may register a provider could make the broker send requests to its own
machine, to its network, or to a metadata service. So names are resolved first, the addresses are checked, and the
connection goes to the checked addresses only.
"""

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network

Address = IPv4Address | IPv6Address

# Never admitted, whatever the settings: link-local networks, where metadata services are, and where clouds have them
# elsewhere: AWS, Alibaba Cloud, Azure (a public address), Oracle, Google Cloud, Scaleway, Akamai.
_NEVER = tuple(
    map(
        ip_network,
        (
            *("169.254.0.0/16", "fe80::/10", "fd00:ec2::/32", "100.100.100.200/32", "fd00:100::100:200/128"),
            *("168.63.129.16/32", "192.0.0.192/32", "fd00:c1::a9fe:a9fe/128", "fd20:ce::254/128"),
            *("fd00:42::42/128", "fd00:a9fe:a9fe::/48"),
        ),
    )
)

# IPv6 networks that embed an IPv4 address in their last 32 bits (RFC 6052, RFC 4291).
_EMBEDDING = tuple(map(IPv6Network, ("64:ff9b::/96", "::ffff:0:0/96", "::/96")))

# RFC 8215: each site translates these as it likes, so they are no public ones. RFC 6052, section 2.2: the four octets
# are in these, as the prefix has 48, 56, 64 or 96 bits.
_LOCALLY_TRANSLATED = IPv6Network("64:ff9b:1::/48")
_OCTETS = ((6, 7, 9, 10), (7, 9, 10, 11), (9, 10, 11, 12), (12, 13, 14, 15))


def is_admitted(address: Address, private_networks: Sequence[str]) -> bool:
    """Whether a provider may be reached at `address`; `private_networks` are CIDR networks that are admitted too."""
    target = _embedded_ipv4(address) or address
    if any(one in network for network in _NEVER for one in (target, *_local_translations(target))):
        return False
    return _is_public(target) or any(_contains(network, target) for network in private_networks)


def _is_public(address: Address) -> bool:
    # Which `ipaddress` takes for global.
    is_site_local = isinstance(address, IPv6Address) and address.is_site_local
    return address.is_global and not (address.is_multicast or address.is_reserved or is_site_local)


def find_address(host: str) -> Address | None:
    """The address in `host`, with or without brackets; None where `host` is a name."""
    try:
        return ip_address(host.strip("[]").partition("%")[0])
    except ValueError:
        return None


def _embedded_ipv4(address: Address) -> IPv4Address | None:
    """The IPv4 address that an IPv6 address is translated or tunnelled to."""
    if isinstance(address, IPv4Address):
        return None
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    if address.teredo is not None:
        return address.teredo[1]
    if address.is_loopback or address.is_unspecified:
        return None
    if any(address in network for network in _EMBEDDING):
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return None


def _local_translations(address: Address) -> tuple[IPv4Address, ...]:
    """The IPv4 addresses one of which this may be, where each site has its own translation."""
    if address not in _LOCALLY_TRANSLATED:
        return ()
    octets = address.packed
    return tuple(IPv4Address(bytes(octets[one] for one in form)) for form in _OCTETS)


def _contains(network: str, address: Address) -> bool:
    parsed = ip_network(network)
    return parsed.version == address.version and address in parsed
