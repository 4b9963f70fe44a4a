"""The JSON of policies, strictly: no duplicate key, no NaN, no lone surrogate, bounded nesting.

Nesting is bounded twice: by `DEEPEST`, before anything is parsed, and by the decoder's own limit.
"""

import json
import re
from collections import Counter
from typing import Any, NoReturn

DEEPEST = 32
LONGEST = 1_000_000  # characters; the wire's own limit is 131,072
_STRINGS = re.compile(
    r'"(?:[^"\\]|\\.)*+"?', re.DOTALL
)  # an open string ends at the end of the text, without backtracking
_NESTING = re.compile(r"[\[{\]}]")


def _object_without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        times = Counter(key for key, _ in pairs)
        twice = next(key for key in found if times[key] > 1)
        raise ValueError(f"{json.dumps(twice)} appears twice in one object")
    return found


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


DECODER = json.JSONDecoder(object_pairs_hook=_object_without_duplicates, parse_constant=_no_constant)


def fault_of(error: Exception) -> str:
    """What `read_document` found wrong, and the position where it is known."""
    if isinstance(error, json.JSONDecodeError):
        return f"line {error.lineno}, column {error.colno}: {error.msg}"
    return str(error)


def read_document(text: str) -> dict[str, Any]:
    """The members of the one object in `text`; raises ValueError for anything else, and for an empty object."""
    refuse_depth(text)
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
    """JSON can escape a lone surrogate; UTF-8 cannot encode it, so no answer, record or sealed message could hold it.

    Therefore it is refused in stored policies, too, unlike other faults that later versions refuse.
    """
    try:
        json.dumps(members, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        alone = ascii(error.object[error.start])
        raise ValueError(f"a lone surrogate: {alone} is half of a character") from None


def refuse_depth(text: str) -> None:
    if len(text) > LONGEST:
        raise ValueError("too long")
    # Fast path: so few brackets cannot nest deeper.
    if text.count("{") + text.count("[") <= DEEPEST:
        return
    depth = 0
    for bracket in _NESTING.findall(_STRINGS.sub("", text)):
        depth += 1 if bracket in "[{" else -1
        if depth > DEEPEST:
            raise ValueError("nested too deeply")
