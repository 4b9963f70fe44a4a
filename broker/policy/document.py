"""Policy documents: JSON text to frozen structures, every syntax refusal in AWS's words.

The order of the checks is IAM's own, as far as it was measured: shape, version, what the older parser refuses,
unique Sids, actions, resources, the form of each. A document with several faults names the same one as AWS.

Identity policies, boundaries, SCPs and RCPs are read strictly, and so are trust policies, in the words of their
own validator. RESOURCE is for policies that another service has stored: there, white space before the document,
no Version, any Sid, no Resource (the resource itself is meant), short ARNs and unknown condition operators are
let through, as those services do; an unknown operator cannot be evaluated, so its Deny denies and its Allow
does not allow. Never let through: a key that stands twice, an unknown element, a value of the wrong type.
"""

from typing import Any

import msgspec

from broker.policy.conditions import spell
from broker.policy.elements import (
    OLD_VERSION,
    VERSION,
    Condition,
    Effect,
    MalformedPolicy,
    Policy,
    PolicyKind,
    Position,
    Principals,
    Statement,
)
from broker.policy.grammar import (
    check_actions,
    check_control_policy,
    check_legacy,
    check_resources,
    check_sids,
    check_trust,
)
from broker.policy.reading import Placed, read_document, read_items

__all__ = [
    "Condition",
    "Effect",
    "MalformedPolicy",
    "Policy",
    "PolicyKind",
    "Position",
    "Principals",
    "Statement",
    "parse_policy",
    "policy_size",
]

SYNTAX = "Syntax errors in policy."
WRONG_VERSION = "Policy document must be version 2012-10-17 or greater."
_SPACE = str.maketrans("", "", " \t\r\n")
_PAIRS = (("Action", "NotAction"), ("Resource", "NotResource"), ("Principal", "NotPrincipal"))
_ELEMENTS = {"Sid", "Effect", "Condition", *(name for pair in _PAIRS for name in pair)}
_PRINCIPAL_TYPES = {"AWS", "Service", "Federated", "CanonicalUser"}


class Grammar(msgspec.Struct, frozen=True):
    """What a kind of policy permits."""

    versions: tuple[str, ...] = (VERSION,)
    may_lack_version: bool = False
    needs_principal: bool = False
    forbids_principal: bool = True
    needs_resource: bool = True
    is_lenient: bool = False
    principal_refusal: str = "Has prohibited field {field}"


_ANY_VERSION = (VERSION, OLD_VERSION)
GRAMMARS: dict[PolicyKind, Grammar] = {
    # An inline policy may still be of the old version; whoever stores a managed one asks for `is_managed`.
    PolicyKind.IDENTITY: Grammar(_ANY_VERSION),
    PolicyKind.BOUNDARY: Grammar(),
    PolicyKind.SESSION: Grammar(_ANY_VERSION, may_lack_version=True),
    PolicyKind.SCP: Grammar(),
    PolicyKind.RCP: Grammar(needs_principal=True, forbids_principal=False),
    PolicyKind.ENDPOINT: Grammar(
        _ANY_VERSION, may_lack_version=True, needs_principal=True, forbids_principal=False
    ),
    PolicyKind.TRUST: Grammar(
        _ANY_VERSION,
        may_lack_version=True,
        needs_principal=True,
        forbids_principal=False,
        needs_resource=False,
    ),
    PolicyKind.RESOURCE: Grammar(
        _ANY_VERSION,
        may_lack_version=True,
        needs_principal=True,
        forbids_principal=False,
        needs_resource=False,
        is_lenient=True,
    ),
}
_MANAGED = Grammar(principal_refusal="Policy document should not specify a principal.")


def parse_policy(text: str, kind: PolicyKind, *, is_managed: bool = False) -> Policy:
    """The policy in `text`; raises MalformedPolicy where AWS would refuse it as a policy of `kind`.

    `is_managed`: it is to become a managed policy, which takes the current version only.
    """
    grammar = _MANAGED if is_managed and kind is PolicyKind.IDENTITY else GRAMMARS[kind]
    members = _read(text, kind, grammar)
    version = _version(members, grammar)
    statements = _statements(text, members, kind, grammar)
    policy = Policy(version, _text_of(members.get("Id")), statements, kind)
    _check(policy, grammar)
    return policy


def policy_size(text: str) -> int:
    """Characters as AWS counts them against a quota: without white space."""
    return len(text.translate(_SPACE))


def _read(text: str, kind: PolicyKind, grammar: Grammar) -> dict[str, Placed]:
    if text[:1].isspace() and not grammar.is_lenient:
        raise MalformedPolicy("JSON strings must not have leading spaces")
    try:
        members = read_document(text)
    except (ValueError, IndexError):
        trust = kind is PolicyKind.TRUST
        raise MalformedPolicy("This policy contains invalid Json" if trust else SYNTAX) from None
    _refuse_unknown(members, {"Version", "Id", "Statement"}, kind)
    return members


def _refuse_unknown(members: dict[str, Any], known: set[str], kind: PolicyKind) -> None:
    unknown = next((name for name in members if name not in known), None)
    if unknown is not None:
        raise MalformedPolicy(f"Unknown field {unknown}" if kind is PolicyKind.TRUST else SYNTAX)


def _version(members: dict[str, Placed], grammar: Grammar) -> str:
    if "Version" not in members:
        return OLD_VERSION if grammar.may_lack_version else ""
    version = members["Version"].value
    if version not in (VERSION, OLD_VERSION):
        raise MalformedPolicy(SYNTAX)
    return str(version)


def _text_of(placed: Placed | None) -> str:
    if placed is None:
        return ""
    if not isinstance(placed.value, str):
        raise MalformedPolicy(SYNTAX)
    return placed.value


def _statements(
    text: str, members: dict[str, Placed], kind: PolicyKind, grammar: Grammar
) -> tuple[Statement, ...]:
    placed = members.get("Statement")
    if placed is None or placed.value in ([], {}):
        trust = kind is PolicyKind.TRUST
        raise MalformedPolicy("Could not parse the policy: Statement is empty!" if trust else SYNTAX)
    items = read_items(text, placed) if isinstance(placed.value, list) else [placed]
    lines = _Lines(text)
    begins = [placed.start + 1, *(item.end for item in items)]
    return tuple(
        _statement(item, lines.position(begin), lines, kind, grammar)
        for begin, item in zip(begins, items, strict=False)
    )


class _Lines:
    """Offsets to lines and columns, asked for in ascending order.

    The simulator's positions are those of a reader that says where it stands before and after a statement: it has
    just taken the bracket that opens the list, or the lone statement, or the last one of the statement before; and
    the last one of this statement (measured; IAM API reference, SimulateCustomPolicy, its example).
    """

    def __init__(self, text: str) -> None:
        self._text = text
        self._line = 1
        self._line_start = 0
        self._at = 0

    def position(self, offset: int) -> Position:
        self._line += self._text.count("\n", self._at, offset)
        newline = self._text.rfind("\n", self._at, offset)
        if newline >= 0:
            self._line_start = newline + 1
        self._at = offset
        return Position(self._line, offset - self._line_start + 1)


def _statement(
    placed: Placed, start: Position, lines: _Lines, kind: PolicyKind, grammar: Grammar
) -> Statement:
    found = placed.value
    if not isinstance(found, dict):
        raise MalformedPolicy(SYNTAX)
    _refuse_unknown(found, _ELEMENTS, kind)
    _refuse_prohibited(found, kind, grammar)
    if any(first in found and second in found for first, second in _PAIRS):
        raise MalformedPolicy(SYNTAX)
    sid = found.get("Sid", "")
    if not isinstance(sid, str):
        raise MalformedPolicy(SYNTAX)
    return Statement(
        sid,
        _effect(found, kind),
        _texts(found, "Action"),
        _texts(found, "NotAction"),
        _texts(found, "Resource"),
        _texts(found, "NotResource"),
        _principals(found, "Principal"),
        _principals(found, "NotPrincipal"),
        _conditions(found.get("Condition", {}), grammar),
        start,
        line=lines.position(placed.start).line,
        end=lines.position(placed.end),
    )


def _refuse_prohibited(found: dict[str, Any], kind: PolicyKind, grammar: Grammar) -> None:
    prohibited: tuple[str, ...] = ("Principal", "NotPrincipal") if grammar.forbids_principal else ()
    prohibited += ("Resource", "NotResource") if kind is PolicyKind.TRUST else ()
    for field in prohibited:
        if field in found:
            raise MalformedPolicy(grammar.principal_refusal.format(field=field))


def _effect(found: dict[str, Any], kind: PolicyKind) -> Effect:
    effect = found.get("Effect")
    if effect is None and kind is PolicyKind.TRUST:
        raise MalformedPolicy("Missing required field Effect")
    if effect not in ("Allow", "Deny"):
        is_misspelt = isinstance(effect, str) and effect.lower() in ("allow", "deny")
        raise MalformedPolicy("The policy failed legacy parsing" if is_misspelt else SYNTAX)
    return Effect(effect)


def _texts(found: dict[str, Any], name: str) -> tuple[str, ...] | None:
    if name not in found:
        return None
    values = found[name] if isinstance(found[name], list) else [found[name]]
    if not all(isinstance(value, str) for value in values):
        raise MalformedPolicy(SYNTAX)
    return tuple(values)


def _principals(found: dict[str, Any], name: str) -> Principals | None:
    if name not in found:
        return None
    value = found[name]
    if value == "*":
        return Principals(everyone=True)
    if not isinstance(value, dict) or not value or not _PRINCIPAL_TYPES.issuperset(value):
        raise MalformedPolicy(SYNTAX)
    named = {kind: _texts(value, kind) or () for kind in _PRINCIPAL_TYPES}
    return Principals(
        "*" in named["AWS"], named["AWS"], named["Service"], named["Federated"], named["CanonicalUser"]
    )


def _conditions(found: Any, grammar: Grammar) -> tuple[Condition, ...]:
    if not isinstance(found, dict):
        raise MalformedPolicy(SYNTAX)
    conditions: list[Condition] = []
    for operator, keys in found.items():
        if not isinstance(keys, dict) or (keys and spell(operator) is None and not grammar.is_lenient):
            raise MalformedPolicy(SYNTAX)
        if len({key.lower() for key in keys}) != len(keys):
            raise MalformedPolicy(SYNTAX)
        conditions.extend(Condition(operator, key, _operands(values)) for key, values in keys.items())
    return tuple(conditions)


def _operands(values: Any) -> tuple[str, ...]:
    return tuple(_operand(value) for value in (values if isinstance(values, list) else [values]))


def _operand(value: Any) -> str:
    """AWS takes JSON's numbers and booleans for the strings they would be."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int | float):
        return str(value)
    raise MalformedPolicy(SYNTAX)


def _check(policy: Policy, grammar: Grammar) -> None:
    if policy.version not in grammar.versions:
        raise MalformedPolicy(WRONG_VERSION)
    if policy.kind is PolicyKind.TRUST:
        check_trust(policy)
        return
    if not grammar.is_lenient:
        check_legacy(policy)
        check_sids(policy)
    _check_elements(policy, grammar)
    if not grammar.is_lenient:
        check_resources(policy)
    check_actions(policy)
    if policy.kind in (PolicyKind.SCP, PolicyKind.RCP):
        check_control_policy(policy)


def _check_elements(policy: Policy, grammar: Grammar) -> None:
    for statement in policy.statements:
        if not (statement.actions or statement.not_actions):
            raise MalformedPolicy("Policy statement must contain actions.")
        if grammar.needs_resource and not (statement.resources or statement.not_resources):
            raise MalformedPolicy("Policy statement must contain resources.")
        if (statement.resources == () or statement.not_resources == ()) and grammar.is_lenient:
            raise MalformedPolicy("Policy statement must contain resources.")
        if grammar.needs_principal and statement.principals is None and statement.not_principals is None:
            raise MalformedPolicy("Missing required field Principal")
