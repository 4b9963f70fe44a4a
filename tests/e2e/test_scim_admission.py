"""Who of a provider's people gets in: with an identity store its active users alone, from the next request on."""

import time

import pytest
from botocore.exceptions import ClientError

from tests.e2e.conftest import Keys, Server
from tests.e2e.identity_pools import NOT_AUTHORIZED, account_of
from tests.e2e.identity_pools import new_scene as new_pool_scene
from tests.e2e.scenes import (
    allow,
    assume,
    document,
    new_role,
    new_user,
    records_of,
    refused,
    trust,
    written_in,
)
from tests.e2e.scim import Pushed, ScimClient, identity_store_client, push_people
from tests.e2e.web_identity import Scene, new_scene
from tests.identity_providers.openid_provider import OpenIdProvider

DENIED = (403, "AccessDenied", "Not authorized to perform sts:AssumeRoleWithWebIdentity")
GONE = (403, "InvalidClientTokenId", "The security token included in the request is invalid.")
OFF = {"op": "Replace", "path": "active", "value": "False"}  # as Entra ID says it
ON = {"op": "replace", "value": {"active": True}}  # as Okta says it


@pytest.fixture
def scene(server: Server, openid_provider: OpenIdProvider) -> Scene:
    return new_scene(server, account_of(server), openid_provider)


@pytest.fixture
def pushed(scene: Scene) -> Pushed:
    return push_people(scene.server, scene.account.root, scene.provider_arn)


def who(scene: Scene, keys: Keys) -> str:
    return str(scene.server.client("sts", keys).get_caller_identity()["Arn"])


def test_a_user_who_is_deactivated_is_out_with_the_next_request(scene: Scene, pushed: Pushed) -> None:
    assert scene.refused(scene.token()) == DENIED
    user_id = pushed.scim.new_user("pipeline@example.com", externalId="pipeline")
    keys = Keys.of(scene.assume(scene.token())["Credentials"])
    assert who(scene, keys).endswith("assumed-role/deployer/run-7")
    assert pushed.scim.patch(f"/Users/{user_id}", OFF).status == 200
    assert refused(scene.server.client("sts", keys).get_caller_identity) == GONE
    assert scene.refused(scene.token()) == DENIED
    assert pushed.scim.patch(f"/Users/{user_id}", ON).status == 200
    assert refused(scene.server.client("sts", keys).get_caller_identity) == GONE
    time.sleep(1.1)  # sessions know whole seconds, and no person is back within one
    keys = Keys.of(scene.assume(scene.token())["Credentials"])
    assert who(scene, keys).endswith("assumed-role/deployer/run-7")
    assert pushed.scim.send("DELETE", f"/Users/{user_id}").status == 204
    assert refused(scene.server.client("iam", keys).list_users)[1] == "InvalidClientTokenId"
    assert scene.refused(scene.token()) == DENIED


def test_a_session_that_was_assumed_with_the_persons_session_ends_with_it(
    scene: Scene, pushed: Pushed
) -> None:
    user_id = pushed.scim.new_user("pipeline@example.com", externalId="pipeline")
    iam = scene.server.client("iam", scene.account.root)
    iam.put_role_policy(
        RoleName="deployer",
        PolicyName="more",
        PolicyDocument=document(allow("sts:AssumeRole", "sts:GetScopedCredentials")),
    )
    next_role = new_role(scene.server, scene.account, "next", trust(scene.account.account_id))
    keys = Keys.of(scene.assume(scene.token())["Credentials"])
    chained = assume(scene.server, keys, next_role)
    assert who(scene, chained).endswith("assumed-role/next/session")
    pushed.scim.send("DELETE", f"/Users/{user_id}")
    assert refused(scene.server.client("sts", chained).get_caller_identity) == GONE


def test_a_session_that_began_before_there_was_a_store_has_ended(scene: Scene) -> None:
    keys = Keys.of(scene.assume(scene.token())["Credentials"])
    pushed = push_people(scene.server, scene.account.root, scene.provider_arn)
    pushed.scim.new_user("pipeline@example.com", externalId="pipeline")
    assert refused(scene.server.client("sts", keys).get_caller_identity) == GONE
    again = Keys.of(scene.assume(scene.token())["Credentials"])
    pushed.client.delete_identity_store(IdentityStoreId=pushed.store_id)
    assert refused(scene.server.client("sts", again).get_caller_identity) == GONE
    assert pushed.scim.get("/Users").status == 401
    assert who(scene, Keys.of(scene.assume(scene.token())["Credentials"]))


def test_the_journal_says_why_somebody_is_refused_and_has_no_token(scene: Scene, pushed: Pushed) -> None:
    pushed.scim.new_user("pipeline@example.com", externalId="pipeline", active=False)
    with pytest.raises(ClientError) as error:
        scene.assume(scene.token())
    (record,) = records_of(scene.server, error.value.response["ResponseMetadata"]["RequestId"])
    assert record["errorMessage"].startswith("check failed: identity store: found user ")
    written = written_in(scene.server)
    assert "CreateBearerToken" in written
    assert pushed.scim.token not in written
    assert pushed.scim.token.rpartition(".")[2] not in written
    assert "pipeline@example.com" not in written


def test_people_are_matched_by_a_claim_without_case_where_the_store_says_so(
    server: Server, openid_provider: OpenIdProvider
) -> None:
    """As `userName` is an e-mail address mostly; its spelling is nobody's business."""
    scene = new_pool_scene(server, account_of(server), openid_provider)
    pushed = push_people(server, scene.account.root, scene.provider_arn, MatchBy="userName", Claim="email")
    assert refused(scene.get_id, token=scene.token())[1] == "NotAuthorizedException"
    user_id = pushed.scim.new_user("ALICE@example.com")
    token = scene.token()
    identity_id = scene.get_id(token)
    keys = scene.credentials(identity_id, token)
    assert scene.who(keys).endswith("assumed-role/member/CognitoIdentityCredentials")
    pushed.scim.patch(f"/Users/{user_id}", OFF)
    assert refused(server.client("sts", keys).get_caller_identity) == GONE
    logins = scene.logins(scene.token())
    assert refused(scene.app.get_id, IdentityPoolId=scene.pool_id, Logins=logins)[1] == NOT_AUTHORIZED[1]
    later = scene.app.get_credentials_for_identity
    assert refused(later, IdentityId=identity_id, Logins=logins)[1] == NOT_AUTHORIZED[1]


def test_a_group_gives_nothing(scene: Scene, pushed: Pushed) -> None:
    """Whatever it is called: neither tags nor claims of a session come of it."""
    user_id = pushed.scim.new_user("pipeline@example.com", externalId="pipeline")
    pushed.scim.new_group("Administrators", user_id)
    keys = Keys.of(scene.assume(scene.token())["Credentials"])
    assert refused(scene.server.client("iam", keys).list_roles)[1] == "AccessDenied"
    condition = {"StringEquals": {"aws:PrincipalTag/groups": "Administrators"}}
    iam = scene.server.client("iam", scene.account.root)
    iam.put_role_policy(
        RoleName="deployer",
        PolicyName="group",
        PolicyDocument=document(allow("iam:ListRoles", Condition=condition)),
    )
    assert refused(scene.server.client("iam", keys).list_roles)[1] == "AccessDenied"


def test_a_token_is_of_one_store_and_good_until_it_is_deleted(scene: Scene, pushed: Pushed) -> None:
    other = account_of(scene.server)
    other_arn = scene.server.client("iam", other.root).create_open_id_connect_provider(
        Url=scene.provider.issuer, ClientIDList=["web"]
    )["OpenIDConnectProviderArn"]
    theirs = push_people(scene.server, other.root, other_arn)
    user_id = theirs.scim.new_user("erin@example.com")
    assert pushed.scim.get(f"/Users/{user_id}").status == 404
    assert pushed.scim.get("/Users").body["totalResults"] == 0
    assert pushed.scim.patch(f"/Users/{user_id}", OFF).status == 404
    account, store, token_id, secret = pushed.scim.token.split(".")[1:]
    forged = [
        f"scim.{other.account_id}.{theirs.store_id}.{token_id}.{secret}",
        f"scim.{other.account_id}.{store}.{token_id}.{secret}",
        f"scim.{account}.{theirs.store_id}.{token_id}.{secret}",
        f"scim.{account}.{store}.{token_id}.{'0' * 64}",
        f"scim.{account}.{store}.{token_id}",
        f"scim.{account}.{store}.é.{secret}",
        "scim.000000000000.d-0000000000.0000000000000000.00",
        "é",
        "x" * 5000,
    ]
    for text in forged:
        answer = ScimClient(scene.server.url, text).get("/Users")
        assert (answer.status, answer.body["detail"]) == (401, "The bearer token is not valid.")
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    pushed.client.delete_bearer_token(IdentityStoreId=pushed.store_id, TokenId=pushed.token_id)
    assert pushed.scim.get("/Users").status == 401


def test_stores_and_tokens_need_permissions_of_their_own(scene: Scene, pushed: Pushed) -> None:
    nobody = identity_store_client(scene.server, new_user(scene.server, scene.account, "nobody"))
    named = {"IdentityStoreId": pushed.store_id}
    calls = [
        (nobody.create_identity_store, {"Provider": scene.provider_arn}),
        (nobody.delete_identity_store, named),
        (nobody.describe_identity_store, named),
        (nobody.list_identity_stores, {}),
        (nobody.create_bearer_token, named),
        (nobody.list_bearer_tokens, named),
        (nobody.delete_bearer_token, {**named, "TokenId": pushed.token_id}),
    ]
    for call, arguments in calls:
        assert refused(call, **arguments)[1] == "AccessDeniedException"
    on = f"arn:aws:identitystore::{scene.account.account_id}:identitystore/{pushed.store_id}"
    keys = new_user(scene.server, scene.account, "operator", allow("identitystore:*BearerToken*", on=on))
    operator = identity_store_client(scene.server, keys)
    made = operator.create_bearer_token(IdentityStoreId=pushed.arn, ValidDays=1)
    assert ScimClient(scene.server.url, made["BearerToken"]).get("/Users").status == 200
    assert refused(operator.create_bearer_token, **named)[1] == "ServiceQuotaExceededException"
    shown = operator.list_bearer_tokens(**named)["BearerTokens"]
    assert {one["TokenId"] for one in shown} == {made["TokenId"], pushed.token_id}
    assert all(one["CreatedBy"].startswith("arn:aws:iam::") for one in shown)
    assert refused(operator.delete_identity_store, **named)[1] == "AccessDeniedException"


def test_a_store_is_of_one_provider_of_the_account(scene: Scene, pushed: Pushed) -> None:
    client, create = pushed.client, pushed.client.create_identity_store
    assert refused(create, Provider=scene.provider_arn)[1] == "ConflictException"
    for provider in ("accounts.google.com", f"{scene.provider_arn}x", "arn:aws:iam::1:oidc-provider/x"):
        assert refused(create, Provider=provider)[1] == "ValidationException"
    shown = client.describe_identity_store(IdentityStoreId=pushed.store_id)
    assert (shown["Provider"], shown["MatchBy"]) == (scene.provider_arn, "externalId")
    assert [one["IdentityStoreId"] for one in client.list_identity_stores()["IdentityStores"]] == [
        pushed.store_id
    ]
