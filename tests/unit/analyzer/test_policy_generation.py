"""Generated policies: what each record needs, the texts that are made of it, and jobs that go on where they were."""

import itertools
import json
import os
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

import broker.app  # declares the operations of all services
from broker.analyzer import generation_steps
from broker.analyzer.generated_policies import policy_texts
from broker.analyzer.generation_steps import advanced, with_records
from broker.audit.event import (
    Event,
    SessionAttributes,
    SessionContext,
    SessionIssuer,
    UserIdentity,
    begin_event,
)
from broker.audit.history import EventHistory
from broker.audit.journal import Journal
from broker.audit.reader import JournalReader
from broker.permission_use.used_actions import BESIDES, needed_permissions
from broker.policy import PolicyKind, is_in_reference, parse_policy, policy_size
from broker.protocol.shapes import accessanalyzer as shapes
from broker.storage.generation_records import AnalyzedTrail, PolicyGenerationJob
from broker.storage.records import Account, Role, User
from broker.storage.sqlite import SqliteEngine
from broker.storage.store import ACCOUNTS, ROLES, TRAILS, USERS, Store, Transaction
from broker.storage.trail_records import Trail
from tests.unit.iam.conftest import ACCOUNT, NOW, OTHER_ACCOUNT, Iam

BROKER = Path(broker.app.__file__).parents[1]
ANN = f"arn:aws:iam::{ACCOUNT}:user/ann"
USER = "arn:aws:iam::${Account}:user/${UserNameWithPath}"
ROLE = "arn:aws:iam::${Account}:role/${RoleNameWithPath}"
DAY = 86_400


def record(action: str, error: str = "", number: int = 0, who: str = ANN, **parameters: Any) -> Event:
    event = begin_event(NOW - 60, f"r{number}", "192.0.2.1", "test", number.to_bytes(16, "big"))
    service, _, event.event_name = action.partition(":")
    event.event_source, event.error_code = f"{service}.amazonaws.com", error
    event.request_parameters, event.aws_region = parameters or None, "eu-central-1"
    event.user_identity = UserIdentity("IAMUser", "AIDA1", who, ACCOUNT, user_name="ann")
    event.recipient_account_id = ACCOUNT
    return event


def needed(action: str, error: str = "", **parameters: Any) -> dict[str, tuple[str, ...]]:
    found = needed_permissions(record(action, error, **parameters))
    return {one.action: one.forms for one in found.actions}


@pytest.mark.parametrize(
    ("event", "actions"),
    [
        (record("iam:CreateUser", userName="x"), {"iam:CreateUser"}),
        (record("iam:CreateUser", userName="x", tags=[{"key": "a"}]), {"iam:CreateUser", "iam:TagUser"}),
        (record("iam:AddRoleToInstanceProfile"), {"iam:AddRoleToInstanceProfile", "iam:PassRole"}),
        (
            record("sts:AssumeRole", roleArn="r", sourceIdentity="s"),
            {"sts:AssumeRole", "sts:SetSourceIdentity"},
        ),
        (record("sts:GetCallerIdentity"), set()),
        (record("signin:ConsoleLogin"), set()),
        (record("access-analyzer:ListFindingsV2"), {"access-analyzer:ListFindings"}),
        (record("iam:GetForeignResource"), {"broker:GetForeignResource"}),
        (record("broker:SearchActions"), {"broker:EvaluateAccess"}),
        (record("s3:HeadObject", bucketName="b", key="k"), {"s3:GetObject"}),
        (record("s3:ListObjectsV2", bucketName="b"), {"s3:ListBucket"}),
        (record("s3:CopyObject", bucketName="b", key="k"), {"s3:GetObject", "s3:PutObject"}),
        (record("sqs:SendMessage"), {"sqs:SendMessage"}),
        (record("iam:GetUser", "NoSuchEntity", userName="x"), {"iam:GetUser"}),
        (record("iam:GetUser", "AccessDenied", userName="x"), set()),
        (record("iam:GetUser", "ValidationError", userName="x"), set()),
        (record("iam:GetUser", "InternalFailure", userName="x"), set()),
    ],
)
def test_a_record_needs_the_actions_that_its_request_was_judged_by(event: Event, actions: set[str]) -> None:
    found = needed_permissions(event)
    assert {one.action for one in found.actions} == actions
    assert found.are_known


def test_a_request_that_no_policy_knows_is_not_known() -> None:
    assert not needed_permissions(record("broker:AuthorizeRequest")).are_known
    assert not needed_permissions(record("nonsense:Do")).are_known


def test_what_operations_ask_the_gate_besides_is_in_the_table() -> None:
    """As far as they name it: `call.require("iam:PassRole", …)`."""
    sources = (path.read_text("utf-8") for path in BROKER.rglob("*.py"))
    asked = {action for text in sources for action in re.findall(r'call\.require\(\s*"([^"]+)"', text)}
    # These ask again for the action itself, on another resource.
    again = {one for one in asked if one.partition(":")[2].startswith(("Update", "Move", "ListTags"))}
    assert asked - again <= BESIDES
    assert all(is_in_reference(action) for action in BESIDES)


def test_actions_on_the_same_resources_are_one_statement() -> None:
    used = {
        "iam:GetUser": (USER,),
        "iam:DeleteUser": (USER,),
        "iam:ListUsers": ("*",),
        "s3:GetObject": ("x",),
    }
    (text,) = policy_texts(used)
    assert json.loads(text) == {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Action": ["iam:ListUsers"], "Resource": "*"},
            {"Effect": "Allow", "Action": ["iam:DeleteUser", "iam:GetUser"], "Resource": USER},
            {"Effect": "Allow", "Action": ["s3:GetObject"], "Resource": "x"},
        ],
    }
    (text,) = policy_texts(used, ["sqs"], has_placeholders=False)
    assert [(one["Action"], one["Resource"]) for one in json.loads(text)["Statement"]] == [
        (["iam:DeleteUser", "iam:GetUser", "iam:ListUsers"], "*"),
        (["s3:GetObject"], "*"),
        (["sqs:${Action}"], "*"),
    ]
    assert policy_texts({}) == ()


def test_no_policy_is_larger_than_a_managed_one_and_none_lacks_an_action() -> None:
    used = {f"iam:Action{number:03}": (USER,) for number in range(400)}
    texts = policy_texts(used)
    assert len(texts) > 1
    assert all(policy_size(one) <= 6144 for one in texts)
    statements = [one for text in texts for one in json.loads(text)["Statement"]]
    assert sorted(action for one in statements for action in one["Action"]) == sorted(used)
    for text in texts:
        parse_policy(text.replace("${", "").replace("}:", ":"), PolicyKind.IDENTITY)


JOB = PolicyGenerationJob(
    job_id="1", principal_arn=ANN, started_at=int(NOW), start=int(NOW) - DAY, end=int(NOW)
)


def test_only_the_principals_own_requests_count_those_of_a_roles_sessions_included() -> None:
    arn = f"arn:aws:iam::{ACCOUNT}:role/worker"
    of_session = record("iam:ListUsers", who=f"arn:aws:sts::{ACCOUNT}:assumed-role/worker/s")
    issuer = SessionIssuer("Role", "AROA1", arn, ACCOUNT, "worker")
    context = SessionContext(SessionAttributes("2026-01-01T00:00:00Z", "false"), issuer)
    of_session.user_identity = msgspec.structs.replace(of_session.user_identity, session_context=context)
    events = [of_session, record("iam:GetUser", who=f"arn:aws:iam::{ACCOUNT}:user/other")]
    assert with_records(JOB, events).used == {}
    assert with_records(msgspec.structs.replace(JOB, principal_arn=arn), events).used == {
        "iam:ListUsers": ("*",)
    }


def test_a_trail_that_names_regions_leaves_out_the_others() -> None:
    events = [record("iam:ListUsers")]

    def of(*trails: AnalyzedTrail) -> set[str]:
        return set(with_records(msgspec.structs.replace(JOB, trails=trails), events).used)

    here, there = (AnalyzedTrail(arn="t", regions=(one,)) for one in ("eu-central-1", "us-east-1"))
    everywhere = AnalyzedTrail(arn="t", all_regions=True)
    assert of(here) == of(there, everywhere) == of(there, here) == {"iam:ListUsers"}
    assert of(there) == set()


def history_of(path: Path, events: list[Event]) -> EventHistory:
    journal = Journal(path, 1 << 20, keep=10, keep_unauthenticated=10)
    for one in events:
        journal.write(one)
    journal.close()
    os.utime(path, (NOW, NOW))  # the reader leaves out what was written before the job's period
    return EventHistory(JournalReader(path, itertools.count(0, 0).__next__))


async def test_a_job_goes_on_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generation_steps, "_PAGE", 2)
    monkeypatch.setattr(generation_steps, "_PAGES_OF_A_STEP", 1)
    names = ["GetUser", "ListUsers", "CreateUser", "GetRole", "DeleteUser"]
    events = [record(f"iam:{name}", number=number) for number, name in enumerate(names)]
    history = history_of(tmp_path / "audit.jsonl", events)
    job, steps = JOB, 0
    while job.status == "IN_PROGRESS":
        stored = msgspec.msgpack.decode(msgspec.msgpack.encode(job), type=PolicyGenerationJob)
        job = await advanced(history, ACCOUNT, stored, int(NOW) + steps)
        steps += 1
    assert (job.status, steps, job.completed_at) == ("SUCCEEDED", 3, int(NOW) + 2)
    assert set(job.used) == {f"iam:{name}" for name in names}


async def test_a_job_fails_where_there_is_no_journal_to_search() -> None:
    assert (await advanced(None, ACCOUNT, JOB, 5)).status == "FAILED"


class Generation(Iam):
    """Access Analyzer with a history."""

    service = "accessanalyzer"
    history: EventHistory | None = None

    async def page(self, work_of: Any, user: str | None = None, caller: Any = None) -> Any:
        return await super().page(
            lambda call: work_of(msgspec.structs.replace(call, history=self.history)), user, caller
        )


def user(name: str, actions: list[str]) -> User:
    statement = {"Effect": "Allow", "Action": actions, "Resource": "*"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    return User(
        account_id=ACCOUNT,
        user_name=name,
        user_id=f"AIDA{name}",
        created_at=1,
        inline_policies={"p": document},
    )


@pytest.fixture
async def generation(tmp_path: Path) -> AsyncIterator[Generation]:
    async with Store(SqliteEngine(tmp_path / "broker.sqlite", lambda: NOW, os.urandom), lambda: NOW) as store:

        async def work(one: Transaction) -> None:
            one.put(ACCOUNTS, "", Account(account_id=ACCOUNT))
            one.put(USERS, ACCOUNT, User(account_id=ACCOUNT, user_name="ann", user_id="AIDA1", created_at=1))
            for name, actions in (
                ("bob", ["access-analyzer:*"]),
                ("eve", ["access-analyzer:*", "cloudtrail:LookupEvents"]),
            ):
                one.put(USERS, ACCOUNT, user(name, actions))
            role = Role(
                account_id=ACCOUNT, role_name="a", role_id="AROA1", created_at=1, assume_role_policy="{}"
            )
            one.put(ROLES, ACCOUNT, role)
            for account, name in ((ACCOUNT, "t"), (OTHER_ACCOUNT, "other")):
                trail = Trail(
                    account_id=account, region="eu-central-1", name=name, id="1", bucket="b", created_at=1
                )
                one.put(TRAILS, account, trail)

        await store.transact(work)
        made = Generation(store)
        made.history = history_of(tmp_path / "audit.jsonl", [record("iam:ListUsers")])
        yield made


def start(arn: str = ANN, **more: Any) -> shapes.StartPolicyGenerationRequest:
    details = shapes.PolicyGenerationDetails(principal_arn=arn)
    return shapes.StartPolicyGenerationRequest(policy_generation_details=details, **more)


def trail_arn(name: str, account: str = ACCOUNT) -> str:
    return f"arn:aws:cloudtrail:eu-central-1:{account}:trail/{name}"


def trails(**more: Any) -> shapes.CloudTrailDetails:
    given: dict[str, Any] = {
        "trails": (shapes.Trail(cloud_trail_arn=trail_arn("t")),),
        "access_role": f"arn:aws:iam::{ACCOUNT}:role/a",
        "start_time": NOW - DAY,
    }
    return shapes.CloudTrailDetails(**(given | more))


async def test_a_job_that_is_canceled_has_no_policy(
    generation: Generation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(generation_steps, "_PAGES_OF_A_STEP", 0)  # so that it stays in progress
    job = (await generation(start())).job_id
    code, _ = await generation.refused(start())
    assert code == "ServiceQuotaExceededException"
    await generation(shapes.CancelPolicyGenerationRequest(job_id=job))
    answer = await generation(shapes.GetGeneratedPolicyRequest(job_id=job))
    assert (answer.job_details.status, answer.generated_policy_result.generated_policies) == ("CANCELED", ())
    assert (await generation(start())).job_id != job


async def test_the_answer_says_what_was_looked_at(generation: Generation) -> None:
    job = (await generation(start(cloud_trail_details=trails()))).job_id
    answer = await generation(shapes.GetGeneratedPolicyRequest(job_id=job))
    shown = answer.generated_policy_result
    assert shown.properties.is_complete
    period = shown.properties.cloud_trail_properties
    assert (period.start_time, period.end_time) == (NOW - DAY, NOW)
    assert [json.loads(one.policy)["Statement"][0]["Action"] for one in shown.generated_policies] == [
        ["iam:ListUsers"]
    ]


@pytest.mark.parametrize(
    "request_",
    [
        start(f"arn:aws:iam::{OTHER_ACCOUNT}:user/ann"),
        start(f"arn:aws:iam::{ACCOUNT}:user/path/ann"),
        start(cloud_trail_details=trails(start_time=NOW - 91 * DAY)),
        start(cloud_trail_details=trails(start_time=NOW + 1)),
        start(cloud_trail_details=trails(end_time=NOW - 2 * DAY)),
        start(cloud_trail_details=trails(trails=())),
        start(cloud_trail_details=trails(trails=(shapes.Trail(cloud_trail_arn=trail_arn("none")),))),
        start(
            cloud_trail_details=trails(
                trails=(shapes.Trail(cloud_trail_arn=trail_arn("other", OTHER_ACCOUNT)),)
            )
        ),
        start(cloud_trail_details=trails(access_role=f"arn:aws:iam::{ACCOUNT}:role/none")),
        start(cloud_trail_details=trails(access_role=f"arn:aws:iam::{OTHER_ACCOUNT}:role/a")),
    ],
)
async def test_what_cannot_be_looked_at_is_refused(
    generation: Generation, request_: shapes.StartPolicyGenerationRequest
) -> None:
    code, _ = await generation.refused(request_)
    assert code == "ValidationException"


async def test_fifty_jobs_are_started_a_day(generation: Generation) -> None:
    for _ in range(50):
        await generation(start())
    code, message = await generation.refused(start())
    assert code == "ServiceQuotaExceededException"
    assert "50" in message


async def test_the_permission_to_look_up_events_is_needed_as_well(generation: Generation) -> None:
    code, message = await generation.refused(start(), user="bob")
    assert code == "AccessDenied"
    assert "cloudtrail:LookupEvents" in message


async def test_a_role_is_given_away_by_who_may_pass_it(generation: Generation) -> None:
    code, message = await generation.refused(start(cloud_trail_details=trails()), user="eve")
    assert code == "AccessDenied"
    assert "iam:PassRole" in message
    assert (await generation(start(), user="eve")).job_id
