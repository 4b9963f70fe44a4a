"""The organization of a declaration: the record that the Organizations API writes, too.

A policy is known by its name: where the organization has one of this type and name, its document is replaced and its id
stays; else its id is derived from its name. Units and accounts that the file does not name stay as they are, except
with `--prune`: an account that was created by the API must not escape its control policies by the next apply.
"""

from collections.abc import Mapping
from typing import TypeVar

from msgspec.structs import replace

from broker.access.organization import FEATURES, Declared, current, identified_policies
from broker.declaration.attempt import Attempt
from broker.declaration.declared import (
    DeclaredOrganization,
    DeclaredOrganizationalUnit,
    Document,
    is_set,
    value_or,
)
from broker.declaration.differences import describe_changes
from broker.declaration.documents import is_same
from broker.declaration.source import DeclarationError
from broker.names.arn import is_account_id
from broker.names.organizations import RESOURCE_CONTROL_POLICY, SERVICE_CONTROL_POLICY, derived_policy_id
from broker.policy import MalformedPolicy, PolicyKind, parse_policy
from broker.storage.organization_records import Organization, OrganizationalUnit, OrganizationPolicy
from broker.storage.store import ORGANIZATION

# Policies of a unit -> their type, which is also the feature without which they are not evaluated, and their grammar.
_KINDS = {
    "service_control_policies": (SERVICE_CONTROL_POLICY, PolicyKind.SCP),
    "resource_control_policies": (RESOURCE_CONTROL_POLICY, PolicyKind.RCP),
}
V = TypeVar("V")


async def settle_organization(attempt: Attempt, wanted: DeclaredOrganization) -> None:
    stored = await attempt.store.find(ORGANIZATION, "", "")
    before = None if stored is None else current(stored)
    features = value_or(wanted.features, before.features if before else ())
    _check_organization(wanted, features, before)
    after = declared_organization(wanted, features, before, attempt.now, prune=attempt.prune)
    if before != after:
        description = f": {describe_changes(before, after)}" if before else ""
        text = f"organization {after.organization_id}{description}"
        attempt.put("", ORGANIZATION, after, "~" if before else "+", text)


def declared_organization(
    wanted: DeclaredOrganization,
    features: tuple[str, ...],
    before: Organization | None,
    now: int,
    *,
    prune: bool,
) -> Organization:
    """The organization that the file and what is stored make together."""
    begun = before or Organization(
        organization_id=wanted.organization_id, management_account_id=wanted.management_account_id
    )
    documents = {name: _documents(unit) for name, unit in {**wanted.units, **wanted.accounts}.items()}
    policies, attached = identified_policies(wanted.organization_id, documents)
    named = {(policy.type, policy.name): policy_id for policy_id, policy in begun.policies.items()}
    ids = {one: named.get((policy.type, policy.name), one) for one, policy in policies.items()}
    attached = {name: tuple(ids.get(one, one) for one in found) for name, found in attached.items()}
    changed = replace(
        begun,
        organization_id=wanted.organization_id,
        management_account_id=wanted.management_account_id,
        delegated_iam_administrator_id=value_or(
            wanted.delegated_iam_administrator_id, begun.delegated_iam_administrator_id
        ),
        units=_settled(wanted.units, begun.units, begun, policies, attached, now, prune=prune),
        accounts=_settled(wanted.accounts, begun.accounts, begun, policies, attached, now, prune=prune),
        features=features,
        policies=_settled_policies(begun, policies, ids),
        closed_accounts=_closed(wanted, begun, now),
    )
    return _without_unused(changed, begun, frozenset(ids.values()))


def _settled(
    wanted: Mapping[str, DeclaredOrganizationalUnit],
    stored: Mapping[str, OrganizationalUnit],
    begun: Organization,
    policies: Mapping[str, OrganizationPolicy],
    attached: Mapping[str, tuple[str, ...]],
    now: int,
    *,
    prune: bool,
) -> dict[str, OrganizationalUnit]:
    settled = {} if prune else dict(stored)
    for name, unit in wanted.items():
        own = stored.get(name) or OrganizationalUnit(parent=None, joined_at=now)
        kept = [one for one in own.policies if _type_of(begun, one) not in _types_in(unit)]
        settled[name] = replace(
            own,
            parent=unit.parent,
            name=value_or(unit.name, own.name),
            policies=tuple(dict.fromkeys((*kept, *attached[name]))),
        )
    return _in_order(settled, stored)


def _in_order(settled: dict[str, V], stored: Mapping[str, V]) -> dict[str, V]:
    """`settled`, with what was stored before in the order that it had: an apply that changes nothing writes nothing."""
    return {**{name: settled[name] for name in stored if name in settled}, **settled}


def _types_in(unit: DeclaredOrganizationalUnit) -> frozenset[str]:
    """The types of policies that the file declares for `unit`, completely."""
    return frozenset(
        policy_type for field, (policy_type, _) in _KINDS.items() if is_set(getattr(unit, field))
    )


def _type_of(organization: Organization, policy_id: str) -> str:
    policy = organization.policies.get(policy_id)
    return SERVICE_CONTROL_POLICY if policy is None else policy.type  # FullAWSAccess is in no record


def _settled_policies(
    begun: Organization, policies: Mapping[str, OrganizationPolicy], ids: Mapping[str, str]
) -> dict[str, OrganizationPolicy]:
    settled = dict(begun.policies)
    for derived, policy in policies.items():
        known = begun.policies.get(ids[derived])
        if known is None:
            settled[ids[derived]] = policy
        elif not is_same(known.content, policy.content):
            settled[ids[derived]] = replace(known, content=policy.content)
    return settled


def _without_unused(changed: Organization, begun: Organization, declared: frozenset[str]) -> Organization:
    """Without the policies that an earlier file declared, and that nothing has attached any more."""
    nodes = (*changed.units.values(), *changed.accounts.values())
    used = declared.union(*(unit.policies for unit in nodes))
    return replace(
        changed,
        policies={
            policy_id: policy
            for policy_id, policy in changed.policies.items()
            if policy_id in used
            or policy_id != derived_policy_id(begun.organization_id, policy.type, policy.name)
        },
    )


def _closed(wanted: DeclaredOrganization, begun: Organization, now: int) -> dict[str, int]:
    closed = dict(begun.closed_accounts)
    for name, account in wanted.accounts.items():
        if account.closed is True:
            closed.setdefault(name, now)
        elif account.closed is False:
            closed.pop(name, None)
    return closed


def _check_organization(
    wanted: DeclaredOrganization, features: tuple[str, ...], before: Organization | None
) -> None:
    """Raises DeclarationError for an organization that could be stored but would have no effect, or the wrong one."""
    for name in ("management_account_id", "delegated_iam_administrator_id"):
        account_id = getattr(wanted, name)
        if isinstance(account_id, str) and not is_account_id(account_id):
            raise DeclarationError(f"{wanted.where}: {name} has twelve digits")
    for feature in features:
        if feature not in FEATURES:
            raise DeclarationError(
                f"{wanted.where}: there is no feature {feature}; there are {', '.join(FEATURES)}"
            )
    parents: dict[str, str | None] = {
        name: unit.parent for name, unit in (before.units if before else {}).items()
    }
    parents.update({name: unit.parent for name, unit in wanted.units.items()})
    for unit in (*wanted.units.values(), *wanted.accounts.values()):
        _check_unit(unit, features, parents)
    for name, account in wanted.accounts.items():
        if not is_account_id(name):
            raise DeclarationError(f"{account.where}: an account's id has twelve digits")
        if account.parent is None:
            raise DeclarationError(f"{account.where}: parent is missing: a root or a unit")
        if account.closed is True and name == wanted.management_account_id:
            raise DeclarationError(f"{account.where}: the management account cannot be closed")
    for name, unit in wanted.units.items():
        if is_set(unit.closed):
            raise DeclarationError(f"{unit.where}: only an account can be closed")
        _check_ancestors(name, unit, parents)


def _check_unit(
    unit: DeclaredOrganizationalUnit, features: tuple[str, ...], parents: Mapping[str, str | None]
) -> None:
    if unit.parent is not None and unit.parent not in parents:
        raise DeclarationError(f"{unit.where}: there is no unit {unit.parent} to be its parent")
    for name, (feature, _) in _KINDS.items():
        if value_or(getattr(unit, name), {}) and feature not in features:
            raise DeclarationError(f"{unit.where}: its {name} have no effect: features lacks {feature}")


def _check_ancestors(name: str, unit: DeclaredOrganizationalUnit, parents: Mapping[str, str | None]) -> None:
    """The parents of a unit lead to a root, not back to the unit."""
    seen, ancestor = {name}, unit.parent
    while ancestor is not None:
        if ancestor in seen:
            raise DeclarationError(f"{unit.where}: {name} is its own ancestor")
        seen.add(ancestor)
        ancestor = parents[ancestor]


def _documents(wanted: DeclaredOrganizationalUnit) -> list[Declared]:
    """The policies that the file declares for a unit; raises DeclarationError where one does not parse."""
    documents: list[Declared] = []
    for field, (policy_type, kind) in _KINDS.items():
        declared: dict[str, Document] = value_or(getattr(wanted, field), {})
        for name, document in declared.items():
            try:
                parse_policy(document.text, kind, is_new=True)
            except MalformedPolicy as error:
                raise DeclarationError(f"{document.where}: {error.message}") from None
            documents.append((policy_type, name, document.text))
    return documents
