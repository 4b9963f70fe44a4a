"""The operator's page: in one account alone, for whom a policy allows it, and nothing secret on it."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from playwright.sync_api import Browser, expect

from tests.e2e.conftest import Account
from tests.e2e.looks import look_at
from tests.e2e.portal import Client, PortalServer, person, sign_in
from tests.e2e.scenes import allow, new_user, records


@dataclass
class OperatedServer(PortalServer):
    operator_account: str = ""

    @property
    def settings(self) -> dict[str, str]:
        return {**super().settings, "BROKER_PORTAL_OPERATOR_ACCOUNT": self.operator_account}


@dataclass
class World:
    server: OperatedServer
    home: Account
    other: Account


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("operator")
    server = OperatedServer(folder, f"sqlite:{folder / 'broker.db'}")
    home, other = server.new_account(), server.new_account()
    server.operator_account = home.account_id
    with server.running():
        for account in (home, other):
            new_user(server, account, "olga", allow("broker:GetState", "iam:*"))
            new_user(server, account, "guest", allow("iam:*"))
            for name in ("olga", "guest"):
                server.set_password(account, name)
        yield World(server, home, other)


def path_of(account: Account) -> str:
    return f"/console/{account.account_id}/operator"


def test_who_is_allowed_sees_workers_store_keys_journal_and_version(world: World, browser: Browser) -> None:
    with person(browser) as page:
        sign_in(page, world.server.origin, world.home.account_id, "olga")
        page.goto(f"{world.server.origin}/console/{world.home.account_id}/overview")
        page.get_by_role("list", name="Console").get_by_role("link", name="Operator").click()
        expect(page.get_by_role("heading", name="This node")).to_be_visible()
        expect(page.get_by_role("region", name="Workers")).to_contain_text("alive")
        keys = page.get_by_role("region", name="Keys")
        expect(keys).to_contain_text("sessions")
        expect(keys).to_contain_text("primary")
        expect(page.locator("main")).to_contain_text("sqlite")
        expect(page.locator("main")).to_contain_text("Records are written")
        look_at(page, "console-operator")
    looked = [one for one in records(world.server) if one["eventName"] == "GetState"][-1]
    assert looked["userIdentity"]["arn"].endswith(":user/olga")
    assert "errorCode" not in looked


def test_who_is_not_allowed_is_refused_by_name_of_the_permission(world: World) -> None:
    client = Client(world.server)
    client.sign_in(world.home.account_id, "guest")
    answer = client.get(path_of(world.home))
    assert answer.status == 403
    assert "broker:GetState" in answer.body
    assert "primary" not in answer.body
    refused = [one for one in records(world.server) if one["eventName"] == "GetState"][-1]
    assert refused["errorCode"] == "AccessDenied"
    assert refused["userIdentity"]["arn"].endswith(":user/guest")


def test_in_another_account_there_is_no_such_page_whatever_its_policies_allow(world: World) -> None:
    client = Client(world.server)
    client.sign_in(world.other.account_id, "olga")
    assert client.get(path_of(world.other)).status == 404
    assert client.get(path_of(world.home)).status == 409
    assert "/operator" not in client.get(f"/console/{world.other.account_id}/overview").body
