"""Access keys of users and of root: made, switched off and on, listed, deleted; when they were last used.

The secret is shown once, by CreateAccessKey.
"""

import msgspec

from broker.access.resource import Resource
from broker.credentials.access_keys import (
    ACCESS_KEY_ENTROPY,
    AccessKeyPair,
    delete_place,
    new_access_key_pair,
)
from broker.errors import Refusal
from broker.iam import entities, resources
from broker.iam.entities import require_room
from broker.iam.owners import Owner, access_key_ids, get_account, get_owner, name_of, put_access_key_ids
from broker.iam.paging import page
from broker.names.principal import Root
from broker.operation import Call, operation
from broker.protocol.shapes import iam as shapes
from broker.storage.records import AccessKey
from broker.storage.store import ACCESS_KEYS, USAGE

NEVER_USED = "N/A"


async def key_owner(call: Call, request: shapes.GetAccessKeyLastUsedRequest) -> Resource:
    """The user that the key belongs to; an unknown key has no owner and matches only `*`. A refusal names the key."""
    key = await call.store.find(ACCESS_KEYS, call.account, request.access_key_id)
    if key is None:
        owner = Resource()
    elif key.user_name is None:
        owner = Resource(Root(call.account).arn)
    else:
        owner = await resources.entity_resource(call, entities.USER, key.user_name)
    return msgspec.structs.replace(owner, asked_for=f"access key {request.access_key_id}")


@operation("iam:CreateAccessKey", resource=resources.user_or_caller)
async def create_access_key(
    call: Call, request: shapes.CreateAccessKeyRequest
) -> shapes.CreateAccessKeyResponse:
    owner = await get_owner(call, resources.implied_user_name(call, request.user_name))
    key_ids = access_key_ids(owner)
    require_room(call, key_ids, "access_keys_per_user", "AccessKeysPerUser")
    pair = await _new_pair(call)
    key = AccessKey(
        account_id=call.account,
        access_key_id=pair.access_key_id,
        user_name=name_of(owner),
        secret=pair.secret,
        created_at=int(call.now),
    )
    call.store.put(ACCESS_KEYS, call.account, key)
    put_access_key_ids(call, owner, (*key_ids, key.access_key_id))
    shown = shapes.AccessKey(
        user_name=await _shown_name(call, owner),
        access_key_id=key.access_key_id,
        status=key.status,
        secret_access_key=key.secret.reveal(),
        create_date=key.created_at,
    )
    return shapes.CreateAccessKeyResponse(access_key=shown)


@operation("iam:UpdateAccessKey", resource=resources.user_or_caller)
async def update_access_key(call: Call, request: shapes.UpdateAccessKeyRequest) -> None:
    owner = await get_owner(call, resources.implied_user_name(call, request.user_name))
    key = await _get_key(call, owner, request.access_key_id)
    if request.status == "Expired":
        raise Refusal("InvalidInput", "The status of an access key can be set to Active or Inactive only.")
    call.store.put(ACCESS_KEYS, call.account, msgspec.structs.replace(key, status=request.status))


@operation("iam:DeleteAccessKey", resource=resources.user_or_caller)
async def delete_access_key(call: Call, request: shapes.DeleteAccessKeyRequest) -> None:
    owner = await get_owner(call, resources.implied_user_name(call, request.user_name))
    key = await _get_key(call, owner, request.access_key_id)
    call.store.delete(ACCESS_KEYS, call.account, key.access_key_id)
    await delete_place(call.store, key.access_key_id)
    rest = tuple(key_id for key_id in access_key_ids(owner) if key_id != key.access_key_id)
    put_access_key_ids(call, owner, rest)


@operation("iam:ListAccessKeys", resource=resources.user_or_caller)
async def list_access_keys(
    call: Call, request: shapes.ListAccessKeysRequest
) -> shapes.ListAccessKeysResponse:
    owner = await get_owner(call, resources.implied_user_name(call, request.user_name))
    chosen = page(access_key_ids(owner), str, request.marker, request.max_items)
    keys = [await _get_key(call, owner, key_id) for key_id in chosen.items]
    return shapes.ListAccessKeysResponse(
        access_key_metadata=tuple(
            shapes.AccessKeyMetadata(
                user_name=name_of(owner),
                access_key_id=key.access_key_id,
                status=key.status,
                create_date=key.created_at,
            )
            for key in keys
        ),
        is_truncated=chosen.is_truncated,
        marker=chosen.marker,
    )


@operation("iam:GetAccessKeyLastUsed", resource=key_owner)
async def get_access_key_last_used(
    call: Call, request: shapes.GetAccessKeyLastUsedRequest
) -> shapes.GetAccessKeyLastUsedResponse:
    key = await call.store.find(ACCESS_KEYS, call.account, request.access_key_id)
    if key is None:
        raise _no_such_key(request.access_key_id)
    usage = await call.store.find(USAGE, call.account, key.access_key_id)
    return shapes.GetAccessKeyLastUsedResponse(
        user_name=key.user_name,
        access_key_last_used=shapes.AccessKeyLastUsed(
            last_used_date=usage.last_used_at if usage else None,
            service_name=usage.service if usage else NEVER_USED,
            region=usage.region if usage else NEVER_USED,
        ),
    )


async def _new_pair(call: Call) -> AccessKeyPair:
    """A pair whose id nobody has yet: an id that was drawn twice would take over the first one's record."""
    while True:
        pair = new_access_key_pair(call.account, call.entropy(ACCESS_KEY_ENTROPY))
        if await call.store.find(ACCESS_KEYS, call.account, pair.access_key_id) is None:
            return pair


async def _get_key(call: Call, owner: Owner, access_key_id: str) -> AccessKey:
    """The key, if it is the owner's; raises NoSuchEntity."""
    key = await call.store.find(ACCESS_KEYS, call.account, access_key_id)
    if key is None or key.access_key_id not in access_key_ids(owner):
        raise _no_such_key(access_key_id)
    return key


async def _shown_name(call: Call, owner: Owner) -> str:
    """The user's name; for root the account's alias or number, since a new key's answer must name somebody."""
    return name_of(owner) or (await get_account(call)).alias or call.account


def _no_such_key(access_key_id: str) -> Refusal:
    return Refusal("NoSuchEntity", f"The Access Key with id {access_key_id} cannot be found.")
