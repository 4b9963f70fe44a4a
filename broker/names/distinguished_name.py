"""Distinguished names of LDAP directories, as text (RFC 4514).

Names are compared as directories compare nearly all of them: without case, and without regard to how often a space is
repeated (`caseIgnoreMatch`, RFC 4517, 4.2.11). What a directory would tell apart by case counts as one name here.
"""

import re

_LONGEST_NAME = 4096  # characters

# An attribute type, or its number (RFC 4512, 1.4); Active Directory and others have underscores as well.
_TYPE = re.compile(r"\s*([A-Za-z][A-Za-z0-9_-]*|[0-9]+(?:\.[0-9]+)+)\s*=\s*", re.ASCII)
# A value: characters that stand for themselves, two hexadecimal digits, or a character that is escaped.
_VALUE = re.compile(r'((?:[^\\,+;"<>]|\\[0-9A-Fa-f]{2}|\\[ "#+,;<=>\\])*)([,;+]|\Z)')
_ESCAPED = re.compile(r'((?:\\[0-9A-Fa-f]{2})+)|\\([ "#+,;<=>\\])')
_SPACES = re.compile(" +")
_SPECIAL = re.compile(r'[\\,+"<>;=#\x00]')


def escape_value(text: str) -> str:
    """`text` as the value of an attribute in a name: whatever it holds, it stays one value (RFC 4514, 2.4)."""
    escaped = _SPECIAL.sub(lambda found: f"\\{ord(found[0]):02x}", text)
    if escaped.startswith(" "):
        escaped = rf"\20{escaped[1:]}"
    return rf"{escaped[:-1]}\20" if escaped.endswith(" ") else escaped


def normalised_name(text: str) -> str:
    """`text` as it is compared; raises ValueError for what is no distinguished name, the empty one among it."""
    if not text or len(text) > _LONGEST_NAME:
        raise ValueError(f"a distinguished name has 1 to {_LONGEST_NAME} characters")
    parts, at, separator = [], 0, ""
    while True:
        attribute = _TYPE.match(text, at)
        value = None if attribute is None else _VALUE.match(text, attribute.end())
        if attribute is None or value is None:
            raise ValueError(f"{text!r} is no distinguished name")
        parts.append(f"{separator}{attribute[1].lower()}={escape_value(_compared(value[1]))}")
        if not value[2]:
            return "".join(parts)
        separator, at = "+" if value[2] == "+" else ",", value.end()


def _compared(value: str) -> str:
    return _SPACES.sub(" ", _ESCAPED.sub(_meant, value)).strip(" ").casefold()


def _meant(escaped: re.Match[str]) -> str:
    if escaped[2]:
        return escaped[2]
    return bytes.fromhex(escaped[1].replace("\\", "")).decode("utf-8", "surrogateescape")
