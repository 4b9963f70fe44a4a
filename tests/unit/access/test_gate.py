"""The gate's answers: AWS's sentence, and the reasons that open again."""

import json
import secrets

import msgspec
import pytest
from msgspec.structs import replace

from broker.access.caller import Caller, SessionPolicies, root_caller
from broker.access.denials import LARGEST_ENCODED
from broker.access.gate import Gate
from broker.access.library import PolicyLibrary
from broker.access.resource import Resource
from broker.errors import Refusal
from broker.names.principal import Anonymous, FederatedUser, IamUser, Service, WebIdentity
from broker.policy import Layer, PolicyKind, Source, SourceKind
from broker.sealing.key import KEY_ENTROPY
from broker.sealing.keyring import new_keyring
from broker.storage.organization_records import Organization, OrganizationalUnit
from broker.storage.records import ManagedPolicy, PolicyVersion, User
from broker.storage.store import ORGANIZATION, POLICIES, USERS
from tests.unit.access.conftest import NOW

ACCOUNT, OTHER = "111122223333", "444455556666"
SEPARATOR = ". Encoded authorization failure message: "


def document(*statements):
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def statement(effect="Allow", action="*", **more):
    return {"Effect": effect, "Action": action, "Resource": "*", **more}


def alice(*statements, **facts):
    record = User(
        account_id=ACCOUNT,
        user_name="alice",
        user_id="AIDA1",
        created_at=0,
        inline_policies={"p": document(*statements)} if statements else {},
    )
    return Caller(principal=IamUser(ACCOUNT, "alice", "AIDA1"), account=ACCOUNT, user=record, **facts)


@pytest.fixture
def gate(ring):
    return Gate(PolicyLibrary(), lambda: ring, secrets.token_bytes)


@pytest.fixture
def denied(gate, store, facts):
    """Sentence and opened reasons with which an action is denied."""

    async def ask(caller, action, resource):
        with pytest.raises(Refusal) as refused:
            await gate.require(store.transaction(), caller, facts, action, resource)
        assert refused.value.code == "AccessDenied"
        sentence, _, text = refused.value.message.partition(SEPARATOR)
        assert 0 < len(text) <= LARGEST_ENCODED
        denial = gate.find_denial(text, NOW)
        assert denial is not None and denial.account == caller.account
        return sentence, denial.message

    return ask


BUCKET = "arn:aws:s3:::reports"
QUEUE = f"arn:aws:sqs:eu-central-1:{ACCOUNT}:jobs"
ROOT = f"arn:aws:iam::{ACCOUNT}:root"


@pytest.mark.parametrize(
    ("task", "action", "resource", "is_allowed"),
    [
        ("S3UnlockBucketPolicy", "s3:DeleteBucketPolicy", Resource(BUCKET), True),
        ("S3UnlockBucketPolicy", "s3:ListAllMyBuckets", Resource(), True),
        ("S3UnlockBucketPolicy", "s3:GetObject", Resource(f"{BUCKET}/a"), False),
        ("S3UnlockBucketPolicy", "sqs:ListQueues", Resource(), False),
        ("S3UnlockBucketPolicy", "iam:GetUser", Resource(ROOT), False),
        ("SQSUnlockQueuePolicy", "sqs:SetQueueAttributes", Resource(QUEUE), True),
        ("SQSUnlockQueuePolicy", "sqs:GetQueueAttributes", Resource(QUEUE), True),
        ("SQSUnlockQueuePolicy", "sqs:GetQueueAttributes", Resource(QUEUE, OTHER), False),
        ("SQSUnlockQueuePolicy", "sqs:ReceiveMessage", Resource(QUEUE), False),
        ("SQSUnlockQueuePolicy", "s3:GetBucketPolicy", Resource(BUCKET), False),
        ("IAMCreateRootUserPassword", "iam:CreateLoginProfile", Resource(ROOT), True),
        ("IAMCreateRootUserPassword", "iam:CreateLoginProfile", Resource(f"{ROOT[:-4]}user/root"), False),
        ("IAMDeleteRootUserCredentials", "iam:DeleteSigningCertificate", Resource(ROOT), True),
        ("IAMDeleteRootUserCredentials", "iam:DeleteSigningCertificate", Resource(), False),
        ("IAMAuditRootUserCredentials", "iam:GetLoginProfile", Resource(ROOT), True),
        ("IAMAuditRootUserCredentials", "iam:PassRole", Resource(f"{ROOT[:-4]}role/root"), False),
    ],
)
async def test_a_root_task_is_limited_in_every_service(
    gate, store, facts, task, action, resource, is_allowed
):
    policies = SessionPolicies(managed=(f"arn:aws:iam::aws:policy/root-task/{task}",))
    caller = msgspec.structs.replace(root_caller(ACCOUNT), session_policies=policies, is_assumed_root=True)
    decision = await gate.decide(store.transaction(), caller, facts, action, resource)
    assert decision.allowed is is_allowed
    assert is_allowed or decision.layer is Layer.SESSION


async def test_what_is_allowed_passes_and_nothing_else(gate, store, facts, denied):
    caller = alice(statement(action="iam:ListUsers"))
    assert await gate.require(store.transaction(), caller, facts, "iam:ListUsers", Resource()) is None
    sentence, _ = await denied(caller, "iam:ListRoles", Resource())
    assert sentence.endswith("because no identity-based policy allows the iam:ListRoles action")


async def test_a_denial_says_which_kind_of_policy_is_to_blame(denied, put):
    sentence, message = await denied(alice(), "iam:ListUsers", Resource("arn:aws:iam::111122223333:user/"))
    assert sentence == (
        f"User: arn:aws:iam::{ACCOUNT}:user/alice is not authorized to perform: iam:ListUsers on resource: "
        f"arn:aws:iam::{ACCOUNT}:user/ because no identity-based policy allows the iam:ListUsers action"
    )
    assert (message["allowed"], message["explicitDeny"]) == (False, False)
    caller = alice(statement(), statement("Deny", "iam:ListUsers", Sid="No"))
    await put(USERS, ACCOUNT, caller.user)
    sentence, message = await denied(caller, "iam:ListUsers", Resource())
    assert sentence.endswith(" with an explicit deny in an identity-based policy")
    assert message["explicitDeny"] is True
    assert [shown["statementId"] for shown in message["matchedStatements"]["items"]] == ["No"]


async def test_a_denial_names_the_managed_policy_that_denies(denied, put):
    version = PolicyVersion(version_id="v1", document=document(statement("Deny", "iam:List*")), created_at=0)
    policy = ManagedPolicy(
        account_id=ACCOUNT,
        policy_name="NoLists",
        policy_id="ANPA1",
        versions=(version,),
        created_at=0,
        updated_at=0,
    )
    await put(POLICIES, ACCOUNT, policy)
    caller = alice(statement())
    caller = replace(caller, user=replace(caller.user, attached_policies=(policy.arn,)))
    sentence, _ = await denied(caller, "iam:ListUsers", Resource())
    assert sentence.endswith(f" with an explicit deny in an identity-based policy: {policy.arn}")
    await put(USERS, ACCOUNT, alice(statement()).user)
    caller = replace(alice(statement()), session_policies=SessionPolicies(managed=(policy.arn,)))
    sentence, _ = await denied(caller, "iam:ListUsers", Resource())
    assert sentence.endswith(f" with an explicit deny in a session policy: {policy.arn}")
    caller = replace(caller, session_policies=SessionPolicies(document(statement("Deny"))))
    sentence, _ = await denied(caller, "iam:ListUsers", Resource())
    assert sentence.endswith(" with an explicit deny in a session policy")


async def test_the_operators_reason_has_the_arn_where_the_caller_reads_a_noun(gate, store, facts):
    role = Resource(f"arn:aws:iam::{ACCOUNT}:role/team/rob")
    with pytest.raises(Refusal) as refused:
        await gate.require(store.transaction(), alice(), facts, "iam:GetRole", role)
    assert " on resource: role rob because " in refused.value.message
    assert f" on resource: {role.arn} because " in refused.value.reason


def resource_of(gate, owner, *statements, arn="arn:aws:s3:::bucket/key", tags=None):
    source = Source(SourceKind.RESOURCE, "bucket policy", arn)
    compiled = gate.library.compiled(source, document(*statements), PolicyKind.RESOURCE)
    return Resource(arn, owner, tags or {}, policy=compiled)


async def test_reasons_that_stand_in_another_account_are_not_told(gate, denied):
    refusing = statement("Deny", "s3:*", Sid="Secret", Principal={"AWS": ACCOUNT})
    for owner, is_told in ((ACCOUNT, True), (OTHER, False)):
        resource = resource_of(gate, owner, refusing, tags={"plan": "merger"})
        sentence, message = await denied(alice(statement()), "s3:GetObject", resource)
        assert sentence.endswith(" with an explicit deny in a resource-based policy") is is_told
        assert message["explicitDeny"] is is_told
        assert ("Secret" in str(message)) is is_told
        assert ("merger" in str(message)) is is_told


async def test_a_deny_that_names_a_user_holds_for_whom_it_federated(gate, store, facts):
    maker = alice(statement())
    guest = Caller(
        principal=FederatedUser(ACCOUNT, "guest"),
        account=ACCOUNT,
        user=maker.user,
        token_issued_at=int(NOW),
        session_policies=SessionPolicies(document(statement())),
    )
    other_user = f"arn:aws:iam::{ACCOUNT}:user/bob"
    for named, is_allowed in ((maker.principal.arn, False), (other_user, True)):
        resource = resource_of(gate, ACCOUNT, statement("Deny", "s3:*", Principal={"AWS": named}))
        decision = await gate.decide(store.transaction(), guest, facts, "s3:GetObject", resource)
        assert decision.allowed is is_allowed


@pytest.mark.parametrize("features", [(), ("RESOURCE_CONTROL_POLICY",)], ids=["no RCPs", "RCPs"])
async def test_whose_a_resource_is_is_the_callers_account_only_where_the_caller_has_one(
    gate, store, facts, put, features
):
    """Of an unknown owner it is not known which resource control policies hold: then none allows."""
    everything = {"all": document(statement())}
    organization = Organization(
        organization_id="o-1",
        management_account_id=OTHER,
        accounts={ACCOUNT: OrganizationalUnit(parent=None, service_control_policies=everything)},
        features=features,
    )
    await put(ORGANIZATION, "", organization)
    granting = resource_of(gate, None, statement(Principal="*"))
    read = store.transaction()
    decision = await gate.decide(read, alice(statement()), facts, "s3:GetObject", granting)
    assert (decision.request.resource_account, decision.allowed) == (ACCOUNT, True)
    for who in (Service("sns.amazonaws.com"), WebIdentity("accounts.google.com", "7"), Anonymous()):
        without_account = Caller(principal=who, account="")
        decision = await gate.decide(read, without_account, facts, "s3:GetObject", granting)
        assert decision.request.resource_account is None
        assert decision.layer is (Layer.RCP if features else None)
        owned = replace(granting, account=ACCOUNT)
        assert (await gate.decide(read, without_account, facts, "s3:GetObject", owned)).allowed


def tagged(count, text):
    return {f"{number:03}{text}"[:128]: text * (256 // len(text)) for number in range(count)}


@pytest.mark.parametrize("text", ["x", "\u4e00\u9fa5", "é\t"])
async def test_however_long_the_context_the_reasons_fit_and_are_whole(denied, text):
    noise = {key: secrets.token_hex(128) for key in tagged(50, text)}
    for tags in (tagged(50, text), noise):
        caller = alice(tags=tags)
        keys = {f"aws:RequestTag/{key}": value for key, value in tags.items()}
        resource = Resource(f"arn:aws:iam::{ACCOUNT}:role/x", ACCOUNT, tags, keys)
        _, message = await denied(caller, "sts:AssumeRole", resource)
        assert message["context"]["action"] == "sts:AssumeRole"
        assert message["context"]["conditions"]["items"], "only tags need to go"


async def test_however_long_the_policies_the_reasons_fit_and_are_whole(denied):
    denies = [
        statement("Deny", [f"iam:{secrets.token_hex(60)}", "iam:List*"], Sid=f"No{number}")
        for number in range(200)
    ]
    _, message = await denied(alice(*denies), "iam:ListUsers", Resource())
    statements = message["matchedStatements"]["items"]
    assert statements[0] == {"statementId": "No0", "effect": "DENY"}
    assert 10 < len(statements) < 200


async def test_the_longest_resource_still_fits(denied):
    arn = "arn:aws:iam::" + "".join(chr(0x4E00 + secrets.randbelow(20_000)) for _ in range(2035))
    _, message = await denied(alice(), "sts:AssumeRole", Resource(arn))
    assert message["context"]["resource"] == arn


async def test_only_the_brokers_own_messages_open(gate, denied, store, facts):
    with pytest.raises(Refusal) as refused:
        await gate.require(store.transaction(), alice(), facts, "iam:ListUsers", Resource())
    text = refused.value.message.partition(SEPARATOR)[2]
    foreign = new_keyring(NOW, secrets.token_bytes(KEY_ENTROPY))
    assert Gate(PolicyLibrary(), lambda: foreign, secrets.token_bytes).find_denial(text, NOW) is None
    for broken in ("", "x", text[:-1], text[1:], "A" * 10_240):
        assert gate.find_denial(broken, NOW) is None


@pytest.mark.parametrize(
    ("document_says", "is_asked"),
    [
        ({}, False),
        ({"Condition": {"StringEquals": {"aws:username": "alice"}}}, True),
        ({"Resource": "arn:aws:s3:::${aws:username}"}, True),
        ({"Resource": "arn:aws:s3:::al*"}, False),
    ],
)
async def test_condition_keys_are_made_where_a_policy_asks_for_one(
    gate, store, facts, document_says, is_asked
):
    caller = alice(statement(**document_says))
    decision = await gate.decide(
        store.transaction(), caller, facts, "s3:ListBucket", Resource("arn:aws:s3:::alice")
    )
    assert decision.allowed
    assert (decision.request.context._keys is not None) is is_asked
    assert decision.request.context.by_key["aws:username"] == ("alice",)
