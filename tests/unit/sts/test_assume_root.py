"""AssumeRoot, where the wire does not reach: whom it is refused to and in which words, and what the token says."""

import pytest

from broker.access.caller import root_caller
from broker.errors import Refusal
from broker.protocol.shapes.sts import (
    AssumeRoleRequest,
    AssumeRootRequest,
    GetFederationTokenRequest,
    PolicyDescriptorType,
)
from broker.storage.organization_records import Organization, OrganizationalUnit
from broker.storage.records import Account
from broker.storage.store import ACCOUNTS, ORGANIZATION, ROLES, USERS
from tests.unit.sts.conftest import ACCOUNT, NOW, OTHER, role, session_caller, user, user_caller

OUTSIDER, ADMINISTRATOR = "777788889999", "123123123123"
TASK = "arn:aws:iam::aws:policy/root-task/IAMAuditRootUserCredentials"
TRUST = '{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"AWS":"*"},"Action":"sts:*"}}'


def asked(target=OTHER, task=TASK, **more):
    return AssumeRootRequest(target_principal=target, task_policy_arn=PolicyDescriptorType(arn=task), **more)


def denied(caller_arn, target=OTHER):
    return (
        "AccessDenied",
        f"User: {caller_arn} is not authorized to perform: sts:AssumeRoot "
        f"on resource: arn:aws:iam::{target}:root",
    )


@pytest.fixture
async def organize(sts):
    """Writes the organization: ACCOUNT manages it, OTHER is a member, ADMINISTRATOR is one without a delegation."""

    async def write(**changes):
        place = OrganizationalUnit(parent=None)
        record = Organization(
            **{
                "organization_id": "o-1",
                "management_account_id": ACCOUNT,
                "units": {},
                "accounts": dict.fromkeys((ACCOUNT, OTHER, ADMINISTRATOR), place),
                "features": ("ROOT_CREDENTIALS_MANAGEMENT", "ROOT_SESSIONS"),
                **changes,
            }
        )

        async def work(transaction):
            transaction.put(ORGANIZATION, "", record)
            for account_id in (ACCOUNT, OTHER, OUTSIDER, ADMINISTRATOR):
                transaction.put(ACCOUNTS, "", Account(account_id=account_id))

        await sts.store.transact(work)

    await write()
    await sts.put(USERS, user())
    return write


@pytest.mark.parametrize("target", [OTHER, f"arn:aws:iam::{OTHER}:root"])
async def test_a_member_is_named_by_its_number_or_by_its_root(sts, organize, target):
    claims = sts.claims(await sts(asked(target), user_caller(user())))
    assert (claims.account, claims.task_policy_arn) == (OTHER, TASK)
    assert claims.issuer_arn == f"arn:aws:iam::{ACCOUNT}:user/alice"
    assert claims.expires_at - claims.issued_at == 900


@pytest.mark.parametrize("seconds", [0, 1, 900])
async def test_a_task_lasts_as_long_as_asked(sts, organize, seconds):
    claims = sts.claims(await sts(asked(duration_seconds=seconds), user_caller(user())))
    assert (claims.issued_at, claims.expires_at) == (int(NOW), int(NOW) + seconds)


async def test_the_callers_one_time_code_says_nothing_of_the_root_users(sts, organize):
    caller = user_caller(user(), mfa_authenticated_at=int(NOW))
    assert sts.claims(await sts(asked(), caller)).mfa_authenticated_at is None


async def test_the_source_identity_is_the_callers(sts, organize):
    await sts.put(ROLES, role("worker", TRUST))
    caller = session_caller(role("worker", TRUST), source_identity="ursula")
    answer = await sts(asked(), caller)
    assert (answer.source_identity, sts.claims(answer).source_identity) == ("ursula", "ursula")
    assert (await sts(asked(), user_caller(user()))).source_identity is None


@pytest.mark.parametrize(
    "target",
    [
        f"arn:aws:iam::{OTHER}:user/root",
        f"arn:aws:iam::{OTHER}:root:root",
        f"arn:aws-cn:iam::{OTHER}:root",
        f"arn:aws:sts::{OTHER}:root",
        f"arn:aws:iam::{OTHER}",
        f"{OTHER}:root",
        "arn:aws:iam::*:root",
        "x" * 12,
        "\u0661" * 12,
    ],
)
async def test_a_target_is_nothing_but_an_account_or_its_root(sts, organize, target):
    refusal = ("ValidationError", "Request must contain a valid target principal")
    assert await sts.refused(asked(target), user_caller(user())) == refusal


@pytest.mark.parametrize(
    "task",
    [
        "",
        "IAMAuditRootUserCredentials",
        "arn:aws:iam::aws:policy/ReadOnlyAccess",
        "arn:aws:iam::aws:policy/IAMAuditRootUserCredentials",
        "arn:aws:iam::aws:policy/root-task/iamauditrootusercredentials",
        "arn:aws-cn:iam::aws:policy/root-task/IAMAuditRootUserCredentials",
        f"arn:aws:iam::{ACCOUNT}:policy/root-task/IAMAuditRootUserCredentials",
    ],
)
async def test_a_task_is_one_of_the_five(sts, organize, task):
    refusal = ("ValidationError", "Request must contain valid AWS managed task policy ARN")
    assert await sts.refused(asked(task=task), user_caller(user())) == refusal


async def test_a_task_must_be_named(sts, organize):
    assert await sts.refused(asked(task=None), user_caller(user())) == (
        "ValidationError",
        "1 validation error detected: Value null at 'taskPolicyArn' failed to satisfy constraint: "
        "Member must not be null",
    )


async def test_who_is_in_the_organization_is_not_told_to_who_is_refused(sts, organize):
    caller = user_caller(user())
    for target in (ACCOUNT, OUTSIDER, "000000000000"):
        assert await sts.refused(asked(target), caller) == denied(caller.principal.arn, target)
    reasons = set()
    for changes in (
        {"features": ()},
        {"management_account_id": OUTSIDER},
        {"accounts": {ACCOUNT: OrganizationalUnit(parent=None)}},
    ):
        await organize(**changes)
        with pytest.raises(Refusal) as refusal:
            await sts(asked(), caller)
        assert (refusal.value.code, refusal.value.message) == denied(caller.principal.arn)
        reasons.add(refusal.value.reason)
    assert len(reasons) == 3


async def test_the_delegated_administrator_may_and_a_member_may_not(sts, organize):
    await organize(management_account_id=OUTSIDER, delegated_iam_administrator_id=ACCOUNT)
    assert await sts(asked(), user_caller(user()))
    await organize(management_account_id=OUTSIDER, delegated_iam_administrator_id=ADMINISTRATOR)
    caller = user_caller(user())
    assert await sts.refused(asked(), caller) == denied(caller.principal.arn)


async def test_a_member_that_this_broker_does_not_keep_has_no_root_user_here(sts, organize):
    place = OrganizationalUnit(parent=None)
    await organize(accounts={ACCOUNT: place, "333300003333": place})
    caller = user_caller(user())
    assert await sts.refused(asked("333300003333"), caller) == denied(caller.principal.arn, "333300003333")


async def test_a_task_sessions_token_is_as_large_as_asked(sts, organize):
    answer = await sts(asked(minimum_session_token_size=2000), user_caller(user()))
    assert len(answer.credentials.session_token) == answer.session_token_size >= 2000


async def test_where_there_is_no_organization_nobody_assumes_root(sts):
    await sts.put(USERS, user())
    caller = user_caller(user())
    assert await sts.refused(asked(), caller) == denied(caller.principal.arn)


async def test_not_even_the_management_accounts_root_user_assumes_root(sts, organize):
    assert await sts(asked(), user_caller(user()))
    assert await sts.refused(asked(), root_caller(ACCOUNT)) == (
        "AccessDenied",
        "AssumeRoot may not be called by root users.",
    )


async def test_the_policy_of_a_task_limits_no_other_session(sts, organize):
    await sts.put(ROLES, role("worker", TRUST))
    tasks = (PolicyDescriptorType(arn=TASK),)
    for request in (
        AssumeRoleRequest(
            role_arn=f"arn:aws:iam::{ACCOUNT}:role/worker", role_session_name="session", policy_arns=tasks
        ),
        GetFederationTokenRequest(name="guest", policy_arns=tasks),
    ):
        assert await sts.refused(request, user_caller(user())) == (
            "ValidationError",
            f"The policy ARN {TASK} does not exist or is not attachable.",
        )


@pytest.mark.parametrize(
    ("feature", "other", "tasks"),
    [
        (
            "ROOT_CREDENTIALS_MANAGEMENT",
            "ROOT_SESSIONS",
            ("IAMAuditRootUserCredentials", "IAMCreateRootUserPassword", "IAMDeleteRootUserCredentials"),
        ),
        ("ROOT_SESSIONS", "ROOT_CREDENTIALS_MANAGEMENT", ("S3UnlockBucketPolicy", "SQSUnlockQueuePolicy")),
    ],
)
async def test_a_feature_lets_its_own_tasks_be_done_and_no_others(sts, organize, feature, other, tasks):
    caller = user_caller(user())
    for task in tasks:
        request = asked(task=f"arn:aws:iam::aws:policy/root-task/{task}")
        await organize(features=(feature,))
        assert await sts(request, caller)
        await organize(features=(other,))
        with pytest.raises(Refusal) as refusal:
            await sts(request, caller)
        assert (refusal.value.code, refusal.value.message) == denied(caller.principal.arn)
        assert refusal.value.reason == f"{feature} is not enabled for an organization"
