"""What no IAM operation makes: accounts, instances and the organization, written as records."""

from typing import Any

import msgspec

from broker.commands.declaration import declared
from broker.commands.declaration.attempt import Attempt
from broker.commands.declaration.declared import Document, given, is_set
from broker.commands.declaration.holders import meant
from broker.commands.declaration.source import DeclarationError
from broker.metadata.instances import parse_address
from broker.names.arn import is_account_id
from broker.policy import MalformedPolicy, PolicyKind, parse_policy
from broker.storage.records import Account, Instance, Organization, OrganizationalUnit
from broker.storage.store import ACCOUNTS, INSTANCES, ORGANIZATION

FEATURES = ("SERVICE_CONTROL_POLICY", "RESOURCE_CONTROL_POLICY")


async def settle_account(attempt: Attempt, account: str, wanted: declared.Account) -> None:
    if not is_account_id(account):
        raise DeclarationError(f"{wanted.where}: an account's id has twelve digits")
    current = await attempt.store.find(ACCOUNTS, "", account)
    before = current or Account(account_id=account, created_at=attempt.now)
    after = msgspec.structs.replace(
        before, name=given(wanted.name, before.name), email=given(wanted.email, before.email)
    )
    if current != after:
        attempt.put(account, ACCOUNTS, after, "~" if current else "+", f"account {account}")


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


async def settle_instance(attempt: Attempt, instance_id: str, wanted: Any) -> None:
    current = await attempt.store.find(INSTANCES, "", instance_id)
    fields = {name: getattr(wanted, name) for name in Instance.__struct_fields__ if name != "instance_id"}
    fields = {name: value for name, value in fields.items() if is_set(value)}
    if isinstance(fields.get("user_data"), str):
        fields["user_data"] = fields["user_data"].encode()
    if current is None and "account_id" not in fields:
        raise DeclarationError(f"{wanted.where}: account_id is missing: whose instance is it?")
    account = fields.get("account_id") or (current.account_id if current else "")
    if await attempt.store.find(ACCOUNTS, "", account) is None:
        raise DeclarationError(f"{wanted.where}: there is no account {account}; declare it")
    before = current or Instance(instance_id=instance_id, account_id=account, launched_at=attempt.now)
    after = msgspec.structs.replace(before, **fields)
    if current != after:
        attempt.put(account, INSTANCES, after, "~" if current else "+", f"instance {instance_id}")


async def check_addresses(attempt: Attempt, declaration: declared.Declaration) -> None:
    """Refuse an address that is none, or that two instances have: the metadata service would answer neither."""
    holders: dict[str, str] = {}
    for instance in await attempt.store.scan(INSTANCES, ""):
        wanted = declaration.instances.get(instance.instance_id)
        for text in instance.addresses:
            address = parse_address(text)
            where = wanted.where if wanted is not None else f"instance {instance.instance_id}"
            if address is None:
                raise DeclarationError(f"{where}: {text} is no address")
            other = holders.setdefault(str(address), instance.instance_id)
            if other != instance.instance_id:
                raise DeclarationError(f"{where}: {other} has the address {address} already")


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
        attempt.put("", ORGANIZATION, after, "~" if current else "+", f"organization {after.organization_id}")


def _check_organization(wanted: declared.Organization) -> None:
    for place in (*wanted.units.values(), *wanted.accounts.values()):
        if place.parent is not None and place.parent not in wanted.units:
            raise DeclarationError(f"{place.where}: there is no unit {place.parent} to be its parent")
    for name, account in wanted.accounts.items():
        if not is_account_id(name):
            raise DeclarationError(f"{account.where}: an account's id has twelve digits")
        if account.parent is None:
            raise DeclarationError(f"{account.where}: parent is missing: a root or a unit")
    for name, unit in wanted.units.items():
        _check_ends(wanted, name, unit)


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
