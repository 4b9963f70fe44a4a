"""Credentials of which an owner's are one record: signing certificates, SSH keys, service-specific credentials."""

from typing import Any, TypeVar

from broker.errors import Refusal
from broker.iam.owners import Owner
from broker.operation import Call
from broker.storage.collection import Collection
from broker.storage.records import User

Item = TypeVar("Item")


def owner_id(call: Call, owner: Owner) -> str:
    """The key of the owner's records: a user's unique id, the account's number for root."""
    return owner.user_id if isinstance(owner, User) else call.account


async def items_of(call: Call, collection: Collection[Any], owner: Owner) -> tuple[Any, ...]:
    record = await call.store.find(collection, call.account, owner_id(call, owner))
    return () if record is None else record.items


def put_items(call: Call, collection: Collection[Any], owner: Owner, items: tuple[Any, ...]) -> None:
    key = owner_id(call, owner)
    if items:
        call.store.put(collection, call.account, collection.record(owner_id=key, items=items))
    else:
        call.store.delete(collection, call.account, key)


def replaced(items: tuple[Item, ...], old: Item, new: Item) -> tuple[Item, ...]:
    return tuple(new if one is old else one for one in items)


def without(items: tuple[Item, ...], old: Item) -> tuple[Item, ...]:
    return tuple(one for one in items if one is not old)


def require_settable(status: str, noun: str) -> str:
    """The status; raises InvalidInput for Expired, which the model's enum has and no request can set."""
    if status == "Expired":
        raise Refusal("InvalidInput", f"The status of {noun} can be set to Active or Inactive only.")
    return status
