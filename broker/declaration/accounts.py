"""What no IAM operation makes: accounts and the organization, written as records. Instances: `instances.py`."""

import msgspec

from broker.access.organization import FEATURES, RESOURCE_CONTROL_POLICY, SERVICE_CONTROL_POLICY
from broker.declaration import declared
from broker.declaration.attempt import Attempt
from broker.declaration.declared import Document, given, is_set
from broker.declaration.differences import told_changes
from broker.declaration.properties import meant
from broker.declaration.source import DeclarationError
from broker.names.arn import is_account_id
from broker.policy import MalformedPolicy, PolicyKind, parse_policy
from broker.storage.records import Account, Organization, OrganizationalUnit
from broker.storage.store import ACCOUNTS, ORGANIZATION

# Policies of a place -> the feature without which they are not asked.
_NEEDED_FEATURES = {
    "service_control_policies": SERVICE_CONTROL_POLICY,
    "resource_control_policies": RESOURCE_CONTROL_POLICY,
}


async def settle_account(attempt: Attempt, account: str, wanted: declared.Account) -> None:
    if not is_account_id(account):
        raise DeclarationError(f"{wanted.where}: an account's id has twelve digits")
    current = await attempt.store.find(ACCOUNTS, "", account)
    before = current or Account(account_id=account, created_at=attempt.now)
    after = msgspec.structs.replace(
        before, name=given(wanted.name, before.name), email=given(wanted.email, before.email)
    )
    if current != after:
        told = f": {told_changes(before, after)}" if current else ""
        attempt.put(account, ACCOUNTS, after, "~" if current else "+", f"account {account}{told}")


async def settle_alias(attempt: Attempt, account: str, wanted: declared.Account) -> None:
    alias = meant(attempt, wanted.alias, None)
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


async def settle_organization(attempt: Attempt, wanted: declared.Organization) -> None:
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
        told = f": {told_changes(current, after)}" if current else ""
        text = f"organization {after.organization_id}{told}"
        attempt.put("", ORGANIZATION, after, "~" if current else "+", text)


def _check_organization(wanted: declared.Organization) -> None:
    """Raises DeclarationError for what would be stored and then do nothing, or something else than it says."""
    for name in ("management_account_id", "delegated_iam_administrator_id"):
        account_id = getattr(wanted, name)
        if account_id is not None and not is_account_id(account_id):
            raise DeclarationError(f"{wanted.where}: {name} has twelve digits")
    for feature in wanted.features:
        if feature not in FEATURES:
            raise DeclarationError(
                f"{wanted.where}: there is no feature {feature}; there are {', '.join(FEATURES)}"
            )
    for place in (*wanted.units.values(), *wanted.accounts.values()):
        _check_place(wanted, place)
    for name, account in wanted.accounts.items():
        if not is_account_id(name):
            raise DeclarationError(f"{account.where}: an account's id has twelve digits")
        if account.parent is None:
            raise DeclarationError(f"{account.where}: parent is missing: a root or a unit")
    for name, unit in wanted.units.items():
        _check_ends(wanted, name, unit)


def _check_place(wanted: declared.Organization, place: declared.OrganizationalUnit) -> None:
    if place.parent is not None and place.parent not in wanted.units:
        raise DeclarationError(f"{place.where}: there is no unit {place.parent} to be its parent")
    for name, feature in _NEEDED_FEATURES.items():
        if getattr(place, name) and feature not in wanted.features:
            raise DeclarationError(f"{place.where}: its {name} limit nobody: features lacks {feature}")


def _check_ends(wanted: declared.Organization, name: str, unit: declared.OrganizationalUnit) -> None:
    """A unit hangs under a root, not under itself."""
    seen, place = {name}, unit
    while place.parent is not None:
        if place.parent in seen:
            raise DeclarationError(f"{unit.where}: {name} hangs under itself")
        seen.add(place.parent)
        place = wanted.units[place.parent]


def _unit(wanted: declared.OrganizationalUnit) -> OrganizationalUnit:
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
