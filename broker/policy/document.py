"""Policy documents: JSON text to frozen structures, every syntax refusal with AWS's message.

The order of the checks is IAM's own, as far as it was measured: shape, version, what the older parser refuses,
unique Sids, actions, resources, the form of each. Of several faults the same one is reported as by AWS.

Identity policies, boundaries, SCPs and RCPs are read strictly, and so are trust policies, with the messages of their
own validator. RESOURCE is for policies that another service has stored: there, white space before the document, no
Version, any Sid, no Resource (the policy's own resource), short ARNs and unknown condition operators are accepted, as
by those services; an unknown operator cannot be evaluated, so its Deny denies and its Allow does not allow. Never
accepted: a duplicate key, an unknown element, a value of the wrong type.
"""

from collections.abc import Collection
from functools import lru_cache
from sys import intern
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
    Principals,
    Statement,
    fault_in,
    quoted,
)
from broker.policy.grammar import (
    LEGACY,
    check_accounts,
    check_actions,
    check_control_policy,
    check_legacy,
    check_new_control_policy,
    check_new_trust,
    check_resources,
    check_services,
    check_sids,
    check_trust,
    check_vendors,
)
from broker.policy.reading import fault_of, read_document
from broker.policy.shared_issuers import check_tenants

SYNTAX = "Syntax errors in policy."
_INDENTED = "JSON strings must not have leading spaces"
WRONG_VERSION = "Policy document must be version 2012-10-17 or greater."
_SPACE = str.maketrans("", "", " \t\r\n")
_MEMBERS = frozenset({"Version", "Id", "Statement"})
_PAIRS = (("Action", "NotAction"), ("Resource", "NotResource"), ("Principal", "NotPrincipal"))
_ELEMENTS = frozenset({"Sid", "Effect", "Condition", *(name for pair in _PAIRS for name in pair)})
_PRINCIPAL_TYPES = frozenset({"AWS", "Service", "Federated", "CanonicalUser"})
_EFFECTS = {effect.value: effect for effect in Effect}
_TRUST = PolicyKind.TRUST


class Grammar(msgspec.Struct, frozen=True):
    """What a kind of policy permits."""

    versions: tuple[str, ...] = (VERSION,)
    may_lack_version: bool = False
    needs_principal: bool = False
    prohibited: tuple[str, ...] = ("Principal", "NotPrincipal")
    needs_resource: bool = True
    is_lenient: bool = False
    principal_refusal: str = "Has prohibited field {field}"


_ANY_VERSION = (VERSION, OLD_VERSION)
GRAMMARS: dict[PolicyKind, Grammar] = {
    # An inline policy may still have the old version; a managed one is parsed with `is_managed`.
    PolicyKind.IDENTITY: Grammar(_ANY_VERSION),
    PolicyKind.BOUNDARY: Grammar(),
    PolicyKind.SESSION: Grammar(_ANY_VERSION, may_lack_version=True),
    PolicyKind.SCP: Grammar(),
    PolicyKind.RCP: Grammar(needs_principal=True, prohibited=()),
    PolicyKind.ENDPOINT: Grammar(_ANY_VERSION, may_lack_version=True, needs_principal=True, prohibited=()),
    PolicyKind.TRUST: Grammar(
        _ANY_VERSION,
        may_lack_version=True,
        needs_principal=True,
        prohibited=("Resource", "NotResource"),
        needs_resource=False,
    ),
    PolicyKind.RESOURCE: Grammar(
        _ANY_VERSION,
        may_lack_version=True,
        needs_principal=True,
        prohibited=(),
        needs_resource=False,
        is_lenient=True,
    ),
}
_MANAGED = Grammar(principal_refusal="Policy document should not specify a principal.")


def parse_policy(
    text: str,
    kind: PolicyKind,
    *,
    is_managed: bool = False,
    is_new: bool = False,
    own_services: Collection[str] = (),
) -> Policy:
    """The policy in `text`; raises MalformedPolicy where AWS would refuse it as a policy of `kind`.

    `is_managed`: it is to become a managed policy, which has the current version only. `is_new`: it is not stored
    yet. INVARIANT: every later version of the broker reads every stored policy, or its principals would be locked out;
    so a check that is added later is made of new policies only. `own_services` are principals that new policies may
    name although they are no services of AWS.
    """
    grammar = _MANAGED if is_managed and kind is PolicyKind.IDENTITY else GRAMMARS[kind]
    members = _read(text, kind, grammar)
    version = _version(members, grammar)
    statements = _statements(text, members, version, kind, grammar)
    policy = Policy(version, _text_of(members, "Id"), statements, kind)
    _check(policy, grammar)
    if is_new and kind in (PolicyKind.IDENTITY, PolicyKind.BOUNDARY):
        check_accounts(policy)
    if is_new and kind is _TRUST:
        check_new_trust(policy, own_services)
        check_tenants(policy)
    if is_new and kind is PolicyKind.RCP:
        check_new_control_policy(policy)
    if is_new and kind is PolicyKind.RESOURCE:
        check_services(policy, own_services)
    return policy


def policy_size(text: str) -> int:
    """Characters as AWS counts them against a quota: without white space."""
    return len(text.translate(_SPACE))


def _read(text: str, kind: PolicyKind, grammar: Grammar) -> dict[str, Any]:
    """Leading white space is judged before the rest, but of a trust policy after it has been parsed (measured)."""
    is_indented = text[:1].isspace() and not grammar.is_lenient
    if is_indented and kind is not _TRUST:
        raise MalformedPolicy(_INDENTED)
    try:
        members = read_document(text)
    except (ValueError, IndexError) as error:
        message = "This policy contains invalid Json" if kind is _TRUST else SYNTAX
        raise MalformedPolicy(message, fault_of(error)) from None
    if is_indented:
        raise MalformedPolicy(_INDENTED)
    _refuse_unknown(members, _MEMBERS, kind)
    return members


def _refuse_unknown(members: dict[str, Any], known: frozenset[str], kind: PolicyKind) -> None:
    if not known.issuperset(members):
        unknown = next(name for name in members if name not in known)
        fault = f"there is no element {quoted(unknown)} here, but {', '.join(sorted(known))}"
        raise MalformedPolicy(f"Unknown field {unknown}" if kind is _TRUST else SYNTAX, fault)


def _version(members: dict[str, Any], grammar: Grammar) -> str:
    if "Version" not in members:
        return OLD_VERSION if grammar.may_lack_version else ""
    for version in (VERSION, OLD_VERSION):
        if members["Version"] == version:
            return version
    raise MalformedPolicy(SYNTAX, f"Version is {quoted(members['Version'])}, not {VERSION} or {OLD_VERSION}")


def _text_of(found: dict[str, Any], name: str) -> str:
    text = found.get(name, "")
    if not isinstance(text, str):
        raise MalformedPolicy(SYNTAX, f"{name} is {quoted(text)}, not a text")
    return text


def _statements(
    text: str, members: dict[str, Any], version: str, kind: PolicyKind, grammar: Grammar
) -> tuple[Statement, ...]:
    found = members.get("Statement")
    if found is None or found in ([], {}):
        message = "Could not parse the policy: Statement is empty!" if kind is _TRUST else SYNTAX
        raise MalformedPolicy(message, "there is no Statement, or nothing in it")
    statements: list[Statement] = []
    try:
        for item in found if isinstance(found, list) else [found]:
            statements.append(_statement(item, text, len(statements), kind, grammar))
    except MalformedPolicy as error:
        if error.message == LEGACY:  # IAM reads versions before the older parser reads effects
            _require_version(version, grammar)
        fault = fault_in(text, len(statements), error.fault or "of this statement")
        raise MalformedPolicy(error.message, fault) from None
    return tuple(statements)


def _statement(found: Any, text: str, number: int, kind: PolicyKind, grammar: Grammar) -> Statement:
    if not isinstance(found, dict):
        raise MalformedPolicy(SYNTAX, f"a statement is an object, not {quoted(found)}")
    _refuse_unknown(found, _ELEMENTS, kind)
    for field in grammar.prohibited:
        if field in found:
            fault = f"{field} is not allowed in a policy of this kind"
            raise MalformedPolicy(grammar.principal_refusal.format(field=field), fault)
    for first, second in _PAIRS:
        if first in found and second in found:
            raise MalformedPolicy(SYNTAX, f"{first} and {second} exclude one another")
    return Statement(
        _text_of(found, "Sid"),
        _effect(found, kind),
        _names(found, "Action") if "Action" in found else None,
        _names(found, "NotAction") if "NotAction" in found else None,
        _texts(found, "Resource") if "Resource" in found else None,
        _texts(found, "NotResource") if "NotResource" in found else None,
        _principals(found["Principal"]) if "Principal" in found else None,
        _principals(found["NotPrincipal"]) if "NotPrincipal" in found else None,
        _conditions(found["Condition"], grammar) if "Condition" in found else (),
        text,
        number,
    )


def _effect(found: dict[str, Any], kind: PolicyKind) -> Effect:
    written = found.get("Effect")
    effect = _EFFECTS.get(written) if isinstance(written, str) else None
    if effect is not None:
        return effect
    if written is None and kind is _TRUST:
        raise MalformedPolicy("Missing required field Effect", "there is no Effect")
    is_misspelt = isinstance(written, str) and written.lower() in ("allow", "deny")
    fault = f"Effect is {quoted(written)}, not Allow or Deny" if "Effect" in found else "there is no Effect"
    raise MalformedPolicy(LEGACY if is_misspelt else SYNTAX, fault)


def _texts(found: dict[str, Any], name: str) -> tuple[str, ...]:
    """The texts of the element `name`, which must exist."""
    value = found[name]
    if isinstance(value, str):
        return (value,)
    if not isinstance(value, list):
        raise MalformedPolicy(SYNTAX, f"{name} is {quoted(value)}, not a text or a list of texts")
    for one in value:
        if not isinstance(one, str):
            raise MalformedPolicy(SYNTAX, f"{name} holds {quoted(one)}, which is no text")
    return tuple(value)


def _names(found: dict[str, Any], name: str) -> tuple[str, ...]:
    """The same, interned: very many policies share these texts."""
    return _shared(tuple(map(intern, _texts(found, name))))


@lru_cache(maxsize=1024)
def _shared(names: tuple[str, ...]) -> tuple[str, ...]:
    return names


def _principals(value: Any) -> Principals:
    if value == "*":
        return Principals(everyone=True)
    if not isinstance(value, dict) or not value or not _PRINCIPAL_TYPES.issuperset(value):
        types = ", ".join(sorted(_PRINCIPAL_TYPES))
        raise MalformedPolicy(SYNTAX, f'a principal is "*" or an object of {types}, not {quoted(value)}')
    if len(value) == 1 and isinstance(value.get("AWS"), str):
        return _one_principal(value["AWS"])
    aws = _texts(value, "AWS") if "AWS" in value else ()
    return Principals(
        "*" in aws,
        aws,
        _texts(value, "Service") if "Service" in value else (),
        _texts(value, "Federated") if "Federated" in value else (),
        _texts(value, "CanonicalUser") if "CanonicalUser" in value else (),
    )


@lru_cache(maxsize=4096)
def _one_principal(name: str) -> Principals:
    """The usual element, cached, because very many policies name the same account."""
    return Principals(name == "*", (name,))


def _conditions(found: Any, grammar: Grammar) -> tuple[Condition, ...]:
    if not isinstance(found, dict):
        raise MalformedPolicy(SYNTAX, f"Condition is {quoted(found)}, not an object")
    conditions: list[Condition] = []
    for operator, keys in found.items():
        if not isinstance(keys, dict):
            raise MalformedPolicy(
                SYNTAX, f"under {quoted(operator)} belong keys with values, not {quoted(keys)}"
            )
        if keys and spell(operator) is None and not grammar.is_lenient:
            raise MalformedPolicy(SYNTAX, f"{quoted(operator)} is no condition operator")
        if len(keys) > 1 and len({key.lower() for key in keys}) != len(keys):
            raise MalformedPolicy(SYNTAX, f"under {quoted(operator)} a key appears twice")
        for key, values in keys.items():
            operands = values if isinstance(values, list) else [values]
            read = tuple([_operand(operand) for operand in operands])
            conditions.append(Condition(intern(operator), intern(key), read))
    return tuple(conditions)


def _operand(value: Any) -> str:
    """AWS reads JSON's numbers and booleans as strings."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    raise MalformedPolicy(SYNTAX, f"a condition compares with texts, not with {quoted(value)}")


def _require_version(version: str, grammar: Grammar) -> None:
    if version not in grammar.versions:
        fault = f"Version is {version}" if version else "there is no Version"
        raise MalformedPolicy(WRONG_VERSION, fault)


def _check(policy: Policy, grammar: Grammar) -> None:
    _require_version(policy.version, grammar)
    if policy.kind is _TRUST:
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
            raise MalformedPolicy("Policy statement must contain actions.", statement.fault("no Action"))
        if not grammar.is_lenient:
            check_vendors(statement)
        if grammar.needs_resource and not (statement.resources or statement.not_resources):
            raise MalformedPolicy("Policy statement must contain resources.", statement.fault("no Resource"))
        if (statement.resources == () or statement.not_resources == ()) and grammar.is_lenient:
            raise MalformedPolicy("Policy statement must contain resources.", statement.fault("no Resource"))
        if grammar.needs_principal and statement.principals is None and statement.not_principals is None:
            raise MalformedPolicy("Missing required field Principal", statement.fault("no Principal"))
