"""The policy editor's "What would change?": requests of the journal, judged again with the edited document."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.conftest import Account, Keys
from tests.e2e.looks import look_at
from tests.e2e.portal import Client, PortalServer, person, sign_in
from tests.e2e.scenes import allow, deny, document, new_role, new_user, records, refused, trust

VPC = {"StringEquals": {"aws:SourceVpc": "vpc-1"}}


@dataclass
class World:
    """`erika` has the policy `reports` by a group, the role `watch` has it, and both have called."""

    server: PortalServer
    home: Account
    erika: Keys
    policy: str

    @property
    def editor(self) -> str:
        return f"/console/{self.home.account_id}/edit/policies/{self.home.account_id}/reports"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("changes")
    server = PortalServer(folder, f"sqlite:{folder / 'broker.db'}")
    with server.running():
        home = server.new_account()
        new_user(server, home, "dana", allow("iam:*", "cloudtrail:LookupEvents"))
        new_user(server, home, "blind", allow("iam:*"))
        new_user(server, home, "asker", allow("iam:Get*", "iam:List*", "cloudtrail:LookupEvents"))
        for name in ("dana", "blind", "asker"):
            server.set_password(home, name)
        iam = server.client("iam", home.root)
        text = document(allow("iam:ListUsers", "iam:GetRole"), allow("iam:ListGroups"))
        policy = iam.create_policy(PolicyName="reports", PolicyDocument=text)["Policy"]["Arn"]
        iam.create_group(GroupName="operators")
        iam.attach_group_policy(GroupName="operators", PolicyArn=policy)
        erika = new_user(server, home, "erika")
        iam.add_user_to_group(UserName="erika", GroupName="operators")
        root = f"arn:aws:iam::{home.account_id}:root"
        role = new_role(server, home, "watch", trust(root))
        iam.attach_role_policy(RoleName="watch", PolicyArn=policy)
        call(server, erika, role)
        yield World(server, home, erika, policy)


def call(server: PortalServer, erika: Keys, role: str) -> None:
    home = server.client("iam", erika)
    for _ in range(3):
        home.list_users()
    home.get_role(RoleName="watch")
    refused(home.get_role, RoleName="nobody")
    home.list_groups()
    refused(home.list_roles)
    refused(home.delete_role, RoleName="watch")


@pytest.fixture(scope="module")
def page(world: World, browser: Browser) -> Iterator[Page]:
    with person(browser) as opened:
        sign_in(opened, world.server.origin, world.home.account_id, "dana")
        yield opened


def ask(page: Page, world: World, *statements: dict[str, Any]) -> None:
    page.goto(f"{world.server.origin}{world.editor}")
    page.get_by_label("Policy document").fill(document(*statements))
    page.get_by_role("button", name="What would change?").click()
    expect(page.get_by_role("heading", name="What would change", exact=True)).to_be_visible()
    page.wait_for_load_state()  # the heading comes before its rows


def rows(page: Page, label: str = "Requests that would be answered otherwise") -> list[list[str]]:
    found = page.get_by_role("region", name=label).locator("tbody tr")
    return [one.locator("td").all_inner_texts()[:-1] for one in found.all()]


def test_requests_that_would_be_answered_otherwise_are_listed_by_who_and_what(
    world: World, page: Page
) -> None:
    ask(page, world, allow("iam:GetRole", "iam:ListGroups", "iam:ListRoles"), deny("iam:ListGroups"))
    assert rows(page) == [
        ["erika", "iam:ListUsers", "", "✓ allowed", "✕ denied", "3"],
        ["erika", "iam:ListRoles", "", "✕ denied", "✓ allowed", "1"],
        ["erika", "iam:ListGroups", "", "✓ allowed", "✕ denied", "1"],
    ]
    section = page.get_by_role("region", name="What would change", exact=True)
    expect(section).to_contain_text("2 would be answered as they were")
    expect(section).to_contain_text("1 were refused for reasons that no policy decides")
    expect(section).to_contain_text("watch, erika")
    look_at(page, "console-what-changes")


def test_what_depends_on_what_the_journal_does_not_hold_cannot_be_known(world: World, page: Page) -> None:
    ask(page, world, allow("iam:ListUsers", Condition=VPC), allow("iam:GetRole", "iam:ListGroups"))
    assert rows(page) == []
    assert rows(page, "Cannot be known") == [["erika", "iam:ListUsers", "", "✓ allowed", "3"]]


def test_the_journal_knows_from_where_a_request_came(world: World, page: Page) -> None:
    here = {"IpAddress": {"aws:SourceIp": "127.0.0.0/8"}}
    elsewhere = {"IpAddress": {"aws:SourceIp": "192.0.2.0/24"}}
    ask(page, world, allow("iam:ListUsers", Condition=here), allow("iam:ListGroups", Condition=elsewhere))
    changed = [row[1] for row in rows(page)]
    assert changed == ["iam:GetRole", "iam:ListGroups"] or changed == ["iam:ListGroups", "iam:GetRole"]
    assert rows(page, "Cannot be known") == []


def test_an_inline_policy_is_replaced_in_the_same_way(world: World, page: Page) -> None:
    iam = world.server.client("iam", world.home.root)
    iam.put_user_policy(
        UserName="erika", PolicyName="own", PolicyDocument=document(allow("sts:GetFederationToken"))
    )
    page.goto(f"{world.server.origin}/console/{world.home.account_id}/users/erika/inline/own")
    page.get_by_label("Policy document").fill(document(allow("iam:ListRoles")))
    page.get_by_role("button", name="What would change?").click()
    assert rows(page) == [["erika", "iam:ListRoles", "", "✕ denied", "✓ allowed", "1"]]


def test_a_document_that_cannot_be_read_is_refused_and_the_text_stays(world: World, page: Page) -> None:
    page.goto(f"{world.server.origin}{world.editor}")
    page.get_by_label("Policy document").fill("{")
    page.get_by_role("button", name="What would change?").click()
    expect(page.get_by_text("Not all could be looked at")).to_be_visible()
    expect(page.get_by_label("Policy document")).to_have_value("{")


@pytest.mark.parametrize(
    ("name", "operation"), [("blind", "LookupEvents"), ("asker", "SimulatePrincipalPolicy")]
)
def test_who_may_not_see_the_journal_or_simulate_is_refused_and_learns_nothing(
    world: World, name: str, operation: str
) -> None:
    client = Client(world.server)
    client.sign_in(world.home.account_id, name)
    form = {"do": "what-changes", "PolicyDocument": document(allow("iam:GetRole"))}
    answer = client.post(world.editor, {**form, "csrf_token": client.get(world.editor).token})
    assert f":{operation}" in answer.body
    assert "iam:ListUsers</td>" not in answer.body
    last = [one for one in records(world.server) if one["eventName"] == operation][-1]
    assert last["errorCode"] == "AccessDenied"


def test_nothing_is_stored_and_each_question_leaves_its_records(world: World, page: Page) -> None:
    ask(page, world, allow("iam:*"))
    iam = world.server.client("iam", world.home.root)
    assert len(iam.list_policy_versions(PolicyArn=world.policy)["Versions"]) == 1
    asked = [one for one in records(world.server) if one["eventName"] == "SimulatePrincipalPolicy"][-1]
    assert asked["requestParameters"]["policySourceArn"].endswith(":user/erika")
    assert asked["userIdentity"]["userName"] == "dana"
