"""People sign in to the portal at a real OpenID provider, with a real browser."""

import html
import json
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import boto3
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.conftest import Server
from tests.e2e.looks import look_at
from tests.e2e.portal import Client, person, roles_on, sign_in
from tests.e2e.portal_federation import LABEL, TESTER, Scene, openid_scene, sign_in_at_provider
from tests.e2e.scenes import allow, new_role, new_user, records


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with openid_scene(tmp_path_factory.mktemp("portal")) as made:
        yield made


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    with person(browser, permissions=["clipboard-read", "clipboard-write"]) as opened:
        yield opened


def newest(server: Server, name: str) -> dict[str, Any]:
    return [one for one in records(server) if one["eventName"] == name][-1]


def last_failure(server: Server) -> dict[str, Any]:
    return [one for one in records(server) if one["responseElements"] == {"ConsoleLogin": "Failure"}][-1]


def test_a_person_signs_in_at_the_provider_and_sees_roles_of_every_account_that_trusts_it(
    scene: Scene, page: Page
) -> None:
    sign_in_at_provider(page, scene.origin, "alice")
    expect(page).to_have_url(f"{scene.origin}/access")
    assert sorted(roles_on(page)) == ["analyst", "reader"]
    expect(page.locator(".who")).to_contain_text("alice@example.com")
    expect(page.locator(".who")).to_contain_text(f"signed in with {LABEL}")
    record = newest(scene.server, "ConsoleLogin")
    assert record["responseElements"] == {"ConsoleLogin": "Success"}
    assert record["userIdentity"] == {
        "type": "WebIdentityUser",
        "principalId": f"{scene.provider.issuer}:alice",
        "userName": "alice@example.com",
    }
    assert record["additionalEventData"]["IdentityProvider"] == scene.provider.issuer


def test_who_is_in_no_group_that_a_role_trusts_sees_none(scene: Scene, page: Page) -> None:
    sign_in_at_provider(page, scene.origin, "bob")
    expect(page.get_by_text("There is no role that you may take")).to_be_visible()


def test_credentials_are_minted_by_assume_role_with_web_identity_and_used_by_boto3(
    scene: Scene, page: Page
) -> None:
    sign_in_at_provider(page, scene.origin, "alice")
    for role, account in (("reader", scene.first), ("analyst", scene.second)):
        page.goto(f"{scene.origin}/access")
        page.get_by_role("button", name=f"Get credentials of {role}").click()
        made = json.loads(page.locator("#text-json").text_content() or "")
        session = boto3.session.Session(
            made["AccessKeyId"], made["SecretAccessKey"], made["SessionToken"], "eu-west-1"
        )
        arn = f"arn:aws:sts::{account.account_id}:assumed-role/{role}/alice@example.com"
        assert session.client("sts", endpoint_url=scene.server.url).get_caller_identity()["Arn"] == arn
        record = newest(scene.server, "AssumeRoleWithWebIdentity")
        assert record["userIdentity"]["type"] == "WebIdentityUser"
        assert record["userIdentity"]["principalId"] == f"{scene.provider_arns[account.account_id]}:alice"
        assert record["responseElements"]["assumedRoleUser"]["arn"] == arn
        assert record["recipientAccountId"] == account.account_id


def test_a_role_opens_the_console_and_without_one_there_is_none(scene: Scene, page: Page) -> None:
    iam = scene.server.client("iam", scene.first.root)
    text = json.dumps({"Version": "2012-10-17", "Statement": [allow("iam:ListUsers")]})
    iam.put_role_policy(RoleName="reader", PolicyName="console", PolicyDocument=text)
    sign_in_at_provider(page, scene.origin, "alice")
    page.goto(f"{scene.origin}/console")
    expect(page).to_have_url(f"{scene.origin}/access")
    page.get_by_role("button", name="Open console as reader").click()
    expect(page.locator(".who")).to_contain_text("as the role reader")
    page.get_by_role("list", name="Console").get_by_role("link", name="Users").click()
    expect(page.get_by_role("heading", name="Users")).to_be_visible()
    listed = newest(scene.server, "ListUsers")
    assert "errorCode" not in listed
    arn = f"arn:aws:sts::{scene.first.account_id}:assumed-role/reader/alice@example.com"
    assert listed["userIdentity"]["arn"] == arn
    page.get_by_role("link", name="Your security").click()
    expect(page.get_by_role("heading", name="Where you are signed in")).to_be_visible()
    expect(page.get_by_label("Current password")).to_have_count(0)
    page.goto(f"{scene.origin}/console")
    page.get_by_role("button", name="Leave the role").click()
    expect(page).to_have_url(f"{scene.origin}/access")
    iam.delete_role_policy(RoleName="reader", PolicyName="console")


def test_session_tags_of_the_token_go_with_the_role_and_hide_roles_that_refuse_them(
    scene: Scene, page: Page
) -> None:
    """`reader` does not allow sts:TagSession, so the operation would refuse; it is not shown."""
    sign_in_at_provider(page, scene.origin, "tagged")
    assert roles_on(page) == ["analyst"]
    page.get_by_role("button", name="Get credentials of analyst").click()
    record = newest(scene.server, "AssumeRoleWithWebIdentity")
    assert record["responseElements"]["assumedRoleUser"]["arn"].endswith("/analyst/tagged@example.com")


def test_a_role_or_a_provider_that_changes_counts_with_the_next_page(scene: Scene, page: Page) -> None:
    arn = scene.know_provider(scene.third, "another-client")
    new_role(scene.server, scene.third, "steward", scene.trust_readers(scene.third), allow("iam:ListRoles"))
    sign_in_at_provider(page, scene.origin, "alice")
    assert "steward" not in roles_on(page), "the account knows the provider for another client"
    iam = scene.server.client("iam", scene.third.root)
    iam.add_client_id_to_open_id_connect_provider(OpenIDConnectProviderArn=arn, ClientID="portal")
    page.reload()
    assert "steward" in roles_on(page)
    page.get_by_role("link", name="steward").click()
    iam.delete_open_id_connect_provider(OpenIDConnectProviderArn=arn)
    page.get_by_role("button", name="Get credentials").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("There is nothing here")


def test_who_signs_out_is_offered_to_sign_out_at_the_provider_too(scene: Scene, page: Page) -> None:
    sign_in_at_provider(page, scene.origin, "alice")
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("You are signed out")
    page.get_by_role("link", name=f"Sign out at {LABEL}, too").click()
    expect(page).to_have_url(re.compile(f"{scene.provider.issuer}/session/end"))
    page.get_by_role("button", name=re.compile("sign me out", re.IGNORECASE)).click()
    expect(page).to_have_url(f"{scene.origin}/sign-in")
    assert newest(scene.server, "Logout")["userIdentity"]["userName"] == "alice@example.com"
    page.get_by_role("link", name=f"Continue with {LABEL}").click()
    expect(page.locator("input[name=login]")).to_be_visible()


def test_who_says_no_at_the_provider_is_told_so_and_the_journal_has_the_reason(
    scene: Scene, page: Page
) -> None:
    page.goto(scene.origin)
    page.get_by_role("link", name=f"Continue with {LABEL}").click()
    page.get_by_role("link", name="Cancel").click()
    expect(page.get_by_role("alert")).to_have_text(
        f"{LABEL} did not sign you in. Try again, or ask the operator of this portal."
    )
    expect(page.locator("[aria-invalid]")).to_have_count(0)  # nobody has typed a password
    failure = last_failure(scene.server)
    assert failure["errorMessage"] == "check failed: authorization: found access_denied, wanted a code"
    assert failure["additionalEventData"] == {"IdentityProvider": LABEL}


def test_what_a_provider_says_of_a_person_is_shown_as_text(scene: Scene, page: Page) -> None:
    sign_in_at_provider(page, scene.origin, "<b>mallory</b>")
    expect(page.locator(".who strong")).to_have_text("<script>alert(1)</script>")
    assert page.locator(".who script").count() == 0
    page.get_by_role("button", name="Get credentials of analyst").click()
    record = newest(scene.server, "AssumeRoleWithWebIdentity")
    assert record["responseElements"]["assumedRoleUser"]["arn"].endswith("/-script-alert-1---script-")


def test_the_pages_of_other_ways_to_sign_in_have_no_faults_and_a_picture(scene: Scene, page: Page) -> None:
    sign_in_at_provider(page, scene.origin, "alice")
    page.get_by_role("button", name="Sign out").click()
    for name, address in (("signed-out", ""), ("sign-in-with-providers", f"{scene.origin}/sign-in")):
        if address:
            page.goto(address)
        look_at(page, name)


def test_people_find_the_page_that_they_asked_for_first(scene: Scene, page: Page) -> None:
    wanted = f"{scene.origin}/access/{scene.first.account_id}/reader"
    page.goto(wanted)
    page.get_by_role("link", name=f"Continue with {LABEL}").click()
    page.locator("input[name=login]").fill("alice")
    page.locator("input[name=password]").fill("any")
    page.locator("button[type=submit]").click()
    page.locator("button[type=submit]").click()
    expect(page).to_have_url(wanted)


@pytest.fixture
def administrator(scene: Scene, page: Page) -> Page:
    """The console of the first account, as dana, at the page of the provider."""
    iam = scene.server.client("iam", scene.first.root)
    if "dana" not in [user["UserName"] for user in iam.list_users()["Users"]]:
        new_user(scene.server, scene.first, "dana", allow("iam:*", "sts:*"))
        scene.server.set_password(scene.first, "dana")
        arn = scene.provider_arns[scene.first.account_id]
        iam.add_client_id_to_open_id_connect_provider(OpenIDConnectProviderArn=arn, ClientID=TESTER)
    sign_in(page, scene.origin, scene.first.account_id, "dana")
    page.get_by_role("button", name="Open console as dana").click()
    page.get_by_role("link", name="Identity providers").click()
    page.get_by_role("link", name=scene.name_in_policies).click()
    return page


def begin_test(page: Page, scene: Scene, secret: str) -> None:
    page.get_by_label("Client id").first.wait_for()
    page.locator("#test-client").select_option(TESTER)
    page.get_by_label("Client secret").fill(secret)
    page.get_by_label("Scopes").fill("openid")
    page.get_by_role("button", name="Test sign-in").click()


def sign_in_there(page: Page, user: str) -> None:
    page.locator("input[name=login]").fill(user)
    page.locator("input[name=password]").fill("any")
    page.locator("button[type=submit]").click()
    page.locator("button[type=submit]").click()  # consents
    page.wait_for_load_state()


def test_a_test_sign_in_shows_each_check_and_the_claims_and_gives_no_session(
    scene: Scene, administrator: Page
) -> None:
    page = administrator
    page.get_by_role("button", name="Look at what it publishes").click()
    found = page.locator("#found")
    expect(found).to_contain_text("✓ keys")
    expect(found).to_contain_text("authorization_endpoint")
    expect(found).to_contain_text("RSA, 2048 bits")
    begin_test(page, scene, scene.provider.clients[TESTER].secret)
    sign_in_there(page, "<b>mallory</b>")
    expect(page.get_by_role("heading", name="The provider's word is proven")).to_be_visible()
    content = page.locator("#content")
    expect(content).to_contain_text("<script>alert(1)</script>")
    expect(content).to_contain_text("<b>mallory</b>")
    # The role wants another audience: that condition is the one that fails.
    expect(page.get_by_role("heading", name="It would not open the role reader")).to_be_visible()
    expect(content).to_contain_text(f"✕ condition StringEquals {scene.name_in_policies}:aud")
    look_at(page, "console-test-sign-in")
    expect(page.locator(".who")).to_contain_text("dana")
    assert [one for one in records(scene.server) if one["eventName"] == "ConsoleLogin"][-1]["userIdentity"][
        "userName"
    ] == "dana"
    page.reload()
    expect(page.get_by_role("heading", name="There is no test sign-in")).to_be_visible()


def test_a_wrong_secret_and_a_strangers_answer_are_failed_checks_and_no_more(
    scene: Scene, administrator: Page
) -> None:
    page = administrator
    begin_test(page, scene, "wrong")
    sign_in_there(page, "alice")
    expect(page.get_by_role("heading", name="The provider's word is not proven")).to_be_visible()
    expect(page.locator(".checks")).to_contain_text("the token endpoint answered 401: invalid_client")
    page.go_back()
    page.goto(f"{scene.origin}/console/{scene.first.account_id}/providers")
    page.get_by_role("link", name=scene.name_in_policies).click()
    begin_test(page, scene, "any")
    page.wait_for_url(f"{scene.provider.issuer}/**")
    redirect_uri = scene.provider.clients[TESTER].redirect_uri
    page.goto(f"{redirect_uri}?code=stolen&state=guessed&iss={scene.provider.issuer}")
    expect(page.locator(".checks")).to_contain_text("✕ state")
    page.goto(f"{redirect_uri}?code=stolen&state=guessed")
    expect(page.get_by_role("heading", name="There is no test sign-in")).to_be_visible()


def test_a_token_that_somebody_has_can_be_pasted(scene: Scene, administrator: Page) -> None:
    page = administrator
    page.get_by_text("Or paste a token").click()
    page.get_by_label("Token", exact=True).fill("not.a.token")
    page.get_by_role("button", name="Check", exact=True).click()
    expect(page.get_by_role("heading", name="It would not open the role reader")).to_be_visible()
    expect(page.locator(".checks")).to_contain_text("✕ header")


def test_the_answer_of_a_test_sign_in_is_taken_in_the_session_that_began_it_alone(
    scene: Scene, administrator: Page
) -> None:
    account = scene.first.account_id
    mine, other = Client(scene.server), Client(scene.server)
    for client in (mine, other):
        assert client.sign_in(account, "dana").status == 303
    arn = scene.provider_arns[account]
    form = {"do": "BeginTestSignIn", "provider": arn, "client_id": TESTER, "client_secret": "s e c r e t"}
    begun = mine.post(f"/console/{account}/test-sign-in", {**form, "csrf_token": mine.get("/access").token})
    assert begun.status == 200
    url = urlsplit(html.unescape(re.findall(r'href="([^"]*code_challenge[^"]*)"', begun.body)[0]))
    asked = parse_qs(url.query)
    assert asked["code_challenge_method"] == ["S256"]
    assert "s e c r e t" not in begun.body
    path = urlsplit(asked["redirect_uri"][0]).path
    answer = f"{path}?code=stolen&state={asked['state'][0]}&iss={scene.provider.issuer}"
    other.cookies["broker-test-sign-in"] = mine.cookies["broker-test-sign-in"]
    assert other.get(answer).status == 400
    assert mine.get(answer.replace(path[-23:-7], "0" * 16)).status == 400
    taken = mine.get(answer)
    assert "the token endpoint answered" in taken.body
    assert mine.get(answer).status == 400, "it is taken once"
    # Another client id than the provider's own, and a provider of another account.
    token = mine.get("/access").token
    wrong = {**form, "client_id": "another", "csrf_token": token}
    assert mine.post(f"/console/{account}/test-sign-in", wrong).status == 400
    foreign = {**form, "provider": scene.provider_arns[scene.second.account_id], "csrf_token": token}
    assert mine.post(f"/console/{account}/test-sign-in", foreign).status in (403, 404)
