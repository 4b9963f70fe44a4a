"""AssumeRole, where the wire does not reach: which keys are asked with, and what the token says."""

import json
from base64 import b32encode

import msgspec
import pytest

from broker.access.sessions import session_caller as session_of
from broker.credentials.one_time_codes import FAILURE_LIMIT
from broker.names.principal import AssumedRole
from broker.names.secret import SecretKey
from broker.protocol.shapes.sts import AssumeRoleRequest, PolicyDescriptorType, ProvidedContext, Tag
from broker.sealing.totp import STEP_SECONDS, totp
from broker.storage.records import VirtualMfaDevice
from broker.storage.store import MFA_DEVICES, ROLES, USERS
from tests.unit.sts.conftest import ACCOUNT, NOW, OTHER, role, session_caller, user, user_caller

SEED = b"twenty bytes of seed"
SERIAL = f"arn:aws:iam::{ACCOUNT}:mfa/phone"
ARN = f"arn:aws:iam::{ACCOUNT}:role/worker"
ACTIONS = ("sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity")


def trust(*actions, principal=ACCOUNT, **more):
    statement = {
        "Effect": "Allow",
        "Principal": {"AWS": principal},
        "Action": list(actions or ACTIONS),
        **more,
    }
    return json.dumps({"Version": "2012-10-17", "Statement": statement})


def asked(**more):
    return AssumeRoleRequest(**{"role_arn": ARN, "role_session_name": "session", **more})


def code(steps=0):
    return totp(SEED, int(NOW // STEP_SECONDS) + steps)


def phone(**facts):
    return VirtualMfaDevice(
        **{
            "account_id": ACCOUNT,
            "serial_number": SERIAL,
            "device_name": "phone",
            "seed": SecretKey(b32encode(SEED).decode()),
            "user_name": "alice",
            "enabled_at": 0,
            "created_at": 0,
            **facts,
        }
    )


ALICE = user(mfa_serial_numbers=(SERIAL,))
MFA = {"Bool": {"aws:MultiFactorAuthPresent": "true"}, "NumericEquals": {"aws:MultiFactorAuthAge": "0"}}


async def test_a_one_time_code_counts_for_tags_and_source_identity_too(sts):
    await sts.put(USERS, ALICE)
    await sts.put(MFA_DEVICES, phone())
    await sts.put(ROLES, role("worker", trust(Condition=MFA)))
    extras = {"tags": (Tag(key="a", value="b"),), "source_identity": "alice"}
    assert (await sts.refused(asked(**extras), user_caller(ALICE)))[0] == "AccessDenied"
    proven = {"serial_number": SERIAL, "token_code": code()}
    answer = await sts(asked(**extras, **proven), user_caller(ALICE))
    claims = sts.claims(answer)
    assert (claims.tags, claims.source_identity) == ((("a", "b"),), "alice")
    # "The temporary credentials returned by AssumeRole do not include MFA information in the context"
    assert claims.mfa_authenticated_at is None


@pytest.mark.parametrize(
    ("device", "owner"),
    [
        (None, ALICE),
        (phone(enabled_at=None), ALICE),
        (phone(serial_number=f"arn:aws:iam::{OTHER}:mfa/phone"), ALICE),
        (phone(user_name="bob"), user()),
    ],
    ids=["unknown", "not enabled", "of another account", "of another user"],
)
async def test_a_device_that_is_not_the_callers_own_proves_nothing(sts, device, owner):
    await sts.put(ROLES, role("worker", trust()))
    if device is not None:
        await sts.put(MFA_DEVICES, device)
    request = asked(serial_number=SERIAL, token_code=code())
    refusal, message = await sts.refused(request, user_caller(owner))
    assert refusal == "AccessDenied" and "unable to validate MFA code" in message


async def test_a_role_session_has_no_device(sts):
    worker = role("worker", trust())
    await sts.put(ROLES, worker)
    await sts.put(MFA_DEVICES, phone())
    request = asked(serial_number=SERIAL, token_code=code())
    assert "unable to validate MFA code" in (await sts.refused(request, session_caller(worker)))[1]


@pytest.mark.parametrize("half", [{"serial_number": SERIAL}, {"token_code": "123456"}])
async def test_half_a_proof_is_refused_whatever_the_policies_say(sts, half):
    await sts.put(ROLES, role("worker", trust()))
    assert (await sts.refused(asked(**half), user_caller(ALICE)))[0] == "AccessDenied"


async def test_a_code_is_used_up_by_the_request_that_it_opened(sts):
    await sts.put(MFA_DEVICES, phone())
    await sts.put(ROLES, role("worker", trust()))
    request = asked(serial_number=SERIAL, token_code=code())
    await sts(request, user_caller(ALICE))
    assert "invalid MFA one time pass code" in (await sts.refused(request, user_caller(ALICE)))[1]


async def test_codes_are_not_guessed_however_often_it_is_tried(sts):
    """Each refusal is counted, though it leaves nothing else behind."""
    await sts.put(MFA_DEVICES, phone())
    await sts.put(ROLES, role("worker", trust()))
    for _ in range(FAILURE_LIMIT):
        await sts.refused(asked(serial_number=SERIAL, token_code="000000"), user_caller(ALICE))
    right = asked(serial_number=SERIAL, token_code=code())
    assert "invalid MFA one time pass code" in (await sts.refused(right, user_caller(ALICE)))[1]


async def test_contexts_that_nobody_can_prove_are_refused(sts):
    await sts.put(ROLES, role("worker", trust()))
    context = ProvidedContext(
        provider_arn="arn:aws:iam::aws:contextProvider/IdentityCenter", context_assertion="signed?"
    )
    assert (await sts.refused(asked(provided_contexts=(context,)), user_caller(ALICE)))[
        0
    ] == "ValidationError"


async def test_a_chain_is_an_hour_long_and_an_instance_is_no_chain(sts):
    worker = role("worker", trust(), max_session_duration=43_200)
    await sts.put(ROLES, worker)
    long = asked(duration_seconds=7200)
    assert (await sts.refused(long, session_caller(worker)))[0] == "ValidationError"
    delivered = session_caller(worker, role_delivery="2.0", instance_id="i-1")
    answer = await sts(long, delivered)
    assert sts.claims(answer).chained is False
    assert sts.claims(await sts(asked(), session_caller(worker))).chained is True


async def test_the_session_is_the_roles_with_its_path_and_its_issuer(sts):
    await sts.put(ROLES, role("worker", trust(), path="/deploy/"))
    arn = f"arn:aws:iam::{ACCOUNT}:role/deploy/worker"
    answer = await sts(asked(role_arn=arn), user_caller(ALICE, access_key_id="AKIAALICE"))
    claims = sts.claims(answer)
    assert claims.principal == AssumedRole(ACCOUNT, "worker", "AROAWORKER", "session", "/deploy/")
    assert claims.issuer_access_key_id == "AKIAALICE"
    assert answer.assumed_role_user.arn == f"arn:aws:sts::{ACCOUNT}:assumed-role/worker/session"
    for other in (ARN, arn.replace("worker", "WORKER"), arn.replace("/deploy/", "/deploy//")):
        assert (await sts.refused(asked(role_arn=other), user_caller(ALICE)))[0] == "AccessDenied"


@pytest.mark.parametrize(
    "arn",
    [
        "worker-worker-worker-worker",
        f"arn:aws:iam::{ACCOUNT}:user/worker",
        f"arn:aws:sts::{ACCOUNT}:assumed-role/worker/x",
        "arn:aws:iam::account:role/worker",
        "arn:aws:iam:::role/worker",
    ],
)
async def test_what_is_no_arn_of_a_role_is_invalid(sts, arn):
    assert await sts.refused(asked(role_arn=arn), user_caller(ALICE)) == (
        "ValidationError",
        f"{arn} is invalid",
    )


def sparing(*names):
    """A trust policy as none can be stored any more: the account may, but whom the Deny does not spare."""
    allow = {"Effect": "Allow", "Principal": {"AWS": ACCOUNT}, "Action": list(ACTIONS)}
    deny = {"Effect": "Deny", "NotPrincipal": {"AWS": list(names)}, "Action": "sts:AssumeRole"}
    return json.dumps({"Version": "2012-10-17", "Statement": [allow, deny]})


USER_ARN, ROLE_ARN = f"arn:aws:iam::{ACCOUNT}:user/alice", f"arn:aws:iam::{ACCOUNT}:role/first"
NIGHT, DAY = (f"arn:aws:sts::{ACCOUNT}:assumed-role/first/{name}" for name in ("night", "day"))
USER_ID, ROLE_ID = "AIDAALICEALICEALICE01", "AROAFIRSTFIRSTFIRST01"
IDS = {USER_ARN: USER_ID, ROLE_ARN: ROLE_ID, NIGHT: f"{ROLE_ID}:night", DAY: f"{ROLE_ID}:day"}
LISTED = msgspec.structs.replace(user(), user_id=USER_ID)
FIRST = msgspec.structs.replace(role("first", trust()), role_id=ROLE_ID)


@pytest.mark.parametrize("is_bound", [True, False], ids=["by ids", "by names"])
@pytest.mark.parametrize(
    ("spared", "user_may", "session_may"),
    [
        ((ACCOUNT,), False, False),
        ((ACCOUNT, USER_ARN), True, False),
        ((USER_ARN,), False, False),
        ((ACCOUNT, ROLE_ARN), False, False),
        ((ACCOUNT, ROLE_ARN, DAY), False, False),
        ((ACCOUNT, NIGHT), False, False),
        ((ACCOUNT, ROLE_ARN, NIGHT), False, True),
        ((ACCOUNT, ROLE_ARN, NIGHT, DAY, USER_ARN), True, True),
    ],
)
async def test_an_old_not_principal_in_a_trust_policy_spares_whom_it_lists_with_every_name(
    sts, spared, user_may, session_may, is_bound
):
    ids = {name: IDS[name] for name in spared if name in IDS} if is_bound else {}
    await sts.put(ROLES, FIRST, role("worker", sparing(*spared), trusted_ids=ids))
    for caller, may in ((user_caller(LISTED), user_may), (session_caller(FIRST), session_may)):
        if may:
            assert (await sts(asked(), caller)).assumed_role_user.assumed_role_id == "AROAWORKER:session"
        else:
            code, message = await sts.refused(asked(), caller)
            assert (code, "explicit deny in the role trust policy" in message) == ("AccessDenied", True)


async def test_an_old_not_principal_never_spares_a_caller_with_a_permissions_boundary(sts):
    everything = "arn:aws:iam::aws:policy/AdministratorAccess"
    bounded_user, first = (
        msgspec.structs.replace(record, permissions_boundary=everything) for record in (LISTED, FIRST)
    )
    listed = (ACCOUNT, USER_ARN, ROLE_ARN, NIGHT)
    await sts.put(ROLES, first, role("worker", sparing(*listed), trusted_ids=IDS))
    for caller in (user_caller(bounded_user), session_caller(first)):
        code, message = await sts.refused(asked(), caller)
        assert (code, "explicit deny in the role trust policy" in message) == ("AccessDenied", True)


async def test_a_namesake_of_a_spared_role_is_not_spared(sts):
    anew = role("first", trust())
    await sts.put(ROLES, anew, role("worker", sparing(ACCOUNT, ROLE_ARN, NIGHT), trusted_ids=IDS))
    assert (await sts.refused(asked(), session_caller(anew)))[0] == "AccessDenied"
    assert (await sts(asked(), session_caller(FIRST))).assumed_role_user is not None


SAME_TEAM = {"StringEquals": {"aws:ResourceTag/Team": "${aws:PrincipalTag/Team}"}}


def of_team(first, team, **more):
    """A session that carries a transitive tag, as the first link of a chain has it."""
    tags = {"Team": team}
    return session_caller(first, tags=tags, session_tags=tags, transitive_tag_keys=("Team",), **more)


@pytest.mark.parametrize("side", ["trust policy", "caller's policy"])
@pytest.mark.parametrize(
    ("tags", "is_own"), [({"team": "blue"}, True), ({"Team": "red"}, False), ({}, False)]
)
async def test_a_role_is_judged_by_its_own_tags_whatever_the_chain_hands_on(sts, tags, is_own, side):
    everywhere = {"Effect": "Allow", "Action": list(ACTIONS), "Resource": "*", "Condition": SAME_TEAM}
    by_team = json.dumps({"Version": "2012-10-17", "Statement": everywhere})
    first = role("first", trust())
    if side == "caller's policy":
        first = msgspec.structs.replace(first, inline_policies={"by team": by_team})
    condition = {"Condition": SAME_TEAM} if side == "trust policy" else {}
    await sts.put(ROLES, first, role("worker", trust(**condition), tags=tags))
    if not is_own:
        assert (await sts.refused(asked(), of_team(first, "blue")))[0] == "AccessDenied"
        return
    claims = sts.claims(await sts(asked(), of_team(first, "blue")))
    assert (claims.tags, claims.transitive_tag_keys) == ((("Team", "blue"),), ("Team",))


async def test_what_the_session_inherits_overrides_the_roles_own_tag_afterwards(sts):
    first, worker = role("first", trust()), role("worker", trust(), tags={"team": "red"})
    await sts.put(ROLES, first, worker)
    claims = sts.claims(await sts(asked(), of_team(first, "blue")))
    caller = await session_of(sts.store.transaction(), claims)
    assert caller.tags == {"Team": "blue"}
    assert sts.claims(await sts(asked(role_arn=ROLE_ARN), caller)).tags == (("Team", "blue"),)


async def test_a_source_identity_is_carried_and_needs_permission_each_time(sts):
    first = role("first", trust())
    await sts.put(ROLES, first, role("worker", trust("sts:AssumeRole")))
    carrying = session_caller(first, source_identity="alice")
    refusal, message = await sts.refused(asked(), carrying)
    assert refusal == "AccessDenied" and "sts:SetSourceIdentity" in message
    await sts.put(ROLES, role("worker", trust()))
    assert sts.claims(await sts(asked(), carrying)).source_identity == "alice"
    assert (await sts.refused(asked(source_identity="bob"), carrying))[0] == "AccessDenied"


async def test_a_limit_that_was_meant_is_never_dropped(sts):
    await sts.put(ROLES, role("worker", trust()))
    nameless = asked(policy_arns=(PolicyDescriptorType(),))
    assert (await sts.refused(nameless, user_caller(ALICE)))[0] == "ValidationError"
    limited = await sts(
        asked(policy_arns=(PolicyDescriptorType(arn="arn:aws:iam::aws:policy/ReadOnlyAccess"),)),
        user_caller(ALICE),
    )
    assert sts.claims(limited).session_policy_arns == ("arn:aws:iam::aws:policy/ReadOnlyAccess",)
    foreign = asked(policy_arns=(PolicyDescriptorType(arn=f"arn:aws:iam::{OTHER}:policy/anything"),))
    assert (await sts.refused(foreign, user_caller(ALICE)))[0] == "ValidationError"


@pytest.mark.parametrize(
    ("arn", "is_assumed"),
    [
        ("arn:aws:iam::{}:role/ops/worker", True),
        ("arn:aws:iam::{}:role/worker", False),
        ("arn:aws:iam::{}:role/ops/Worker", False),
        ("arn:aws:iam::{}:role/OPS/worker", False),
        ("arn:aws-cn:iam::{}:role/ops/worker", False),
        ("arn:aws:iam:us-east-1:{}:role/ops/worker", False),
    ],
)
async def test_only_the_arn_that_names_the_role_letter_by_letter_finds_it(sts, arn, is_assumed) -> None:
    await sts.put(ROLES, role("worker", trust(principal="*"), path="/ops/"))
    request = asked(role_arn=arn.format(ACCOUNT))
    if is_assumed:
        answer = await sts(request, user_caller(user()))
        assert answer.assumed_role_user.arn == f"arn:aws:sts::{ACCOUNT}:assumed-role/worker/session"
    else:
        assert (await sts.refused(request, user_caller(user())))[0] == "AccessDenied"
