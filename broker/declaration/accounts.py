"""Accounts and the organization, which no IAM operation creates: written as records. Instances: `instances.py`."""

import msgspec

from broker.access.organization import FEATURES, RESOURCE_CONTROL_POLICY, SERVICE_CONTROL_POLICY
from broker.declaration.attempt import Attempt
from broker.declaration.declared import (
    DeclaredAccount,
    DeclaredOrganization,
    DeclaredOrganizationalUnit,
    Document,
    is_set,
    value_or,
)
from broker.declaration.differences import describe_changes
from broker.declaration.properties import desired
from broker.declaration.source import DeclarationError
from broker.names.arn import is_account_id
from broker.policy import MalformedPolicy, PolicyKind, parse_policy
from broker.storage.records import Account, Organization, OrganizationalUnit
from broker.storage.store import ACCOUNTS, ORGANIZATION

# Policies of a unit -> the feature without which they are not evaluated.
_NEEDED_FEATURES = {
    "service_control_policies": SERVICE_CONTROL_POLICY,
    "resource_control_policies": RESOURCE_CONTROL_POLICY,
}


async def settle_account(attempt: Attempt, account: str, wanted: DeclaredAccount) -> None:
    if not is_account_id(account):
        raise DeclarationError(f"{wanted.where}: an account's id has twelve digits")
    current = await attempt.store.find(ACCOUNTS, "", account)
    before = current or Account(account_id=account, created_at=attempt.now)
    after = msgspec.structs.replace(
        before, name=value_or(wanted.name, before.name), email=value_or(wanted.email, before.email)
    )
    if current != after:
        description = f": {describe_changes(before, after)}" if current else ""
        attempt.put(account, ACCOUNTS, after, "~" if current else "+", f"account {account}{description}")


async def settle_alias(attempt: Attempt, account: str, wanted: DeclaredAccount) -> None:
    alias = desired(attempt, wanted.alias, None)
    record = await attempt.store.find(ACCOUNTS, "", account)
    assert record is not None, "accounts are settled first"
    if not is_set(alias) or alias == record.alias:
        return
    if alias is None:
        await attempt.perform(
            account,
            "DeleteAccountAlias",
            {"AccountAlias": record.alias},
            "-",
            f"alias {record.alias}",
            wanted.where,
        )
        return
    await attempt.perform(
        account, "CreateAccountAlias", {"AccountAlias": alias}, "+", f"alias {alias}", wanted.where
    )


async def settle_organization(attempt: Attempt, wanted: DeclaredOrganization) -> None:
    current = await attempt.store.find(ORGANIZATION, "", "")
    _check_organization(wanted)
    after = Organization(
        organization_id=wanted.organization_id,
        management_account_id=wanted.management_account_id,
        delegated_iam_administrator_id=wanted.delegated_iam_administrator_id,
        units={name: _unit(unit) for name, unit in wanted.units.items()},
        accounts={name: _unit(unit) for name, unit in wanted.accounts.items()},
        features=wanted.features,
    )
    if current != after:
        description = f": {describe_changes(current, after)}" if current else ""
        text = f"organization {after.organization_id}{description}"
        attempt.put("", ORGANIZATION, after, "~" if current else "+", text)


def _check_organization(wanted: DeclaredOrganization) -> None:
    """Raises DeclarationError for an organization that could be stored but would have no effect, or the wrong one."""
    for name in ("management_account_id", "delegated_iam_administrator_id"):
        account_id = getattr(wanted, name)
        if account_id is not None and not is_account_id(account_id):
            raise DeclarationError(f"{wanted.where}: {name} has twelve digits")
    for feature in wanted.features:
        if feature not in FEATURES:
            raise DeclarationError(
                f"{wanted.where}: there is no feature {feature}; there are {', '.join(FEATURES)}"
            )
    for unit in (*wanted.units.values(), *wanted.accounts.values()):
        _check_unit(wanted, unit)
    for name, account in wanted.accounts.items():
        if not is_account_id(name):
            raise DeclarationError(f"{account.where}: an account's id has twelve digits")
        if account.parent is None:
            raise DeclarationError(f"{account.where}: parent is missing: a root or a unit")
    for name, unit in wanted.units.items():
        _check_ancestors(wanted, name, unit)


def _check_unit(wanted: DeclaredOrganization, unit: DeclaredOrganizationalUnit) -> None:
    if unit.parent is not None and unit.parent not in wanted.units:
        raise DeclarationError(f"{unit.where}: there is no unit {unit.parent} to be its parent")
    for name, feature in _NEEDED_FEATURES.items():
        if getattr(unit, name) and feature not in wanted.features:
            raise DeclarationError(f"{unit.where}: its {name} have no effect: features lacks {feature}")


def _check_ancestors(wanted: DeclaredOrganization, name: str, unit: DeclaredOrganizationalUnit) -> None:
    """The parents of a unit lead to a root, not back to the unit."""
    seen, ancestor = {name}, unit
    while ancestor.parent is not None:
        if ancestor.parent in seen:
            raise DeclarationError(f"{unit.where}: {name} is its own ancestor")
        seen.add(ancestor.parent)
        ancestor = wanted.units[ancestor.parent]


def _unit(wanted: DeclaredOrganizationalUnit) -> OrganizationalUnit:
    return OrganizationalUnit(
        parent=wanted.parent,
        service_control_policies=_texts(wanted.service_control_policies, PolicyKind.SCP),
        resource_control_policies=_texts(wanted.resource_control_policies, PolicyKind.RCP),
    )


def _texts(documents: dict[str, Document], kind: PolicyKind) -> dict[str, str]:
    for document in documents.values():
        try:
            parse_policy(document.text, kind)
        except MalformedPolicy as error:
            raise DeclarationError(f"{document.where}: {error.message}") from None
    return {name: document.text for name, document in documents.items()}
