"""JSON as a policy may be written: no key twice, no NaN, no half of a character, bounded nesting.

Nesting is bounded twice: by `DEEPEST`, counted before anything is parsed, and by the decoder's own limit.
"""

import json
import re
from collections import Counter
from typing import Any, NoReturn

DEEPEST = 32
LONGEST = 1_000_000  # characters; the wire's own limit is 131,072
_STRINGS = re.compile(r'"(?:[^"\\]|\\.)*+"?', re.DOTALL)  # an open one ends with the text: no second try
_NESTING = re.compile(r"[\[{\]}]")


def _object_without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        times = Counter(key for key, _ in pairs)
        twice = next(key for key in found if times[key] > 1)
        raise ValueError(f"{json.dumps(twice)} stands twice in one object")
    return found


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


DECODER = json.JSONDecoder(object_pairs_hook=_object_without_duplicates, parse_constant=_no_constant)


def fault_of(error: Exception) -> str:
    """What `read_document` found wrong, and where the JSON told so."""
    if isinstance(error, json.JSONDecodeError):
        return f"line {error.lineno}, column {error.colno}: {error.msg}"
    return str(error)


def read_document(text: str) -> dict[str, Any]:
    """The members of the one object that `text` holds; raises ValueError where it holds none, or anything else."""
    _refuse_depth(text)
    try:
        members = DECODER.decode(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if type(members) is not dict or not members:
        raise ValueError("an object with members expected")
    if "\\u" in text or not text.isascii():
        _refuse_half_characters(members)
    return members


def _refuse_half_characters(members: dict[str, Any]) -> None:
    """JSON can write a surrogate that stands alone; UTF-8 cannot, and so no answer, no record and no sealed message.

    So it is refused in what is stored, too, unlike other things that later versions learn to refuse.
    """
    try:
        json.dumps(members, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        alone = ascii(error.object[error.start])
        raise ValueError(f"a surrogate stands alone: {alone} is half of a character") from None


def _refuse_depth(text: str) -> None:
    if len(text) > LONGEST:
        raise ValueError("too long")
    # So few brackets cannot nest deeper, wherever they stand.
    if text.count("{") + text.count("[") <= DEEPEST:
        return
    depth = 0
    for bracket in _NESTING.findall(_STRINGS.sub("", text)):
        depth += 1 if bracket in "[{" else -1
        if depth > DEEPEST:
            raise ValueError("nested too deeply")
