"""Who outside a zone of trust a resource policy lets in: IAM Access Analyzer's external access.

INVARIANT: nothing is missed. A condition keeps access inside the zone only where it is one of the few forms below, with
values that all name the zone literally; whatever cannot be understood leaves the finding. Deny statements are not
subtracted, so a finding may show what a Deny refuses in fact.
"""

import re
from collections.abc import Collection, Iterator

import msgspec

from broker.names.arn import is_account_id, parse_arn
from broker.policy.document import parse_policy
from broker.policy.elements import (
    Condition,
    Effect,
    MalformedPolicy,
    Policy,
    PolicyKind,
    Principals,
    Statement,
)

_NAMED_ACCOUNT = re.compile(r"arn:aws:(?:iam|sts)::([0-9]{12}):[^*?$].*")
_POSITIVE = frozenset({"stringequals", "stringlike", "arnequals", "arnlike", "stringequalsignorecase"})
_EVERYONE = "*"


class Zone(msgspec.Struct, frozen=True):
    """A zone of trust: accounts, and the organization that they are all of, "" for an account alone."""

    accounts: frozenset[str]
    organization_id: str = ""


class ExternalGrant(msgspec.Struct, frozen=True):
    """A principal outside the zone, by its type (AWS, Federated, CanonicalUser), and what the policy grants to it."""

    principal_type: str
    principal: str
    actions: tuple[str, ...]
    conditions: tuple[tuple[str, str], ...]

    @property
    def is_public(self) -> bool:
        return self.principal == _EVERYONE and not self.conditions


def external_grants(policy: Policy, zone: Zone) -> list[ExternalGrant]:
    """One for each principal and its conditions, with the actions of all statements that grant it."""
    found: dict[tuple[str, str, tuple[tuple[str, str], ...]], set[str]] = {}
    for statement in policy.statements:
        if statement.effect is not Effect.ALLOW or _stays_inside(statement.conditions, zone):
            continue
        conditions = _shown(statement.conditions)
        for kind, name in _outside(statement, zone):
            found.setdefault((kind, name, conditions), set()).update(_actions(statement))
    return [
        ExternalGrant(kind, name, tuple(sorted(found[key])), cond)
        for key in found
        for kind, name, cond in [key]
    ]


def granted_outside(text: str, kind: PolicyKind, zone: Zone) -> list[ExternalGrant]:
    """Of a policy's text. One that cannot be read grants nothing: the engine refuses all by it."""
    try:
        return external_grants(parse_policy(text, kind), zone)
    except MalformedPolicy:
        return []


def _actions(statement: Statement) -> tuple[str, ...]:
    """NotAction allows all but a few: it is shown as everything."""
    return ("*",) if statement.actions is None else statement.actions


def _outside(statement: Statement, zone: Zone) -> Iterator[tuple[str, str]]:
    """The principals outside the zone, by type. NotPrincipal means everyone else, so everyone is shown."""
    if statement.not_principals is not None:
        yield "AWS", _EVERYONE
    elif statement.principals is not None:
        yield from _outside_of(statement.principals, zone)


def _outside_of(principals: Principals, zone: Zone) -> Iterator[tuple[str, str]]:
    if principals.everyone:
        yield "AWS", _EVERYONE
    for name in principals.aws:
        if _account_of(name) not in zone.accounts:
            yield "AWS", name
    # Whose people a provider signs in, the policy does not say. Services of AWS are no external entities.
    for name in principals.federated:
        yield "Federated", name
    for name in principals.canonical_user:
        yield "CanonicalUser", name


def _account_of(name: str) -> str:
    """Empty for what names no account here: an id, an account of another partition, what cannot be read."""
    if is_account_id(name):
        return name
    try:
        arn = parse_arn(name)
    except ValueError:
        return ""
    return arn.account if arn.partition == "aws" else ""


def _stays_inside(conditions: Collection[Condition], zone: Zone) -> bool:
    """All conditions of a statement have to be met: one that keeps everybody outside is enough."""
    return any(_keeps_inside(one, zone) for one in conditions)


def _keeps_inside(condition: Condition, zone: Zone) -> bool:
    qualifier, _, operator = condition.operator.lower().rpartition(":")
    key = condition.key.lower()
    if operator not in _POSITIVE or not condition.values:
        return False
    if key == "aws:principalorgpaths":
        inside = qualifier == "foranyvalue" and all(_is_path(one, zone) for one in condition.values)
    elif qualifier == "forallvalues":  # it is met by a request without the key
        inside = False
    elif key == "aws:principalorgid":
        inside = bool(zone.organization_id) and set(condition.values) == {zone.organization_id}
    elif key == "aws:principalaccount":
        inside = zone.accounts.issuperset(condition.values)
    elif key == "aws:principalarn":
        inside = all(_is_named(one, zone) for one in condition.values)
    else:
        inside = False
    return inside


def _is_path(value: str, zone: Zone) -> bool:
    return bool(zone.organization_id) and value.startswith(f"{zone.organization_id}/")


def _is_named(value: str, zone: Zone) -> bool:
    """An ARN, or a pattern of ARNs, of one account of the zone."""
    found = _NAMED_ACCOUNT.fullmatch(value)
    return found is not None and found[1] in zone.accounts


def _shown(conditions: Collection[Condition]) -> tuple[tuple[str, str], ...]:
    """By key, as findings show them: the values joined; the operator where it is not a plain comparison."""
    shown: dict[str, list[str]] = {}
    for one in conditions:
        values = ", ".join(one.values)
        plain = one.operator.lower() in _POSITIVE
        shown.setdefault(one.key, []).append(values if plain else f"{one.operator}: {values}")
    return tuple((key, "; ".join(values)) for key, values in sorted(shown.items()))
