"""Text of a form -> typed scalars, with AWS's refusals.

Measured on AWS STS and SES, which share the reader: integers are signed 32 bits, `+900` and `0900` are 900; an
empty one is refused with a message, any other invalid one with MalformedInput and no message. Booleans are XML
Schema's.
"""

import base64
import binascii
import datetime
import re

from broker.errors import Refusal

is_integer = re.compile(r"[+-]?[0-9]{1,20}").fullmatch
BOOLEANS = {"true": True, "1": True, "false": False, "0": False}
BITS = {"integer": 31, "long": 63}


def malformed(message: str = "", *, reason: str = "") -> Refusal:
    """MalformedInput; AWS gives it a message only sometimes."""
    return Refusal("MalformedInput", message, reason=reason)


def parse_integer(text: str, bits: int) -> int:
    """A signed integer whose magnitude has at most `bits` bits."""
    if not text:
        raise malformed("missing value for decimal type")
    if not is_integer(text):
        raise malformed(reason="not an integer")
    number = int(text)
    if not -(1 << bits) <= number < 1 << bits:
        raise malformed(reason="an integer out of range")
    return number


def parse_float(text: str) -> float:
    """A finite decimal number."""
    if not text:
        raise malformed("missing value for decimal type")
    if not re.fullmatch(r"[+-]?[0-9]{1,40}(\.[0-9]{1,40})?([eE][+-]?[0-9]{1,2})?", text):
        raise malformed(reason="not a number")
    return float(text)


def parse_boolean(text: str) -> bool:
    """An xsd:boolean."""
    if not text:
        raise malformed("missing value for boolean type")
    value = BOOLEANS.get(text)
    if value is None:
        raise malformed("boolean must follow xsd1.1 definition")
    return value


def parse_blob(text: str) -> bytes:
    """Standard base64."""
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise malformed(reason="not base64") from None


def parse_timestamp(text: str) -> float:
    """ISO 8601 with its offset, or seconds since 1970."""
    if re.fullmatch(r"-?[0-9]{1,12}(\.[0-9]{1,9})?", text):
        return float(text)
    try:
        moment = datetime.datetime.fromisoformat(text)
    except ValueError:
        raise malformed(reason="not a timestamp") from None
    if moment.tzinfo is None:
        raise malformed(reason="a timestamp without an offset")
    return moment.timestamp()
