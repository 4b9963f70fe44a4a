"""The elements of a policy document as frozen structures (IAM User Guide, "IAM JSON policy elements reference")."""

import enum
import json

import msgspec

from broker.policy.spans import StatementSpan, spans_of


class PolicyKind(enum.Enum):
    """What a policy is attached to, which decides what its grammar permits."""

    IDENTITY = "identity"
    RESOURCE = "resource"  # stored by another service: read leniently, where AWS is lenient
    TRUST = "trust"
    BOUNDARY = "boundary"
    SESSION = "session"
    SCP = "scp"
    RCP = "rcp"
    ENDPOINT = "endpoint"

    __hash__ = object.__hash__  # each member exists once; the hash of enum.Enum runs Python code


class Effect(enum.Enum):
    """What a statement that matches does."""

    ALLOW = "Allow"
    DENY = "Deny"


class MalformedPolicy(ValueError):
    """A document that AWS would not store; `message` is AWS's.

    `fault` says, for the author of the document, what is wrong and where. AWS says neither, so it is never sent.
    """

    def __init__(self, message: str, fault: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.fault = fault


def fault_in(text: str, number: int, what: str) -> str:
    return f"line {spans_of(text)[number].line}: {what}"


def quoted(value: object) -> str:
    """A value of a document as JSON in ASCII, cut where it is long."""
    shown = json.dumps(value)
    return shown if len(shown) <= _LONGEST_SHOWN else f"{shown[:_LONGEST_SHOWN]}..."


VERSION = "2012-10-17"
_LONGEST_SHOWN = 80  # characters
OLD_VERSION = "2008-10-17"  # of a document without Version; it has no variables


class Condition(msgspec.Struct, frozen=True, gc=False):
    """One operator applied to one key, as written: `{"StringEquals": {"aws:username": ["a", "b"]}}`."""

    operator: str
    key: str
    values: tuple[str, ...]


class Principals(msgspec.Struct, frozen=True, gc=False):
    """The principals that a statement of a resource policy names; `everyone` is `"*"` or `{"AWS": "*"}`."""

    everyone: bool = False
    aws: tuple[str, ...] = ()
    service: tuple[str, ...] = ()
    federated: tuple[str, ...] = ()
    canonical_user: tuple[str, ...] = ()


class Statement(msgspec.Struct, frozen=True, gc=False):
    """One statement, the one with this `number` (from 0) in `text`; of opposite elements at most one is not None."""

    sid: str
    effect: Effect
    actions: tuple[str, ...] | None = None
    not_actions: tuple[str, ...] | None = None
    resources: tuple[str, ...] | None = None
    not_resources: tuple[str, ...] | None = None
    principals: Principals | None = None
    not_principals: Principals | None = None
    conditions: tuple[Condition, ...] = ()
    text: str = ""
    number: int = 0

    @property
    def span(self) -> StatementSpan:
        return spans_of(self.text)[self.number]

    def fault(self, what: str) -> str:
        """`what` is wrong, with the line of this statement."""
        return fault_in(self.text, self.number, what)


class Policy(msgspec.Struct, frozen=True, gc=False):
    """A parsed document. `version` is `2012-10-17`, or `2008-10-17` where the document names none."""

    version: str
    id: str
    statements: tuple[Statement, ...]
    kind: PolicyKind
