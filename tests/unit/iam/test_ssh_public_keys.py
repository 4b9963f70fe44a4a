from typing import Any

import pytest

from broker.protocol.shapes import iam as shapes
from tests.certificates import rsa_key
from tests.unit.assertions.test_ssh_public_keys import pem, ssh
from tests.unit.simulator.simulating import allow, document

ACCOUNT = "111122223333"
KEYS = [rsa_key().public_key() for _ in range(6)]


@pytest.fixture(autouse=True)
async def bob(iam: Any) -> None:
    await iam(shapes.CreateUserRequest(user_name="bob"))


def upload(number: int = 0, **fields: Any) -> Any:
    return shapes.UploadSSHPublicKeyRequest(
        **{"user_name": "bob", "ssh_public_key_body": ssh(KEYS[number]), **fields}
    )


async def get(iam: Any, key_id: str, encoding: str, user_name: str = "bob") -> Any:
    asked = shapes.GetSSHPublicKeyRequest(user_name=user_name, ssh_public_key_id=key_id, encoding=encoding)
    return (await iam(asked)).ssh_public_key


async def listed(iam: Any, **fields: Any) -> Any:
    return (await iam(shapes.ListSSHPublicKeysRequest(**{"user_name": "bob", **fields}))).ssh_public_keys


@pytest.mark.parametrize("body", [f"{ssh(KEYS[0])} bob@example.com", pem(KEYS[0])])
async def test_a_key_is_uploaded_and_shown_in_either_encoding(iam: Any, body: str) -> None:
    uploaded = (await iam(upload(ssh_public_key_body=body))).ssh_public_key
    assert uploaded.ssh_public_key_id.startswith("APKA")
    assert (uploaded.user_name, uploaded.ssh_public_key_body) == ("bob", body)
    for encoding, shown in (("SSH", ssh(KEYS[0])), ("PEM", pem(KEYS[0]))):
        read = await get(iam, uploaded.ssh_public_key_id, encoding)
        assert (read.ssh_public_key_body, read.fingerprint) == (shown, uploaded.fingerprint)
        assert (read.status, read.upload_date) == ("Active", int(iam.now))


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ("text", "UnrecognizedPublicKeyEncoding"),
        ("ssh-ed25519 AAAA", "UnrecognizedPublicKeyEncoding"),
        ("ssh-rsa AAAA", "InvalidPublicKey"),
        (ssh(rsa_key(1024).public_key()), "InvalidPublicKey"),
    ],
)
async def test_what_is_no_long_rsa_key_is_refused(iam: Any, body: str, code: str) -> None:
    assert (await iam.refused(upload(ssh_public_key_body=body)))[0] == code


async def test_a_user_has_a_key_once_and_five_keys(iam: Any) -> None:
    for number in range(5):
        await iam(upload(number))
    refusal = await iam.refused(upload(5))
    assert refusal == ("LimitExceeded", "Cannot exceed quota for SSHPublicKeysPerUser: 5")
    assert (await iam.refused(upload(ssh_public_key_body=pem(KEYS[0]))))[0] == "DuplicateSSHPublicKey"
    await iam(shapes.CreateUserRequest(user_name="eve"))
    await iam(upload(user_name="eve"))
    first = await iam(shapes.ListSSHPublicKeysRequest(user_name="bob", max_items=3))
    rest = await listed(iam, marker=first.marker)
    assert len({one.ssh_public_key_id for one in (*first.ssh_public_keys, *rest)}) == 5


async def test_a_key_is_switched_off_and_deleted_and_holds_its_user(iam: Any) -> None:
    key_id = (await iam(upload())).ssh_public_key.ssh_public_key_id
    named = {"user_name": "bob", "ssh_public_key_id": key_id}
    for status in ("Inactive", "Active"):
        await iam(shapes.UpdateSSHPublicKeyRequest(**named, status=status))
        assert [one.status for one in await listed(iam)] == [status]
    expired = shapes.UpdateSSHPublicKeyRequest(**named, status="Expired")
    assert (await iam.refused(expired))[0] == "InvalidInput"
    refusal = await iam.refused(shapes.DeleteUserRequest(user_name="bob"))
    assert refusal == ("DeleteConflict", "Cannot delete entity, must delete SSH public keys first.")
    await iam(shapes.UpdateUserRequest(user_name="bob", new_user_name="rob"))
    assert (await get(iam, key_id, "SSH", "rob")).user_name == "rob"
    await iam(shapes.UpdateUserRequest(user_name="rob", new_user_name="bob"))
    await iam(shapes.DeleteSSHPublicKeyRequest(**named))
    missing = ("NoSuchEntity", f"The Public Key with id {key_id} cannot be found.")
    for request in (
        shapes.GetSSHPublicKeyRequest(**named, encoding="SSH"),
        shapes.UpdateSSHPublicKeyRequest(**named, status="Active"),
        shapes.DeleteSSHPublicKeyRequest(**named),
    ):
        assert await iam.refused(request) == missing
    await iam(shapes.DeleteUserRequest(user_name="bob"))


async def test_a_user_lists_its_own_keys_without_a_name_and_root_has_none(iam: Any) -> None:
    await iam(upload())
    policy = document(allow("iam:ListSSHPublicKeys", on=f"arn:aws:iam::{ACCOUNT}:user/${{aws:username}}"))
    await iam(shapes.PutUserPolicyRequest(user_name="bob", policy_name="own", policy_document=policy))
    own = await iam(shapes.ListSSHPublicKeysRequest(), user="bob")
    assert [one.user_name for one in own.ssh_public_keys] == ["bob"]
    refusal = await iam.refused(shapes.ListSSHPublicKeysRequest())
    assert refusal == ("ValidationError", "Must specify userName when calling with non-User credentials")
