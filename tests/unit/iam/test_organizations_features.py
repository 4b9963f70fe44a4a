import asyncio
from typing import Any

import pytest

from broker.access.caller import root_caller
from broker.protocol.shapes import iam as shapes
from broker.storage.organization_records import Organization, OrganizationalUnit
from broker.storage.store import ORGANIZATION, Transaction

MANAGEMENT, ADMINISTRATOR, MEMBER, OUTSIDER = (f"{number}" * 12 for number in (1, 2, 3, 4))
CREDENTIALS, SESSIONS = "RootCredentialsManagement", "RootSessions"
EVERY = ["ListOrganizationsFeatures"] + [
    f"{verb}Organizations{name}" for verb in ("Enable", "Disable") for name in (CREDENTIALS, SESSIONS)
]
ENABLING = [name for name in EVERY if name.startswith("Enable")]


def request(name: str) -> Any:
    return getattr(shapes, f"{name}Request")()


async def features(iam: Any, name: str, account: str = MANAGEMENT) -> tuple[str, ...]:
    answer = await iam(request(name), caller=root_caller(account))
    assert answer.organization_id == "o-1234567890"
    found: tuple[str, ...] = answer.enabled_features
    return found


async def stored(iam: Any) -> Organization:
    record: Organization = await iam.store.transaction().find(ORGANIZATION, "", "")
    return record


@pytest.fixture
async def organization(iam: Any) -> Organization:
    """With one feature that is none of root access."""
    record = Organization(
        organization_id="o-1234567890",
        management_account_id=MANAGEMENT,
        delegated_iam_administrator_id=ADMINISTRATOR,
        accounts={one: OrganizationalUnit(parent=None) for one in (ADMINISTRATOR, MEMBER)},
        features=("RESOURCE_CONTROL_POLICY",),
    )

    async def work(transaction: Transaction) -> None:
        transaction.put(ORGANIZATION, "", record)

    await iam.store.transact(work)
    return record


async def test_features_are_enabled_listed_and_disabled(iam: Any, organization: Organization) -> None:
    assert await features(iam, "ListOrganizationsFeatures") == ()
    for _ in range(2):  # to enable it again is no error
        assert await features(iam, "EnableOrganizationsRootSessions") == (SESSIONS,)
    assert await features(iam, "EnableOrganizationsRootCredentialsManagement") == (CREDENTIALS, SESSIONS)
    assert await features(iam, "ListOrganizationsFeatures", ADMINISTRATOR) == (CREDENTIALS, SESSIONS)
    assert set((await stored(iam)).features) == {
        "RESOURCE_CONTROL_POLICY",
        "ROOT_SESSIONS",
        "ROOT_CREDENTIALS_MANAGEMENT",
    }
    for _ in range(2):
        assert await features(iam, "DisableOrganizationsRootSessions", ADMINISTRATOR) == (CREDENTIALS,)
    assert await features(iam, "DisableOrganizationsRootCredentialsManagement") == ()
    assert await stored(iam) == organization


@pytest.mark.parametrize("name", EVERY)
async def test_others_than_its_administrators_are_refused(
    iam: Any, organization: Organization, name: str
) -> None:
    for account, code in (
        (MEMBER, "AccountNotManagementOrDelegatedAdministratorException"),
        (OUTSIDER, "OrganizationNotFoundException"),
    ):
        assert (await iam.refused(request(name), caller=root_caller(account)))[0] == code
    assert await stored(iam) == organization


@pytest.mark.parametrize("name", ENABLING)
async def test_the_delegated_administrator_enables_nothing(
    iam: Any, organization: Organization, name: str
) -> None:
    refusal = await iam.refused(request(name), caller=root_caller(ADMINISTRATOR))
    assert refusal[0] == "CallerIsNotManagementAccountException"
    assert await stored(iam) == organization


@pytest.mark.parametrize("name", EVERY)
async def test_without_an_organization_there_are_no_features(iam: Any, name: str) -> None:
    refusal = await iam.refused(request(name), caller=root_caller(MANAGEMENT))
    assert refusal[0] == "OrganizationNotFoundException"


async def test_two_features_that_are_enabled_at_once_are_both_enabled(
    iam: Any, organization: Organization
) -> None:
    await asyncio.gather(*(features(iam, name) for name in ENABLING))
    assert await features(iam, "ListOrganizationsFeatures") == (CREDENTIALS, SESSIONS)
