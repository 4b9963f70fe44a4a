"""Delegation requests from the first step to the credentials: who may take each, in which state, what comes of it."""

import json

import msgspec
import pytest

import broker.iam  # noqa: F401  # declares the operations
from broker.access.caller import Caller
from broker.access.sessions import session_caller as session_of
from broker.errors import Refusal
from broker.names.principal import IamUser, Root
from broker.operation import OPERATIONS, perform
from broker.protocol.shapes import iam as shapes
from broker.protocol.shapes.sts import (
    AssumeRoleRequest,
    GetDelegatedAccessTokenRequest,
    GetScopedCredentialsRequest,
)
from broker.storage.records import ManagedPolicy, PolicyVersion, User
from broker.storage.session_records import Revocation, Revocations
from broker.storage.store import POLICIES, REVOCATIONS, ROLES, USERS
from tests.unit.sts.conftest import ACCOUNT, EVERYTHING, NOW, OTHER, role, user, user_caller

TEMPLATE = f"arn:aws:iam::{OTHER}:policy/support"
POLICY = '{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"sts:AssumeRole","Resource":"*"}}'
ROLE_ARN = f"arn:aws:iam::{ACCOUNT}:role/worker"
TRUST = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": {"Effect": "Allow", "Principal": {"AWS": ACCOUNT}, "Action": "sts:*"},
    }
)
DAY = 24 * 3600
DENIED = ("AccessDenied", "The trade-in token is not valid.")

PARTNER_USER = User(
    account_id=OTHER, user_name="bot", user_id="AIDABOT", created_at=0, inline_policies={"all": EVERYTHING}
)
PARTNER = Caller(principal=IamUser(OTHER, "bot", "AIDABOT"), account=OTHER, user=PARTNER_USER)
ALICE, BOSS = user("alice"), user("boss")
STRANGER = msgspec.structs.replace(
    PARTNER, account="777788889999", principal=IamUser("777788889999", "x", "AIDAX")
)


def template(text=POLICY):
    version = PolicyVersion(version_id="v1", document=text, created_at=0)
    return ManagedPolicy(
        account_id=OTHER,
        policy_name="support",
        policy_id="ANPASUPPORT",
        created_at=0,
        updated_at=0,
        default_version_id="v1",
        versions=(version,),
    )


class Delegation:
    """The asking account, whose user is `PARTNER`, and the asked one with alice and her boss."""

    def __init__(self, sts):
        self.sts = sts
        self.alice, self.boss = user_caller(ALICE, access_key_id="AKIAALICE"), user_caller(BOSS)

    async def __call__(self, request, caller):
        name = type(request).__name__
        operation = OPERATIONS["iam", name.removesuffix("Request")]
        return await self.sts.store.transact(
            lambda store: perform(operation, self.sts.call(store, caller), request)
        )

    async def refused(self, request, caller):
        with pytest.raises(Refusal) as refusal:
            await self(request, caller)
        return refusal.value.code, refusal.value.message.partition(" Encoded")[0]

    async def asked(self, **more):
        usual = {
            "owner_account_id": ACCOUNT,
            "description": "to mend the tables",
            "permissions": shapes.DelegationPermission(policy_template_arn=TEMPLATE),
            "requestor_workflow_id": "ticket-1",
            "notification_channel": "poll",
            "session_duration": 900,
        }
        answer = await self(shapes.CreateDelegationRequestRequest(**{**usual, **more}), PARTNER)
        return answer.delegation_request_id

    async def step(self, step, request_id, caller=None, **more):
        await self(step(delegation_request_id=request_id, **more), caller or self.alice)

    async def released(self, approver=None, **more):
        request_id = await self.asked(**more)
        await self.step(shapes.AssociateDelegationRequestRequest, request_id)
        await self.step(shapes.AcceptDelegationRequestRequest, request_id, approver)
        await self.step(shapes.SendDelegationTokenRequest, request_id)
        return request_id

    async def get(self, request_id, caller=None):
        request = shapes.GetDelegationRequestRequest(delegation_request_id=request_id)
        return (await self(request, caller or PARTNER)).delegation_request

    def later(self, seconds):
        self.sts.facts = msgspec.structs.replace(self.sts.facts, now=NOW + seconds)

    async def traded(self, request_id):
        answer = await self.sts(GetDelegatedAccessTokenRequest(trade_in_token=request_id), PARTNER)
        return answer, await session_of(self.sts.store.transaction(), self.sts.claims(answer))

    async def not_traded(self, request_id, caller=PARTNER):
        return await self.sts.refused(GetDelegatedAccessTokenRequest(trade_in_token=request_id), caller)


@pytest.fixture
async def delegation(sts):
    await sts.put(USERS, ALICE, BOSS)
    await sts.put(ROLES, role("worker", TRUST))

    async def put_template(store):
        store.put(POLICIES, OTHER, template())
        store.put(USERS, OTHER, PARTNER_USER)

    await sts.store.transact(put_template)
    return Delegation(sts)


async def test_from_the_request_to_credentials_of_the_approver_within_the_template(delegation):
    request_id = await delegation.asked(request_message="please")
    seen = await delegation.get(request_id)
    assert (seen.state, seen.permission_policy, seen.requestor_id) == ("UNASSIGNED", POLICY, OTHER)
    await delegation.step(shapes.AssociateDelegationRequestRequest, request_id)
    await delegation.step(shapes.UpdateDelegationRequestRequest, request_id, notes="for my boss")
    pending = await delegation.get(request_id)
    assert (pending.state, pending.notes, pending.owner_id) == ("PENDING_APPROVAL", "for my boss", ALICE.arn)
    await delegation.step(shapes.AcceptDelegationRequestRequest, request_id, delegation.boss)
    assert await delegation.not_traded(request_id) == DENIED
    await delegation.step(shapes.SendDelegationTokenRequest, request_id)
    assert (await delegation.get(request_id)).state == "FINALIZED"
    delegation.later(300)
    answer, session = await delegation.traded(request_id)
    assert answer.assumed_principal == BOSS.arn
    assert answer.credentials.expiration == NOW + 900
    assert (session.principal.arn, session.scope_policies) == (BOSS.arn, (POLICY,))
    assert session.identity.invoked_by_delegate.account_id == OTHER
    assert await delegation.sts(AssumeRoleRequest(role_arn=ROLE_ARN, role_session_name="s"), session)
    code, message = await delegation.sts.refused(GetScopedCredentialsRequest(duration_seconds=1), session)
    assert code == "AccessDenied" and "because no scope down policy allows" in message


async def test_the_released_request_is_good_for_its_duration_and_no_longer(delegation):
    request_id = await delegation.released(session_duration=600)
    delegation.later(599)
    answer, _ = await delegation.traded(request_id)
    assert answer.credentials.expiration == NOW + 600
    delegation.later(600)
    assert await delegation.not_traded(request_id) == (
        "ExpiredTradeInTokenException",
        "The trade-in token has expired.",
    )
    assert (await delegation.get(request_id)).state == "EXPIRED"


async def test_only_the_account_that_asked_trades_in_and_only_what_it_asked_for(delegation):
    request_id = await delegation.released()
    assert await delegation.not_traded(request_id, delegation.alice) == DENIED
    assert await delegation.not_traded("no-such-request-at-all") == DENIED


async def test_whoever_is_neither_asking_nor_asked_sees_and_does_nothing(delegation):
    request_id = await delegation.asked()
    missing = ("NoSuchEntity", f"The delegation request with id {request_id} cannot be found.")
    stranger = msgspec.structs.replace(STRANGER, user=PARTNER_USER)
    for step in (
        shapes.GetDelegationRequestRequest,
        shapes.AssociateDelegationRequestRequest,
        shapes.AcceptDelegationRequestRequest,
        shapes.RejectDelegationRequestRequest,
        shapes.UpdateDelegationRequestRequest,
        shapes.SendDelegationTokenRequest,
    ):
        assert await delegation.refused(step(delegation_request_id=request_id), stranger) == missing, step
        if step not in (shapes.GetDelegationRequestRequest,):
            assert await delegation.refused(step(delegation_request_id=request_id), PARTNER) == missing, step


async def test_no_step_is_taken_out_of_turn(delegation):
    request_id = await delegation.asked()
    alice = delegation.alice
    accept = shapes.AcceptDelegationRequestRequest(delegation_request_id=request_id)
    send = shapes.SendDelegationTokenRequest(delegation_request_id=request_id)
    associate = shapes.AssociateDelegationRequestRequest(delegation_request_id=request_id)
    assert (await delegation.refused(accept, alice))[0] == "NoSuchEntity", "nobody has taken it on"
    await delegation(associate, alice)
    assert (await delegation.refused(associate, delegation.boss))[0] == "InvalidInput"
    assert await delegation.refused(send, alice) == (
        "InvalidInput",
        "The delegation request is in the state ASSIGNED, not in ACCEPTED.",
    )
    await delegation(accept, alice)
    await delegation.step(shapes.RejectDelegationRequestRequest, request_id, notes="on second thoughts")
    rejected = await delegation.get(request_id)
    assert (rejected.state, rejected.rejection_reason) == ("REJECTED", "on second thoughts")
    for request in (accept, send):
        assert (await delegation.refused(request, alice))[0] == "InvalidInput"
    assert await delegation.not_traded(request_id) == DENIED


async def test_a_request_that_waits_too_long_expires(delegation):
    request_id = await delegation.asked()
    delegation.later(7 * DAY)
    assert (await delegation.get(request_id)).state == "EXPIRED"
    associate = shapes.AssociateDelegationRequestRequest(delegation_request_id=request_id)
    assert (await delegation.refused(associate, delegation.alice))[0] == "InvalidInput"


async def test_a_template_that_is_changed_afterwards_changes_nothing_that_was_asked_for(delegation):
    request_id = await delegation.asked()

    async def widen(store):
        store.put(POLICIES, OTHER, template(EVERYTHING))

    await delegation.sts.store.transact(widen)
    await delegation.step(shapes.AssociateDelegationRequestRequest, request_id)
    await delegation.step(shapes.AcceptDelegationRequestRequest, request_id)
    await delegation.step(shapes.SendDelegationTokenRequest, request_id)
    _, session = await delegation.traded(request_id)
    assert session.scope_policies == (POLICY,)


async def test_a_sessions_approval_has_its_limits_and_ends_with_it(delegation):
    sts = delegation.sts
    answer = await sts(
        AssumeRoleRequest(role_arn=ROLE_ARN, role_session_name="s", duration_seconds=900, policy=EVERYTHING),
        delegation.alice,
    )
    approver = await session_of(sts.store.transaction(), sts.claims(answer))
    request_id = await delegation.released(approver, session_duration=43_200)
    answer, session = await delegation.traded(request_id)
    assert answer.credentials.expiration == NOW + 900, "as long as the approver's own session"
    assert session.session_policies == approver.session_policies
    assert session.principal == approver.principal
    delegation.later(900)
    assert (await delegation.not_traded(request_id))[0] == "ExpiredTradeInTokenException"


@pytest.mark.parametrize("subject", ["AIDAALICE", "*"])
async def test_a_revocation_after_the_approval_ends_it_before_and_after_the_trade(delegation, subject):
    request_id = await delegation.released()
    _, session = await delegation.traded(request_id)
    revocation = Revocation(issued_before=int(NOW) + 1, ends_at=int(NOW) + DAY, revoked_at=int(NOW))

    async def revoke(store):
        store.put(REVOCATIONS, ACCOUNT, Revocations(by_subject={subject: revocation}), expires_at=NOW + DAY)

    await delegation.sts.store.transact(revoke)
    assert await delegation.not_traded(request_id) == DENIED
    with pytest.raises(Refusal, match="invalid"):
        await session_of(delegation.sts.store.transaction(), session.claims)


async def test_an_approver_who_is_gone_has_delegated_nothing(delegation):
    request_id = await delegation.released()

    async def delete(store):
        store.put(USERS, ACCOUNT, msgspec.structs.replace(ALICE, user_id="AIDANAMESAKE"))

    await delegation.sts.store.transact(delete)
    assert await delegation.not_traded(request_id) == DENIED


async def test_root_approves_nothing(delegation):
    request_id = await delegation.asked()
    await delegation.step(shapes.AssociateDelegationRequestRequest, request_id)
    root = Caller(principal=Root(ACCOUNT), account=ACCOUNT)
    accept = shapes.AcceptDelegationRequestRequest(delegation_request_id=request_id)
    assert (await delegation.refused(accept, root))[0] == "AccessDenied"


async def test_where_the_owner_has_to_be_there_only_the_owner_releases(delegation):
    request_id = await delegation.asked(only_send_by_owner=True)
    await delegation.step(shapes.AssociateDelegationRequestRequest, request_id)
    await delegation.step(shapes.AcceptDelegationRequestRequest, request_id, delegation.boss)
    send = shapes.SendDelegationTokenRequest(delegation_request_id=request_id)
    assert await delegation.refused(send, delegation.boss) == (
        "AccessDenied",
        "Only the owner of this delegation request can send its token.",
    )
    await delegation(send, delegation.alice)


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({"notification_channel": "arn:aws:sns:us-east-1:444455556666:topic"}, "InvalidInput"),
        ({"permissions": shapes.DelegationPermission()}, "InvalidInput"),
        (
            {
                "permissions": shapes.DelegationPermission(
                    policy_template_arn=TEMPLATE, parameters=(shapes.PolicyParameter(name="table"),)
                )
            },
            "InvalidInput",
        ),
        (
            {"permissions": shapes.DelegationPermission(policy_template_arn=f"{TEMPLATE}-not-there")},
            "InvalidInput",
        ),
    ],
    ids=["channel", "no template", "parameters", "unknown template"],
)
async def test_what_the_broker_does_not_do_is_refused_and_nothing_is_created(delegation, more, code):
    with pytest.raises(Refusal) as refusal:
        await delegation.asked(**more)
    assert refusal.value.code == code
    await delegation.asked()


async def test_a_workflow_is_asked_for_once(delegation):
    await delegation.asked()
    with pytest.raises(Refusal) as refusal:
        await delegation.asked()
    assert refusal.value.code == "EntityAlreadyExists"


async def test_a_request_for_any_account_is_its_who_takes_it_on_and_listed_there_only_then(delegation):
    request_id = await delegation.asked(owner_account_id=None)
    alice = delegation.alice
    assert (await delegation.get(request_id, alice)).state == "UNASSIGNED"
    everything = shapes.ListDelegationRequestsRequest()
    assert (await delegation(everything, alice)).delegation_requests == ()
    await delegation.step(shapes.AssociateDelegationRequestRequest, request_id)
    (listed,) = (await delegation(everything, alice)).delegation_requests
    assert (listed.delegation_request_id, listed.owner_account_id) == (request_id, ACCOUNT)
    other = shapes.ListDelegationRequestsRequest(owner_id=BOSS.arn)
    assert (await delegation(other, alice)).delegation_requests == ()
    assert (await delegation(everything, PARTNER)).delegation_requests == ()


async def test_the_summary_says_who_asks_for_what(delegation):
    request_id = await delegation.asked()
    arn = f"arn:aws:iam::{ACCOUNT}:delegation-request/{request_id}"
    summary = await delegation(shapes.GetHumanReadableSummaryRequest(entity_arn=arn), delegation.alice)
    assert summary.summary_state == "AVAILABLE"
    permissions = "Allows some Write in AWS Security Token Service (sts:AssumeRole) on all resources."
    assert permissions in summary.summary_content and f"Account {OTHER} asks" in summary.summary_content
    german = shapes.GetHumanReadableSummaryRequest(entity_arn=arn, locale="de-DE")
    assert (await delegation(german, delegation.alice)).summary_state == "NOT_SUPPORTED"
