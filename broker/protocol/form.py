"""The AWS Query protocol's form: `application/x-www-form-urlencoded` -> parameters -> a typed request.

As on AWS (measured on STS), of a repeated parameter the first value counts, and a parameter that the operation does
not know is ignored and never reaches a struct. Beyond AWS: a form has at most PARAMETER_LIMIT parameters, escapes and
UTF-8 are strict, and a known name with the wrong structure (`RoleArn.x`, `Tags.1.Key`) is refused instead of ignored.

Lists are `Name.member.N`, flattened ones `Name.N`, maps `Name.entry.N.key|value`, structures `Name.Member`; an empty
list or map is `Name=`. An empty structure has no spelling: SDKs leave it out (botocore's QuerySerializer), so a value
where a structure belongs is an error of the client, and is refused. Indices begin at 1 and must leave no gap: a gap is
a null member, and more than SPARSE_LIMIT missing members in a row are refused before anything is built.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from broker.errors import Refusal
from broker.protocol.scalars import malformed

PARAMETER_LIMIT = 10_000
DEPTH_LIMIT = 16
SPARSE_LIMIT = 10

Tree = dict[str, Any]  # a name, an index -> text, or a Tree

_COUNTED = [str(number) for number in range(1, 101)]

_HEXADECIMAL = "0123456789abcdefABCDEF"
_OCTETS = {high + low: bytes([int(high + low, 16)]) for high in _HEXADECIMAL for low in _HEXADECIMAL}
_ASCII = {digits: octet.decode() for digits, octet in _OCTETS.items() if octet < b"\x80"}


def _syntax_error(reason: str) -> Refusal:
    return Refusal("MalformedQueryString", "The query string contains a syntax error.", reason=reason)


def parse_form(body: bytes, limit: int = PARAMETER_LIMIT) -> dict[str, str]:
    """The parameters of a form body or of a query string, in order, the first of each name.

    Raises MalformedQueryString for broken escapes, broken UTF-8 and more than `limit` parameters.
    """
    try:
        text = body.decode()
    except UnicodeDecodeError:
        raise _syntax_error("the form is not UTF-8") from None
    parts = text.replace("+", " ").split("&", limit)
    if len(parts) > limit:
        raise _syntax_error(f"the form has more than {limit} parameters")
    parameters: dict[str, str] = {}
    for part in parts:
        name, _, value = part.partition("=")
        if "%" not in part:
            if name and name not in parameters:
                parameters[name] = value
            continue
        name = _unescape(name) if "%" in name else name
        if name and name not in parameters:
            is_short_arn = "Arn" in name and len(value) < 256
            parameters[name] = _unescape_arn(value) if is_short_arn else _unescape(value)
    return parameters


def _unescape(text: str) -> str:
    """Percent-decode. Fast path: most escapes are ASCII, which need no conversion to bytes."""
    head, *rest = text.split("%")
    try:
        return head + "".join([_ASCII[part[:2]] + part[2:] for part in rest])
    except KeyError:
        return _unescape_octets(text)


def _unescape_arn(text: str) -> str:
    """Fast path for ARNs: mostly colons and slashes are escaped in them.

    Neither character is part of an escape, so the replacement cannot create an escape that was not there.
    """
    plain = text.replace("%3A", ":").replace("%2F", "/")
    return _unescape(text) if "%" in plain else plain


def _unescape_octets(text: str) -> str:
    head, *rest = text.split("%")
    try:
        octets = [_OCTETS[part[:2]] + part[2:].encode() for part in rest]
        return (head.encode() + b"".join(octets)).decode()
    except (KeyError, UnicodeDecodeError):
        raise _syntax_error("an escape is broken or does not spell UTF-8") from None


def nest(parameters: Mapping[str, str], scalars: frozenset[str], roots: frozenset[str]) -> Mapping[str, Any]:
    """`parameters` with the dotted names below `roots` turned into nested trees; other dotted names are left alone.

    Raises MalformedInput where a name is both a value and a branch, or a scalar has members.
    """
    tree: Tree = {}
    for name, text in parameters.items():
        if "." not in name:
            continue
        root, _, rest = name.partition(".")
        if root in scalars:
            raise malformed("Start of structure or map found where not expected.")
        if root in roots:
            _insert(tree.setdefault(root, {}), rest, text)
    for root in tree:
        if root in parameters:
            raise malformed("Value found where not expected")
    return {**parameters, **tree} if tree else parameters


def _insert(branch: Tree, name: str, text: str) -> None:
    path = name.split(".", DEPTH_LIMIT)
    if len(path) > DEPTH_LIMIT:
        raise malformed(reason="a parameter is nested too deeply")
    for step in path[:-1]:
        branch = branch.setdefault(step, {})
        if not isinstance(branch, dict):
            raise malformed("Value found where not expected")
    if branch.setdefault(path[-1], text) is not text:
        raise malformed("Value found where not expected")


def members_of(raw: str | Tree, wrapper: str | None) -> Tree:
    """The numbered members of a list (`wrapper` "member") or map ("entry"); None where they are flattened."""
    if raw == "":
        return {}
    if isinstance(raw, str):
        raise malformed("Value found where not expected")
    if wrapper is None:
        return raw
    members = raw.get(wrapper)
    if not isinstance(members, dict) or len(raw) > 1:
        raise malformed("Top level element may not be treated as a list")
    return members


def in_order(members: Tree) -> Iterable[tuple[int, str | Tree | None]]:
    """(index, member) from 1 upwards; a member that was left out is None. The wording is AWS's."""
    if list(members) == _COUNTED[: len(members)]:
        return enumerate(members.values(), 1)  # as every SDK sends them
    return _sorted(members)


def _sorted(members: Tree) -> Iterator[tuple[int, str | Tree | None]]:
    by_index = {_index(digits): member for digits, member in members.items()}
    previous = 0
    for index in sorted(by_index):
        skipped = index - max(previous, 1)
        if skipped > SPARSE_LIMIT:
            raise malformed(f"Excessively sparse input would skip {skipped:,} list elements")
        for missing in range(previous + 1, index):
            yield missing, None
        yield index, by_index[index]
        previous = index


def _index(digits: str) -> int:
    if not (digits.isascii() and digits.isdigit()):
        raise malformed("Start of list found where not expected")
    if digits == "0":
        raise malformed("0 is not a valid index")
    if digits[0] == "0":
        raise malformed("Value found where not expected")
    if len(digits) > 9:
        raise malformed(f"Index {digits[:40]} is illegal")
    return int(digits)
