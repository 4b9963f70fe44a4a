"""Texts that stand for all values of a condition key that are read as numbers, dates, addresses or bytes.

The operands of a policy cut the values into points and the ranges between them; all values of a range compare alike.
Values that are written in two ways are there in both, for operators that compare texts may be on the same key.
"""

from base64 import b64encode
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from decimal import ROUND_FLOOR, Context, Decimal
from ipaddress import IPv4Address, IPv6Address
from itertools import pairwise

from broker.policy.operands import Address, Network, read_address, read_bytes, read_date, read_number

MALFORMED = "x"
_EXACT = Context(prec=300)
# The greatest values that `read_number` and `read_date` read.
_MOST_NUMBER = Decimal("9" * 64 + "." + "9" * 64)
_MOST_SECONDS = Decimal("9" * 19 + "." + "9" * 9)
# The first address of version 6 behind those that are read as addresses of version 4.
_BEHIND_MAPPED = 1 << 48
_BITS = {4: 32, 6: 128}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def number_texts(wanted: Iterable[Decimal]) -> list[str]:
    return _ordered_texts(wanted, Decimal("1e-64"), _MOST_NUMBER, _number_texts, read_number)


def _number_texts(number: Decimal) -> list[str]:
    text = format(number, "f")
    return [text, f"{text}0" if "." in text else f"{text}.0"]


def date_texts(wanted: Iterable[Decimal]) -> list[str]:
    return _ordered_texts(wanted, Decimal("1e-9"), _MOST_SECONDS, _date_texts, read_date)


def _date_texts(seconds: Decimal) -> list[str]:
    """As a date, of the years 1 to 9999, and as seconds since the epoch."""
    whole = seconds.to_integral_value(ROUND_FLOOR)
    try:
        moment = _EPOCH + timedelta(seconds=int(whole))
    except OverflowError:
        return [format(seconds, "f")]
    fraction = format(seconds - whole, "f").partition(".")[2].rstrip("0")
    text = f"{moment.year:04}-{moment:%m-%dT%H:%M:%S}"
    return [f"{text}.{fraction}Z" if fraction else f"{text}Z", format(seconds, "f")]


def _ordered_texts(
    wanted: Iterable[Decimal],
    smallest: Decimal,
    most: Decimal,
    write: Callable[[Decimal], list[str]],
    read: Callable[[str], Decimal | None],
) -> list[str]:
    """Each point, a value in each range between two, one below and one above all, and one that cannot be read.

    A range without a value that can be written has none. `smallest` is the least distance of two values, `most` the
    greatest value.
    """
    points = sorted(set(wanted))
    values = list(points) or [Decimal(0)]
    for lower, upper in pairwise(points):
        between = _between(lower, upper, smallest)
        values += [between] if between is not None else []
    if points:
        values += [_EXACT.subtract(points[0], Decimal(1)), _EXACT.add(points[-1], Decimal(1)), -most, most]
    texts = [(value, text) for value in values for text in write(value)]
    return [text for value, text in texts if read(text) == value] + [MALFORMED]


def _between(lower: Decimal, upper: Decimal, smallest: Decimal) -> Decimal | None:
    """A value with as few digits as there may be; None where the two are neighbours."""
    middle = _EXACT.divide(_EXACT.add(lower, upper), Decimal(2))
    middle = middle.quantize(smallest, ROUND_FLOOR, _EXACT)
    return middle if lower < middle < upper else None


def address_texts(wanted: Iterable[Network]) -> list[str]:
    """Ranges are nested or apart. An address of a range that is in none of its parts is found at the range's start
    or right behind a part, if there is one.
    """
    found: dict[Address, None] = {}
    networks = list(wanted)
    for version, first, mask in networks:
        found[version, first] = None
        behind = (first | ((1 << _BITS[version]) - 1 - mask)) + 1
        if behind < 1 << _BITS[version]:
            found[version, behind] = None
    found |= dict.fromkeys([(4, int(IPv4Address("192.0.2.1"))), (4, 0), (6, int(IPv6Address("2001:db8::1")))])
    found |= dict.fromkeys([(6, 0), (6, _BEHIND_MAPPED)])
    texts = [text for address in found for text in _address_texts(address)]
    return [text for text in texts if read_address(text) is not None] + [MALFORMED]


def _address_texts(address: Address) -> list[str]:
    version, bits = address
    if version == 6:
        return [str(IPv6Address(bits)), IPv6Address(bits).exploded]
    return [str(IPv4Address(bits)), f"::ffff:{IPv4Address(bits)}"]


def bytes_texts(wanted: Iterable[bytes]) -> list[str]:
    known = set(wanted)
    other = next(text for length in range(len(known) + 1) if (text := b"\0" * (length + 1)) not in known)
    texts = [b64encode(value).decode("ascii") for value in (*sorted(known), other)]
    return [text for text in texts if read_bytes(text) is not None] + [MALFORMED]
