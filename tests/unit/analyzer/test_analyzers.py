"""Analyzers over real records: the organization as a zone of trust, and what was not used."""

import json
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

import broker.analyzer  # noqa: F401  # declares the operations
from broker.access.caller import root_caller
from broker.names.secret import SecretKey
from broker.protocol.shapes import accessanalyzer as shapes
from broker.storage.last_accessed import operation_key
from broker.storage.organization_records import Organization, OrganizationalUnit
from broker.storage.records import AccessKey, Account, Role, Usage, User
from broker.storage.sqlite import SqliteEngine
from broker.storage.store import ACCESS_KEYS, ACCOUNTS, ORGANIZATION, ROLES, USAGE, USERS, Store, Transaction
from tests.unit.iam.conftest import ACCOUNT, NOW, OTHER_ACCOUNT, Iam

MEMBER, ORGANIZATION_ID = OTHER_ACCOUNT, "o-exampleorgid"
STRANGER = "999988887777"
KEY = "AKIA2222222222222222"
DAY = 86_400


def document(*actions: str) -> str:
    statement = {"Effect": "Allow", "Action": list(actions), "Resource": "*"}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


class AccessAnalyzer(Iam):
    """Performs as root of the management account, unless told otherwise."""

    service = "accessanalyzer"

    async def put(self, **more: Any) -> None:
        """A role of the member, with this name and trust."""

        async def work(store: Transaction) -> None:
            store.put(ROLES, MEMBER, role(**more))

        await self.store.transact(work)

    async def found(self, arn: str, **more: Any) -> list[shapes.FindingSummaryV2]:
        request = shapes.ListFindingsV2Request(analyzer_arn=arn, **more)
        return list((await self(request)).findings)


def role(name: str, principal: str, account: str = MEMBER, **more: Any) -> Role:
    statement = {"Effect": "Allow", "Principal": {"AWS": principal}, "Action": "sts:AssumeRole", **more}
    return Role(
        account_id=account,
        role_name=name,
        role_id=f"AROA{name}",
        created_at=int(NOW),
        assume_role_policy=json.dumps({"Version": "2012-10-17", "Statement": [statement]}),
    )


async def populate(store: Transaction) -> None:
    for account in (ACCOUNT, MEMBER):
        store.put(ACCOUNTS, "", Account(account_id=account))
    unit = OrganizationalUnit(parent="r-ab12")
    organization = Organization(
        organization_id=ORGANIZATION_ID,
        management_account_id=ACCOUNT,
        units={"r-ab12": OrganizationalUnit(parent=None)},
        accounts={ACCOUNT: unit, MEMBER: unit},
    )
    store.put(ORGANIZATION, "", organization)
    store.put(ROLES, MEMBER, role("inside", ACCOUNT))
    store.put(ROLES, MEMBER, role("outside", STRANGER))
    of_organization = {"StringEquals": {"aws:PrincipalOrgID": ORGANIZATION_ID}}
    store.put(ROLES, ACCOUNT, role("everyone-inside", "*", ACCOUNT, Condition=of_organization))


@pytest.fixture
async def analyzer(tmp_path: Path) -> AsyncIterator[AccessAnalyzer]:
    made: list[AccessAnalyzer] = []

    def clock() -> float:
        return made[0].now if made else NOW

    async with Store(SqliteEngine(tmp_path / "broker.sqlite", clock, os.urandom), clock) as store:
        made.append(AccessAnalyzer(store))
        await store.transact(populate)
        yield made[0]


async def test_accounts_of_the_organization_are_inside_and_findings_are_of_all_of_them(
    analyzer: AccessAnalyzer,
) -> None:
    created = await analyzer(shapes.CreateAnalyzerRequest(analyzer_name="all", type="ORGANIZATION"))
    (found,) = await analyzer.found(created.arn)
    assert (found.resource, found.resource_owner_account) == (f"arn:aws:iam::{MEMBER}:role/outside", MEMBER)
    alone = await analyzer(shapes.CreateAnalyzerRequest(analyzer_name="one", type="ACCOUNT"))
    (found,) = await analyzer.found(alone.arn)
    assert found.resource == f"arn:aws:iam::{ACCOUNT}:role/everyone-inside"


async def test_a_member_does_not_look_at_the_organization(analyzer: AccessAnalyzer) -> None:
    request = shapes.CreateAnalyzerRequest(analyzer_name="all", type="ORGANIZATION")
    code, _ = await analyzer.refused(request, caller=root_caller(MEMBER))
    assert code == "ValidationException"


async def test_what_is_not_used_any_more_is_found_and_is_resolved_by_its_use(
    analyzer: AccessAnalyzer,
) -> None:
    async def work(store: Transaction) -> None:
        user = User(account_id=ACCOUNT, user_name="alice", user_id="AIDA1", created_at=int(NOW))
        store.put(USERS, ACCOUNT, user)
        key = AccessKey(
            account_id=ACCOUNT,
            access_key_id=KEY,
            user_name="alice",
            secret=SecretKey("s"),
            created_at=int(NOW),
        )
        store.put(ACCESS_KEYS, ACCOUNT, key)

    await analyzer.store.transact(work)
    created = await analyzer(shapes.CreateAnalyzerRequest(analyzer_name="idle", type="ACCOUNT_UNUSED_ACCESS"))
    assert await analyzer.found(created.arn) == []
    analyzer.now = NOW + 91 * DAY
    found = {one.finding_type: one for one in await analyzer.found(created.arn)}
    assert found.keys() == {"UnusedIAMRole", "UnusedIAMUserAccessKey"}
    of_key = found["UnusedIAMUserAccessKey"]
    shown = await analyzer(shapes.GetFindingV2Request(analyzer_arn=created.arn, id=of_key.id))
    assert shown.finding_details[0].unused_iam_user_access_key_details.access_key_id == KEY

    async def use(store: Transaction) -> None:
        store.put(USAGE, ACCOUNT, Usage(last_used_at=int(analyzer.now)), key=KEY)

    await analyzer.store.transact(use)
    again = {one.id: one.status for one in await analyzer.found(created.arn)}
    assert again == {of_key.id: "RESOLVED", found["UnusedIAMRole"].id: "ACTIVE"}


async def test_the_findings_of_a_deleted_analyzer_are_deleted_with_it(analyzer: AccessAnalyzer) -> None:
    request = shapes.CreateAnalyzerRequest(analyzer_name="all", type="ORGANIZATION")
    first = await analyzer.found((await analyzer(request)).arn)
    await analyzer(shapes.DeleteAnalyzerRequest(analyzer_name="all"))
    analyzer.now += 5
    second = await analyzer.found((await analyzer(request)).arn)
    assert [one.created_at for one in second] == [NOW + 5]
    assert {one.id for one in first}.isdisjoint(one.id for one in second)


async def test_each_page_goes_on_where_the_last_one_ended(analyzer: AccessAnalyzer) -> None:
    for number in range(5):
        await analyzer.put(name=f"r{number}", principal=STRANGER)
    arn = (await analyzer(shapes.CreateAnalyzerRequest(analyzer_name="all", type="ORGANIZATION"))).arn
    seen: list[str] = []
    token: str | None = None
    for _ in range(3):
        request = shapes.ListFindingsV2Request(analyzer_arn=arn, max_results=2, next_token=token)
        answer = await analyzer(request)
        seen += [one.id for one in answer.findings]
        token = answer.next_token
    assert token is None
    assert len(set(seen)) == len(seen) == 6


async def test_permissions_that_are_not_used_are_one_finding_of_a_role_with_a_detail_for_each_service(
    analyzer: AccessAnalyzer,
) -> None:
    text = document("iam:GetUser", "iam:ListUsers", "organizations:List*", "rolesanywhere:*")

    async def work(store: Transaction) -> None:
        worker = replace(role("worker", ACCOUNT, ACCOUNT), inline_policies={"p": text}, tags={"team": "red"})
        store.put(ROLES, ACCOUNT, worker)

    await analyzer.store.transact(work)
    created = await analyzer(shapes.CreateAnalyzerRequest(analyzer_name="idle", type="ACCOUNT_UNUSED_ACCESS"))
    analyzer.now = NOW + 91 * DAY
    assert {one.finding_type for one in await analyzer.found(created.arn)} == {"UnusedIAMRole"}

    async def use(store: Transaction) -> None:
        now = int(analyzer.now)
        store.put(USAGE, ACCOUNT, Usage(last_used_at=now), key="AROAworker")
        used = Usage(last_used_at=now, service="iam", action="GetUser")
        store.put(USAGE, ACCOUNT, used, key=operation_key("AROAworker", "iam", "GetUser"))

    await analyzer.store.transact(use)
    only = {
        "findingType": shapes.Criterion(eq=("UnusedPermission",)),
        "status": shapes.Criterion(eq=("ACTIVE",)),
    }
    (found,) = await analyzer.found(created.arn, filter=only)
    assert found.resource == f"arn:aws:iam::{ACCOUNT}:role/worker"
    request = shapes.GetFindingV2Request(analyzer_arn=created.arn, id=found.id, max_results=2)
    first = await analyzer(request)
    second = await analyzer(replace(request, next_token=first.next_token))
    assert second.next_token is None
    details = [one.unused_permission_details for one in (*first.finding_details, *second.finding_details)]
    assert [(one.service_namespace, [two.action for two in one.actions]) for one in details] == [
        ("iam", ["ListUsers"]),
        ("organizations", []),
        ("rolesanywhere", []),
    ]
    code, _ = await analyzer.refused(
        shapes.GetFindingRecommendationRequest(analyzer_arn=created.arn, id=found.id)
    )
    assert code == "ResourceNotFoundException"
    await analyzer(shapes.GenerateFindingRecommendationRequest(analyzer_arn=created.arn, id=found.id))
    advice = await analyzer(shapes.GetFindingRecommendationRequest(analyzer_arn=created.arn, id=found.id))
    steps = [one.unused_permissions_recommended_step for one in advice.recommended_steps]
    assert [(one.recommended_action, one.existing_policy_id) for one in steps] == [
        ("CREATE_POLICY", "p"),
        ("DETACH_POLICY", "p"),
    ]
    assert json.loads(steps[0].recommended_policy)["Statement"][0]["Action"] == ["iam:GetUser"]
    of_role = next(one for one in await analyzer.found(created.arn) if one.finding_type == "UnusedIAMRole")
    for other in (of_role.id, "none"):
        asked = shapes.GenerateFindingRecommendationRequest(analyzer_arn=created.arn, id=other)
        assert (await analyzer.refused(asked))[0] == "ValidationException"
    statistics = await analyzer(shapes.GetFindingsStatisticsRequest(analyzer_arn=created.arn))
    (shown,) = statistics.findings_statistics
    unused = shown.unused_access_findings_statistics
    assert (unused.total_active_findings, unused.total_resolved_findings) == (2, 1)
    assert [(one.unused_access_type, one.total) for one in unused.unused_access_type_statistics] == [
        ("UnusedIAMRole", 1),
        ("UnusedPermission", 1),
    ]
    assert unused.top_accounts[0].details == {"UnusedIAMRole": 1, "UnusedPermission": 1}

    tagged = shapes.AnalysisRuleCriteria(resource_tags=({"team": "red"},))
    rule = shapes.UnusedAccessConfiguration(analysis_rule=shapes.AnalysisRule(exclusions=(tagged,)))
    configuration = shapes.AnalyzerConfiguration(unused_access=rule)
    changed = await analyzer(shapes.UpdateAnalyzerRequest(analyzer_name="idle", configuration=configuration))
    assert changed.configuration.unused_access.analysis_rule.exclusions == (tagged,)
    assert await analyzer.found(created.arn, filter=only) == []


async def test_statistics_of_external_access_are_by_type_of_resource(analyzer: AccessAnalyzer) -> None:
    await analyzer.put(name="open", principal="*")
    created = await analyzer(shapes.CreateAnalyzerRequest(analyzer_name="all", type="ORGANIZATION"))
    answer = await analyzer(shapes.GetFindingsStatisticsRequest(analyzer_arn=created.arn))
    external = answer.findings_statistics[0].external_access_findings_statistics
    assert (external.total_active_findings, external.total_archived_findings) == (2, 0)
    details = external.resource_type_statistics["AWS::IAM::Role"]
    assert (details.total_active_public, details.total_active_cross_account) == (1, 1)
