"""The console in a real browser: what a person may do in an account, each button an operation of the API."""

import json
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from playwright.sync_api import Browser, Page, expect

from broker.storage.resource_records import ForeignResource
from broker.storage.store import FOREIGN_RESOURCES, Transaction
from tests.e2e.conftest import REGION, Account, Keys
from tests.e2e.portal import Client, PortalServer, copied, person, sign_in
from tests.e2e.scenes import (
    allow,
    assume,
    deny,
    document,
    in_broker,
    new_role,
    new_user,
    records,
    refused,
    trust,
    used_in_part,
)
from tests.unit.assertions.saml_provider import KeyPair
from tests.unit.assertions.saml_provider import metadata as saml_metadata


@dataclass
class World:
    """dana may administer her own account, and read another one as its `reader`; guest may list users alone."""

    server: PortalServer
    home: Account
    data: Account

    @property
    def console(self) -> str:
        return f"{self.server.origin}/console/{self.home.account_id}"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("console")
    server = PortalServer(
        folder, f"sqlite:{folder / 'broker.db'}", environment={"BROKER_LISTEN_WORKERS": "2"}
    )
    with server.running():
        home, data = server.new_account(), server.new_account()
        user = f"arn:aws:iam::{home.account_id}:user/dana"
        new_user(server, home, "dana", allow("iam:*", "sts:*", "access-analyzer:*", "broker:List*"))
        new_user(server, home, "guest", allow("iam:ListUsers", "iam:GetUser", "sts:AssumeRole"))
        new_role(server, data, "reader", trust(user), allow("iam:Get*", "iam:List*"), Path="/team/")
        for name in ("dana", "guest"):
            server.set_password(home, name)
        yield World(server, home, data)


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    with person(browser, permissions=["clipboard-read", "clipboard-write"]) as opened:
        yield opened


def open_console(page: Page, world: World, name: str = "dana") -> None:
    sign_in(page, world.server.origin, world.home.account_id, name)
    page.get_by_role("button", name=f"Open console as {name}").click()
    expect(page).to_have_url(f"{world.console}/overview")


def go_to(page: Page, name: str) -> None:
    page.get_by_role("list", name="Console").get_by_role("link", name=name).click()


def last_record(world: World, event_name: str) -> dict[str, object]:
    found: dict[str, object] = [one for one in records(world.server) if one["eventName"] == event_name][-1]
    return found


def test_a_person_creates_a_user_in_a_group_with_a_key_and_deletes_it_again(world: World, page: Page) -> None:
    iam = world.server.client("iam", world.home.root)
    iam.create_group(GroupName="operators")
    open_console(page, world)
    go_to(page, "Users")
    page.get_by_role("link", name="Create user").click()
    page.get_by_label("User name").fill("erika")
    page.get_by_label("Path").fill("nowhere")
    page.get_by_role("button", name="Create user").click()
    expect(page.get_by_role("alert")).to_contain_text("A value is not valid")
    expect(page.get_by_label("Path")).to_be_focused()
    expect(page.get_by_label("User name")).to_have_value("erika")
    page.get_by_label("Path").fill("/")
    page.get_by_role("button", name="Create user").dblclick()  # which creates one, and is no error
    expect(page.get_by_role("heading", name="erika", exact=True)).to_be_visible()
    expect(page.get_by_role("alert")).to_have_count(0)
    assert iam.get_user(UserName="erika")["User"]["Path"] == "/"
    created = last_record(world, "CreateUser")
    assert created["userIdentity"]["arn"] == f"arn:aws:iam::{world.home.account_id}:user/dana"  # type: ignore[index]

    page.get_by_label("Group", exact=True).fill("nowhere")
    page.get_by_role("button", name="Add to group").click()
    expect(page.get_by_role("alert")).to_contain_text("It is not there")
    expect(page.get_by_label("Group", exact=True)).to_have_value("nowhere")
    page.get_by_label("Group", exact=True).fill("operators")
    page.get_by_role("button", name="Add to group").click()
    expect(page.get_by_role("link", name="operators")).to_be_in_viewport()
    expect(page.get_by_label("Group", exact=True)).to_be_focused()
    page.get_by_role("button", name="Create access key").click()
    secret = copied(page, page.get_by_role("button", name="Copy secret"))
    assert len(secret) == 40
    assert secret not in json.dumps(records(world.server))
    (key,) = iam.list_access_keys(UserName="erika")["AccessKeyMetadata"]
    page.goto(page.url)
    expect(page.get_by_text("Secret access key")).to_have_count(0)

    page.get_by_role("button", name="Delete user").click()
    expect(page.get_by_role("alert")).to_contain_text("DeleteConflict")
    page.get_by_role("button", name=f"Delete {key['AccessKeyId']}").click()
    page.get_by_role("button", name="Remove operators").click()
    page.get_by_role("button", name="Delete user").click()
    expect(page).to_have_url(f"{world.console}/users")
    assert refused(iam.get_user, UserName="erika")[1] == "NoSuchEntity"


def test_the_editor_shows_a_mistake_at_its_line_while_somebody_types(world: World, page: Page) -> None:
    open_console(page, world)
    page.goto(f"{world.console}/new/policy")
    page.get_by_label("Name").fill("reports")
    text = page.get_by_label("Policy document")
    statement = '{"Effect": "Alow", "Action": "s3:GetObject", "Resource": "*"}'
    text.fill(f'{{\n  "Version": "2012-10-17",\n  "Statement": [\n    {statement}\n  ]\n}}')
    findings = page.locator("#findings")
    expect(findings).to_contain_text("Error, line 4")
    page.get_by_role("button", name="Create policy").click()
    expect(page.get_by_role("alert")).to_contain_text("MalformedPolicyDocument")
    expect(text).to_contain_text("Alow")
    text.fill(text.input_value().replace("Alow", "Allow").replace("s3:GetObject", "s3:GetObjekt"))
    expect(findings).to_contain_text("No action is called s3:GetObjekt")
    text.fill(text.input_value().replace("GetObjekt", "GetObject"))
    expect(findings).to_contain_text("No findings.")
    page.get_by_role("button", name="Create policy").click()
    expect(page.get_by_role("heading", name="reports")).to_be_visible()
    arn = f"arn:aws:iam::{world.home.account_id}:policy/reports"
    iam = world.server.client("iam", world.home.root)
    stored = iam.get_policy_version(PolicyArn=arn, VersionId="v1")["PolicyVersion"]["Document"]
    assert stored["Statement"][0]["Action"] == "s3:GetObject"


def test_a_new_version_is_compared_with_the_old_one_which_can_be_put_in_force_again(
    world: World, page: Page
) -> None:
    iam = world.server.client("iam", world.home.root)
    arn = iam.create_policy(PolicyName="versions", PolicyDocument=document(allow("s3:GetObject")))["Policy"][
        "Arn"
    ]
    open_console(page, world)
    page.goto(f"{world.console}/policies/{world.home.account_id}/versions")
    page.get_by_role("link", name="Edit policy").click()
    text = page.get_by_label("Policy document")
    text.fill(text.input_value().replace("s3:GetObject", "s3:PutObject"))
    page.get_by_role("button", name="Save as a new version in force").click()
    page.get_by_role("link", name="v1").click()
    expect(page.locator(".diff.removed")).to_contain_text("s3:PutObject")
    expect(page.locator(".diff.added")).to_contain_text("s3:GetObject")
    page.get_by_role("button", name="Put in force v1").click()
    assert iam.get_policy(PolicyArn=arn)["Policy"]["DefaultVersionId"] == "v1"


def test_a_role_is_made_with_its_trust_policy_and_gets_permissions(world: World, page: Page) -> None:
    iam = world.server.client("iam", world.home.root)
    open_console(page, world)
    page.goto(f"{world.console}/new/role")
    page.get_by_label("Name").fill("helper")
    page.get_by_role("button", name="Create role").click()
    expect(page.get_by_role("heading", name="helper", exact=True)).to_be_visible()
    page.get_by_role("link", name="Add inline policy").click()
    page.get_by_label("Name").fill("inline")
    page.get_by_role("button", name="Add policy").click()
    expect(page.get_by_role("link", name="inline", exact=True)).to_be_visible()
    page.get_by_label("Managed policy").fill("arn:aws:iam::aws:policy/ReadOnlyAccess")
    page.get_by_role("button", name="Attach policy").click()
    expect(page.get_by_role("link", name="ReadOnlyAccess")).to_be_visible()
    assert iam.list_role_policies(RoleName="helper")["PolicyNames"] == ["inline"]
    page.get_by_role("link", name="Edit trust policy").click()
    text = page.get_by_label("Trust policy: who may take the role")
    text.fill(text.input_value().replace(":root", ":user/dana"))
    page.get_by_role("button", name="Save trust policy").click()
    trusted = iam.get_role(RoleName="helper")["Role"]["AssumeRolePolicyDocument"]
    assert trusted["Statement"][0]["Principal"]["AWS"].endswith(":user/dana")


def test_a_refused_button_says_why_and_whoever_may_decode_it_sees_the_statement(
    world: World, page: Page
) -> None:
    iam = world.server.client("iam", world.home.root)
    no_groups = deny("iam:CreateGroup", Sid="NoGroups")
    iam.put_user_policy(UserName="dana", PolicyName="limits", PolicyDocument=document(no_groups))
    try:
        open_console(page, world)
        page.goto(f"{world.console}/new/group")
        page.get_by_label("Group name").fill("forbidden")
        page.get_by_role("button", name="Create group").click()
        expect(page.get_by_role("alert")).to_contain_text("with an explicit deny in an identity-based policy")
        expect(page.get_by_label("Group name")).to_have_value("forbidden")
        page.get_by_role("button", name="Why was this refused?").click()
        expect(page.get_by_role("heading", name="NoGroups")).to_be_visible()
        page.get_by_role("link", name="Simulate this question").click()
        expect(page.get_by_role("heading", name="Denied by a statement")).to_be_visible()
    finally:
        iam.delete_user_policy(UserName="dana", PolicyName="limits")
    assert refused(iam.get_group, GroupName="forbidden")[1] == "NoSuchEntity"
    assert last_record(world, "CreateGroup")["errorCode"] == "AccessDenied"


async def close(store: Transaction, arn: str) -> None:
    store.delete(FOREIGN_RESOURCES, arn.split(":")[4], arn)


async def put_open(store: Transaction, arn: str) -> None:
    """A queue of the account that everyone may read."""
    account, text = arn.split(":")[4], document(allow("sqs:ReceiveMessage", on=arn, Principal="*"))
    record = ForeignResource(account_id=account, arn=arn, created_at=1, updated_at=1, policy=text)
    store.put(FOREIGN_RESOURCES, account, record)


def test_the_overview_lists_what_needs_attention_as_far_as_the_person_may_see_it(
    world: World, page: Page
) -> None:
    iam = world.server.client("iam", world.home.root)
    trusted = f"arn:aws:iam::{world.data.account_id}:root"
    iam.create_role(RoleName="wide-open", AssumeRolePolicyDocument=document(trust(trusted)))
    queue = f"arn:aws:sqs:{REGION}:{world.home.account_id}:jobs"
    in_broker(world.server, lambda broker: broker.store.transact(lambda store: put_open(store, queue)))
    open_console(page, world)
    attention = page.get_by_role("region", name="Needs attention")
    expect(attention).to_contain_text("Roles that trust another account as a whole: 1")
    expect(attention).to_contain_text("Users with a password and no second factor: 2")
    expect(attention).to_contain_text("Resources that everyone may use: 1")
    expect(attention.get_by_text(queue)).to_be_visible()
    attention.get_by_role("link", name="wide-open").click()
    expect(page.get_by_role("heading", name="wide-open", exact=True)).to_be_visible()
    iam.delete_role(RoleName="wide-open")
    in_broker(world.server, lambda broker: broker.store.transact(lambda store: close(store, queue)))
    with person(page.context.browser) as other:  # type: ignore[arg-type]
        open_console(other, world, "guest")
        attention = other.get_by_role("region", name="Needs attention")
        expect(attention).to_contain_text("Policies, trust and roles without use are not looked at.")
        expect(attention).to_contain_text("iam:GetAccountAuthorizationDetails")
        expect(attention).not_to_contain_text("Users with a password and no second factor:")


def test_a_finding_of_access_analyzer_is_opened_archived_and_made_active(world: World, page: Page) -> None:
    stranger = "arn:aws:iam::999988887777:role/deploy"
    new_role(world.server, world.home, "shared", trust(stranger))
    analyzer = world.server.client("accessanalyzer", world.home.root)
    arn = analyzer.create_analyzer(analyzerName="outside", type="ACCOUNT")["arn"]

    def status() -> str:
        (found,) = analyzer.list_findings(analyzerArn=arn)["findings"]
        return str(found["status"])

    open_console(page, world)
    attention = page.get_by_role("region", name="Needs attention")
    expect(attention).to_contain_text("Roles that somebody outside may assume: 1")
    go_to(page, "Access Analyzer")
    expect(page.get_by_role("heading", name="No analyzer in us-east-1")).to_be_visible()
    page.get_by_label("Region").fill(REGION)
    page.get_by_role("button", name="Show").click()
    page.get_by_role("link", name="Access from outside").click()
    opened = page.get_by_role("region", name="Access from outside")
    expect(opened).to_contain_text(stranger)
    expect(opened).to_contain_text("sts:AssumeRole")
    opened.get_by_role("button", name="Archive").click()
    expect(page.get_by_role("heading", name="No finding")).to_be_visible()
    assert status() == "ARCHIVED"
    assert last_record(world, "UpdateFindings")["awsRegion"] == REGION
    page.get_by_label("Status").select_option("archived")
    page.get_by_role("button", name="Show").click()
    page.get_by_role("button", name="Make active").click()
    expect(page.get_by_role("heading", name="No finding")).to_be_visible()
    assert status() == "ACTIVE"
    page.goto(f"{world.console}/analyzers?region={REGION}")
    page.get_by_role("link", name="shared", exact=True).click()
    expect(page.get_by_role("heading", name="shared", exact=True)).to_be_visible()


def test_permissions_without_use_are_on_the_overview_and_with_access_analyzer(
    world: World, page: Page
) -> None:
    used_in_part(world.server, world.home, "worker")
    analyzer = world.server.client("accessanalyzer", world.home.root)
    analyzer.create_analyzer(analyzerName="idle", type="ACCOUNT_UNUSED_ACCESS")
    open_console(page, world)
    attention = page.get_by_role("region", name="Needs attention")
    expect(attention).to_contain_text("permissions without use for 90 days: 1")
    expect(attention).to_contain_text("worker iam (1 action), organizations")
    page.goto(f"{world.console}/analyzers?region={REGION}&analyzer=idle")
    page.get_by_role("row", name="worker").get_by_role("link", name="Unused permissions").click()
    opened = page.get_by_role("region", name="Unused permissions")
    expect(opened.get_by_role("definition").filter(has_text="ListUsers")).to_be_visible()
    expect(opened.get_by_role("definition").filter(has_text="the whole service")).to_be_visible()


def test_who_may_see_little_sees_that_and_the_refusal_of_the_rest(world: World, page: Page) -> None:
    open_console(page, world, "guest")
    go_to(page, "Users")
    page.get_by_role("link", name="dana").click()
    expect(page.get_by_role("heading", name="dana", exact=True)).to_be_visible()
    refusals = page.locator(".panel-refused")
    expect(refusals.filter(has_text="iam:ListAccessKeys")).to_be_visible()
    page.goto(f"{world.console}/roles")
    expect(page.get_by_role("alert")).to_contain_text("not authorized to perform: iam:ListRoles")
    page.goto(f"{world.console}/analyzers")
    expect(refusals).to_contain_text("not authorized to perform: access-analyzer:ListAnalyzers")


def test_the_console_acts_as_a_role_and_only_in_its_account(world: World, page: Page) -> None:
    sign_in(page, world.server.origin, world.home.account_id, "dana")
    page.get_by_role("button", name="Open console as reader").click()
    expect(page).to_have_url(f"{world.server.origin}/console/{world.data.account_id}/overview")
    expect(page.locator(".who")).to_contain_text("as the role reader")
    go_to(page, "Roles")
    page.get_by_role("link", name="reader").click()
    listed = last_record(world, "GetRole")
    arn = f"arn:aws:sts::{world.data.account_id}:assumed-role/reader/dana"
    assert listed["userIdentity"]["arn"] == arn  # type: ignore[index]
    assert last_record(world, "SwitchRole")["userIdentity"]["userName"] == "dana"  # type: ignore[index]
    page.goto(f"{world.console}/users")
    expect(page.get_by_role("heading")).to_have_text("The console is open in another account")
    page.goto(f"{world.server.origin}/console/{world.data.account_id}/new/user")
    page.get_by_label("User name").fill("intruder")
    page.get_by_role("button", name="Create user").click()
    expect(page.get_by_role("alert")).to_contain_text("not authorized to perform: iam:CreateUser")
    page.get_by_role("button", name="Leave the role").click()
    expect(page).to_have_url(f"{world.console}/overview")


def test_a_role_that_is_not_the_persons_opens_no_console(world: World) -> None:
    client = Client(world.server)
    assert client.sign_in(world.home.account_id, "guest").status == 303
    form = {"csrf_token": client.get("/access").token}
    path = f"/console/{world.data.account_id}/as/team/reader"
    answer = client.post(path, form)
    assert answer.status == 403
    assert client.get("/console").header("Location") == f"/console/{world.home.account_id}/overview"


def test_the_address_of_an_account_leads_to_its_overview(world: World) -> None:
    client = Client(world.server)
    assert client.sign_in(world.home.account_id, "guest").status == 303
    path = f"/console/{world.home.account_id}"
    assert client.get(path).header("Location") == f"{path}/overview"
    assert client.get(f"/console/{world.data.account_id}").status == 409


def test_a_role_that_is_revoked_ends_its_console_with_the_next_page(world: World) -> None:
    client = Client(world.server)
    assert client.sign_in(world.home.account_id, "dana").status == 303
    form = {"csrf_token": client.get("/access").token}
    assert client.post(f"/console/{world.data.account_id}/as/team/reader", form).status == 303
    users = f"/console/{world.data.account_id}/users"
    assert client.get(users).status == 200
    world.server.command("revoke", "role", f"arn:aws:iam::{world.data.account_id}:role/team/reader")
    answer = client.get(users)
    assert "The security token included in the request is invalid." in answer.body
    assert client.get("/access").status == 200, "the person is still signed in"


def test_one_session_is_revoked_and_then_all_of_a_role(world: World, page: Page) -> None:
    iam = world.server.client("iam", world.home.root)
    user = f"arn:aws:iam::{world.home.account_id}:user/dana"
    arn = new_role(world.server, world.home, "revoked", trust(user))
    dana = Keys.of(iam.create_access_key(UserName="dana")["AccessKey"])
    first, second, third = (assume(world.server, dana, arn, RoleSessionName=f"s{n}") for n in range(3))

    def who_am_i(keys: Keys) -> object:
        return world.server.client("sts", keys).get_caller_identity

    open_console(page, world)
    page.goto(f"{world.console}/roles/revoked")
    page.get_by_role("link", name="Live sessions").click()
    listed = page.get_by_role("button", name="Revoke 3 sessions")
    for _ in range(20):  # the list is written behind
        if listed.count():
            break
        page.wait_for_timeout(500)
        page.reload()
    page.get_by_role("button", name=f"Revoke {first.access_key_id}").click()
    assert refused(who_am_i(first))[1] == "InvalidClientTokenId"
    assert world.server.client("sts", second).get_caller_identity()["Account"] == world.home.account_id
    page.get_by_role("button", name="Revoke 2 sessions").click()
    expect(page.get_by_role("button", name="Revoke")).to_have_count(0)
    for keys in (second, third):
        assert refused(who_am_i(keys))[1] == "InvalidClientTokenId"
    assert last_record(world, "RevokeSessions")["requestParameters"] == {"principal": arn}
    iam.delete_access_key(UserName="dana", AccessKeyId=dana.access_key_id)


def test_the_journal_is_narrowed_by_a_click_and_a_record_opens_beside_the_others(
    world: World, page: Page
) -> None:
    new_user(world.server, world.home, "auditor", allow("cloudtrail:LookupEvents", "sts:*"))
    world.server.set_password(world.home, "auditor")
    clerk = new_user(world.server, world.home, "clerk", allow("iam:GetUser"))
    iam = world.server.client("iam", clerk)
    iam.get_user(UserName="clerk")
    assert refused(iam.delete_user, UserName="dana")[1] == "AccessDenied"
    open_console(page, world, "auditor")
    go_to(page, "Journal")
    rows = page.locator("[data-records] tr")
    page.get_by_label("Who", exact=True).fill("clerk")
    page.get_by_role("button", name="Search").click()
    expect(rows).to_have_count(2)
    page.get_by_role("link", name="✕ AccessDenied").click()
    expect(page).to_have_url(f"{world.console}/journal?principal=clerk&error=AccessDenied")
    expect(rows).to_have_count(1)
    expect(rows).to_contain_text("iam:DeleteUser")
    expect(page.locator(".as-command pre")).to_have_text(
        f"broker audit find --account {world.home.account_id} --principal clerk --error AccessDenied"
    )
    page.get_by_role("link", name="open the record").click()
    record = page.get_by_role("region", name="DeleteUser")
    expect(record).to_contain_text("no identity-based policy allows the iam:DeleteUser action")
    assert json.loads(record.locator("pre").inner_text())["requestParameters"] == {"userName": "dana"}
    page.get_by_role("link", name="remove this filter").first.click()
    expect(page).to_have_url(f"{world.console}/journal?error=AccessDenied")
    looked_up = last_record(world, "LookupEvents")
    assert looked_up["eventSource"] == "cloudtrail.amazonaws.com"
    assert looked_up["userIdentity"]["userName"] == "auditor"  # type: ignore[index]


def test_who_may_not_look_up_events_sees_no_record_and_leaves_one(world: World, page: Page) -> None:
    open_console(page, world, "guest")
    page.goto(f"{world.console}/journal")
    expect(page.get_by_role("alert")).to_contain_text("cloudtrail:LookupEvents")
    assert page.locator("[data-records]").count() == 0
    assert last_record(world, "LookupEvents")["errorCode"] == "AccessDenied"
    client = Client(world.server)
    client.sign_in(world.home.account_id, "guest")
    client.post("/console", {"csrf_token": client.get("/access").token})
    assert client.get(f"/console/{world.home.account_id}/journal/tail").status == 403


def test_new_records_appear_by_themselves_until_the_session_is_revoked(world: World, page: Page) -> None:
    new_user(world.server, world.home, "watcher", allow("cloudtrail:LookupEvents", "sts:*"))
    world.server.set_password(world.home, "watcher")
    open_console(page, world, "watcher")
    page.goto(f"{world.console}/journal?event=GetPolicy")
    page.get_by_role("button", name="Live").click()
    expect(page.get_by_text("New records appear here.")).to_be_visible()
    attack = "<img src=x onerror=alert(1)>"
    iam = world.server.client("iam", world.home.root, user_agent=attack)
    iam.get_policy(PolicyArn="arn:aws:iam::aws:policy/ReadOnlyAccess")
    assert refused(iam.get_policy, PolicyArn=f"arn:aws:iam::{world.home.account_id}:policy/{attack}")
    expect(page.locator("[data-records] tr.new")).to_have_count(2)
    expect(page.locator("[data-records]")).to_contain_text(attack)
    page.goto(f"{page.url}&record={last_record(world, 'GetPolicy')['eventID']}")
    expect(page.locator("#record pre")).to_contain_text(f'"userAgent": "{attack}')
    assert page.locator("main img").count() == 0

    page.get_by_role("button", name="Live").click()
    expect(page.get_by_text("New records appear here.")).to_be_visible()
    world.server.command("revoke", "user", f"arn:aws:iam::{world.home.account_id}:user/watcher")
    expect(page.get_by_text("The live tail has ended.")).to_be_visible()


def test_an_account_sees_its_own_records_only_whatever_it_asks_for(world: World) -> None:
    other = world.server.new_account()
    new_user(world.server, world.home, "curious", allow("cloudtrail:*"))
    world.server.set_password(world.home, "curious")
    world.server.client("iam", other.root).create_user(UserName="stranger")
    theirs = last_record(world, "CreateUser")
    assert theirs["recipientAccountId"] == other.account_id
    client = Client(world.server)
    client.sign_in(world.home.account_id, "curious")
    client.post("/console", {"csrf_token": client.get("/access").token})
    path = f"/console/{world.home.account_id}/journal"
    assert 'data-record="' in client.get(f"{path}?event=CreateUser").body
    for query in (
        f"id={theirs['eventID']}",
        f"resource=stranger&record={theirs['eventID']}",
        f"account={other.account_id}&resource=stranger",
        f"principal=arn:aws:iam::{other.account_id}:root",
    ):
        answer = client.get(f"{path}?{query}")
        assert (answer.status, 'data-record="' in answer.body) == (200, False)
    assert client.get(f"/console/{other.account_id}/journal").status == 409
    assert client.get(f"{path}?after=nonsense").status == 400
    assert client.get(f"{path}?since=nonsense").status == 400


def test_the_simulator_lights_the_layer_that_decides_and_shows_its_statement(
    world: World, page: Page
) -> None:
    iam = world.server.client("iam", world.home.root)
    new_user(world.server, world.home, "sim")
    mine = allow("s3:GetObject", on="arn:aws:s3:::reports/*", Sid="Reports")
    office = {"IpAddress": {"aws:SourceIp": "192.0.2.0/24"}}
    text = document(mine, allow("s3:PutObject", Condition=office), deny("s3:DeleteObject", Sid="Never"))
    arn = iam.create_policy(PolicyName="sim", PolicyDocument=text)["Policy"]["Arn"]
    iam.create_group(GroupName="simulated")
    iam.attach_group_policy(GroupName="simulated", PolicyArn=arn)
    iam.add_user_to_group(UserName="sim", GroupName="simulated")
    open_console(page, world)
    page.goto(f"{world.console}/users/sim")
    page.get_by_role("link", name="Simulate", exact=True).click()

    keyboard = page.keyboard  # by keyboard alone from here
    page.get_by_label("Who").focus()
    keyboard.press("Tab")
    keyboard.type("s3:GetObject")
    keyboard.press("Tab")
    keyboard.type("arn:aws:s3:::reports/2026.csv")
    keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Allowed")).to_be_visible()
    lit = page.locator(".lamp.lit")
    expect(lit.filter(has_text="Policies of the principal")).to_contain_text('"Sid": "Reports"')
    lit.get_by_role("link", name="sim").first.click()
    expect(page.get_by_role("heading", name="sim", exact=True)).to_be_visible()

    page.go_back()
    page.get_by_label("Does what").fill("s3:DeleteObject")
    keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Denied by a statement")).to_be_visible()
    expect(lit.filter(has_text="Policies of the principal")).to_contain_text('"Sid": "Never"')

    page.get_by_label("Does what").fill("s3:PutObject")
    keyboard.press("Enter")
    expect(page.get_by_role("heading", name="no statement allows it")).to_be_visible()
    expect(page.get_by_label("Condition key 1")).to_have_value("aws:SourceIp")
    near_misses = page.get_by_role("region", name="Near misses")
    expect(near_misses).to_contain_text("would match but for aws:SourceIp")
    expect(near_misses).to_contain_text("IpAddress 192.0.2.0/24")
    expect(near_misses.get_by_role("link")).to_have_attribute(
        "href", f"/console/{world.home.account_id}/policies/{world.home.account_id}/sim"
    )
    page.get_by_label("Value 1", exact=True).fill("192.0.2.7")
    keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Allowed")).to_be_visible()


def test_who_may_not_simulate_reads_so(world: World, page: Page) -> None:
    open_console(page, world, "guest")
    principal = f"arn:aws:iam::{world.home.account_id}:user/dana"
    page.goto(f"{world.console}/simulator?principal={principal}&action=iam:GetUser")
    expect(page.get_by_role("alert")).to_contain_text(
        "not authorized to perform: iam:SimulatePrincipalPolicy"
    )


def test_an_identity_provider_is_added_and_deleted(world: World, page: Page) -> None:
    iam = world.server.client("iam", world.home.root)
    open_console(page, world)
    go_to(page, "Identity providers")
    page.get_by_role("link", name="Add OpenID Connect provider").click()
    page.get_by_label("Issuer").fill("http://id.example")
    page.get_by_role("button", name="Add provider").click()
    expect(page.get_by_role("alert")).to_contain_text("Invalid Open ID Connect Provider URL")
    expect(page.get_by_label("Issuer")).to_have_value("http://id.example")
    page.get_by_label("Issuer").fill("https://127.0.0.1/.well-known/openid-configuration")
    page.get_by_label("Client id (audience)").fill("app")
    page.get_by_role("button", name="Look at it").click()
    expect(page.locator("#found")).to_contain_text("at an address that may not be reached")
    page.get_by_label("Issuer").fill("https://id.example")
    page.get_by_role("button", name="Add provider").click()
    expect(page.get_by_role("heading", name="id.example", exact=True)).to_be_visible()
    expect(page.locator("#trust-template")).to_contain_text('"id.example:aud": "app"')
    arn = f"arn:aws:iam::{world.home.account_id}:oidc-provider/id.example"
    go_to(page, "Identity providers")
    expect(page.locator("#content")).to_contain_text("for the clients app")
    page.get_by_role("button", name="Delete id.example").click()
    expect(page.get_by_text("No provider. Register an issuer")).to_be_visible()
    assert refused(iam.get_open_id_connect_provider, OpenIDConnectProviderArn=arn)[1] == "NoSuchEntity"


def test_a_machine_gets_a_profile_with_a_role_and_the_profile_lists_it(world: World, page: Page) -> None:
    new_role(world.server, world.home, "machine", document_for_machines())
    declare_instance(world, "i-0a1b2c3d4e5f60718", "machines")
    open_console(page, world)
    go_to(page, "Instance profiles")
    page.get_by_role("link", name="Create instance profile").click()
    page.get_by_label("Instance profile name").fill("machines")
    page.get_by_role("button", name="Create instance profile").click()
    expect(page.get_by_role("heading", name="machines", exact=True)).to_be_visible()
    expect(page.locator("#content")).to_contain_text("i-0a1b2c3d4e5f60718")
    page.get_by_label("Role name").fill("machine")
    page.get_by_role("button", name="Add role").click()
    expect(page.get_by_role("link", name="machine", exact=True)).to_be_visible()
    iam = world.server.client("iam", world.home.root)
    profile = iam.get_instance_profile(InstanceProfileName="machines")["InstanceProfile"]
    assert [role["RoleName"] for role in profile["Roles"]] == ["machine"]
    go_to(page, "Instances")
    expect(page.locator("tbody tr")).to_contain_text("machines")
    page.get_by_role("link", name="machines").click()
    page.get_by_role("button", name="Delete instance profile").click()
    expect(page.get_by_role("alert")).to_contain_text("DeleteConflict")
    page.get_by_role("button", name="Remove machine").click()
    page.get_by_role("button", name="Delete instance profile").click()
    expect(page).to_have_url(f"{world.console}/profiles")


def document_for_machines() -> dict[str, object]:
    return {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}


def declare_instance(world: World, instance_id: str, profile: str) -> None:
    """What `broker apply` is for: no operation creates instances."""
    instance = {
        "account_id": world.home.account_id,
        "addresses": ["192.0.2.7"],
        "instance_profile": profile,
        "tags": {"Name": "<b>web</b>"},
    }
    file = world.server.folder / "instances.yaml"
    file.write_text(json.dumps({"instances": {instance_id: instance}}))
    world.server.command("apply", str(file))


def test_metadata_of_a_saml_provider_are_read_before_it_is_added(world: World, page: Page) -> None:
    iam = world.server.client("iam", world.home.root)
    metadata = saml_metadata(KeyPair(), entity="https://idp.example.com/<b>staff</b>".replace("<", "&lt;"))
    open_console(page, world)
    page.goto(f"{world.console}/new/saml-provider")
    page.get_by_label("Metadata document").fill("<a/>")
    page.get_by_role("button", name="Look at it").click()
    expect(page.get_by_role("alert")).to_contain_text("Could not parse metadata")
    file = {"name": "idp.xml", "mimeType": "text/xml", "buffer": metadata.encode()}
    page.get_by_label("Or a file with it").set_input_files(files=[file])  # type: ignore[list-item]
    expect(page.get_by_label("Metadata document")).to_have_value(metadata)
    page.get_by_role("button", name="Look at it").click()
    found = page.locator("#found")
    expect(found).to_contain_text("https://idp.example.com/<b>staff</b>")
    expect(found).to_contain_text("CN=idp")
    expect(page.get_by_label("Name", exact=True)).to_have_value("idp.example.com")
    page.get_by_role("button", name="Add provider").click()
    expect(page.get_by_role("heading", name="idp.example.com", exact=True)).to_be_visible()
    arn = f"arn:aws:iam::{world.home.account_id}:saml-provider/idp.example.com"
    assert iam.get_saml_provider(SAMLProviderArn=arn)["SAMLMetadataDocument"] == metadata
    expect(page.locator("#trust-template")).to_contain_text("sts:AssumeRoleWithSAML")
    page.get_by_label("SAML response, in base64").fill("PGEvPg==")
    page.get_by_label("Role", exact=True).fill(f"arn:aws:iam::{world.home.account_id}:role/nobody")
    page.get_by_role("button", name="Check", exact=True).click()
    expect(page.get_by_role("heading", name="It would not open the role nobody")).to_be_visible()
    expect(page.locator(".checks")).to_contain_text("✕")
    iam.delete_saml_provider(SAMLProviderArn=arn)


def test_keys_lead_to_pages_and_to_the_search_but_not_while_somebody_types(world: World, page: Page) -> None:
    open_console(page, world)
    keyboard = page.keyboard
    keyboard.press("g")
    keyboard.press("u")
    expect(page).to_have_url(f"{world.console}/users")
    keyboard.press("?")
    keys = page.get_by_role("dialog", name="Keys")
    expect(keys).to_contain_text("Instance profiles")
    keyboard.press("Escape")
    expect(keys).to_be_hidden()
    keyboard.press("/")
    everything = page.get_by_role("searchbox", name="Search everything in the account")
    expect(everything).to_be_focused()
    keyboard.type("gr?/")
    expect(everything).to_have_value("gr?/")
    expect(page).to_have_url(f"{world.console}/users")
    everything.fill("dan")
    keyboard.press("Enter")
    expect(page).to_have_url(f"{world.console}/search?q=dan")
    page.get_by_role("link", name="dana").click()
    expect(page.get_by_role("heading", name="dana", exact=True)).to_be_visible()

    keyboard.press("?")
    keys.get_by_role("link", name="Turn them off").click()
    page.get_by_role("button", name="Turn keys off").click()
    expect(page.get_by_text("The keys are off")).to_be_visible()
    page.goto(f"{world.console}/overview")
    for key in ("g", "u", "?", "/"):
        keyboard.press(key)
    expect(page).to_have_url(f"{world.console}/overview")
    expect(page.get_by_role("searchbox")).not_to_be_focused()


def test_a_search_finds_what_the_person_may_list_and_says_what_it_left_out(
    world: World, browser: Browser
) -> None:
    with person(browser, java_script_enabled=False) as page:
        open_console(page, world, "guest")
        page.goto(f"{world.console}/search?q=dana%20<b>")
        expect(page.get_by_role("heading", name="Nothing was found")).to_be_visible()
        page.get_by_label("Words of a name, a path or a description").fill("DANA")
        page.get_by_role("button", name="Search", exact=True).click()
        expect(page.get_by_role("link", name="dana")).to_be_visible()
        expect(page.locator("#content")).to_contain_text("these were not searched: groups, roles, policies")


def test_a_favourite_comes_first_wherever_the_person_signs_in(world: World, browser: Browser) -> None:
    favourites = 'section[aria-labelledby="favourites"]'
    with person(browser, java_script_enabled=False) as page:
        sign_in(page, world.server.origin, world.home.account_id, "dana")
        expect(page.locator(favourites)).to_have_count(0)
        page.get_by_role("button", name="Favourite reader").click()
        expect(page.locator(favourites).get_by_role("link", name="reader")).to_be_visible()
    with person(browser) as page:
        sign_in(page, world.server.origin, world.home.account_id, "dana")
        page.locator(favourites).get_by_role("button", name="Open console as reader").click()
        expect(page.locator(".who")).to_contain_text("as the role reader")
        page.goto(f"{world.server.origin}/access")
        page.get_by_role("button", name="Favourite reader", pressed=True).click()
        expect(page.locator(favourites)).to_have_count(0)
    client = Client(world.server)
    assert client.sign_in(world.home.account_id, "guest").status == 303
    foreign = {"add": f"{world.data.account_id}/team/reader"}
    token = client.get("/access").token
    assert client.post("/favourites", {**foreign, "csrf_token": token}).status == 404
    assert client.post("/favourites", {"add": "//evil.example", "csrf_token": token}).status == 400
    assert client.post("/favourites", foreign).status == 403


def test_forms_of_the_console_need_their_token_and_know_no_other_operation(world: World) -> None:
    client = Client(world.server)
    assert client.sign_in(world.home.account_id, "dana").status == 303
    token = client.get("/access").token
    path = f"/console/{world.home.account_id}/users/guest"
    assert client.post(path, {"do": "DeleteUser"}).status == 403
    assert client.post(path, {"do": "DeleteRole", "RoleName": "x", "csrf_token": token}).status == 400
    # What the address names is not taken from the form.
    form = {"do": "TagUser", "UserName": "dana", "Tags.member.1.Key": "k", "Tags.member.1.Value": "v"}
    assert client.post(path, {**form, "csrf_token": token}).status == 303
    iam = world.server.client("iam", world.home.root)
    assert iam.list_user_tags(UserName="guest")["Tags"] == [{"Key": "k", "Value": "v"}]
    assert iam.list_user_tags(UserName="dana")["Tags"] == []


def test_text_of_others_is_shown_in_the_console_and_never_run(world: World, page: Page) -> None:
    iam = world.server.client("iam", world.home.root)
    attack = "<img src=x onerror=alert(1)>"
    trusted = document(trust(f"arn:aws:iam::{world.home.account_id}:root"))
    iam.create_role(
        RoleName="hostile", AssumeRolePolicyDocument=trusted, Description=attack.replace("<", "&lt;")
    )
    iam.tag_role(RoleName="hostile", Tags=[{"Key": "k", "Value": "a=b/c@d:e"}])
    text = document(allow("s3:GetObject", on="arn:aws:s3:::<script>alert(1)</script>/*"))
    iam.put_role_policy(RoleName="hostile", PolicyName="scripted", PolicyDocument=text)
    open_console(page, world)
    page.goto(f"{world.console}/roles/hostile")
    page.get_by_role("link", name="Show as").click()
    expect(page.locator("#declaration")).to_contain_text("<script>alert(1)</script>")
    expect(page.locator("#commands")).to_contain_text("aws iam put-role-policy --role-name hostile")
    declaration = copied(page, page.get_by_role("button", name="Copy declaration"))
    assert declaration == page.locator("#declaration").text_content()
    page.goto(f"{world.console}/roles/hostile/inline/scripted")
    expect(page.get_by_label("Policy document")).to_contain_text("<script>alert(1)</script>")
    expect(page.locator("#findings")).to_contain_text("<script>alert(1)</script>")
    assert page.locator("#findings script").count() == 0


def test_the_console_works_without_a_script(world: World, browser: Browser) -> None:
    with person(browser, java_script_enabled=False) as page:
        open_console(page, world)
        page.goto(f"{world.console}/new/policy")
        page.get_by_label("Name").fill("plain")
        page.get_by_label("Policy document").fill("{")
        page.get_by_role("button", name="Check").click()
        expect(page.locator("#findings")).to_contain_text("Error, line 1")
        expect(page.get_by_label("Name")).to_have_value("plain")
        page.goto(f"{world.console}/users?search=gue")
        expect(page.locator("tbody tr")).to_have_count(1)
