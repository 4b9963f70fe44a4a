"""The law of the simulator: told what a request is, it answers what the gate decides on that request.

Real requests are declared, resolved and judged as they are behind the wire; the simulator is then asked about the
same action on the same resource, and told what only a request knows. Policies of every layer are drawn at random.
"""

import asyncio
import json
import os
import secrets
import tempfile
from pathlib import Path
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

import broker.iam
import broker.simulator
import broker.sts  # noqa: F401  # declares the operations
from broker.access.caller import Caller, root_caller, user_caller
from broker.access.conditions import add_request_keys
from broker.access.facts import RequestFacts
from broker.access.resource import Resource
from broker.access.simulation import role_caller
from broker.names.arn import iam_arn
from broker.operation import OPERATIONS, Call, Operation, Prepared, prepare
from broker.policy import PolicyKind, Source, SourceKind, compile_policies, parse_policy
from broker.protocol.shapes import iam as shapes
from broker.protocol.shapes import sts
from broker.storage.organization_records import Organization, OrganizationalUnit
from broker.storage.records import Group, ManagedPolicy, PolicyVersion, Role, User
from broker.storage.sqlite import SqliteEngine
from broker.storage.store import GROUPS, ORGANIZATION, POLICIES, ROLES, USERS, Store, Transaction
from tests.unit.iam.conftest import NOW, Iam
from tests.unit.simulator.simulating import ACCOUNT, ALICE, OTHER_ACCOUNT

APP, OUTSIDE = iam_arn(ACCOUNT, "role/app"), iam_arn(OTHER_ACCOUNT, "role/app")
EDGE = iam_arn(ACCOUNT, "policy/edge")

# Requests as a client would send them: the service, and the request's struct.
REQUESTS: list[tuple[str, Any]] = [
    ("iam", shapes.GetUserRequest(user_name="alice")),
    ("iam", shapes.ListUsersRequest(path_prefix="/team/")),
    (
        "iam",
        shapes.CreateUserRequest(
            user_name="new",
            path="/team/",
            permissions_boundary=EDGE,
            tags=(shapes.Tag(key="team", value="blue"), shapes.Tag(key="cost", value="7")),
        ),
    ),
    ("iam", shapes.DeleteRoleRequest(role_name="app")),
    ("iam", shapes.GetAccountAuthorizationDetailsRequest()),
    (
        "iam",
        shapes.AttachUserPolicyRequest(
            user_name="alice", policy_arn="arn:aws:iam::aws:policy/ReadOnlyAccess"
        ),
    ),
    ("iam", shapes.DeletePolicyRequest(policy_arn="arn:aws:iam::aws:policy/ReadOnlyAccess")),
    ("sts", sts.AssumeRoleRequest(role_arn=APP, role_session_name="s", external_id="x")),
    ("sts", sts.AssumeRoleRequest(role_arn=OUTSIDE, role_session_name="s")),
]

ACTIONS = [
    "*",
    "iam:*",
    "iam:Get*",
    "iam:CreateUser",
    "iam:DeleteRole",
    "iam:List*",
    "sts:AssumeRole",
    "iam:*Policy",
]
RESOURCES = [
    "*",
    ALICE,
    APP,
    "arn:aws:iam::*:user/*",
    "arn:aws:iam::*:user/${aws:username}",
    "arn:aws:iam::aws:policy/*",
]
CONDITIONS = [
    {"StringEquals": {"aws:PrincipalTag/team": "blue"}},
    {"StringEquals": {"aws:username": "alice"}},
    {"StringLike": {"aws:userid": "*:simulation"}},
    {"ArnLike": {"aws:PrincipalArn": "arn:aws:iam::*:role/*"}},
    {"IpAddress": {"aws:SourceIp": "192.0.2.0/24"}},
    {"Bool": {"aws:SecureTransport": "false"}},
    {"Bool": {"aws:MultiFactorAuthPresent": "false"}},
    {"Null": {"aws:TokenIssueTime": "false"}},
    {"DateGreaterThan": {"aws:CurrentTime": "2020-01-01T00:00:00Z"}},
    {"StringEquals": {"aws:RequestTag/team": "${aws:PrincipalTag/team}"}},
    {"ForAllValues:StringEquals": {"aws:TagKeys": ["team"]}},
    {"StringEquals": {"iam:PermissionsBoundary": EDGE}},
    {"StringEquals": {"aws:ResourceAccount": "${aws:PrincipalAccount}"}},
    {"StringEquals": {"aws:ResourceTag/team": "red"}},
    {"StringEquals": {"sts:ExternalId": "x"}},
]  # fmt: skip


EVERYTHING = json.dumps(
    {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
)


def documents(
    resources: list[str] | None, principals: list[Any] | None = None, actions: list[str] | None = None
):
    """Policies of one or two statements, most of them allowing."""
    parts = {
        "Effect": st.sampled_from(["Allow", "Allow", "Allow", "Deny"]),
        "Action": st.lists(st.sampled_from(actions or ACTIONS), min_size=1, max_size=2, unique=True),
    }
    if resources is not None:
        parts["Resource"] = st.sampled_from([*resources, "*", "*"])
    if principals is not None:
        parts["Principal"] = st.sampled_from(principals)
    statement = st.fixed_dictionaries(parts, optional={"Condition": st.sampled_from(CONDITIONS)})
    return st.lists(statement, min_size=1, max_size=2).map(
        lambda statements: json.dumps({"Version": "2012-10-17", "Statement": statements})
    )


TRUSTED = [{"AWS": ACCOUNT}, {"AWS": ALICE}, {"AWS": APP}, {"AWS": "*"}, {"AWS": OTHER_ACCOUNT}]
IDENTITY = documents(RESOURCES)
TRUST = documents(None, TRUSTED, ["sts:AssumeRole"])
CONTROLS = documents(RESOURCES, ["*"]).map(lambda text: text.replace('"Allow"', '"Deny"'))
WORLDS = st.fixed_dictionaries(
    {
        "own": IDENTITY,
        "shared": st.none() | IDENTITY,
        "edge": st.none() | IDENTITY,
        "scp": st.none() | IDENTITY,
        "rcp": st.none() | CONTROLS,
        "trust": TRUST,
        "given": TRUST,
    }
)


def records(world: dict[str, str | None]) -> list[tuple[Any, str, Any]]:
    """Alice in a group and the role `app`, bounded or not, in an organization or not."""
    boundary = EDGE if world["edge"] is not None else None
    common = {
        "account_id": ACCOUNT,
        "created_at": 0,
        "permissions_boundary": boundary,
        "tags": {"team": "blue"},
    }
    inline = {"own": world["own"]}
    shared = {} if world["shared"] is None else {"shared": world["shared"]}
    version = PolicyVersion(version_id="v1", document=world["edge"] or "", created_at=0)
    edge = ManagedPolicy(
        account_id=ACCOUNT,
        policy_name="edge",
        policy_id="ANPAEDGE",
        versions=(version,),
        created_at=0,
        updated_at=0,
    )
    found: list[tuple[Any, str, Any]] = [
        (
            USERS,
            ACCOUNT,
            User(user_name="alice", user_id="AIDAALICE", groups=("g",), inline_policies=inline, **common),
        ),
        (
            GROUPS,
            ACCOUNT,
            Group(account_id=ACCOUNT, group_name="g", group_id="AGPA", created_at=0, inline_policies=shared),
        ),
        (
            ROLES,
            ACCOUNT,
            Role(
                role_name="app",
                role_id="AROAAPP",
                assume_role_policy=world["trust"],
                inline_policies=inline,
                **common,
            ),
        ),
    ]
    if boundary is not None:
        found.append((POLICIES, ACCOUNT, edge))
    if world["scp"] is not None or world["rcp"] is not None:
        place = OrganizationalUnit(
            parent=None,
            service_control_policies={"scp": world["scp"] or EVERYTHING},
            resource_control_policies={} if world["rcp"] is None else {"rcp": world["rcp"]},
        )
        organization = Organization(
            organization_id="o-x",
            management_account_id=OTHER_ACCOUNT,
            accounts={ACCOUNT: place},
            features=("SERVICE_CONTROL_POLICY", "RESOURCE_CONTROL_POLICY"),
        )
        found.append((ORGANIZATION, "", organization))
    return found


FACTS = RequestFacts(now=NOW, request_id="11111111-2222-4333-8444-555555555555", source_ip="192.0.2.9")


async def caller_of(store: Transaction, arn: str) -> Caller:
    if arn == ALICE:
        user = await store.find(USERS, ACCOUNT, "alice")
        assert user is not None
        return user_caller(user)
    role = await store.find(ROLES, ACCOUNT, "app")
    assert role is not None
    return role_caller(role, NOW)


def call_of(iam: Iam, store: Transaction, caller: Caller) -> Call:
    return Call(
        caller=caller,
        facts=FACTS,
        store=store,
        gate=iam.gate,
        mint=None,  # type: ignore[arg-type]  # nothing is minted before the gate has passed
        entropy=secrets.token_bytes,
        quotas=iam.quotas,
        federation=iam.federation,
        passwords=iam.passwords,
    )


async def resource_of(call: Call, declared: Operation, request: Any) -> Resource:
    """The resource that the gate is asked about, found as `perform` finds it."""
    return (await prepare(declared, call, request)).resource


def entries(resource: Resource) -> tuple[shapes.ContextEntry, ...]:
    """What only the request knows: its way and moment, what it carries, and the tags of what it acts on."""
    known: dict[str, Any] = {}
    add_request_keys(known, FACTS)
    known |= resource.keys
    for key, value in resource.tags.items():
        known |= {f"aws:ResourceTag/{key}": value, f"iam:ResourceTag/{key}": value}
    return tuple(
        shapes.ContextEntry(
            context_key_name=name,
            context_key_values=(values,) if isinstance(values, str) else tuple(values),
            context_key_type="stringList",
        )
        for name, values in known.items()
    )


async def simulated(call: Call, arn: str, action: str, resource: Resource, policy: str | None) -> str:
    """What the simulator answers on the same action and resource, whoever may ask it."""
    request = shapes.SimulatePrincipalPolicyRequest(
        policy_source_arn=arn,
        action_names=(action,),
        resource_arns=(resource.arn,),
        resource_owner=resource.account,
        resource_policy=policy,
        context_entries=entries(resource),
    )
    declared = OPERATIONS["iam", "SimulatePrincipalPolicy"]
    prepared = await declared.prepare(call, request)
    assert isinstance(prepared, Prepared), "the source is there"
    answer = await declared.handle(call, request, prepared)
    (result,) = answer.evaluation_results
    return str(result.eval_decision)


async def compared(iam: Iam, arn: str, service: str, request: Any, given_trust: str) -> list[tuple[Any, ...]]:
    """(who, action, on what, the gate's decision, the simulator's); twice where a trust policy can be given."""
    declared = OPERATIONS[service, type(request).__name__.removesuffix("Request")]
    store = iam.store.transaction()
    caller = await caller_of(store, arn)
    resource = await resource_of(call_of(iam, store, caller), declared, request)
    asked: list[tuple[Resource, str | None]] = [(resource, None)]
    if service == "sts":
        source = Source(SourceKind.RESOURCE, "ResourcePolicy")
        trusting = compile_policies([(source, parse_policy(given_trust, PolicyKind.TRUST))])
        asked.append((msgspec.structs.replace(resource, policy=trusting), given_trust))
    found = []
    for judged, policy in asked:
        decision = await iam.gate.decide(store, caller, FACTS, declared.action, judged)
        asking = call_of(iam, store, root_caller(ACCOUNT))
        answer = await simulated(asking, arn, declared.action, judged, policy)
        found.append((arn, declared.action, judged.arn, decision.outcome.value, answer))
    return found


async def judge_everything(world: dict[str, Any]) -> list[tuple[Any, ...]]:
    """Every request by alice and by a session of the role."""
    with tempfile.TemporaryDirectory() as folder:
        async with Store(
            SqliteEngine(Path(folder, "broker.sqlite"), lambda: NOW, os.urandom), lambda: NOW
        ) as store:
            await store.transact(lambda transaction: write(transaction, world))
            iam = Iam(store)
            return [
                one
                for service, request in REQUESTS
                for arn in (ALICE, APP)
                for one in await compared(iam, arn, service, request, world["given"])
            ]


async def write(transaction: Transaction, world: dict[str, Any]) -> None:
    for collection, partition, record in records(world):
        transaction.put(collection, partition, record)


@given(WORLDS)
@settings(max_examples=12, deadline=None)
def test_the_simulator_answers_what_the_gate_decides(world):
    found = asyncio.run(judge_everything(world))
    assert [one for one in found if one[3] != one[4]] == []


def test_the_worlds_of_this_law_hold_every_decision():
    """Else the law would be kept by a simulator that always says no."""
    denying = EVERYTHING.replace("Allow", "Deny")
    controlling = denying.replace('{"Effect', '{"Principal": "*", "Effect')
    trusting = json.dumps(
        {
            "Version": "2012-10-17",
            "Statement": [{"Effect": "Allow", "Principal": {"AWS": ACCOUNT}, "Action": "sts:AssumeRole"}],
        }
    )
    world = {
        "own": EVERYTHING,
        "shared": None,
        "edge": None,
        "scp": None,
        "rcp": None,
        "trust": trusting,
        "given": trusting,
    }
    for changes, expected in (
        ({}, {"allowed", "implicitDeny", "explicitDeny"}),
        ({"edge": denying}, {"explicitDeny"}),
        ({"scp": denying}, {"explicitDeny"}),
        # The outside role is of the management account, where no RCP counts.
        ({"rcp": controlling}, {"allowed", "explicitDeny", "implicitDeny"}),
    ):
        found = asyncio.run(judge_everything({**world, **changes}))
        assert {one[3] for one in found} == expected
        assert [one for one in found if one[3] != one[4]] == []
