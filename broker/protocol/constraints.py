"""Constraints of the model, and the sentences in which AWS reports their violation.

A check takes a value and returns the constraints it breaks. Lengths count Unicode scalar values (measured on AWS STS:
neither UTF-8 bytes nor UTF-16 units), and of several broken constraints the pattern comes first. AWS echoes a whole
value; here an echo ends after ECHO_LIMIT characters and a message after VIOLATION_LIMIT violations, which bounds the
size of a refusal.

The models' patterns are Java's. Three translations make Python read them the same way: `\\w` and `\\d` are
ASCII; `\\p{..}` needs the `regex` package; `\\u10000-\\u10FFFF` stays as it is, because Java, too, reads it as
U+1000, a range from "0" to U+10FF, and two letters F: AWS refuses supplementary characters there (measured).
"""

import re
from collections.abc import Callable, Iterable, Sized
from functools import lru_cache

import regex

from broker.errors import Refusal, validation_error
from broker.protocol.model import Shape
from broker.protocol.scalars import is_integer

ECHO_LIMIT = 4096
VIOLATION_LIMIT = 100
NONE_BROKEN: tuple[str, ...] = ()
NOT_NULL = "Member must not be null"
_PATTERN = "Member must satisfy regular expression pattern"
_ENUM = "Member must satisfy enum value set"
_AT_LEAST = "Member must have length greater than or equal to"
_AT_MOST = "Member must have length less than or equal to"
HIDDEN_ECHO = " '***'"

# The characters of XML 1.0, required of strings for which the model has neither a pattern nor an enum: a character
# that no answer can hold must not enter the store.
XML_CHARACTERS = r"[\u0009\u000A\u000D\u0020-\uD7FF\uE000-\uFFFD\u10000-\u10FFFF]*"
_is_repeated_class = re.compile(r"\[(?:\\.|[^\[\]\\])+\][*+]", re.DOTALL).fullmatch
_is_xml_text = re.compile("[\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]*").fullmatch

# Where one of these members breaks its pattern IAM answers with a sentence of its own, and does not report other
# violations: for an ARN of 89 characters as roleName, "must contain only …", though the maximum is 64
# (torchserve-examples#7). Not every name has such a sentence: for instanceProfileName it quotes the pattern
# (packer#10024).
_OF_NAMES = "It must contain only alphanumeric characters and/or the following: +=,.@_-"
_OF_PATHS = "It must begin and end with / and contain only alphanumeric characters and/or / characters."
_OF_PREFIXES = (
    "It must begin with the / character and contain only alphanumeric characters and/or / characters."
)
OWN_RULES: dict[str, dict[str, str]] = {
    "iam": {
        "userName": _OF_NAMES,
        "newUserName": _OF_NAMES,
        "groupName": _OF_NAMES,
        "newGroupName": _OF_NAMES,
        "roleName": _OF_NAMES,
        "policyName": _OF_NAMES,
        "path": _OF_PATHS,
        "newPath": _OF_PATHS,
        "pathPrefix": _OF_PREFIXES,
    },
}

# IAM neither shows a value nor lists an enum ("Value at 'status' failed to satisfy constraint: Member must satisfy enum
# value set", LocalStack's recordings of February 2026); STS shows both.
SHOWS_NO_VALUES = frozenset({"iam"})

Matches = Callable[[str], object]

# The ASCII characters of a Unicode class: letters, separators, numbers, marks, symbols, punctuation. `re` is twice as
# fast as `regex`.
_ASCII_OF = {
    "L": "A-Za-z",
    "Z": " ",
    "N": "0-9",
    "M": "",
    "S": r"$+<=>\^`|~",
    "P": r"!-#%-*,\-./:;?@\[\\\]_{}",
}


@lru_cache(maxsize=512)
def compile_pattern(pattern: str, repeated: str = "") -> Matches:
    """A function that says whether the whole of a text matches a Java pattern of the model.

    `repeated` replaces the quantifier at the pattern's end, where it is not empty.
    """
    outside, inside = {"w": "[A-Za-z0-9_]", "d": "[0-9]"}, {"w": "A-Za-z0-9_", "d": "0-9"}
    translated, in_class = [], False
    for atom in re.findall(r"\\u[0-9A-Fa-f]{4}|\\p\{\w\}|\\.|.", pattern, re.DOTALL):
        if atom in (r"\w", r"\d"):
            atom = (inside if in_class else outside)[atom[1]]
        elif atom.startswith(r"\p{") and not in_class:
            atom = f"[{atom}]"
        elif atom in ("[", "]"):
            in_class = atom == "["
        translated.append(atom)
    text = "".join(translated[:-1]) + repeated if repeated else "".join(translated)
    if r"\p" not in text:
        return re.compile(text).fullmatch
    in_ascii = re.compile(re.sub(r"\\p\{(\w)\}", lambda match: _ASCII_OF[match[1]], text)).fullmatch
    in_unicode = regex.compile(text).fullmatch
    return lambda value: in_ascii(value) if value.isascii() else in_unicode(value)


def acceptance(shape: Shape) -> Matches:
    """A function that is true for a text which breaks no constraint of a string's shape: enum, or pattern and length.

    Where a pattern is one repeated class, as nearly all are, the length becomes part of the expression: one call.
    """
    if shape.enum:
        return frozenset(shape.enum).__contains__
    low, high = shape.min or 0, shape.max
    if shape.pattern and _is_repeated_class(shape.pattern):
        least = max(low, 1) if shape.pattern[-1] == "+" else low
        return compile_pattern(shape.pattern, f"{{{least},{'' if high is None else high}}}")
    matches = compile_pattern(shape.pattern) if shape.pattern else _is_xml_text
    return lambda text: low <= len(text) and (high is None or len(text) <= high) and matches(text)


def number_acceptance(shape: Shape, bits: int) -> Matches:
    """The same for an integer whose magnitude has at most `bits` bits."""
    least, most = -(1 << bits), (1 << bits) - 1
    low = least if shape.min is None else max(least, shape.min)
    high = most if shape.max is None else min(most, shape.max)
    return lambda text: is_integer(text) and low <= int(text) <= high


def string_check(shape: Shape, *, shows_values: bool = True) -> Callable[[str], tuple[str, ...]]:
    """Enum, pattern, and length in characters."""
    if shape.enum:
        return _enum_check(shape.enum, shows_values=shows_values)
    low, high, accepts = shape.min or 0, shape.max, acceptance(shape)
    broken_pattern = f"{_PATTERN}: {shape.pattern or XML_CHARACTERS}"

    def check(value: str) -> tuple[str, ...]:
        if accepts(value):
            return NONE_BROKEN
        matches = compile_pattern(shape.pattern) if shape.pattern else _is_xml_text
        mismatch = () if matches(value) else (broken_pattern,)
        return mismatch + _length_broken(len(value), low, high)

    return check


def breaks_pattern(broken: tuple[str, ...]) -> bool:
    """Whether a pattern is among the constraints that a check found broken: it is the first of them."""
    return bool(broken) and broken[0].startswith(_PATTERN)


def _enum_check(allowed: tuple[str, ...], *, shows_values: bool) -> Callable[[str], tuple[str, ...]]:
    known = frozenset(allowed)
    broken = (f"{_ENUM}: [{', '.join(allowed)}]" if shows_values else _ENUM,)
    return lambda value: NONE_BROKEN if value in known else broken


def of_each_member(shape: Shape) -> str:
    """The one violation of a list in which a text breaks a constraint of `shape`: IAM names all of its constraints.

    "Member must not be null" is among them where the shape has a pattern (recorded for tag keys, not for client ids).
    """
    if shape.enum:
        return f"Member must satisfy constraint: [{_ENUM}]"
    broken = [f"{_AT_MOST} {shape.max}"] if shape.max is not None else []
    broken += [f"{_AT_LEAST} {shape.min}"] if shape.min is not None else []
    broken += [f"{_PATTERN}: {shape.pattern}", NOT_NULL] if shape.pattern else []
    return f"Member must satisfy constraint: [{', '.join(broken)}]"


def number_check(shape: Shape) -> Callable[[float], tuple[str, ...]]:
    """Least and greatest value."""
    low, high = shape.min, shape.max

    def check(value: float) -> tuple[str, ...]:
        if low is not None and value < low:
            return (f"Member must have value greater than or equal to {low}",)
        if high is not None and value > high:
            return (f"Member must have value less than or equal to {high}",)
        return NONE_BROKEN

    return check


def size_check(shape: Shape) -> Callable[[Sized], tuple[str, ...]]:
    """Least and greatest number of members of a list or map, or of bytes of a blob."""
    low, high = shape.min or 0, shape.max
    return lambda value: _length_broken(len(value), low, high)


def _length_broken(length: int, low: int, high: int | None) -> tuple[str, ...]:
    if length < low:
        return (f"{_AT_LEAST} {low}",)
    if high is not None and length > high:
        return (f"{_AT_MOST} {high}",)
    return NONE_BROKEN


class Violations:
    """The violations of one request, gathered while it is read: sentences, at most VIOLATION_LIMIT of them.

    `recorded` are the same sentences as the log and the journal may show them. `own` is the service's own sentence
    (OWN_RULES), which replaces all others. `shows_values`: see SHOWS_NO_VALUES.
    """

    __slots__ = ("own", "recorded", "sentences", "shows_values")

    def __init__(self, *, shows_values: bool = True) -> None:
        self.shows_values = shows_values
        self.sentences: list[str] = []
        self.recorded: list[str] = []
        self.own = ""

    def add(self, shown: str, where: str, broken: Iterable[str], *, is_proof: bool = False) -> None:
        """`shown` is the value as AWS prints it, quotes and leading space included, or an empty text.

        A proof is shown to its sender, as on AWS, but hidden in what is recorded.
        """
        for constraint in broken:
            if len(self.sentences) < VIOLATION_LIMIT:
                rest = f" at '{where}' failed to satisfy constraint: {constraint}"
                self.sentences.append(f"Value{shown}{rest}")
                self.recorded.append(f"Value{HIDDEN_ECHO if is_proof and shown else shown}{rest}")

    def add_null(self, where: str) -> None:
        self.add(" null" if self.shows_values else "", where, (NOT_NULL,))

    def add_own(self, where: str, rule: str) -> None:
        """Only the first broken rule is reported."""
        self.own = self.own or f"The specified value for {where} is invalid. {rule}"

    def refusal(self) -> Refusal:
        if self.own:
            return validation_error(self.own)
        message, recorded = _detected(self.sentences), _detected(self.recorded)
        return Refusal("ValidationError", message, reason="" if recorded == message else recorded)


def _detected(sentences: list[str]) -> str:
    count = len(sentences)
    plural = "" if count == 1 else "s"
    return f"{count} validation error{plural} detected: {'; '.join(sentences)}"


def echo(value: object) -> str:
    """A value as a violation shows it."""
    return f" '{str(value)[:ECHO_LIMIT]}'"


def echo_sensitive(_value: object) -> str:
    """A value that must not be shown."""
    return ""
