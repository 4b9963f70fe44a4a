"""Identity pools for an app's own server, for pages in a browser, and for the AWS CLI without keys."""

import json
import subprocess
import time
from typing import Any

import pytest
from playwright.sync_api import Browser

from tests.e2e.conftest import CLI_2, REGION, Keys, Server
from tests.e2e.identity_pools import (
    COGNITO,
    NO_MATCH,
    NOT_AUTHORIZED,
    PoolScene,
    account_of,
    keys_of,
    new_scene,
    trust_of,
)
from tests.e2e.scenes import allow, refused, written_in
from tests.identity_providers.openid_provider import OpenIdProvider


@pytest.fixture(scope="module")
def scene(server: Server, openid_provider: OpenIdProvider) -> PoolScene:
    """Shared: each test has pools of its own for what it changes."""
    return new_scene(server, account_of(server), openid_provider)


def test_an_apps_own_server_vouches_for_its_users(scene: PoolScene) -> None:
    pool_id = scene.new_pool(DeveloperProviderName="login.app")
    actions = ("sts:AssumeRoleWithWebIdentity", "sts:TagSession")
    condition = {"StringEquals": {"aws:PrincipalTag/plan": "gold"}}
    role = scene.new_role(allow("iam:ListRoles", Condition=condition), trusts=trust_of(pool_id, *actions))
    scene.set_roles(pool_id, authenticated=role)
    cognito, pool = scene.cognito, {"IdentityPoolId": pool_id}
    vouch = cognito.get_open_id_token_for_developer_identity
    user = {"Logins": {"login.app": "user-7"}}
    given = vouch(**pool, **user, PrincipalTags={"plan": "gold"})
    identity_id, token = given["IdentityId"], given["Token"]
    assert vouch(**pool, **user)["IdentityId"] == identity_id
    get = scene.app.get_credentials_for_identity
    keys = keys_of(get(IdentityId=identity_id, Logins={COGNITO: token}))
    assert scene.server.client("iam", keys).list_roles()["Roles"]
    found = cognito.lookup_developer_identity(**pool, DeveloperUserIdentifier="user-7")
    assert (found["IdentityId"], found["DeveloperUserIdentifierList"]) == (identity_id, ["user-7"])
    assert cognito.lookup_developer_identity(**pool, IdentityId=identity_id)["IdentityId"] == identity_id
    other = vouch(**pool, Logins={"login.app": "user-8"})
    assert refused(get, IdentityId=other["IdentityId"], Logins={COGNITO: token}) == (
        *NOT_AUTHORIZED,
        NO_MATCH,
    )
    assert refused(vouch, **pool, **user, IdentityId=other["IdentityId"])[1] == (
        "DeveloperUserAlreadyRegisteredException"
    )
    said = refused(get, IdentityId=scene.get_id(scene.token()), Logins={COGNITO: token})
    assert said[:2] == NOT_AUTHORIZED
    unlink = {**pool, "DeveloperProviderName": "login.app", "IdentityId": identity_id}
    mistaken = {**unlink, "DeveloperUserIdentifier": "user-8"}
    assert refused(cognito.unlink_developer_identity, **mistaken)[1] == "ResourceConflictException"
    cognito.unlink_developer_identity(**unlink, DeveloperUserIdentifier="user-7")
    assert refused(get, IdentityId=identity_id, Logins={COGNITO: token})[:2] == NOT_AUTHORIZED
    assert refused(scene.app.get_id, **pool, Logins={COGNITO: token})[:2] == NOT_AUTHORIZED
    assert refused(cognito.lookup_developer_identity, **pool, DeveloperUserIdentifier="user-7")[1] == (
        "ResourceNotFoundException"
    )
    assert token not in written_in(scene.server)


def test_an_apps_own_server_merges_two_of_its_users(scene: PoolScene) -> None:
    """The source's person is the destination's identity from then on, by every login that they had."""
    pool_id = scene.new_pool(DeveloperProviderName="login.app")
    scene.set_roles(pool_id, authenticated=scene.new_role(trusts=trust_of(pool_id)))
    cognito, app, pool = scene.cognito, scene.app, {"IdentityPoolId": pool_id}
    vouch = cognito.get_open_id_token_for_developer_identity
    public = scene.logins(scene.token())
    old = vouch(**pool, Logins={"login.app": "user-7", **public})
    new = vouch(**pool, Logins={"login.app": "user-8"})
    kept = keys_of(app.get_credentials_for_identity(IdentityId=old["IdentityId"], Logins=public))
    merge = {**pool, "DeveloperProviderName": "login.app"}
    merge |= {"SourceUserIdentifier": "user-7", "DestinationUserIdentifier": "user-8"}
    for _ in range(2):  # an answer may be lost on its way
        assert cognito.merge_developer_identities(**merge)["IdentityId"] == new["IdentityId"]
    get, token = app.get_credentials_for_identity, {COGNITO: old["Token"]}
    assert refused(get, IdentityId=old["IdentityId"], Logins=public)[:2] == NOT_AUTHORIZED
    assert refused(get, IdentityId=new["IdentityId"], Logins=token)[:2] == NOT_AUTHORIZED
    assert scene.who(keys_of(get(IdentityId=new["IdentityId"], Logins=public)))
    assert scene.who(kept)
    again = vouch(**pool, Logins={"login.app": "user-7"})
    assert again["IdentityId"] == new["IdentityId"]
    assert scene.who(keys_of(get(IdentityId=again["IdentityId"], Logins={COGNITO: again["Token"]})))
    found = cognito.lookup_developer_identity(**pool, IdentityId=new["IdentityId"])
    assert found["DeveloperUserIdentifierList"] == ["user-7", "user-8"]
    first = cognito.lookup_developer_identity(**pool, DeveloperUserIdentifier="user-7", MaxResults=1)
    assert (first["IdentityId"], first["DeveloperUserIdentifierList"]) == (new["IdentityId"], ["user-7"])
    assert cognito.describe_identity(IdentityId=old["IdentityId"]).get("Logins", []) == []
    shown = cognito.list_identities(**pool, MaxResults=60, HideDisabled=True)["Identities"]
    assert [one["IdentityId"] for one in shown] == [new["IdentityId"]]
    unlink = {**pool, "DeveloperProviderName": "login.app", "IdentityId": new["IdentityId"]}
    cognito.unlink_developer_identity(**unlink, DeveloperUserIdentifier="user-8")
    assert vouch(**pool, Logins={"login.app": "user-7"})["IdentityId"] == new["IdentityId"]
    cognito.delete_identities(IdentityIdsToDelete=[new["IdentityId"], old["IdentityId"]])
    lookup = cognito.lookup_developer_identity
    assert refused(lookup, **pool, DeveloperUserIdentifier="user-7")[1] == "ResourceNotFoundException"
    assert refused(app.get_id, **pool, Logins=token)[:2] == NOT_AUTHORIZED
    assert app.get_id(**pool, Logins=public)["IdentityId"] not in (old["IdentityId"], new["IdentityId"])


def test_an_apps_own_server_adds_a_user_to_an_identity_that_it_names(scene: PoolScene) -> None:
    pool_id = scene.new_pool(DeveloperProviderName="login.app")
    scene.set_roles(pool_id, authenticated=scene.new_role(trusts=trust_of(pool_id)))
    cognito, pool = scene.cognito, {"IdentityPoolId": pool_id}
    vouch, lookup = cognito.get_open_id_token_for_developer_identity, cognito.lookup_developer_identity
    identity_id = vouch(**pool, Logins={"login.app": "user-7", **scene.logins(scene.token())})["IdentityId"]
    of_another = {"login.app": "user-8", **scene.logins(scene.machine_token)}
    assert refused(vouch, **pool, IdentityId=identity_id, Logins=of_another)[:2] == NOT_AUTHORIZED
    assert refused(lookup, **pool, DeveloperUserIdentifier="user-8")[1] == "ResourceNotFoundException"
    added = vouch(**pool, IdentityId=identity_id, Logins={"login.app": "user-8"})
    assert added["IdentityId"] == identity_id
    get = scene.app.get_credentials_for_identity
    assert scene.who(keys_of(get(IdentityId=identity_id, Logins={COGNITO: added["Token"]})))
    found = lookup(**pool, IdentityId=identity_id)["DeveloperUserIdentifierList"]
    assert found == ["user-7", "user-8"]
    both = lookup(**pool, IdentityId=identity_id, DeveloperUserIdentifier="user-8")
    assert both["DeveloperUserIdentifierList"] == ["user-8"]


def test_users_who_cannot_be_merged_stay_as_they_are(scene: PoolScene) -> None:
    pool_id = scene.new_pool(DeveloperProviderName="login.app")
    cognito, pool = scene.cognito, {"IdentityPoolId": pool_id}
    vouch = cognito.get_open_id_token_for_developer_identity
    seven = vouch(**pool, Logins={"login.app": "user-7", **scene.logins(scene.token())})["IdentityId"]
    eight = vouch(**pool, Logins={"login.app": "user-8", **scene.logins(scene.machine_token)})["IdentityId"]
    merge = {**pool, "DeveloperProviderName": "login.app"}
    merge |= {"SourceUserIdentifier": "user-7", "DestinationUserIdentifier": "user-8"}
    for changed, code in (
        ({}, "ResourceConflictException"),
        ({"SourceUserIdentifier": "user-8"}, "InvalidParameterException"),
        ({"SourceUserIdentifier": "nobody"}, "ResourceNotFoundException"),
        ({"DestinationUserIdentifier": "nobody"}, "ResourceNotFoundException"),
        ({"DeveloperProviderName": "another.app"}, "InvalidParameterException"),
        ({"IdentityPoolId": scene.pool_id}, "InvalidParameterException"),
        ({"IdentityPoolId": f"{REGION}:00000000-0000-0000-0000-000000000000"}, "ResourceNotFoundException"),
    ):
        assert refused(cognito.merge_developer_identities, **{**merge, **changed})[1] == code, changed
    for user, identity_id in (("user-7", seven), ("user-8", eight)):
        found = cognito.lookup_developer_identity(**pool, DeveloperUserIdentifier=user)
        assert (found["IdentityId"], found["DeveloperUserIdentifierList"]) == (identity_id, [user])
        assert len(cognito.describe_identity(IdentityId=identity_id)["Logins"]) == 2


def test_a_token_of_an_apps_server_lasts_as_long_as_it_says(scene: PoolScene) -> None:
    pool_id = scene.new_pool(DeveloperProviderName="login.app")
    scene.set_roles(pool_id, authenticated=scene.new_role(trusts=trust_of(pool_id)))
    given = scene.cognito.get_open_id_token_for_developer_identity(
        IdentityPoolId=pool_id, Logins={"login.app": "user-7"}, TokenDuration=1
    )
    time.sleep(1.1)
    call = scene.app.get_credentials_for_identity
    said = refused(call, IdentityId=given["IdentityId"], Logins={COGNITO: given["Token"]})
    assert said[:2] == NOT_AUTHORIZED
    assert said[2].startswith("Invalid login token. Token expired: ")


def test_the_name_of_an_apps_server_is_set_once_and_is_no_other_providers(scene: PoolScene) -> None:
    pool_id = scene.new_pool(DeveloperProviderName="login.app")
    described = {"IdentityPoolName": "one", "AllowUnauthenticatedIdentities": False}
    update = {"IdentityPoolId": pool_id, **described, "DeveloperProviderName": "another.app"}
    assert refused(scene.cognito.update_identity_pool, **update)[1] == "InvalidParameterException"
    clash = {
        **described,
        "SupportedLoginProviders": {"accounts.google.com": "web"},
        "DeveloperProviderName": "accounts.google.com",
    }
    assert refused(scene.cognito.create_identity_pool, **clash)[1] == "InvalidParameterException"
    call = scene.cognito.get_open_id_token_for_developer_identity
    assert refused(call, IdentityPoolId=scene.pool_id, Logins={"login.app": "user-7"})[1] == (
        "InvalidParameterException"
    )


CALLED_BY_A_PAGE = """
async ([url, target, body]) => {
  const headers = {"content-type": "application/x-amz-json-1.1", "x-amz-target": target};
  try {
    const answer = await fetch(url, {method: "POST", headers, body: JSON.stringify(body)});
    return [answer.status, await answer.json()];
  } catch (error) {
    return [0, String(error)];
  }
}
"""


def test_a_page_of_another_origin_reads_answers_of_identity_pools_alone(
    scene: PoolScene, browser: Browser
) -> None:
    page = browser.new_page()
    page.goto(f"http://{scene.server.operations}/readyz")  # another port, so another origin
    url, cognito = f"{scene.server.url}/", "AWSCognitoIdentityService"

    def call(target: str, body: dict[str, Any]) -> Any:
        return page.evaluate(CALLED_BY_A_PAGE, [url, target, body])

    logins = scene.logins(scene.token())
    status, found = call(f"{cognito}.GetId", {"IdentityPoolId": scene.pool_id, "Logins": logins})
    assert (status, found["IdentityId"]) == (200, scene.get_id(scene.token()))
    status, given = call(f"{cognito}.GetCredentialsForIdentity", {**found, "Logins": logins})
    assert (status, scene.who(keys_of(given)).endswith("/CognitoIdentityCredentials")) == (200, True)
    status, refusal = call(f"{cognito}.GetId", {"IdentityPoolId": scene.pool_id})
    assert (status, refusal["__type"]) == (400, "NotAuthorizedException")
    assert call("AWSOrganizationsV20161128.ListAccounts", {})[0] == 0
    page.close()


@pytest.mark.parametrize("server", ["sqlite"], indirect=True)
def test_the_aws_cli_merges_users_as_the_guide_shows(scene: PoolScene, tmp_path: Any) -> None:
    pool_id = scene.new_pool(DeveloperProviderName="login.app")
    vouch = scene.cognito.get_open_id_token_for_developer_identity
    given = [vouch(IdentityPoolId=pool_id, Logins={"login.app": user}) for user in ("user-7", "user-8")]
    command = (
        f"{CLI_2} cognito-identity merge-developer-identities --identity-pool-id {pool_id} --output text"
    )
    command += " --developer-provider-name login.app --source-user-identifier user-7"
    root = scene.account.root
    keys = {"AWS_ACCESS_KEY_ID": root.access_key_id, "AWS_SECRET_ACCESS_KEY": root.secret_access_key}
    environment = {"HOME": str(tmp_path), "AWS_ENDPOINT_URL": scene.server.url, "AWS_REGION": REGION, **keys}
    words = [*command.split(), "--destination-user-identifier", "user-8"]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == given[1]["IdentityId"]


def test_the_aws_cli_gets_credentials_without_keys(scene: PoolScene, tmp_path: Any) -> None:
    environment = {"HOME": str(tmp_path), "AWS_ENDPOINT_URL": scene.server.url, "AWS_REGION": REGION}
    token = scene.token()

    def run(*words: str) -> dict[str, Any]:
        command = [str(CLI_2), "cognito-identity", *words, "--no-sign-request", "--output", "json"]
        command += ["--logins", json.dumps(scene.logins(token))]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        return dict(json.loads(done.stdout))

    answer = run("get-credentials-for-identity", "--identity-id", scene.get_id(token))
    given = answer["Credentials"]
    keys = Keys(given["AccessKeyId"], given["SecretKey"], given["SessionToken"])
    assert ":assumed-role/member/" in scene.who(keys)
