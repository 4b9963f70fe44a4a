"""A person whom the provider's directory has deactivated is out of the portal, and gets in no more."""

import json
from pathlib import Path

from playwright.sync_api import Browser, expect

from tests.e2e.conftest import Keys
from tests.e2e.portal import person
from tests.e2e.portal_federation import openid_scene, sign_in_at_provider
from tests.e2e.scenes import records, refused
from tests.e2e.scim import push_people

OFF = {"op": "replace", "value": {"active": False}}
_SETTING = "BROKER_PORTAL_OPENID_CONNECT"


def test_a_person_is_out_with_the_next_page_and_so_are_their_credentials(
    tmp_path: Path, browser: Browser
) -> None:
    with openid_scene(tmp_path) as scene, person(browser) as page:
        server = scene.server
        arn = scene.provider_arns[scene.first.account_id]
        pushed = push_people(server, scene.first.root, arn)
        server.stop()
        (entry,) = json.loads(server.environment[_SETTING])
        server.environment[_SETTING] = json.dumps([{**entry, "identity_store": pushed.arn}])
        server.start()
        sign_in_at_provider(page, scene.origin, "alice")
        expect(page).not_to_have_url(f"{scene.origin}/access")
        failed = [one for one in records(server) if one["eventName"] == "ConsoleLogin"][-1:]
        assert not failed or failed[0]["responseElements"] != {"ConsoleLogin": "Success"}
        user_id = pushed.scim.new_user("alice@example.com", externalId="alice")
        page.context.clear_cookies()
        sign_in_at_provider(page, scene.origin, "alice")
        expect(page).to_have_url(f"{scene.origin}/access")
        page.get_by_role("button", name="Get credentials of reader").click()
        made = json.loads(page.locator("#text-json").text_content() or "")
        keys = Keys(made["AccessKeyId"], made["SecretAccessKey"], made["SessionToken"])
        who = server.client("sts", keys).get_caller_identity
        assert who()["Arn"].endswith("assumed-role/reader/alice@example.com")
        assert pushed.scim.patch(f"/Users/{user_id}", OFF).status == 200
        assert refused(who)[1] == "InvalidClientTokenId"
        page.goto(f"{scene.origin}/access")
        assert "/sign-in" in page.url
        pushed.scim.patch(f"/Users/{user_id}", {"op": "replace", "path": "active", "value": True})
        page.goto(f"{scene.origin}/access")
        assert "/sign-in" in page.url, "a session that has ended does not come back"
