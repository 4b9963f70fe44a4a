"""Accounts, which no IAM operation creates: written as records. The organization: `organization.py`."""

import msgspec

from broker.declaration.attempt import Attempt
from broker.declaration.declared import DeclaredAccount, is_set, value_or
from broker.declaration.differences import describe_changes
from broker.declaration.properties import desired
from broker.declaration.source import DeclarationError
from broker.names.arn import is_account_id
from broker.storage.records import Account
from broker.storage.store import ACCOUNTS


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
