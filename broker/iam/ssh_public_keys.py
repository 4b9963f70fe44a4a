"""SSH public keys of users: uploaded, shown in either encoding, activated and deactivated, listed, deleted.

Nothing in the broker lets such a key in.
"""

import msgspec

from broker.assertions.ssh_public_keys import (
    BrokenPublicKey,
    SshKeyFacts,
    UnknownEncoding,
    read_ssh_public_key,
)
from broker.errors import Refusal
from broker.iam import resources
from broker.iam.entities import require_room
from broker.iam.owned_credentials import items_of, put_items, replaced, require_settable, without
from broker.names.ids import SSH_PUBLIC_KEY
from broker.operation import Call, Prepared, operation
from broker.paging import page
from broker.protocol.shapes import iam as shapes
from broker.storage.credential_records import SshPublicKey
from broker.storage.records import User
from broker.storage.store import SSH_PUBLIC_KEYS


@operation("iam:UploadSSHPublicKey", prepare=resources.found_user)
async def upload_ssh_public_key(
    call: Call, request: shapes.UploadSSHPublicKeyRequest, prepared: Prepared[User]
) -> shapes.UploadSSHPublicKeyResponse:
    user = prepared.found
    facts = _require_key(request.ssh_public_key_body)
    present = await _items(call, user)
    if any(one.ssh == facts.ssh for one in present):
        raise Refusal(
            "DuplicateSSHPublicKey", "The SSH public key is already associated with the specified user."
        )
    require_room(call, present, "ssh_public_keys_per_user", "SSHPublicKeysPerUser")
    key = SshPublicKey(
        key_id=call.new_id(SSH_PUBLIC_KEY),
        ssh=facts.ssh,
        pem=facts.pem,
        fingerprint=facts.fingerprint,
        uploaded_at=int(call.now),
    )
    put_items(call, SSH_PUBLIC_KEYS, user, (*present, key))
    return shapes.UploadSSHPublicKeyResponse(ssh_public_key=_shape(user, key, request.ssh_public_key_body))


@operation("iam:GetSSHPublicKey", prepare=resources.found_user)
async def get_ssh_public_key(
    call: Call, request: shapes.GetSSHPublicKeyRequest, prepared: Prepared[User]
) -> shapes.GetSSHPublicKeyResponse:
    user = prepared.found
    key = _get(await _items(call, user), request.ssh_public_key_id)
    body = key.ssh if request.encoding == "SSH" else key.pem
    return shapes.GetSSHPublicKeyResponse(ssh_public_key=_shape(user, key, body))


@operation("iam:ListSSHPublicKeys", prepare=resources.found_user_or_caller)
async def list_ssh_public_keys(
    call: Call, request: shapes.ListSSHPublicKeysRequest, prepared: Prepared[User]
) -> shapes.ListSSHPublicKeysResponse:
    user = prepared.found
    chosen = page(await _items(call, user), _key, request.marker, request.max_items)
    return shapes.ListSSHPublicKeysResponse(
        ssh_public_keys=tuple(
            shapes.SSHPublicKeyMetadata(
                user_name=user.user_name,
                ssh_public_key_id=key.key_id,
                status=key.status,
                upload_date=key.uploaded_at,
            )
            for key in chosen.items
        ),
        is_truncated=chosen.is_truncated,
        marker=chosen.marker,
    )


@operation("iam:UpdateSSHPublicKey", prepare=resources.found_user)
async def update_ssh_public_key(
    call: Call, request: shapes.UpdateSSHPublicKeyRequest, prepared: Prepared[User]
) -> None:
    user = prepared.found
    present = await _items(call, user)
    key = _get(present, request.ssh_public_key_id)
    changed = msgspec.structs.replace(key, status=require_settable(request.status, "an SSH public key"))
    put_items(call, SSH_PUBLIC_KEYS, user, replaced(present, key, changed))


@operation("iam:DeleteSSHPublicKey", prepare=resources.found_user)
async def delete_ssh_public_key(
    call: Call, request: shapes.DeleteSSHPublicKeyRequest, prepared: Prepared[User]
) -> None:
    user = prepared.found
    present = await _items(call, user)
    put_items(call, SSH_PUBLIC_KEYS, user, without(present, _get(present, request.ssh_public_key_id)))


async def _items(call: Call, user: User) -> tuple[SshPublicKey, ...]:
    return await items_of(call, SSH_PUBLIC_KEYS, user)


def _require_key(body: str) -> SshKeyFacts:
    try:
        return read_ssh_public_key(body)
    except UnknownEncoding:
        raise Refusal(
            "UnrecognizedPublicKeyEncoding", "The public key must be encoded in ssh-rsa format or PEM format."
        ) from None
    except BrokenPublicKey as error:
        raise Refusal("InvalidPublicKey", f"The public key is invalid: {error}.") from None


def _get(keys: tuple[SshPublicKey, ...], wanted: str) -> SshPublicKey:
    for one in keys:
        if one.key_id == wanted:
            return one
    raise Refusal("NoSuchEntity", f"The Public Key with id {wanted} cannot be found.")


def _key(key: SshPublicKey) -> str:
    return key.key_id


def _shape(user: User, key: SshPublicKey, body: str) -> shapes.SSHPublicKey:
    return shapes.SSHPublicKey(
        user_name=user.user_name,
        ssh_public_key_id=key.key_id,
        fingerprint=key.fingerprint,
        ssh_public_key_body=body,
        status=key.status,
        upload_date=key.uploaded_at,
    )
