"""Which policies apply to a caller, on every layer; and when they are gathered again."""

import json

import msgspec
import pytest

from broker.access.caller import Caller, SessionPolicies, root_caller
from broker.access.gather import Gatherer, find_managed_policy
from broker.access.library import PolicyLibrary
from broker.errors import Refusal
from broker.names.principal import AssumedRole, FederatedUser, IamUser
from broker.policy import (
    AccessRequest,
    Context,
    Layer,
    Outcome,
    PolicyKind,
    Source,
    SourceKind,
    decide,
    denial_sentences,
)
from broker.storage.organization_records import Organization, OrganizationalUnit
from broker.storage.records import Group, ManagedPolicy, PolicyVersion, Role, User
from broker.storage.store import GROUPS, ORGANIZATION, POLICIES, USERS

ACCOUNT, OTHER = "111122223333", "444455556666"
ADMINISTRATOR = "arn:aws:iam::aws:policy/AdministratorAccess"
READ_ONLY = "arn:aws:iam::aws:policy/ReadOnlyAccess"


def policy(*actions, effect="Allow", **more):
    statement = {"Effect": effect, "Action": list(actions), "Resource": "*", **more}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def managed(name, document):
    version = PolicyVersion(version_id="v1", document=document, created_at=0)
    return ManagedPolicy(
        account_id=ACCOUNT,
        policy_name=name,
        policy_id="ANPA1",
        versions=(version,),
        created_at=0,
        updated_at=0,
    )


def user(**facts):
    return User(account_id=ACCOUNT, user_name="alice", user_id="AIDA1", created_at=0, **facts)


def caller_of(record, **facts):
    principal = IamUser(ACCOUNT, "alice", "AIDA1")
    return Caller(principal=principal, account=ACCOUNT, user=record, **facts)


def worker(permissions_boundary=None, attached_policies=(), **facts):
    role = Role(
        account_id=ACCOUNT,
        role_name="worker",
        role_id="AROA1",
        created_at=0,
        assume_role_policy="{}",
        inline_policies={"all": policy("*")},
        permissions_boundary=permissions_boundary,
        attached_policies=attached_policies,
    )
    principal = AssumedRole(ACCOUNT, "worker", "AROA1", "night")
    return Caller(principal=principal, account=ACCOUNT, role=role, token_issued_at=0, **facts)


@pytest.fixture
def gatherer():
    return Gatherer(PolicyLibrary())


@pytest.fixture
def stopped_by(gatherer, store):
    """The layer that stops `caller` from an action; None where nothing does."""

    async def ask(caller, action, resource_account=ACCOUNT):
        layers = await gatherer.layers_of(store.transaction(), caller, resource_account)
        return decide(AccessRequest(caller.principal, action, "*", resource_account, Context()), layers).layer

    return ask


async def test_a_users_permissions_come_from_itself_its_groups_and_what_is_attached(stopped_by, put):
    await put(POLICIES, ACCOUNT, managed("listing", policy("iam:ListUsers")))
    group = Group(
        account_id=ACCOUNT,
        group_name="readers",
        group_id="AGPA1",
        created_at=0,
        inline_policies={"get": policy("iam:GetUser")},
        attached_policies=(READ_ONLY,),
    )
    await put(GROUPS, ACCOUNT, group)
    alice = user(
        inline_policies={"tag": policy("iam:TagUser"), "no": policy("iam:GetRole", effect="Deny")},
        attached_policies=(managed("listing", "{}").arn,),
        groups=("readers",),
    )
    for action in ("iam:TagUser", "iam:ListUsers", "iam:GetUser", "s3:GetObject"):
        assert await stopped_by(caller_of(alice), action) is None
    for action in ("iam:GetRole", "iam:CreateUser"):
        assert await stopped_by(caller_of(alice), action) is Layer.IDENTITY
    await put(USERS, ACCOUNT, user())
    assert await stopped_by(caller_of(user()), "iam:ListUsers") is Layer.IDENTITY


async def test_a_boundary_limits(stopped_by, put):
    boundary = managed("boundary", policy("iam:ListUsers"))
    await put(POLICIES, ACCOUNT, boundary)
    alice = user(inline_policies={"all": policy("*")}, permissions_boundary=boundary.arn)
    assert await stopped_by(caller_of(alice), "iam:ListUsers") is None
    assert await stopped_by(caller_of(alice), "iam:ListRoles") is Layer.BOUNDARY


GONE = managed("gone", "{}").arn
EVERYTHING = {"all": policy("*")}
IN_A_GROUP = Group(
    account_id=ACCOUNT, group_name="denied", group_id="AGPA1", created_at=0, attached_policies=(GONE,)
)


@pytest.mark.parametrize(
    ("caller", "said"),
    [
        (caller_of(user(inline_policies=EVERYTHING, attached_policies=(GONE,))), GONE),
        (caller_of(user(inline_policies=EVERYTHING, permissions_boundary=GONE)), GONE),
        (caller_of(user(inline_policies=EVERYTHING, groups=("gone",))), "group gone"),
        (caller_of(user(inline_policies=EVERYTHING, groups=("denied",))), GONE),
        (worker(attached_policies=(GONE,)), GONE),
        (worker(attached_policies=("arn:aws:iam::aws:policy/Gone",)), "arn:aws:iam::aws:policy/Gone"),
        (worker(permissions_boundary="arn:aws:iam::aws:policy/Gone"), "arn:aws:iam::aws:policy/Gone"),
    ],
    ids=["a user's", "a boundary", "a group", "a group's", "a role's", "one of AWS's", "AWS's as boundary"],
)
async def test_a_policy_or_group_that_cannot_be_found_stops_whom_it_speaks_about(
    stopped_by, put, caller, said
):
    """It may deny. IAM deletes nothing that is in use, so the store is broken: no permission may come of that."""
    await put(GROUPS, ACCOUNT, IN_A_GROUP)
    with pytest.raises(Refusal) as refused:
        await stopped_by(caller, "iam:ListUsers")
    assert refused.value.code == "ServiceUnavailable"
    assert said in refused.value.reason and said not in refused.value.message


async def test_a_session_is_not_widened_when_a_policy_of_its_own_is_deleted(gatherer, store, put):
    """Not even where the resource's policy names the very session, or everyone: there only a deny counts."""
    denying = managed("denying", policy("iam:CreateUser", effect="Deny"))
    await put(POLICIES, ACCOUNT, denying)
    guest = Caller(principal=FederatedUser(ACCOUNT, "guest"), account=ACCOUNT, user=user(), token_issued_at=0)
    limits = (
        SessionPolicies(managed=(ADMINISTRATOR, denying.arn)),
        SessionPolicies(managed=(denying.arn,)),
        SessionPolicies(policy("*"), (denying.arn,)),
    )
    callers = [worker(session_policies=limit) for limit in limits]
    callers.append(msgspec.structs.replace(guest, session_policies=limits[0]))
    text = policy("*", Principal="*")
    to_everyone = gatherer._library.compiled(Source(SourceKind.RESOURCE, "r"), text, PolicyKind.RESOURCE)

    async def decided(caller, action):
        layers = await gatherer.layers_of(store.transaction(), caller, ACCOUNT)
        layers = msgspec.structs.replace(layers, resource=to_everyone)
        return decide(AccessRequest(caller.principal, action, "*", ACCOUNT, Context()), layers)

    for caller in callers:
        assert (await decided(caller, "iam:ListUsers")).allowed
        assert (await decided(caller, "iam:CreateUser")).layer is Layer.SESSION

    async def delete(transaction):
        transaction.delete(POLICIES, ACCOUNT, "denying")

    await store.transact(delete)
    for caller in callers:
        for action in ("iam:CreateUser", "iam:ListUsers"):
            decision = await decided(caller, action)
            assert (decision.outcome, decision.layer) == (Outcome.EXPLICITLY_DENIED, Layer.SESSION)
            assert denying.arn in denial_sentences(decision.request, decision)[0]


async def test_session_policies_are_one_layer_and_stay_one_when_theirs_is_deleted(stopped_by, put, store):
    limit = managed("limit", policy("iam:ListUsers"))
    await put(POLICIES, ACCOUNT, limit)
    both = worker(session_policies=SessionPolicies(policy("iam:ListRoles"), (limit.arn,)))
    one = worker(session_policies=SessionPolicies(managed=(limit.arn,)))
    assert await stopped_by(worker(), "iam:CreateUser") is None
    for limited, action, stop in (
        (both, "iam:ListRoles", None),
        (both, "iam:ListUsers", None),
        (both, "iam:CreateUser", Layer.SESSION),
        (one, "iam:ListUsers", None),
        (one, "iam:ListRoles", Layer.SESSION),
    ):
        assert await stopped_by(limited, action) is stop

    async def delete(transaction):
        transaction.delete(POLICIES, ACCOUNT, "limit")

    await store.transact(delete)
    for limited in (one, both):
        for action in ("iam:ListUsers", "iam:ListRoles"):
            assert await stopped_by(limited, action) is Layer.SESSION


async def test_a_federated_user_has_nothing_but_what_its_session_policies_and_its_maker_allow(stopped_by):
    maker = user(inline_policies={"iam": policy("iam:*")})
    guest = Caller(principal=FederatedUser(ACCOUNT, "guest"), account=ACCOUNT, user=maker, token_issued_at=0)
    assert await stopped_by(guest, "iam:ListUsers") is Layer.SESSION
    limited = msgspec.structs.replace(
        guest, session_policies=SessionPolicies(policy("iam:ListUsers", "s3:*"))
    )
    assert await stopped_by(limited, "iam:ListUsers") is None
    assert await stopped_by(limited, "s3:GetObject") is Layer.IDENTITY
    of_root = msgspec.structs.replace(limited, user=None)
    assert await stopped_by(of_root, "s3:GetObject") is None
    assert await stopped_by(of_root, "iam:ListRoles") is Layer.SESSION


async def test_a_root_task_may_what_its_policy_does_not_deny_and_root_everything(stopped_by, put):
    root = root_caller(ACCOUNT)
    assert await stopped_by(root, "iam:CreateUser") is None
    await put(POLICIES, ACCOUNT, managed("everything", policy("*")))
    for arn, may in (
        ("arn:aws:iam::aws:policy/root-task/IAMAuditRootUserCredentials", True),
        ("arn:aws:iam::aws:policy/root-task/IAMDeleteRootUserCredentials", False),
        ("arn:aws:iam::aws:policy/root-task/Gone", False),
        (READ_ONLY, False),
        (managed("everything", "{}").arn, False),
    ):
        task = msgspec.structs.replace(
            root, session_policies=SessionPolicies(managed=(arn,)), is_assumed_root=True
        )
        assert await stopped_by(task, "iam:CreateUser") is Layer.SESSION
        assert await stopped_by(task, "iam:GetAccountSummary") is (None if may else Layer.SESSION)
    none = msgspec.structs.replace(root, is_assumed_root=True)
    assert await stopped_by(none, "iam:GetAccountSummary") is Layer.SESSION


def organization(features=("SERVICE_CONTROL_POLICY",), **changes):
    everything = {"FullAWSAccess": policy("*")}
    unit = OrganizationalUnit(parent="ou-team", service_control_policies=everything)
    facts = {
        "organization_id": "o-1",
        "management_account_id": OTHER,
        "units": {
            "r-root": OrganizationalUnit(parent=None, service_control_policies=everything),
            "ou-team": OrganizationalUnit(
                parent="r-root", service_control_policies={"only": policy("iam:*", "s3:*")}
            ),
        },
        "accounts": {ACCOUNT: unit, OTHER: unit},
        "features": features,
    }
    return Organization(**{**facts, **changes})


async def test_every_level_of_the_organization_must_allow(stopped_by, put):
    await put(ORGANIZATION, "", organization())
    for limited in (worker(), root_caller(ACCOUNT)):
        assert await stopped_by(limited, "iam:ListUsers") is None
        assert await stopped_by(limited, "ec2:RunInstances") is Layer.SCP
    assert await stopped_by(root_caller(OTHER), "ec2:RunInstances", OTHER) is None, (
        "it is the management account"
    )
    outside = root_caller("999999999999")
    assert await stopped_by(outside, "ec2:RunInstances", "999999999999") is None


async def test_an_organization_limits_only_with_the_policy_types_it_has_enabled(stopped_by, put):
    await put(ORGANIZATION, "", organization(features=()))
    assert await stopped_by(worker(), "ec2:RunInstances") is None


async def test_a_level_without_any_policy_allows_nothing(stopped_by, put):
    bare = {ACCOUNT: OrganizationalUnit(parent="r-root")}
    await put(ORGANIZATION, "", organization(accounts=bare))
    assert await stopped_by(worker(), "iam:ListUsers") is Layer.SCP


@pytest.mark.parametrize(
    "units",
    [{}, {"ou-team": OrganizationalUnit(parent="ou-team")}, {"ou-team": OrganizationalUnit(parent="gone")}],
    ids=["unknown", "under itself", "under nothing"],
)
async def test_a_place_that_cannot_be_found_is_no_freedom(stopped_by, put, units):
    await put(ORGANIZATION, "", organization(units=units))
    with pytest.raises(Refusal) as refused:
        await stopped_by(worker(), "iam:ListUsers")
    assert refused.value.code == "ServiceUnavailable"


async def test_resource_controls_are_those_of_the_resources_account(stopped_by, put):
    guard = {"guard": policy("s3:*", effect="Deny", Principal="*")}
    guarded = OrganizationalUnit(parent=None, resource_control_policies=guard)
    record = organization(
        features=("RESOURCE_CONTROL_POLICY",),
        management_account_id="999999999999",
        accounts={OTHER: guarded, ACCOUNT: OrganizationalUnit(parent=None)},
    )
    await put(ORGANIZATION, "", record)
    assert await stopped_by(worker(), "s3:GetObject", ACCOUNT) is None
    assert await stopped_by(worker(), "s3:GetObject", OTHER) is Layer.RCP


async def test_a_root_task_without_a_task_policy_may_not_even_what_everyone_may(gatherer, store):
    text = policy("*", Principal="*")
    to_everyone = gatherer._library.compiled(Source(SourceKind.RESOURCE, "r"), text, PolicyKind.RESOURCE)
    for arns in ((), ("arn:aws:iam::aws:policy/root-task/Gone",), (READ_ONLY,)):
        limits = SessionPolicies(managed=arns) if arns else None
        task = msgspec.structs.replace(root_caller(ACCOUNT), session_policies=limits, is_assumed_root=True)
        layers = await gatherer.layers_of(store.transaction(), task, ACCOUNT)
        layers = msgspec.structs.replace(layers, resource=to_everyone)
        request = AccessRequest(task.principal, "s3:GetObject", "*", ACCOUNT, Context())
        assert decide(request, layers).layer is Layer.SESSION


async def test_root_has_everything_and_a_caller_of_whom_no_record_was_read_nothing(stopped_by):
    """Nor the policies that were cached for root before."""
    assert await stopped_by(root_caller(ACCOUNT), "iam:ListUsers") is None
    for nameless in (caller_of(None), msgspec.structs.replace(worker(), role=None)):
        assert await stopped_by(nameless, "iam:ListUsers") is Layer.IDENTITY
    assert await stopped_by(root_caller(ACCOUNT), "iam:ListUsers") is None


async def test_what_was_gathered_is_true_until_something_changes(stopped_by, put):
    await put(POLICIES, ACCOUNT, managed("listing", policy("iam:ListUsers")))
    alice = user(attached_policies=(managed("listing", "{}").arn,))
    assert await stopped_by(caller_of(alice), "iam:ListUsers") is None
    await put(POLICIES, ACCOUNT, managed("listing", policy("iam:ListRoles")))
    assert await stopped_by(caller_of(alice), "iam:ListUsers") is Layer.IDENTITY
    await put(ORGANIZATION, "", organization(accounts={ACCOUNT: OrganizationalUnit(parent=None)}))
    assert await stopped_by(caller_of(alice), "iam:ListRoles") is Layer.SCP


async def test_writes_that_were_not_committed_are_never_cached(gatherer, stopped_by, store, put):
    alice = user(attached_policies=(managed("listing", "{}").arn,))
    await put(USERS, ACCOUNT, alice)
    abandoned = store.transaction()
    abandoned.put(POLICIES, ACCOUNT, managed("listing", policy("*")))
    layers = await gatherer.layers_of(abandoned, caller_of(alice), ACCOUNT)
    request = AccessRequest(caller_of(alice).principal, "iam:ListUsers", "*", ACCOUNT, Context())
    assert decide(request, layers).allowed
    with pytest.raises(Refusal, match="ServiceUnavailable"):
        await stopped_by(caller_of(alice), "iam:ListUsers")


async def test_a_stored_policy_that_does_not_parse_stops_whom_it_speaks_about(stopped_by):
    with pytest.raises(Refusal) as refused:
        await stopped_by(caller_of(user(inline_policies={"bad": "{"})), "iam:ListUsers")
    assert refused.value.code == "ServiceUnavailable"


async def test_a_managed_policy_is_found_in_its_own_account_only(store, put):
    mine = managed("mine", policy("*"))
    await put(POLICIES, ACCOUNT, mine)
    read = store.transaction()
    assert await find_managed_policy(read, ACCOUNT, mine.arn) == mine
    assert await find_managed_policy(read, OTHER, mine.arn) is None
    assert await find_managed_policy(read, ACCOUNT, mine.arn.replace("policy/", "policy/path/")) is None
    assert await find_managed_policy(read, ACCOUNT, READ_ONLY) is not None
