"""Strict parsing of untrusted JSON: one object, no duplicate keys, no NaN, no lone surrogates, bounded nesting."""

import json
from typing import Any, NoReturn

DEEPEST = 16


def read_object(unverified_text: bytes | str) -> dict[str, Any]:
    """The members of the object in the text (UTF-8); raises ValueError, whose message does not quote the text."""
    text = unverified_text if isinstance(unverified_text, str) else unverified_text.decode("utf-8")
    try:
        members = _DECODER.decode(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"not JSON at character {error.pos}: {error.msg}") from None
    if type(members) is not dict:
        raise ValueError("not a JSON object")
    _refuse_depth(members)
    if "\\u" in text:
        _refuse_lone_surrogates(members)
    return members


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a member occurs twice")
    return members


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


_DECODER = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_no_constant)


def _refuse_lone_surrogates(members: dict[str, Any]) -> None:
    """JSON escapes can express a lone surrogate; UTF-8 cannot, and so no record and no session token can."""
    try:
        json.dumps(members, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise ValueError("a lone surrogate") from None


def _refuse_depth(members: dict[str, Any]) -> None:
    level: list[Any] = [members]
    for _ in range(DEEPEST):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if type(outer) is dict else outer)
            if type(inner) in (dict, list)
        ]
        if not level:
            return
    raise ValueError("nested too deeply")
