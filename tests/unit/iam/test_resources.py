"""What operations prepare, and what a refusal says to a caller who may not ask."""

import secrets
from typing import Any

import pytest

from broker.access.caller import root_caller
from broker.access.facts import RequestFacts
from broker.operation import OPERATIONS, Absent, Call, Prepared, prepare
from broker.protocol.shapes import iam as shapes
from tests.unit.iam.conftest import Iam
from tests.unit.iam.test_root_tasks import NAMES, keys_of
from tests.unit.iam.test_root_tasks import request as request_of

ACCOUNT = "111122223333"
TRUST = '{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"AWS":"*"},"Action":"sts:AssumeRole"}}'
PATH = "/secret-project/"
TAG = shapes.Tag(key="team", value="red")
MFA = f"arn:aws:iam::{ACCOUNT}:mfa/"


async def refusals(iam: Any) -> list[str]:
    """Of everything that eve, who may nothing, asks about what others would call Hidden."""
    asked = [
        shapes.GetRoleRequest(role_name="hidden"),
        shapes.GetUserRequest(user_name="hidden"),
        shapes.GetGroupRequest(group_name="hidden"),
        shapes.GetInstanceProfileRequest(instance_profile_name="hidden"),
        shapes.DeleteRoleRequest(role_name="hidden"),
        shapes.TagRoleRequest(role_name="hidden", tags=(TAG,)),
        shapes.TagUserRequest(user_name="hidden", tags=(TAG,)),
        shapes.UpdateUserRequest(user_name="hidden", new_path="/"),
        shapes.UpdateGroupRequest(group_name="hidden", new_path="/"),
        shapes.PutRolePermissionsBoundaryRequest(
            role_name="hidden", permissions_boundary="arn:aws:iam::aws:policy/ReadOnlyAccess"
        ),
        shapes.AttachRolePolicyRequest(
            role_name="hidden", policy_arn="arn:aws:iam::aws:policy/ReadOnlyAccess"
        ),
        shapes.GetPolicyRequest(policy_arn=f"arn:aws:iam::{ACCOUNT}:policy/hidden"),
        shapes.DeleteVirtualMFADeviceRequest(serial_number=f"{MFA}secret-project/hidden"),
        shapes.SimulatePrincipalPolicyRequest(
            policy_source_arn=f"arn:aws:iam::{ACCOUNT}:role/hidden", action_names=("s3:GetObject",)
        ),
    ]
    messages = []
    for request in asked:
        code, message = await iam.refused(request, user="eve")
        assert code == "AccessDenied"
        messages.append(message.partition(". Encoded")[0])
    return messages


async def test_a_refusal_is_the_same_whether_or_not_there_is_such_a_thing(iam: Any) -> None:
    await iam(shapes.CreateUserRequest(user_name="eve"))
    absent = await refusals(iam)
    await iam(shapes.CreateRoleRequest(role_name="Hidden", path=PATH, assume_role_policy_document=TRUST))
    await iam(shapes.CreateUserRequest(user_name="Hidden", path=PATH))
    await iam(shapes.CreateGroupRequest(group_name="Hidden", path=PATH))
    await iam(shapes.CreateInstanceProfileRequest(instance_profile_name="Hidden", path=PATH))
    await iam(shapes.CreateVirtualMFADeviceRequest(virtual_mfa_device_name="Hidden", path=PATH))
    allow = '{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"s3:*","Resource":"*"}}'
    await iam(shapes.CreatePolicyRequest(policy_name="Hidden", path=PATH, policy_document=allow))
    assert await refusals(iam) == absent
    assert not any("Hidden" in message for message in absent)


@pytest.mark.parametrize("whose", ["bob", None])
async def test_a_refusal_does_not_tell_whose_key_it_is(iam: Any, whose: str | None) -> None:
    for name in ("eve", "bob"):
        await iam(shapes.CreateUserRequest(user_name=name))
    key_id = "AKIA" + "A" * 16
    if whose is not None:
        key_id = (await iam(shapes.CreateAccessKeyRequest(user_name=whose))).access_key.access_key_id
    _, message = await iam.refused(shapes.GetAccessKeyLastUsedRequest(access_key_id=key_id), user="eve")
    assert f"iam:GetAccessKeyLastUsed on resource: access key {key_id} because" in message
    assert "bob" not in message


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("there", [True, False], ids=["there", "not there"])
async def test_preparing_a_request_writes_nothing(iam: Iam, name: str, there: bool) -> None:
    """What was found is judged first: `perform` alone knows what the gate said."""
    if there:
        for creation in ("CreateUser", "CreateGroup", "CreateRole", "CreateInstanceProfile"):
            await iam(request_of(creation))
        await iam(request_of("CreatePolicy", policy_name="limit"))
    asked = request_of(name, **keys_of("dora"))
    store = iam.store.transaction()
    call = Call(
        caller=root_caller(ACCOUNT),
        facts=RequestFacts(now=iam.now, request_id="r", source_ip="192.0.2.1"),
        store=store,
        gate=iam.gate,
        mint=None,  # type: ignore[arg-type]
        entropy=secrets.token_bytes,
        quotas=iam.quotas,
        federation=iam.federation,
        passwords=iam.passwords,
    )
    prepared = await prepare(OPERATIONS["iam", name], call, None if isinstance(asked, str) else asked)
    assert isinstance(prepared, Prepared | Absent)
    assert not store.is_dirty
