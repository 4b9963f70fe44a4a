"""Organization access reports: the services that control policies leave, and the last use by accounts of an entity."""

from typing import Any

import pytest

from broker.access.caller import root_caller
from broker.protocol.shapes import iam as shapes
from broker.storage.last_accessed import LAST_ACCESSED_SECONDS, operation_key
from broker.storage.organization_records import Organization, OrganizationalUnit, OrganizationPolicy
from broker.storage.records import Usage
from broker.storage.store import ORGANIZATION, USAGE, Transaction
from tests.unit.iam.conftest import ACCOUNT, NOW, Iam

SCP = "SERVICE_CONTROL_POLICY"
FIRST, SECOND = "222222222222", "333333333333"
ROOT, TEAM = "r-ab12", "ou-ab12-11111111"
FULL = "p-FullAWSAccess"
PATH = "o-abcdefghij"


def allowing(*actions: str) -> str:
    listed = ",".join(f'"{action}"' for action in actions)
    return f'{{"Version":"2012-10-17","Statement":{{"Effect":"Allow","Action":[{listed}],"Resource":"*"}}}}'


RECORD = Organization(
    organization_id=PATH,
    management_account_id=ACCOUNT,
    units={
        ROOT: OrganizationalUnit(parent=None, policies=(FULL,)),
        TEAM: OrganizationalUnit(parent=ROOT, policies=("p-team",)),
    },
    accounts={
        ACCOUNT: OrganizationalUnit(parent=ROOT, policies=(FULL,)),
        FIRST: OrganizationalUnit(parent=TEAM, policies=("p-first",)),
        SECOND: OrganizationalUnit(parent=TEAM, policies=(FULL,)),
    },
    features=(SCP,),
    policies={
        "p-team": OrganizationPolicy(name="team", type=SCP, content=allowing("iam:*", "s3:*", "sts:*")),
        "p-first": OrganizationPolicy(name="first", type=SCP, content=allowing("iam:*", "ec2:*")),
    },
)


async def put(iam: Iam, record: Organization) -> None:
    async def work(transaction: Transaction) -> None:
        transaction.put(ORGANIZATION, "", record)

    await iam.store.transact(work)


@pytest.fixture
async def organization(iam: Iam) -> Iam:
    await put(iam, RECORD)
    return iam


async def mark(iam: Iam, account: str, service: str, at: float, user: str = "AIDA1") -> None:
    usage = Usage(last_used_at=int(at), region="eu-west-1", service=service, action="Do")

    async def work(transaction: Transaction) -> None:
        transaction.put(USAGE, account, usage, key=operation_key(user, service, "Do"))

    await iam.store.transact(work)


async def report(iam: Iam, path: str, policy: str | None = None, **more: Any) -> Any:
    asked = shapes.GenerateOrganizationsAccessReportRequest(
        entity_path=f"{PATH}/{path}", organizations_policy_id=policy
    )
    job_id = (await iam(asked)).job_id
    return await iam(shapes.GetOrganizationsAccessReportRequest(job_id=job_id, **more))


async def services(iam: Iam, path: str, policy: str | None = None) -> set[str]:
    return {one.service_namespace for one in (await report(iam, path, policy)).access_details}


async def test_each_level_above_the_entity_has_to_leave_a_service(organization: Iam) -> None:
    assert await services(organization, f"{ROOT}/{TEAM}/{FIRST}") == {"iam"}
    assert await services(organization, f"{ROOT}/{TEAM}/{SECOND}/") == {"iam", "s3", "sts"}
    assert await services(organization, f"{ROOT}/{TEAM}") == {"iam", "s3", "sts"}
    assert (await report(organization, ROOT)).number_of_services_accessible > 300
    assert (await report(organization, f"{ROOT}/{ACCOUNT}")).number_of_services_accessible > 300


async def test_a_policy_is_reported_by_what_it_leaves_itself(organization: Iam) -> None:
    assert await services(organization, ROOT, "p-first") == {"iam", "ec2"}


async def test_the_last_use_by_the_accounts_of_an_entity_is_told(organization: Iam) -> None:
    await mark(organization, FIRST, "iam", NOW - 20)
    await mark(organization, FIRST, "iam", NOW - 30, "AIDA2")
    await mark(organization, SECOND, "iam", NOW - 10)
    await mark(organization, SECOND, "s3", NOW - LAST_ACCESSED_SECONDS)
    await mark(organization, ACCOUNT, "iam", NOW)  # the management account counts only where it is named
    answer = await report(organization, f"{ROOT}/{TEAM}")
    assert (answer.number_of_services_accessible, answer.number_of_services_not_accessed) == (3, 2)
    assert answer.access_details[0] == shapes.AccessDetail(
        service_name="AWS Identity and Access Management (IAM)",
        service_namespace="iam",
        region="eu-west-1",
        entity_path=f"{PATH}/{ROOT}/{TEAM}/{SECOND}",
        last_authenticated_time=NOW - 10,
        total_authenticated_entities=2,
    )
    assert answer.access_details[1].last_authenticated_time is None
    for path, policy, at, count in (
        (ROOT, "p-first", NOW - 20, 1),
        (f"{ROOT}/{TEAM}/{FIRST}", None, NOW - 20, 1),
        (f"{ROOT}/{ACCOUNT}", None, NOW, 1),
        (f"{ROOT}/{TEAM}/{SECOND}", "p-first", None, 0),
    ):
        details = (await report(organization, path, policy, max_items=1000)).access_details
        (iam,) = [one for one in details if one.service_namespace == "iam"]
        assert (iam.last_authenticated_time, iam.total_authenticated_entities) == (at, count)


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        (None, ["iam", "s3", "sts"]),
        ("SERVICE_NAMESPACE_ASCENDING", ["iam", "s3", "sts"]),
        ("SERVICE_NAMESPACE_DESCENDING", ["sts", "s3", "iam"]),
        ("LAST_AUTHENTICATED_TIME_ASCENDING", ["s3", "sts", "iam"]),
        ("LAST_AUTHENTICATED_TIME_DESCENDING", ["iam", "sts", "s3"]),
    ],
)
async def test_a_report_is_sorted_as_asked_and_paged(
    organization: Iam, order: str | None, expected: list[str]
) -> None:
    await mark(organization, SECOND, "iam", NOW)
    await mark(organization, SECOND, "sts", NOW - 10)
    seen: list[str] = []
    marker: str | None = None
    while marker is not None or not seen:
        answer = await report(organization, f"{ROOT}/{TEAM}", sort_key=order, max_items=2, marker=marker)
        seen += [one.service_namespace for one in answer.access_details]
        marker = answer.marker
        assert answer.is_truncated is (marker is not None)
    assert seen == expected


@pytest.mark.parametrize(
    "path",
    [f"{ROOT}/{FIRST}", f"{ROOT}/ou-ab12-99999999", "r-zz99", f"{ROOT}/{TEAM}/{TEAM}"],
)
async def test_a_path_that_leads_to_nothing_is_refused(organization: Iam, path: str) -> None:
    request = shapes.GenerateOrganizationsAccessReportRequest(entity_path=f"{PATH}/{path}")
    assert (await organization.refused(request))[0] == "InvalidInput"


async def test_only_the_management_account_asks_and_only_with_control_policies(organization: Iam) -> None:
    request = shapes.GenerateOrganizationsAccessReportRequest(entity_path=f"{PATH}/{ROOT}")
    refused = await organization.refused(request, caller=root_caller(SECOND))
    assert refused[0] == "AccessDenied"
    unknown = shapes.GenerateOrganizationsAccessReportRequest(
        entity_path=f"{PATH}/{ROOT}", organizations_policy_id="p-aaaaaaaaaa"
    )
    assert (await organization.refused(unknown))[0] == "InvalidInput"
    await put(organization, Organization(organization_id=PATH, management_account_id=ACCOUNT))
    assert (await organization.refused(request))[0] == "InvalidInput"


async def test_a_job_of_another_kind_is_not_there(organization: Iam) -> None:
    asked = shapes.GenerateOrganizationsAccessReportRequest(entity_path=f"{PATH}/{ROOT}")
    job_id = (await organization(asked)).job_id
    other = shapes.GetServiceLastAccessedDetailsRequest(job_id=job_id)
    assert (await organization.refused(other))[0] == "NoSuchEntity"
    unknown = shapes.GetOrganizationsAccessReportRequest(job_id="0" * 36)
    assert (await organization.refused(unknown))[0] == "NoSuchEntity"
