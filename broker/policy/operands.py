"""Values of conditions, read from text: numbers, dates, booleans, bytes, addresses. Malformed text gives None.

Formats as in the IAM User Guide, "IAM JSON policy elements: Condition operators".
"""

import binascii
import re
from base64 import b64decode
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import lru_cache

from broker.names.addresses import parse_address, parse_network

Address = tuple[int, int]  # IP version, bits
Network = tuple[int, int, int]  # IP version, bits of the network, mask

_NUMBER = re.compile(r"[+-]?[0-9]{1,64}(?:\.[0-9]{1,64})?")
_EPOCH = re.compile(r"-?[0-9]{5,19}(?:\.[0-9]{1,9})?")
# W3C's profile of ISO 8601: a year, a month, a day, or a time with its zone.
_DATE = re.compile(
    r"([0-9]{4})(?:-([0-9]{2})(?:-([0-9]{2})"
    r"(?:[Tt]([0-9]{2}):([0-9]{2})(?::([0-9]{2})(?:\.([0-9]{1,9}))?)?(Z|z|[+-][0-9]{2}:?[0-9]{2})?)?)?)?"
)
# What IAM's older parser takes for a date when a policy is stored (measured, see the unit tests).
_STORED_DATE = re.compile(
    r"[0-9]{2,}(?:-(?P<month>[0-9]{1,2})(?:-(?P<day>[0-9]{1,2}))?)?"
    r"(?:[Tt](?:[0-9]{1,2}(?::[0-9]{1,2}(?::[0-9]{1,2}(?:\.[0-9]{1,9})?)?)?)?(?:Z|z|[+-][0-9]{2}(?::?[0-9]{2})?)?)?"
)
_WHOLE_NUMBER = re.compile(r"-?[0-9]+")
_SIGNED_64_BITS = range(-(2**63), 2**63)


@lru_cache(maxsize=1024)
def read_number(text: str) -> Decimal | None:
    return Decimal(text) if _NUMBER.fullmatch(text) else None


@lru_cache(maxsize=1024)
def read_date(text: str) -> Decimal | None:
    """Seconds since the epoch, from ISO 8601 (UTC where it names no zone) or from epoch seconds."""
    if _EPOCH.fullmatch(text):
        return Decimal(text)
    found = _DATE.fullmatch(text)
    if found is None:
        return None
    year, month, day, hour, minute, second, fraction, zone = found.groups()
    try:
        moment = datetime(
            int(year), int(month or 1), int(day or 1), int(hour or 0), int(minute or 0), int(second or 0),
            tzinfo=UTC,
        )  # fmt: skip
    except ValueError:
        return None
    since = moment - datetime(1970, 1, 1, tzinfo=UTC) - _offset(zone)
    return Decimal(since.days * 86_400 + since.seconds) + Decimal(f"0.{fraction or 0}")


def _offset(zone: str | None) -> timedelta:
    if zone is None or zone in "Zz":
        return timedelta()
    size = timedelta(hours=int(zone[1:3]), minutes=int(zone[-2:]))
    return -size if zone[0] == "-" else size


def is_storable_date(text: str) -> bool:
    """Whether IAM's older parser accepts `text` as a date; a whole number must fit into 64 bits."""
    if _WHOLE_NUMBER.fullmatch(text):
        return int(text[:40]) in _SIGNED_64_BITS
    found = _STORED_DATE.fullmatch(text)
    return found is not None and int(found["month"] or 1) <= 12 and int(found["day"] or 1) <= 31


def read_boolean(text: str) -> bool | None:
    return {"true": True, "false": False}.get(text.lower())


def read_bytes(text: str) -> bytes | None:
    try:
        return b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None


@lru_cache(maxsize=1024)
def read_address(text: str) -> Address | None:
    """An address; an IPv4-mapped IPv6 address (`::ffff:192.0.2.1`) becomes the IPv4 address."""
    try:
        address = parse_address(text)
    except ValueError:
        return None
    return address.version, int(address)


@lru_cache(maxsize=1024)
def read_network(text: str) -> Network | None:
    """One address or a CIDR range, IPv4-mapped ones as above; bits set beyond the mask are ignored."""
    try:
        network = parse_network(text)
    except ValueError:
        return None
    return network.version, int(network.network_address), int(network.netmask)


def is_inside(address: Address, network: Network) -> bool:
    return address[0] == network[0] and address[1] & network[2] == network[1]
