"""Access keys of users and of root: created, activated and deactivated, listed, deleted; when they were last used.

The secret is shown once, by CreateAccessKey.
"""

import msgspec

from broker.access.resource import Resource
from broker.credentials.access_keys import (
    ACCESS_KEY_ENTROPY,
    AccessKeyPair,
    delete_foreign_key,
    new_access_key_pair,
)
from broker.errors import Refusal, access_denied
from broker.iam import entities, resources
from broker.iam.entities import require_room
from broker.iam.owners import Owner, access_key_ids, name_of, put_access_key_ids, shown_name
from broker.names.principal import Root
from broker.operation import Absent, Call, Prepared, operation
from broker.paging import page
from broker.protocol.shapes import iam as shapes
from broker.storage.records import AccessKey
from broker.storage.store import ACCESS_KEYS, USAGE

NEVER_USED = "N/A"


async def found_key(call: Call, request: shapes.GetAccessKeyLastUsedRequest) -> Prepared[AccessKey] | Absent:
    """The key; its resource is its owner. An unknown key has no owner and matches only `*`. A refusal names the key.

    Of a key that is not the account's, AWS says to everybody that they are not authorized (recorded by LocalStack,
    2026): so it says as little of keys of other accounts as of none.
    """
    key_id = request.access_key_id
    key = await call.store.find(ACCESS_KEYS, call.account, key_id)
    asked_for = f"access key {key_id}"
    if key is None:
        return Absent(Resource(asked_for=asked_for), _not_authorized(call, asked_for))
    if key.user_name is None:
        return Prepared(Resource(Root(call.account).arn, asked_for=asked_for), key)
    owner = (await resources.prepare_entity(call, entities.USER, key.user_name)).resource
    return Prepared(msgspec.structs.replace(owner, asked_for=asked_for), key)


@operation("iam:CreateAccessKey", prepare=resources.found_owner)
async def create_access_key(
    call: Call, request: shapes.CreateAccessKeyRequest, prepared: Prepared[Owner]
) -> shapes.CreateAccessKeyResponse:
    owner = prepared.found
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
        user_name=await shown_name(call, owner),
        access_key_id=key.access_key_id,
        status=key.status,
        secret_access_key=key.secret.reveal(),
        create_date=key.created_at,
    )
    return shapes.CreateAccessKeyResponse(access_key=shown)


@operation("iam:UpdateAccessKey", prepare=resources.found_owner)
async def update_access_key(
    call: Call, request: shapes.UpdateAccessKeyRequest, prepared: Prepared[Owner]
) -> None:
    owner = prepared.found
    key = await _get_key(call, owner, request.access_key_id)
    if request.status == "Expired":
        raise Refusal("InvalidInput", "The status of an access key can be set to Active or Inactive only.")
    call.store.put(ACCESS_KEYS, call.account, msgspec.structs.replace(key, status=request.status))


@operation("iam:DeleteAccessKey", prepare=resources.found_owner)
async def delete_access_key(
    call: Call, request: shapes.DeleteAccessKeyRequest, prepared: Prepared[Owner]
) -> None:
    owner = prepared.found
    key = await _get_key(call, owner, request.access_key_id)
    call.store.delete(ACCESS_KEYS, call.account, key.access_key_id)
    await delete_foreign_key(call.store, key.access_key_id)
    rest = tuple(key_id for key_id in access_key_ids(owner) if key_id != key.access_key_id)
    put_access_key_ids(call, owner, rest)


@operation("iam:ListAccessKeys", prepare=resources.found_owner)
async def list_access_keys(
    call: Call, request: shapes.ListAccessKeysRequest, prepared: Prepared[Owner]
) -> shapes.ListAccessKeysResponse:
    owner = prepared.found
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


@operation("iam:GetAccessKeyLastUsed", prepare=found_key)
async def get_access_key_last_used(
    call: Call, request: shapes.GetAccessKeyLastUsedRequest, prepared: Prepared[AccessKey]
) -> shapes.GetAccessKeyLastUsedResponse:
    key = prepared.found
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
    """A pair with an id that no key has yet: a repeated random id would overwrite another key's record."""
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


def _not_authorized(call: Call, asked_for: str) -> Refusal:
    caller = call.caller.principal.arn
    message = (
        f"User: {caller} is not authorized to perform: iam:GetAccessKeyLastUsed on resource: {asked_for}"
    )
    return access_denied(message, reason=f"{message}: the account has no such key")


def _no_such_key(access_key_id: str) -> Refusal:
    return Refusal("NoSuchEntity", f"The Access Key with id {access_key_id} cannot be found.")
