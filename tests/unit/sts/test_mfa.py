"""The one-time code of a request: found when the request is prepared, used up in one place, whatever comes of it."""

import json
from typing import Any

import pytest

from broker.operation import OPERATIONS, prepare
from broker.protocol.shapes.sts import AssumeRoleRequest, GetSessionTokenRequest
from broker.storage.store import MFA_DEVICES, ROLES, USERS
from tests.unit.sts.conftest import Sts, role, user, user_caller
from tests.unit.sts.test_assume_role import ARN, SERIAL, code, phone, trust

ALICE = user(mfa_serial_numbers=(SERIAL,))
OFFER = {"serial_number": SERIAL, "token_code": code()}
ASSUME = AssumeRoleRequest(role_arn=ARN, role_session_name="session", **OFFER)
SESSION = GetSessionTokenRequest(**OFFER)


@pytest.fixture
async def owner(sts: Sts) -> Any:
    await sts.put(USERS, ALICE)
    await sts.put(MFA_DEVICES, phone())
    return user_caller(ALICE)


@pytest.mark.parametrize("request_", [ASSUME, SESSION], ids=["AssumeRole", "GetSessionToken"])
@pytest.mark.parametrize("offered", [code(), "000000"], ids=["right", "wrong"])
async def test_preparing_a_request_uses_no_code_up(sts: Sts, owner: Any, request_: Any, offered: str) -> None:
    await sts.put(ROLES, role("worker", trust()))
    asked = type(request_)(
        **{**{f: getattr(request_, f) for f in request_.__struct_fields__}, "token_code": offered}
    )
    store = sts.store.transaction()
    declared = OPERATIONS["sts", type(request_).__name__.removesuffix("Request")]
    prepared = await prepare(declared, sts.call(store, owner), asked)
    assert prepared.offered_code is not None and prepared.offered_code.unverified_code == offered
    assert offered not in repr(prepared)
    assert not store.is_dirty
    # Nor does it count as proven.
    assert not any(key.startswith("aws:MultiFactorAuth") for key in prepared.resource.keys)


async def used_up(sts: Sts, owner: Any) -> bool:
    return (await sts.refused(SESSION, owner))[1].startswith("MultiFactorAuthentication failed with invalid")


async def test_a_code_is_used_up_where_the_trust_policy_refuses(sts: Sts, owner: Any) -> None:
    denies = json.dumps(
        {"Version": "2012-10-17", "Statement": {"Effect": "Deny", "Principal": "*", "Action": "*"}}
    )
    await sts.put(ROLES, role("worker", denies.replace('"Action": "*"', '"Action": "sts:*"')))
    assert (await sts.refused(ASSUME, owner))[0] == "AccessDenied"
    assert await used_up(sts, owner)


async def test_a_code_for_a_role_that_is_not_there_is_used_up_alike(sts: Sts, owner: Any) -> None:
    """Else a code that is still good would tell which roles another account has."""
    assert (await sts.refused(ASSUME, owner))[0] == "AccessDenied"
    assert await used_up(sts, owner)


async def test_a_code_makes_a_session_with_mfa(sts: Sts, owner: Any) -> None:
    assert sts.claims(await sts(SESSION, owner)).mfa_authenticated_at is not None
    assert sts.claims(await sts(GetSessionTokenRequest(), owner)).mfa_authenticated_at is None
