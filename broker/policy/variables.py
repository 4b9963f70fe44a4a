"""Policy variables: `${aws:username}`, `${key, 'default'}` and the escapes `${*}`, `${?}`, `${$}`.

IAM User Guide, "IAM policy elements: Variables and tags". Version 2008-10-17 has none of them. A key that is
missing or has several values gives no value: then the text that holds it matches nothing. The value of a variable
is literal, whatever characters it has: a tag whose value is `*` is no wildcard.
"""

import re
from sys import maxsize

import msgspec

from broker.policy.context import ByKey
from broker.policy.patterns import Glob, Wild, parse_glob


class Variable(msgspec.Struct, frozen=True):
    """`key` is `name` in lower case; `default` is None where the policy states none."""

    key: str
    name: str
    default: str | None = None


Template = tuple[str | Wild | Variable, ...]

# Each part excludes the characters that may begin the next, so the scan is linear in the text.
_VARIABLE = re.compile(r"\$\{(?:([*?$])|([^{}$,']+)(?:,\s*+'([^']*)'\s*+)?)\}")


def parse_template(text: str, *, wildcards: bool, variables: bool) -> Template:
    """`text` cut into literal pieces, wildcards (where `wildcards`) and variables (where `variables`)."""
    if not variables or "${" not in text:
        return _plain(text, wildcards)
    pieces: list[str | Wild | Variable] = []
    at = 0
    for found in _VARIABLE.finditer(text):
        pieces.extend(_plain(text[at : found.start()], wildcards))
        escaped, key, default = found.groups()
        pieces.append(escaped or _variable(key.strip(), default))
        at = found.end()
    pieces.extend(_plain(text[at:], wildcards))
    return _joined(pieces)


def _variable(name: str, default: str | None) -> Variable:
    return Variable(name.lower(), name, default)


def _plain(text: str, wildcards: bool) -> Glob:
    if wildcards:
        return parse_glob(text)
    return (text,) if text else ()


def _joined(pieces: list[str | Wild | Variable]) -> Template:
    joined: list[str | Wild | Variable] = []
    for piece in pieces:
        if isinstance(piece, str) and joined and isinstance(joined[-1], str):
            joined[-1] += piece
        else:
            joined.append(piece)
    return tuple(joined)


def variables_in(text: str) -> list[Variable]:
    """The variables of `text`, without its literal parts."""
    if "${" not in text:
        return []
    found = (match.groups() for match in _VARIABLE.finditer(text))
    return [_variable(key.strip(), default) for escaped, key, default in found if not escaped]


def variables_of(template: Template) -> list[Variable]:
    return [piece for piece in template if isinstance(piece, Variable)]


def is_static(template: Template) -> bool:
    return not any(isinstance(piece, Variable) for piece in template)


def static_glob(template: Template) -> Glob:
    """A template without variables, as a glob."""
    return tuple(piece for piece in template if not isinstance(piece, Variable))


def resolve(template: Template, by_key: ByKey) -> Glob | None:
    """The template with its variables filled in, or None where one of them has no value."""
    pieces: list[str | Wild] = []
    for piece in template:
        if not isinstance(piece, Variable):
            pieces.append(piece)
            continue
        value = value_of(piece, by_key)
        if value is None:
            return None
        pieces.append(value)
    return tuple(pieces)


def resolve_text(template: Template, by_key: ByKey, longest: int = maxsize) -> str | None:
    """The same for a template without wildcards; None as well where it would be longer than `longest` characters.

    A longer text cannot equal the compared one, and a few kilobytes of variables could expand to gigabytes.
    """
    pieces = []
    for piece in template:
        text = value_of(piece, by_key) if isinstance(piece, Variable) else str(piece)
        if text is None:
            return None
        longest -= len(text)
        if longest < 0:
            return None
        pieces.append(text)
    return "".join(pieces)


def value_of(variable: Variable, by_key: ByKey) -> str | None:
    values = by_key.get(variable.key)
    if values is not None and len(values) == 1:
        return values[0]
    return variable.default
