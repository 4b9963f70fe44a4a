"""Instances, which no IAM operation creates: written as records, and only such as the metadata service can serve."""

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from broker.declaration.attempt import Attempt
from broker.declaration.declared import Declaration, is_set
from broker.declaration.differences import describe_changes
from broker.declaration.source import DeclarationError
from broker.metadata.categories import RESERVED
from broker.metadata.instances import find_address
from broker.storage.instance_records import with_bound_address
from broker.storage.records import Instance
from broker.storage.store import ACCOUNTS, INSTANCE_BINDINGS, INSTANCES

# EC2's HttpPutResponseHopLimit.
_HOP_LIMITS = range(1, 65)
_is_mac = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}").fullmatch
_is_step = re.compile(r"[!-.0-~]+").fullmatch


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
    _check(wanted.where, fields)
    before = current or Instance(instance_id=instance_id, account_id=account, launched_at=attempt.now)
    after = msgspec.structs.replace(before, **fields)
    if current != after:
        description = f": {describe_changes(before, after)}" if current else ""
        attempt.put(
            account, INSTANCES, after, "~" if current else "+", f"instance {instance_id}{description}"
        )


async def prune_instances(attempt: Attempt, declaration: Declaration) -> None:
    for instance in await attempt.store.scan(INSTANCES, ""):
        if instance.account_id in declaration.accounts and instance.instance_id not in declaration.instances:
            attempt.store.delete(INSTANCES, "", instance.instance_id)
            if await attempt.store.find(INSTANCE_BINDINGS, "", instance.instance_id) is not None:
                attempt.store.delete(INSTANCE_BINDINGS, "", instance.instance_id)
            text = f"instance {instance.instance_id}"
            attempt.note(instance.account_id, "broker:DeleteInstance", "-", text)


async def check_addresses(attempt: Attempt, declaration: Declaration) -> None:
    """Raises DeclarationError for an invalid address, or one that two instances have: neither would be served."""
    holders: dict[str, str] = {}
    declared = await attempt.store.scan(INSTANCES, "")
    bound = await attempt.store.find_all(INSTANCE_BINDINGS, "", [one.instance_id for one in declared])
    for instance in map(with_bound_address, declared, bound):
        wanted = declaration.instances.get(instance.instance_id)
        for text in instance.addresses:
            address = find_address(text)
            where = wanted.where if wanted is not None else f"instance {instance.instance_id}"
            if address is None:
                raise DeclarationError(f"{where}: {text} is no address")
            other = holders.setdefault(str(address), instance.instance_id)
            if other != instance.instance_id:
                raise DeclarationError(f"{where}: {other} has the address {address} already")


def _check(where: str, fields: Mapping[str, Any]) -> None:
    """Raises DeclarationError for what no machine can have."""
    if fields.get("hop_limit", 1) not in _HOP_LIMITS:
        raise DeclarationError(f"{where}: hop_limit is a number from 1 to 64, not {fields['hop_limit']}")
    if fields.get("mac") and not _is_mac(fields["mac"]):
        raise DeclarationError(f"{where}: mac is six pairs of lower-case hexadecimal digits, colons between")
    for path in fields.get("categories", {}):
        _check_category(where, path)


def _check_category(where: str, path: str) -> None:
    steps = path.split("/")
    if not all(_is_step(step) and step not in (".", "..") for step in steps):
        raise DeclarationError(
            f"{where}: {path!r} is no path below meta-data: write steps as in spot/instance-action"
        )
    if steps[0] in RESERVED:
        raise DeclarationError(
            f"{where}: credentials come from the broker alone, so {path} cannot be declared"
        )
