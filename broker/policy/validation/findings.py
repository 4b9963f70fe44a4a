"""What a check finds, and what is shown of it."""

import enum
from collections.abc import Callable, Iterator, Sequence

import msgspec

from broker.policy.validation.nodes import JsonNode, Path
from broker.policy.validation.subject import Subject, ValidatedAs


class FindingType(enum.Enum):
    """How serious a finding is, from the most serious to the least."""

    ERROR = "ERROR"
    SECURITY_WARNING = "SECURITY_WARNING"
    WARNING = "WARNING"
    SUGGESTION = "SUGGESTION"


class Issue(msgspec.Struct, frozen=True):
    """What a check found at `node`; `suggestion` is what could be written instead, "" where nothing is obvious."""

    node: JsonNode
    message: str
    suggestion: str = ""


_MOST_NAMED = 5


def some(names: Sequence[str]) -> str:
    """The first of some names, and how many more there are."""
    shown = ", ".join(names[:_MOST_NAMED])
    return f"{shown} and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else shown


Find = Callable[[Subject], Iterator[Issue]]


class PolicyCheck(msgspec.Struct, frozen=True):
    """A row: `code` is Access Analyzer's issue code, `validated_as` are the policies that it is for."""

    code: str
    type: FindingType
    find: Find
    validated_as: frozenset[ValidatedAs] = frozenset(ValidatedAs)


class TextPosition(msgspec.Struct, frozen=True):
    """As Access Analyzer counts: `line` from 1, `column` and `offset` from 0, in characters."""

    line: int
    column: int
    offset: int


class FindingLocation(msgspec.Struct, frozen=True):
    """`end` is exclusive."""

    path: Path
    start: TextPosition
    end: TextPosition


class ValidationFinding(msgspec.Struct, frozen=True):
    """A finding at its place."""

    type: FindingType
    code: str
    message: str
    location: FindingLocation
    suggestion: str = ""
