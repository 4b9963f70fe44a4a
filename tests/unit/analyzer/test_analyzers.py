"""Analyzers over real records: the organization as a zone of trust, and what was not used."""

import json
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

import broker.analyzer  # noqa: F401  # declares the operations
from broker.access.caller import root_caller
from broker.names.secret import SecretKey
from broker.protocol.shapes import accessanalyzer as shapes
from broker.storage.organization_records import Organization, OrganizationalUnit
from broker.storage.records import AccessKey, Account, Role, Usage, User
from broker.storage.sqlite import SqliteEngine
from broker.storage.store import ACCESS_KEYS, ACCOUNTS, ORGANIZATION, ROLES, USAGE, USERS, Store, Transaction
from tests.unit.iam.conftest import ACCOUNT, NOW, OTHER_ACCOUNT, Iam

MEMBER, ORGANIZATION_ID = OTHER_ACCOUNT, "o-exampleorgid"
STRANGER = "999988887777"
KEY = "AKIA2222222222222222"
DAY = 86_400


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
