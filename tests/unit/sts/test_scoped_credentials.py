"""GetScopedCredentials, where the wire does not reach: who may ask, what the token says, what its session may do."""

import json

import msgspec
import pytest

from broker.access.restrictions import refuse_restricted
from broker.access.sessions import session_caller as session_of
from broker.errors import Refusal
from broker.protocol.shapes.sts import (
    AssumeRoleRequest,
    GetFederationTokenRequest,
    GetScopedCredentialsRequest,
    GetSessionTokenRequest,
    Tag,
)
from broker.sealing.claims import AssumedRoleClaims, ScopedClaims
from broker.storage.store import ROLES, USERS
from tests.unit.sts.conftest import ACCOUNT, EVERYTHING, NOW, role, session_caller, user, user_caller

ARN = f"arn:aws:iam::{ACCOUNT}:role/worker"
SESSION_ARN = f"arn:aws:sts::{ACCOUNT}:assumed-role/worker/night"
TRUST = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": {"Effect": "Allow", "Principal": {"AWS": ACCOUNT}, "Action": "sts:*"},
    }
)
DENY = '{"Version":"2012-10-17","Statement":{"Effect":"Deny","Action":"iam:*","Resource":"*"}}'


def allowing(*actions):
    statement = {"Effect": "Allow", "Action": list(actions), "Resource": "*"}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


ONLY_STS = allowing("sts:*")


@pytest.fixture
async def session(sts):
    """A role's session with all that one can have, as its token proves it."""
    await sts.put(USERS, user())
    await sts.put(ROLES, role("worker", TRUST))
    answer = await sts(
        AssumeRoleRequest(
            role_arn=ARN,
            role_session_name="night",
            duration_seconds=3600,
            tags=(Tag(key="Team", value="billing"),),
            transitive_tag_keys=("Team",),
            source_identity="ada",
            policy=EVERYTHING,
        ),
        user_caller(user(), access_key_id="AKIAALICE"),
    )
    return await caller_of(sts, answer)


async def caller_of(sts, answer):
    return await session_of(sts.store.transaction(), sts.claims(answer))


async def scoped(sts, caller, **asked):
    return await sts(GetScopedCredentialsRequest(**asked), caller)


async def test_the_identity_is_kept_and_nothing_but_the_limits_changes(sts, session):
    answer = await scoped(sts, session, policy=ONLY_STS, duration_seconds=60)
    assert answer.session_info.arn == SESSION_ARN
    assert answer.session_info.scoped_session_id == "AROAWORKER:night"
    assert answer.source_identity == "ada"
    assert answer.scoped_policies_count == 1
    assert answer.credentials.expiration == NOW + 60
    assert answer.session_token_size == len(answer.credentials.session_token)
    child = await caller_of(sts, answer)
    changed = {"access_key_id", "token_expires_at", "scope_policies", "claims"}
    for name in type(child).__struct_fields__:
        assert (getattr(child, name) == getattr(session, name)) is (name not in changed), name
    assert child.condition_keys == session.condition_keys
    assert child.access_key_id == answer.credentials.access_key_id
    assert child.token_expires_at == NOW + 60
    assert child.identity == msgspec.structs.replace(session.identity, access_key_id=child.access_key_id)


async def test_without_a_duration_the_end_is_the_callers(sts, session):
    answer = await scoped(sts, session, policy=ONLY_STS)
    assert answer.credentials.expiration == session.token_expires_at == NOW + 3600


async def test_a_duration_alone_shortens_and_adds_no_policy(sts, session):
    answer = await scoped(sts, session, duration_seconds=1)
    assert (answer.scoped_policies_count, answer.credentials.expiration) == (0, NOW + 1)


async def test_nothing_outlives_the_session_that_asks(sts, session):
    assert (await scoped(sts, session, duration_seconds=3600)).credentials.expiration == NOW + 3600
    code, message = await sts.refused(GetScopedCredentialsRequest(duration_seconds=3601), session)
    assert code == "InsufficientSessionLifetime"
    assert message == (
        "The requested DurationSeconds of 3601 is greater than the remaining lifetime of the calling session, "
        "which is 3600 seconds."
    )
    child = await caller_of(sts, await scoped(sts, session, duration_seconds=100))
    assert (await sts.refused(GetScopedCredentialsRequest(duration_seconds=101), child))[0] == code


async def test_one_of_policy_and_duration_has_to_be_given(sts, session):
    assert await sts.refused(GetScopedCredentialsRequest(minimum_session_token_size=4000), session) == (
        "ValidationError",
        "Either Policy or DurationSeconds must be given.",
    )


async def test_scope_down_policies_intersect_up_to_three_and_a_fourth_is_denied(sts, session):
    caller = session
    for number, actions in enumerate((("sts:*", "iam:*"), ("sts:*", "s3:*"), ("sts:*",)), 1):
        answer = await scoped(sts, caller, policy=allowing(*actions))
        assert answer.scoped_policies_count == number
        caller = await caller_of(sts, answer)
    assert len(caller.scope_policies) == 3
    assert await sts.refused(GetScopedCredentialsRequest(policy=ONLY_STS), caller) == (
        "AccessDenied",
        "A session has at most 3 scope down policies, and this one has them already.",
    )
    shorter = await scoped(sts, caller, duration_seconds=5)
    assert shorter.scoped_policies_count == 3
    claims = sts.claims(shorter)
    assert isinstance(claims, ScopedClaims) and isinstance(claims.original, AssumedRoleClaims)
    assert len(claims.ancestors) == 4


async def test_a_scoped_session_may_only_what_every_policy_allows(sts, session):
    child = await caller_of(sts, await scoped(sts, session, policy=allowing("sts:GetScopedCredentials")))
    assume = AssumeRoleRequest(role_arn=ARN, role_session_name="next")
    code, message = await sts.refused(assume, child)
    assert code == "AccessDenied"
    assert message == (
        f"User: {SESSION_ARN} is not authorized to perform: sts:AssumeRole on resource: {ARN} "
        "because no scope down policy allows the sts:AssumeRole action."
    )
    denying = await caller_of(sts, await scoped(sts, child, policy=DENY))
    assert (await sts.refused(GetScopedCredentialsRequest(duration_seconds=1), denying))[0] == "AccessDenied"


async def test_the_session_needs_the_permission_itself(sts, session):
    await sts.put(ROLES, msgspec.structs.replace(role("worker", TRUST), inline_policies={}))
    without = msgspec.structs.replace(session, role=msgspec.structs.replace(session.role, inline_policies={}))
    code, message = await sts.refused(GetScopedCredentialsRequest(duration_seconds=1), without)
    assert (code, message.partition(" because")[0]) == (
        "AccessDenied",
        f"User: {SESSION_ARN} is not authorized to perform: sts:GetScopedCredentials on resource: *",
    )


async def test_a_policy_that_is_none_is_malformed(sts, session):
    code, _ = await sts.refused(GetScopedCredentialsRequest(policy='{"Statement":'), session)
    assert code == "MalformedPolicyDocument"


async def test_the_token_has_the_size_that_was_asked_for_at_least(sts, session):
    answer = await scoped(sts, session, duration_seconds=1, minimum_session_token_size=4096)
    assert (answer.session_token_size, answer.session_token_utilization) == (4096, 100)


async def test_policies_that_do_not_fit_a_token_are_refused_with_both_sizes(sts, session, incompressible):
    caller = session
    for _ in range(3):
        policy = allowing("sts:*", *(f"s3:{incompressible(40)}" for _ in range(38)))
        assert len(policy) <= 2048
        try:
            caller = await caller_of(sts, await scoped(sts, caller, policy=policy))
        except Refusal as refusal:
            assert refusal.code == "PackedPolicyTooLarge"
            assert refusal.message.endswith("bytes, the maximum allowed size is 4096 bytes.")
            return
    pytest.fail("three policies of 2,048 characters that cannot be compressed fit a token")


@pytest.fixture
def incompressible():
    from random import Random

    random = Random(12)
    return lambda length: "".join(
        random.choices("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ", k=length)
    )


async def test_a_federated_user_and_a_session_token_are_scoped_down_alike(sts, session):
    alice = user_caller(user(), access_key_id="AKIAALICE")
    guest = await caller_of(sts, await sts(GetFederationTokenRequest(name="guest", policy=EVERYTHING), alice))
    own = await caller_of(sts, await sts(GetSessionTokenRequest(), alice))
    for caller, arn, user_id in (
        (guest, f"arn:aws:sts::{ACCOUNT}:federated-user/guest", f"{ACCOUNT}:guest"),
        (own, f"arn:aws:iam::{ACCOUNT}:user/alice", "AIDAALICE"),
    ):
        answer = await scoped(sts, caller, policy=ONLY_STS)
        assert (answer.session_info.arn, answer.session_info.scoped_session_id) == (arn, user_id)
        child = await caller_of(sts, answer)
        assert (child.principal, child.is_session_token) == (caller.principal, caller.is_session_token)
        # What a kind of session never does, it does not do scoped down either.
        with pytest.raises(Refusal, match="GetFederationToken"):
            refuse_restricted(child, "sts", "GetFederationToken")
        with pytest.raises(Refusal):
            refuse_restricted(child, "iam", "ListUsers")


async def test_a_caller_whose_session_is_not_known_is_no_subject(sts, session):
    unknown = session_caller(role("worker", TRUST))
    code, _ = await sts.refused(GetScopedCredentialsRequest(duration_seconds=1), unknown)
    assert code == "InvalidSubjectCredentials"


async def test_a_role_that_a_scoped_session_assumes_is_another_session(sts, session):
    child = await caller_of(sts, await scoped(sts, session, policy=ONLY_STS))
    answer = await sts(AssumeRoleRequest(role_arn=ARN, role_session_name="next"), child)
    following = await caller_of(sts, answer)
    assert following.scope_policies == ()
    assert (following.source_identity, following.tags["Team"]) == ("ada", "billing")
    assert sts.claims(answer).chained
    assert sts.claims(answer).issued_by == child.access_key_id


async def test_a_chain_of_scoped_sessions_ends_where_a_token_cannot_name_all_that_it_ends_with(sts, session):
    caller = session
    with pytest.raises(Refusal) as refusal:
        for _ in range(1000):
            caller = await caller_of(sts, await scoped(sts, caller, duration_seconds=60))
    assert refusal.value.code == "PackedPolicyTooLarge"
    assert 50 < len(caller.claims.ancestors) < 1000
