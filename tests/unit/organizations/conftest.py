"""`organizations(...)` performs one operation as it is behind the wire; `made` is an organization with a member."""

import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

import broker.organizations  # noqa: F401  # declares the operations
from broker.access.caller import root_caller
from broker.protocol.shapes import organizations as shapes
from broker.storage.organization_records import Organization
from broker.storage.records import Account
from broker.storage.sqlite import SqliteEngine
from broker.storage.store import ACCOUNTS, ORGANIZATION, Store, Transaction
from tests.unit.iam.conftest import ACCOUNT, NOW, Iam

MANAGEMENT, OUTSIDER = ACCOUNT, "444455556666"
SCP, RCP = "SERVICE_CONTROL_POLICY", "RESOURCE_CONTROL_POLICY"


class Organizations(Iam):
    """Performs as root of the management account, unless told otherwise."""

    service = "organizations"

    async def record(self) -> Organization:
        found = await self.store.transaction().find(ORGANIZATION, "", "")
        assert found is not None
        return found

    async def as_account(self, account: str, request: Any) -> Any:
        return await self(request, caller=root_caller(account))

    async def refused_to(self, account: str, request: Any) -> str:
        return (await self.refused(request, caller=root_caller(account)))[0]


class Made:
    """An organization with its root, and one member that was created there."""

    def __init__(self, organizations: Organizations, root: str, member: str) -> None:
        self.organizations, self.root, self.member = organizations, root, member


@pytest.fixture
async def organizations(tmp_path: Path) -> AsyncIterator[Organizations]:
    made: list[Organizations] = []

    def clock() -> float:
        return made[0].now if made else NOW

    async with Store(SqliteEngine(tmp_path / "broker.sqlite", clock, os.urandom), clock) as store:
        made.append(Organizations(store))

        async def work(transaction: Transaction) -> None:
            for account in (MANAGEMENT, OUTSIDER):
                record = Account(account_id=account, name=f"name {account}", email=f"{account}@example.com")
                transaction.put(ACCOUNTS, "", record)

        await store.transact(work)
        yield made[0]


@pytest.fixture
async def made(organizations: Organizations) -> Made:
    await organizations(shapes.CreateOrganizationRequest())
    roots = (await organizations(shapes.ListRootsRequest())).roots
    created = await organizations(
        shapes.CreateAccountRequest(email="member@example.com", account_name="member")
    )
    return Made(organizations, roots[0].id, created.create_account_status.account_id)
