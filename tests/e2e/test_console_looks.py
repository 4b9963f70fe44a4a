"""How the console looks: axe-core finds no fault, pages are small, var/screenshots has a picture of each to look at."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.conftest import REGION, Account, Keys
from tests.e2e.looks import faults_of, look_at
from tests.e2e.portal import PortalServer, person, shoot, sign_in
from tests.e2e.scenes import allow, assume, document, new_role, new_user, refused, trust
from tests.e2e.test_portal_looks import LARGEST_PAGE
from tests.e2e.web_identity import trust as web_identity_trust
from tests.unit.assertions.saml_provider import KeyPair
from tests.unit.assertions.saml_provider import metadata as saml_metadata

METADATA = saml_metadata(KeyPair())


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PortalServer]:
    folder = tmp_path_factory.mktemp("console")
    server = PortalServer(folder, f"sqlite:{folder / 'broker.db'}")
    with server.running():
        yield server


@pytest.fixture(scope="module")
def home(server: PortalServer) -> Account:
    """An account with some of everything in it."""
    home = server.new_account()
    iam = server.client("iam", home.root)
    iam.create_account_alias(AccountAlias=f"workloads-{home.account_id}")
    dana = new_user(
        server,
        home,
        "dana",
        allow("iam:*", "sts:*", "cloudtrail:LookupEvents", "organizations:*", "access-analyzer:*"),
    )
    server.set_password(home, "dana")
    user = f"arn:aws:iam::{home.account_id}:user/dana"
    for name, description in (
        ("data-reader", "Reads what the data account keeps."),
        ("deployment", "Brings new versions to the cluster."),
        ("night-watch", ""),
    ):
        options = {"Description": description} if description else {}
        arn = new_role(server, home, name, trust(user), allow("s3:Get*"), MaxSessionDuration=43200, **options)
        for session_name in ("morning", "evening"):
            assume(server, dana, arn, RoleSessionName=session_name)
    text = document(
        allow("s3:GetObject", "s3:ListBucket", on="arn:aws:s3:::reports/*"),
        allow("iam:PassRole", Condition={"StringEquals": {"iam:PassedToService": "ec2.amazonaws.com"}}),
    )
    arn = iam.create_policy(PolicyName="reports", PolicyDocument=text, Description="Read the reports.")[
        "Policy"
    ]["Arn"]
    iam.create_policy_version(
        PolicyArn=arn, PolicyDocument=text.replace("ListBucket", "PutObject"), SetAsDefault=True
    )
    iam.create_group(GroupName="operators")
    iam.attach_group_policy(GroupName="operators", PolicyArn=arn)
    for name in ("erika", "frank", "gerd"):
        new_user(server, home, name)
        iam.add_user_to_group(UserName=name, GroupName="operators")
    erika = Keys.of(iam.create_access_key(UserName="erika")["AccessKey"])
    for operation in ("list_users", "list_roles", "list_groups"):
        refused(getattr(server.client("iam", erika), operation))
    iam.attach_user_policy(UserName="erika", PolicyArn=arn)
    iam.tag_user(UserName="erika", Tags=[{"Key": "team", "Value": "night"}])
    github = "token.actions.githubusercontent.com"
    provider = iam.create_open_id_connect_provider(
        Url=f"https://{github}", ClientIDList=["sts.amazonaws.com"]
    )
    trusted = web_identity_trust(
        provider["OpenIDConnectProviderArn"], StringEquals={f"{github}:sub": "repo:a/b"}
    )
    new_role(server, home, "pipeline", trusted, Description="What the pipeline may do.")
    new_role(server, home, "partner", trust("arn:aws:iam::999988887777:role/deployment"))
    server.client("accessanalyzer", home.root).create_analyzer(analyzerName="outside", type="ACCOUNT")
    iam.create_saml_provider(Name="staff", SAMLMetadataDocument=METADATA)
    machines = {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}
    new_role(server, home, "web", machines, Description="What web servers may do.")
    iam.create_instance_profile(InstanceProfileName="web-servers")
    iam.add_role_to_instance_profile(InstanceProfileName="web-servers", RoleName="web")
    file = server.folder / "instances.json.yaml"
    file.write_text(json.dumps({"instances": instances_of(home)}))
    server.command("apply", str(file))
    make_organization(server, home)
    return home


@pytest.fixture(scope="module")
def as_dana(browser: Browser, server: PortalServer, home: Account) -> dict[str, Any]:
    """What a browser keeps of dana's sign-in."""
    with person(browser) as page:
        sign_in(page, server.origin, home.account_id, "dana")
        return {"storage_state": page.context.storage_state()}


def instances_of(home: Account) -> dict[str, object]:
    return {
        f"i-0a1b2c3d4e5f6071{number}": {
            "account_id": home.account_id,
            "addresses": [f"192.0.2.{number}"],
            "instance_profile": "web-servers",
            "tags": {"Name": f"web-{number}"},
            "tokens_required": number != 2,
        }
        for number in (1, 2, 3)
    }


def make_organization(server: PortalServer, home: Account) -> None:
    client = server.client("organizations", home.root)
    client.create_organization()
    root = client.list_roots()["Roots"][0]["Id"]
    client.enable_policy_type(RootId=root, PolicyType="SERVICE_CONTROL_POLICY")
    guard = client.create_policy(
        Name="no-root-in-s3",
        Type="SERVICE_CONTROL_POLICY",
        Description="Root may still repair IAM.",
        Content=document({"Effect": "Deny", "Action": "s3:*", "Resource": "*"}),
    )["Policy"]["PolicySummary"]["Id"]
    client.attach_policy(PolicyId=guard, TargetId=root)
    unit = client.create_organizational_unit(ParentId=root, Name="workloads")["OrganizationalUnit"]["Id"]
    for name in ("production", "staging"):
        created = client.create_account(Email=f"{name}@example.com", AccountName=name)
        member = created["CreateAccountStatus"]["AccountId"]
        client.move_account(AccountId=member, SourceParentId=root, DestinationParentId=unit)


def wrong_policy(page: Page, path: str) -> None:
    page.goto(f"{path}/new/policy")
    page.get_by_label("Name").fill("reports-writer")
    text = page.get_by_label("Policy document")
    text.fill(text.input_value().replace("Allow", "Alow"))
    page.get_by_text("Error, line 4").wait_for()


def refused_form(page: Page, path: str) -> None:
    page.goto(f"{path}/users/erika")
    page.get_by_role("button", name="Delete user").click()


def sessions_of_a_role(page: Page, path: str) -> None:
    page.goto(f"{path}/roles/data-reader")
    page.get_by_role("link", name="Live sessions").click()
    page.get_by_role("button", name="Revoke 2 sessions").wait_for()


def question(path: str, user: str, action: str) -> str:
    arn = f"arn:aws:iam::{path[-12:]}:user/{user}"
    return f"{path}/simulator?principal={arn}&action={action}"


def new_device(page: Page, path: str) -> None:
    page.goto(f"{origin_of(path)}/security")
    page.get_by_role("button", name="Add a device").click()


def origin_of(path: str) -> str:
    return path.partition("/console/")[0]


def new_key(page: Page, path: str) -> None:
    page.goto(f"{path}/users/gerd")
    page.get_by_role("button", name="Create access key").click()


def looked_at_metadata(page: Page, path: str) -> None:
    page.goto(f"{path}/new/saml-provider")
    page.get_by_label("Metadata document").fill(METADATA)
    page.get_by_role("button", name="Look at it").click()


def near_miss(page: Page, path: str) -> None:
    page.goto(question(path, "erika", "s3:GetObject") + "&resource=arn:aws:s3:::other/a")
    page.get_by_role("region", name="Near misses").scroll_into_view_if_needed()


def keys(page: Page, path: str) -> None:
    page.goto(f"{path}/overview")
    page.keyboard.press("?")


def favourite(page: Page, path: str) -> None:
    page.goto(f"{origin_of(path)}/access")
    page.get_by_role("button", name="Favourite deployment", pressed=False).or_(
        page.get_by_role("button", name="Favourite deployment", pressed=True)
    ).click()


def opened_record(page: Page, path: str) -> None:
    page.goto(f"{path}/journal?outcome=denied")
    page.get_by_role("link", name="open the record").first.click()
    page.get_by_role("link", name="Ask the simulator").wait_for()


def account_of_the_organization(page: Page, path: str) -> None:
    page.goto(f"{path}/organization")
    page.get_by_role("link", name="production").click()
    page.get_by_role("button", name="Close account").wait_for()


def opened_finding(page: Page, path: str) -> None:
    page.goto(f"{path}/analyzers?region={REGION}")
    page.get_by_role("row", name="partner").get_by_role("link", name="Access from outside").click()
    page.get_by_role("heading", name="Access from outside").wait_for()


PAGES: dict[str, Callable[[Page, str], object]] = {
    "overview": lambda page, path: page.goto(f"{path}/overview"),
    "users": lambda page, path: page.goto(f"{path}/users"),
    "user": lambda page, path: page.goto(f"{path}/users/erika"),
    "user-refused": refused_form,
    "user-new-key": new_key,
    "new-user": lambda page, path: page.goto(f"{path}/new/user"),
    "groups": lambda page, path: page.goto(f"{path}/groups"),
    "group": lambda page, path: page.goto(f"{path}/groups/operators"),
    "new-group": lambda page, path: page.goto(f"{path}/new/group"),
    "roles": lambda page, path: page.goto(f"{path}/roles"),
    "role": lambda page, path: page.goto(f"{path}/roles/data-reader"),
    "new-role": lambda page, path: page.goto(f"{path}/new/role"),
    "policies": lambda page, path: page.goto(f"{path}/policies"),
    "policies-of-aws": lambda page, path: page.goto(f"{path}/policies?scope=aws"),
    "policy": lambda page, path: page.goto(f"{path}/policies/{path[-12:]}/reports"),
    "policy-difference": lambda page, path: page.goto(f"{path}/policies/{path[-12:]}/reports?version=v1"),
    "policy-editor": lambda page, path: page.goto(f"{path}/edit/policies/{path[-12:]}/reports"),
    "policy-editor-error": wrong_policy,
    "providers": lambda page, path: page.goto(f"{path}/providers"),
    "openid-provider": lambda page, path: page.goto(
        f"{path}/providers/openid/token.actions.githubusercontent.com"
    ),
    "new-saml-provider": looked_at_metadata,
    "profile": lambda page, path: page.goto(f"{path}/profiles/web-servers"),
    "instances": lambda page, path: page.goto(f"{path}/instances"),
    "search": lambda page, path: page.goto(f"{path}/search?q=er"),
    "show-as": lambda page, path: page.goto(f"{path}/as/users/erika"),
    "keys": keys,
    "access": favourite,
    "sessions": lambda page, path: page.goto(f"{path}/sessions"),
    "sessions-of-a-role": sessions_of_a_role,
    "journal": lambda page, path: page.goto(f"{path}/journal?source=iam"),
    "journal-record": opened_record,
    "journal-nothing": lambda page, path: page.goto(f"{path}/journal?principal=nobody&since=1d"),
    "analyzers-finding": opened_finding,
    "simulator": lambda page, path: page.goto(f"{path}/simulator"),
    "simulator-allowed": lambda page, path: page.goto(question(path, "dana", "iam:GetUser")),
    "simulator-near-miss": near_miss,
    "simulator-denied": lambda page, path: page.goto(question(path, "erika", "iam:PassRole")),
    "organization": lambda page, path: page.goto(f"{path}/organization"),
    "organization-account": account_of_the_organization,
    "security": lambda page, path: page.goto(f"{origin_of(path)}/security"),
    "security-new-device": new_device,
    "nothing-there": lambda page, path: page.goto(f"{path}/users/nobody"),
}


@pytest.mark.parametrize("name", PAGES)
def test_a_page_of_the_console_has_no_fault_that_axe_finds(
    server: PortalServer, home: Account, browser: Browser, as_dana: dict[str, Any], name: str
) -> None:
    with person(browser, **as_dana) as page:
        PAGES[name](page, f"{server.origin}/console/{home.account_id}")
        page.wait_for_load_state()
        assert len(page.content().encode()) < LARGEST_PAGE
        look_at(page, f"console-{name}")


def test_on_a_narrow_screen_the_pages_are_in_a_menu_that_needs_no_script(
    server: PortalServer, home: Account, browser: Browser
) -> None:
    with person(browser, java_script_enabled=False, viewport={"width": 390, "height": 844}) as page:
        sign_in(page, server.origin, home.account_id, "dana")
        page.goto(f"{server.origin}/console/{home.account_id}/overview")
        users = page.get_by_role("list", name="Console").get_by_role("link", name="Users")
        expect(users).to_be_hidden()
        header = page.locator("header.side").bounding_box()
        assert header is not None
        assert header["height"] < 80
        page.get_by_role("button", name="Menu").press("Enter")
        expect(page.get_by_role("button", name="Sign out")).to_be_visible()
        shoot(page, "console-menu-narrow")
        users.click()
        expect(page.get_by_role("heading", name="Users")).to_be_visible()
        expect(users).to_be_hidden()


def test_the_key_that_searches_opens_the_menu_of_a_narrow_screen(
    server: PortalServer, home: Account, browser: Browser
) -> None:
    with person(browser, viewport={"width": 390, "height": 844}) as page:
        sign_in(page, server.origin, home.account_id, "dana")
        page.goto(f"{server.origin}/console/{home.account_id}/overview")
        page.keyboard.press("/")
        expect(page.get_by_role("searchbox", name="Search everything in the account")).to_be_focused()
        assert faults_of(page) == []
