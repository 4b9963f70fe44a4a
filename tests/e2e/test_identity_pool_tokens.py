"""The basic flow: an app trades a token of its identity pool for a role that it chooses, by the role's trust alone."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.aws_cli import CommandLine, command_line
from tests.e2e.conftest import REGION, Keys, Server
from tests.e2e.identity_pools import COGNITO, NOT_AUTHORIZED, PoolScene, account_of, new_scene, trust_of
from tests.e2e.portal_federation import LOOPBACK
from tests.e2e.scenes import new_role, refused, written_in
from tests.e2e.scim import push_people
from tests.identity_providers.openid_provider import OpenIdProvider

DENIED = "AccessDenied"
NOT_ENABLED = "Basic (classic) flow is not enabled, please use enhanced flow."


@pytest.fixture(scope="module")
def issuing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("issuing")
    server = Server(folder, f"sqlite:{folder / 'broker.db'}")
    server.environment |= {**LOOPBACK, "BROKER_FEDERATION_ISSUER_URL": f"http://{server.api}/issuers"}
    with server.running():
        yield server


@pytest.fixture
def scene(issuing: Server, openid_provider: OpenIdProvider) -> PoolScene:
    made = new_scene(issuing, account_of(issuing), openid_provider)
    issuing.client("iam", made.account.root).enable_outbound_web_identity_federation()
    update(made, AllowClassicFlow=True)
    return made


def update(scene: PoolScene, **changed: Any) -> None:
    shown = scene.cognito.describe_identity_pool(IdentityPoolId=scene.pool_id)
    del shown["ResponseMetadata"]
    scene.cognito.update_identity_pool(**{**shown, **changed})


def pool_token(scene: PoolScene, token: str) -> tuple[str, str]:
    """The identity, and its token."""
    identity_id = scene.get_id(token)
    answer = scene.app.get_open_id_token(IdentityId=identity_id, Logins=scene.logins(token))
    assert answer["IdentityId"] == identity_id
    return identity_id, str(answer["Token"])


def assume(scene: PoolScene, token: str, role_arn: str = "") -> Keys:
    answer = scene.server.client("sts", None).assume_role_with_web_identity(
        RoleArn=role_arn or scene.role_arn, RoleSessionName="app", WebIdentityToken=token
    )
    return Keys.of(answer["Credentials"])


def test_a_token_of_the_pool_is_traded_for_a_role_that_trusts_the_pool(scene: PoolScene) -> None:
    identity_id, token = pool_token(scene, scene.token())
    assert scene.who(assume(scene, token)).endswith("assumed-role/member/app")
    own = trust_of(scene.pool_id)
    own["Condition"]["StringEquals"]["cognito-identity.amazonaws.com:sub"] = identity_id
    assert scene.who(assume(scene, token, scene.new_role(trusts=own)))
    own["Condition"]["StringEquals"]["cognito-identity.amazonaws.com:sub"] = f"{identity_id}-other"
    refusal = refused(assume, scene=scene, token=token, role_arn=scene.new_role(trusts=own))
    assert refusal[1] == DENIED
    guests = scene.new_role(trusts=trust_of(scene.pool_id, kind="unauthenticated"))
    assert refused(assume, scene=scene, token=token, role_arn=guests)[1] == DENIED
    assert token not in written_in(scene.server)


def test_a_guests_token_says_that_it_is_a_guests(scene: PoolScene) -> None:
    guests = scene.new_role(trusts=trust_of(scene.pool_id, kind="unauthenticated"))
    update(scene, AllowUnauthenticatedIdentities=True)
    identity_id = scene.app.get_id(IdentityPoolId=scene.pool_id)["IdentityId"]
    token = scene.app.get_open_id_token(IdentityId=identity_id)["Token"]
    assert scene.who(assume(scene, token, guests))
    assert refused(assume, scene=scene, token=token)[1] == DENIED
    update(scene, AllowUnauthenticatedIdentities=False)
    assert refused(scene.app.get_open_id_token, IdentityId=identity_id)[1] == NOT_AUTHORIZED[1]


def test_without_the_classic_flow_there_is_no_token_and_none_is_taken(scene: PoolScene) -> None:
    identity_id, token = pool_token(scene, scene.token())
    update(scene, AllowClassicFlow=False)
    asked = {"IdentityId": identity_id, "Logins": scene.logins(scene.token())}
    assert refused(scene.app.get_open_id_token, **asked)[1:] == ("InvalidParameterException", NOT_ENABLED)
    assert refused(assume, scene=scene, token=token)[1] == "InvalidIdentityToken"


def test_without_the_accounts_issuer_there_is_no_token_and_none_is_taken(scene: PoolScene) -> None:
    identity_id, token = pool_token(scene, scene.token())
    iam = scene.server.client("iam", scene.account.root)
    iam.disable_outbound_web_identity_federation()
    asked = {"IdentityId": identity_id, "Logins": scene.logins(scene.token())}
    assert refused(scene.app.get_open_id_token, **asked)[1] == "InvalidIdentityPoolConfigurationException"
    assert refused(assume, scene=scene, token=token)[1] == "InvalidIdentityToken"
    iam.enable_outbound_web_identity_federation()
    assert scene.who(assume(scene, token)), "it was not revoked, its issuer was off"


def test_a_token_of_one_accounts_pool_is_nothing_in_another_account(scene: PoolScene) -> None:
    _, token = pool_token(scene, scene.token())
    other = account_of(scene.server)
    trusting = trust_of(scene.pool_id)
    role_arn = new_role(scene.server, other, "member", trusting)
    assert refused(assume, scene=scene, token=token, role_arn=role_arn)[1] == "InvalidIdentityToken"
    header, payload, signature = token.split(".")
    forged = f"{header}.{payload}.{signature[::-1]}"
    assert refused(assume, scene=scene, token=forged)[1] == "InvalidIdentityToken"


def test_a_token_is_for_those_who_prove_the_identity(scene: PoolScene) -> None:
    identity_id = scene.get_id(scene.token())
    call = scene.app.get_open_id_token
    assert refused(call, IdentityId=identity_id)[1] == NOT_AUTHORIZED[1]
    logins = scene.logins(scene.machine_token)
    assert refused(call, IdentityId=identity_id, Logins=logins)[1] == NOT_AUTHORIZED[1]


def test_a_token_of_a_person_who_was_deactivated_is_refused(scene: PoolScene) -> None:
    pushed = push_people(scene.server, scene.account.root, scene.provider_arn)
    user_id = pushed.scim.new_user("alice@example.com", externalId="alice")
    _, token = pool_token(scene, scene.token())
    keys = assume(scene, token)
    assert scene.who(keys)
    pushed.scim.patch(f"/Users/{user_id}", {"op": "replace", "path": "active", "value": False})
    assert refused(assume, scene=scene, token=token)[1] == DENIED
    assert refused(scene.server.client("sts", keys).get_caller_identity)[1] == "InvalidClientTokenId"


def test_the_flow_needs_an_account_that_issues_tokens(
    issuing: Server, openid_provider: OpenIdProvider
) -> None:
    made = new_scene(issuing, account_of(issuing), openid_provider)
    assert refused(update, scene=made, AllowClassicFlow=True)[1] == "InvalidParameterException"


def test_an_identity_pool_does_what_is_typed_at_the_aws_cli(scene: PoolScene) -> None:
    with command_line(scene.server, scene.account, "cognito-identity") as aws:
        options = "--identity-pool-name typed --allow-unauthenticated-identities"
        options += (
            f" --developer-provider-name login.app --open-id-connect-provider-arns {scene.provider_arn}"
        )
        pool = aws(f"create-identity-pool {options} --identity-pool-tags a=b")["IdentityPoolId"]
        of_pool = f"--identity-pool-id {pool}"
        aws(f"update-identity-pool {of_pool} {options} --allow-classic-flow")
        type_of_pool(aws, scene, pool)
        type_of_identities(aws, of_pool, scene.logins(scene.token()))
        aws(f"delete-identity-pool {of_pool}")
        assert "ResourceNotFoundException" in aws.refused(f"describe-identity-pool {of_pool}")
        assert aws.never_typed() == set()


def type_of_pool(aws: CommandLine, scene: PoolScene, pool: str) -> None:
    of_pool = f"--identity-pool-id {pool}"
    assert aws(f"describe-identity-pool {of_pool}")["AllowClassicFlow"] is True
    listed = aws("list-identity-pools --max-results 5")["IdentityPools"]
    assert {one["IdentityPoolId"] for one in listed} == {pool, scene.pool_id}
    role = scene.new_role(trusts=trust_of(pool))
    guest = scene.new_role(trusts=trust_of(pool, kind="unauthenticated"))
    aws(f"set-identity-pool-roles {of_pool} --roles authenticated={role},unauthenticated={guest}")
    assert aws(f"get-identity-pool-roles {of_pool}")["Roles"]["authenticated"] == role
    mapped = f"{of_pool} --identity-provider-name {scene.provider_arn}"
    aws(f"set-principal-tag-attribute-map {mapped} --no-use-defaults --principal-tags team=sub")
    assert aws(f"get-principal-tag-attribute-map {mapped}")["PrincipalTags"] == {"team": "sub"}
    arn = f"arn:aws:cognito-identity:{REGION}:{scene.account.account_id}:identitypool/{pool}"
    aws(f"tag-resource --resource-arn {arn} --tags stage=test")
    aws(f"untag-resource --resource-arn {arn} --tag-keys a")
    assert aws(f"list-tags-for-resource --resource-arn {arn}")["Tags"] == {"stage": "test"}


def type_of_identities(aws: CommandLine, of_pool: str, person: dict[str, str]) -> None:
    guest = aws(f"get-id {of_pool}")["IdentityId"]
    assert aws(f"get-credentials-for-identity --identity-id {guest}")["Credentials"]["SessionToken"]
    login = "get-open-id-token-for-developer-identity"
    given = aws(f"{login} {of_pool}", logins={"login.app": "ada"})
    known, logins = given["IdentityId"], {COGNITO: given["Token"]}
    assert aws(f"get-open-id-token --identity-id {known}", logins=logins)["IdentityId"] == known
    assert aws(f"describe-identity --identity-id {known}")["Logins"] == ["login.app"]
    found = aws(f"lookup-developer-identity {of_pool} --developer-user-identifier ada")
    assert found["IdentityId"] == known
    listed = aws(f"list-identities {of_pool} --max-results 5")["Identities"]
    assert {one["IdentityId"] for one in listed} == {guest, known}
    aws(f"{login} {of_pool}", logins={"login.app": "ada lovelace"})
    merge = "--source-user-identifier 'ada lovelace' --destination-user-identifier ada"
    of_app = f"{of_pool} --developer-provider-name login.app"
    assert aws(f"merge-developer-identities {of_app} {merge}")["IdentityId"] == known
    theirs = aws(f"get-id {of_pool}", logins=person)["IdentityId"]
    (provider,) = person
    aws(f"unlink-identity --identity-id {theirs} --logins-to-remove {provider}", logins=person)
    assert aws(f"get-id {of_pool}", logins=person)["IdentityId"] != theirs
    unlinked = "--developer-provider-name login.app --developer-user-identifier ada"
    aws(f"unlink-developer-identity {of_pool} --identity-id {known} {unlinked}")
    left = aws(f"delete-identities --identity-ids-to-delete {guest} {known}")
    assert left["UnprocessedIdentityIds"] == []
