"""ContextEntries of a simulation: condition keys with values of a stated type.

The refusals are AWS's (measured). Values are converted for the engine: numbers without exponents, booleans as words.
"""

import binascii
import re
from base64 import b64decode
from collections.abc import Callable, Iterable
from decimal import Decimal
from ipaddress import ip_address

import msgspec

from broker.access.caller import Keys
from broker.policy import read_date
from broker.protocol.shapes import iam as shapes
from broker.simulator.subjects import invalid_input

_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,6})?")
# Digits of the longest number that is converted; conditions do not compare longer ones.
_LONGEST_NUMBER = 60


class _Kind(msgspec.Struct, frozen=True):
    """A type of values: `read` returns the text for conditions, or raises ValueError; `wanted` is AWS's name."""

    read: Callable[[str], str]
    wanted: str = ""


def _number(text: str) -> str:
    if not _NUMBER.fullmatch(text):
        raise ValueError(text)
    number = Decimal(text)
    return f"{number:f}" if abs(number.adjusted()) <= _LONGEST_NUMBER else text


def _date(text: str) -> str:
    if read_date(text) is None:
        raise ValueError(text)
    return text


def _address(text: str) -> str:
    ip_address(text)
    return text


def _bytes(text: str) -> str:
    try:
        b64decode(text, validate=True)
    except binascii.Error:
        raise ValueError(text) from None
    return text


_KINDS = {
    "string": _Kind(str),
    "numeric": _Kind(_number, "numeric format"),
    "boolean": _Kind(lambda text: "true" if text.lower() == "true" else "false"),
    "date": _Kind(_date, "DateTime format"),
    "ip": _Kind(_address, "IP address"),
    "binary": _Kind(_bytes, "base-64 encoded binary format"),
}


def entered_keys(entries: Iterable[shapes.ContextEntry]) -> Keys:
    """The condition keys of a request, in lower case; raises InvalidInput for invalid entries."""
    keys: Keys = {}
    for entry in entries:
        name = entry.context_key_name
        if not name:
            raise invalid_input("ContextKeyName cannot be null or empty.")
        if name.lower() in keys:
            raise invalid_input(f"Duplicate context key: {name}.")
        keys[name.lower()] = _values(name, entry)
    return keys


def _values(name: str, entry: shapes.ContextEntry) -> tuple[str, ...]:
    kind, values = entry.context_key_type, entry.context_key_values
    if kind is None:
        raise invalid_input(f"Context key {name} has invalid type null.")
    if not values:
        raise invalid_input(f"Context values for context key {name} cannot be null or empty.")
    if not kind.endswith("List") and len(values) != 1:
        raise invalid_input(f"Context key {kind} expected a single value, but received {len(values)}.")
    row = _KINDS[kind.removesuffix("List")]
    try:
        return tuple(row.read(value) for value in values)
    except ValueError:
        raise invalid_input(f"Invalid context value for key {name}: expected {row.wanted}.") from None
