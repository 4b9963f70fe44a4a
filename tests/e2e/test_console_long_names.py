"""The longest names and texts that IAM allows: no page of the console is wider than the screen."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.conftest import Account
from tests.e2e.portal import PortalServer, person, shoot, sign_in
from tests.e2e.scenes import allow, assume, document, new_role, new_user, trust

# Without a place at which a line may break by itself.
NAME, LONG_NAME, DESCRIPTION = "n" * 64, "N" * 128, "d" * 1000
PATH = f"/{'p' * 500}/"
WIDTHS = (360, 1280)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PortalServer]:
    folder = tmp_path_factory.mktemp("long-names")
    server = PortalServer(folder, f"sqlite:{folder / 'broker.db'}")
    with server.running():
        yield server


@pytest.fixture(scope="module")
def home(server: PortalServer) -> Account:
    home = server.new_account()
    iam = server.client("iam", home.root)
    dana = new_user(server, home, "dana", allow("*"))
    server.set_password(home, "dana")
    trusted = trust(f"arn:aws:iam::{home.account_id}:user/dana")
    role = new_role(server, home, NAME, trusted, allow("*"), Description=DESCRIPTION)
    assume(server, dana, role, RoleSessionName=NAME)
    new_user(server, home, NAME, allow("s3:*"))
    iam.tag_user(UserName=NAME, Tags=[{"Key": "k" * 128, "Value": "v" * 256}])
    iam.create_group(GroupName=LONG_NAME)
    iam.add_user_to_group(GroupName=LONG_NAME, UserName=NAME)
    text = document(allow("s3:GetObject", on=f"arn:aws:s3:::{'b' * 63}/{'k' * 900}"))
    policy = iam.create_policy(PolicyName=LONG_NAME, Path=PATH, PolicyDocument=text, Description=DESCRIPTION)[
        "Policy"
    ]["Arn"]
    iam.attach_group_policy(GroupName=LONG_NAME, PolicyArn=policy)
    iam.attach_user_policy(UserName=NAME, PolicyArn=policy)
    iam.attach_role_policy(RoleName=NAME, PolicyArn=policy)
    iam.create_instance_profile(InstanceProfileName=LONG_NAME)
    iam.add_role_to_instance_profile(InstanceProfileName=LONG_NAME, RoleName=NAME)
    return home


def paths_of(home: Account) -> list[str]:
    """What a reader comes to from the lists, and the lists."""
    console = f"/console/{home.account_id}"
    user = f"arn:aws:iam::{home.account_id}:user/{NAME}"
    question = f"principal={user}&action=s3:GetObject&resource=arn:aws:s3:::{'b' * 63}/{'K' * 900}"
    # Those of users, groups and profiles are made as that of roles is, with fewer columns.
    lists = (
        "roles",
        "policies",
        "sessions",
        "journal",
        "overview",
        "simulator",
    )
    return [
        "/access",
        f"/access/{home.account_id}/{NAME}",
        *(f"{console}/{one}" for one in lists),
        f"{console}/users/{NAME}",
        f"{console}/roles/{NAME}",
        f"{console}/groups/{LONG_NAME}",
        f"{console}/policies/{home.account_id}{PATH}{LONG_NAME}",
        f"{console}/edit/policies/{home.account_id}{PATH}{LONG_NAME}",
        f"{console}/profiles/{LONG_NAME}",
        f"{console}/as/users/{NAME}",
        f"{console}/search?q=n",
        f"{console}/sessions?principal=arn:aws:iam::{home.account_id}:role/{NAME}",
        f"{console}/simulator?{question}",
    ]


def test_no_page_is_wider_than_the_screen(server: PortalServer, home: Account, browser: Browser) -> None:
    with person(browser) as page:
        sign_in(page, server.origin, home.account_id, "dana")
        too_wide = [one for path in paths_of(home) for one in widths_of(page, f"{server.origin}{path}")]
        assert too_wide == []


def test_nor_is_it_for_who_acts_as_a_role_with_the_longest_name(
    server: PortalServer, home: Account, browser: Browser
) -> None:
    with person(browser) as page:
        sign_in(page, server.origin, home.account_id, "dana")
        page.get_by_role("button", name=f"Open console as {NAME}").click()
        expect(page.get_by_role("heading", name="Overview")).to_be_visible()
        assert widths_of(page, page.url) == []


def widths_of(page: Page, url: str) -> list[tuple[str, int, int]]:
    """The widths of the screen at which the page is wider, and how wide it is then."""
    answer = page.goto(url)
    assert answer is not None
    assert answer.status == 200, url
    wider = []
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 800})
        found = page.evaluate("document.documentElement.scrollWidth")
        if found > width:
            shoot(page, f"too-wide-{len(url)}-{width}")
            wider.append((url, width, found))
    return wider
