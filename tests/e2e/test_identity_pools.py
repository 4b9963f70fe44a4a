"""Cognito identity pools with boto3 on the other side: people of a real OpenID provider get credentials of roles."""

from typing import Any

import pytest

from tests.e2e.conftest import REGION, Server
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
from tests.e2e.scenes import allow, document, new_user, records_of, refused, written_in
from tests.identity_providers.openid_provider import OpenIdProvider

MISCONFIGURED = (
    400,
    "InvalidIdentityPoolConfigurationException",
    "Invalid identity pool configuration. Check assigned IAM roles for this pool.",
)


@pytest.fixture(scope="module")
def scene(server: Server, openid_provider: OpenIdProvider) -> PoolScene:
    """Shared: each test has pools of its own for what it changes."""
    return new_scene(server, account_of(server), openid_provider)


def rule(match_type: str, claim: str, value: str, role_arn: str) -> dict[str, str]:
    return {"Claim": claim, "MatchType": match_type, "Value": value, "RoleARN": role_arn}


def rules(*given: dict[str, str], otherwise: str = "Deny") -> dict[str, Any]:
    return {
        "Type": "Rules",
        "AmbiguousRoleResolution": otherwise,
        "RulesConfiguration": {"Rules": list(given)},
    }


def test_a_person_of_an_app_gets_credentials_of_the_pools_role_and_uses_them(scene: PoolScene) -> None:
    token = scene.token()
    identity_id = scene.get_id(token)
    assert identity_id.startswith(f"{REGION}:")
    assert scene.get_id(scene.token()) == identity_id
    keys = scene.credentials(identity_id, token)
    account = scene.account.account_id
    assert scene.who(keys) == f"arn:aws:sts::{account}:assumed-role/member/CognitoIdentityCredentials"
    iam = scene.server.client("iam", keys)
    assert iam.list_users()["Users"] == []
    assert refused(iam.list_roles)[1] == "AccessDenied"


def test_the_journal_has_both_operations_and_no_token(scene: PoolScene) -> None:
    token = scene.token()
    identity_id = scene.get_id(token)
    answer = scene.app.get_credentials_for_identity(IdentityId=identity_id, Logins=scene.logins(token))
    found = records_of(scene.server, answer["ResponseMetadata"]["RequestId"])
    by_name = {one["eventName"]: one for one in found}
    assert set(by_name) == {"GetCredentialsForIdentity", "AssumeRoleWithWebIdentity"}
    assert {one["recipientAccountId"] for one in found} == {scene.account.account_id}
    assumed = by_name["AssumeRoleWithWebIdentity"]
    assert assumed["userIdentity"]["type"] == "WebIdentityUser"
    assert assumed["userIdentity"]["principalId"].endswith(f":{identity_id}")
    written = written_in(scene.server)
    assert token not in written
    assert answer["Credentials"]["SecretKey"] not in written
    assert answer["Credentials"]["SessionToken"] not in written


def test_the_session_is_known_by_its_identity(scene: PoolScene) -> None:
    """`cognito-identity.amazonaws.com:sub` is a condition key of later requests."""
    identity_id = scene.get_id(scene.token())
    pool_id = scene.new_pool()
    other = scene.new_role(
        allow("iam:ListRoles", Condition={"StringEquals": {f"{COGNITO}:sub": identity_id}}),
        trusts=trust_of(pool_id),
    )
    scene.set_roles(pool_id, authenticated=other)
    there = scene.get_id(scene.token(), pool_id)
    assert there != identity_id
    iam = scene.server.client("iam", scene.credentials(there, scene.token()))
    assert refused(iam.list_roles)[1] == "AccessDenied"
    name = other.rpartition("/")[2]
    policy = document(allow("iam:ListRoles", Condition={"StringEquals": {f"{COGNITO}:sub": there}}))
    root = scene.server.client("iam", scene.account.root)
    root.put_role_policy(RoleName=name, PolicyName="scene", PolicyDocument=policy)
    assert iam.list_roles()["Roles"]


def test_a_role_that_trusts_another_pool_or_guests_alone_is_not_given(scene: PoolScene) -> None:
    pool_id = scene.new_pool()
    identity_id = scene.get_id(scene.token(), pool_id)
    for trusts in (trust_of(scene.pool_id), trust_of(pool_id, kind="unauthenticated")):
        scene.set_roles(pool_id, authenticated=scene.new_role(allow("iam:*"), trusts=trusts))
        call = scene.app.get_credentials_for_identity
        assert refused(call, IdentityId=identity_id, Logins=scene.logins(scene.token())) == MISCONFIGURED
    missing = f"arn:aws:iam::{scene.account.account_id}:role/missing"
    scene.set_roles(pool_id, authenticated=missing)
    assert refused(call, IdentityId=identity_id, Logins=scene.logins(scene.token())) == MISCONFIGURED


def test_nobody_is_another_persons_identity(scene: PoolScene) -> None:
    token = scene.token()
    identity_id = scene.get_id(token)
    machine = scene.get_id(scene.machine_token)
    assert machine != identity_id
    call = scene.app.get_credentials_for_identity
    said = refused(call, IdentityId=identity_id, Logins=scene.logins(scene.machine_token))
    assert said == (*NOT_AUTHORIZED, NO_MATCH)
    said = refused(call, IdentityId=identity_id)
    assert said == (*NOT_AUTHORIZED, f"Access to Identity '{identity_id}' is forbidden.")
    there = scene.get_id(token, scene.new_pool())
    assert there not in (identity_id, machine)
    unknown = identity_id[:-4] + "0000"
    assert refused(call, IdentityId=unknown, Logins=scene.logins(token)) == (
        400,
        "ResourceNotFoundException",
        f"Identity '{unknown}' not found.",
    )


def test_tokens_that_are_not_for_the_pool_are_refused(scene: PoolScene) -> None:
    get_id = scene.app.get_id
    at = {"IdentityPoolId": scene.pool_id}
    wrong_client = scene.token(client="web-es256")
    assert refused(get_id, **at, Logins=scene.logins(wrong_client)) == (
        *NOT_AUTHORIZED,
        "Invalid login token. Incorrect token audience.",
    )
    header, claims, _ = scene.token().split(".")
    forged = f"{header}.{claims}.{'A' * 342}"
    assert refused(get_id, **at, Logins=scene.logins(forged))[:2] == NOT_AUTHORIZED
    assert refused(get_id, **at, Logins=scene.logins("no token"))[:2] == NOT_AUTHORIZED
    assert refused(get_id, **at, Logins={"accounts.google.com": scene.token()}) == (
        *NOT_AUTHORIZED,
        "Token is not from a supported provider of this identity pool.",
    )
    google = scene.new_pool(SupportedLoginProviders={"accounts.google.com": "web"})
    said = refused(get_id, IdentityPoolId=google, Logins={"accounts.google.com": scene.token()})
    assert said == (*NOT_AUTHORIZED, "Invalid login token. Issuer doesn't match providerName")
    assert refused(get_id, **at) == (
        *NOT_AUTHORIZED,
        "Unauthenticated access is not supported for this identity pool.",
    )
    assert refused(get_id, **at, AccountId="000000000000", Logins=scene.logins(scene.token()))[1] == (
        "NotAuthorizedException"
    )
    missing = f"{REGION}:00000000-0000-4000-8000-000000000000"
    assert refused(get_id, IdentityPoolId=missing)[1:] == (
        "ResourceNotFoundException",
        f"IdentityPool '{missing}' not found.",
    )


def test_a_provider_that_was_taken_from_the_pool_is_refused_at_once(scene: PoolScene) -> None:
    pool_id = scene.new_pool()
    scene.set_roles(pool_id, authenticated=scene.new_role(trusts=trust_of(pool_id)))
    identity_id = scene.get_id(scene.token(), pool_id)
    assert scene.credentials(identity_id, scene.token())
    update = {"IdentityPoolName": "closed", "AllowUnauthenticatedIdentities": False}
    changed = scene.cognito.update_identity_pool(IdentityPoolId=pool_id, **update)
    assert (changed["IdentityPoolName"], changed["OpenIdConnectProviderARNs"]) == ("closed", [])
    call = scene.app.get_credentials_for_identity
    assert refused(call, IdentityId=identity_id, Logins=scene.logins(scene.token()))[:2] == NOT_AUTHORIZED


def test_guests_get_what_apps_use_and_nothing_of_iam(scene: PoolScene) -> None:
    pool_id = scene.new_pool(AllowUnauthenticatedIdentities=True)
    guest = scene.new_role(allow("iam:*", "sts:*"), trusts=trust_of(pool_id, kind="unauthenticated"))
    scene.set_roles(pool_id, unauthenticated=guest)
    identity_id = scene.app.get_id(IdentityPoolId=pool_id)["IdentityId"]
    assert scene.app.get_id(IdentityPoolId=pool_id)["IdentityId"] != identity_id
    answer = scene.app.get_credentials_for_identity(IdentityId=identity_id)
    assert scene.who(keys_of(answer)).endswith("/CognitoIdentityCredentials")
    iam = scene.server.client("iam", keys_of(answer))
    assert refused(iam.list_users)[1] == "AccessDenied"


def test_the_first_login_makes_a_guest_that_person(scene: PoolScene) -> None:
    pool_id = scene.new_pool(AllowUnauthenticatedIdentities=True)
    role = scene.new_role(trusts=trust_of(pool_id))
    scene.set_roles(pool_id, authenticated=role, unauthenticated=role)
    identity_id = scene.app.get_id(IdentityPoolId=pool_id)["IdentityId"]
    assert scene.credentials(identity_id, scene.token())
    assert scene.get_id(scene.token(), pool_id) == identity_id
    assert refused(scene.app.get_credentials_for_identity, IdentityId=identity_id)[:2] == NOT_AUTHORIZED
    another = scene.app.get_id(IdentityPoolId=pool_id)["IdentityId"]
    call = scene.app.get_credentials_for_identity
    said = refused(call, IdentityId=another, Logins=scene.logins(scene.token()))
    assert said == (*NOT_AUTHORIZED, NO_MATCH)


def test_rules_over_claims_choose_the_role(scene: PoolScene) -> None:
    pool_id = scene.new_pool()
    default, readers, machines = (scene.new_role(trusts=trust_of(pool_id)) for _ in range(3))
    given = rules(
        rule("Contains", "groups", "readers", readers),
        rule("Equals", "repository", "group/project", machines),
    )
    scene.set_roles(pool_id, {scene.provider_arn: given}, authenticated=default)
    shown = scene.cognito.get_identity_pool_roles(IdentityPoolId=pool_id)
    assert shown["Roles"] == {"authenticated": default}
    assert shown["RoleMappings"] == {scene.provider_arn: given}
    machine = scene.get_id(scene.machine_token, pool_id)
    assert machines.rpartition("/")[2] in scene.who(scene.credentials(machine, scene.machine_token))
    call = scene.app.get_credentials_for_identity
    logins = scene.logins(scene.machine_token)
    assert refused(call, IdentityId=machine, Logins=logins, CustomRoleArn=readers)[:2] == NOT_AUTHORIZED
    stricter = rules(rule("StartsWith", "repository", "other/", machines))
    scene.set_roles(pool_id, {scene.provider_arn: stricter}, authenticated=default)
    assert refused(call, IdentityId=machine, Logins=logins)[:2] == NOT_AUTHORIZED
    stricter["AmbiguousRoleResolution"] = "AuthenticatedRole"
    scene.set_roles(pool_id, {scene.provider_arn: stricter}, authenticated=default)
    assert default.rpartition("/")[2] in scene.who(scene.credentials(machine, scene.machine_token))


def test_claims_become_principal_tags(scene: PoolScene) -> None:
    pool_id = scene.new_pool()
    condition = {"StringEquals": {"aws:PrincipalTag/repository": "group/project"}}
    actions = ("sts:AssumeRoleWithWebIdentity", "sts:TagSession")
    role = scene.new_role(allow("iam:ListRoles", Condition=condition), trusts=trust_of(pool_id, *actions))
    scene.set_roles(pool_id, authenticated=role)
    at = {"IdentityPoolId": pool_id, "IdentityProviderName": scene.provider_arn}
    assert scene.cognito.get_principal_tag_attribute_map(**at)["UseDefaults"] is False
    machine = scene.get_id(scene.machine_token, pool_id)
    iam = scene.server.client("iam", scene.credentials(machine, scene.machine_token))
    assert refused(iam.list_roles)[1] == "AccessDenied"
    tags = {"repository": "repository"}
    assert scene.cognito.set_principal_tag_attribute_map(**at, PrincipalTags=tags)["PrincipalTags"] == tags
    iam = scene.server.client("iam", scene.credentials(machine, scene.machine_token))
    assert iam.list_roles()["Roles"]
    both = {"UseDefaults": True, "PrincipalTags": tags}
    assert (
        refused(scene.cognito.set_principal_tag_attribute_map, **at, **both)[1] == "InvalidParameterException"
    )
    defaults = scene.cognito.set_principal_tag_attribute_map(**at, UseDefaults=True)
    assert defaults["PrincipalTags"] == {"client": "aud", "username": "sub"}


def test_pools_are_managed_as_on_aws(scene: PoolScene) -> None:
    cognito = scene.cognito
    pool_id = scene.new_pool(IdentityPoolTags={"team": "blue"})
    shown = cognito.describe_identity_pool(IdentityPoolId=pool_id)
    assert (shown["OpenIdConnectProviderARNs"], shown["IdentityPoolTags"]) == (
        [scene.provider_arn],
        {"team": "blue"},
    )
    page = cognito.list_identity_pools(MaxResults=1)
    rest = cognito.list_identity_pools(MaxResults=60, NextToken=page["NextToken"])
    listed = [one["IdentityPoolId"] for one in page["IdentityPools"] + rest["IdentityPools"]]
    assert len(set(listed)) == len(listed)
    assert {pool_id, scene.pool_id} <= set(listed)
    arn = f"arn:aws:cognito-identity:{REGION}:{scene.account.account_id}:identitypool/{pool_id}"
    cognito.tag_resource(ResourceArn=arn, Tags={"stage": "test"})
    assert cognito.list_tags_for_resource(ResourceArn=arn)["Tags"] == {"team": "blue", "stage": "test"}
    cognito.untag_resource(ResourceArn=arn, TagKeys=["team"])
    assert cognito.list_tags_for_resource(ResourceArn=arn)["Tags"] == {"stage": "test"}
    identity_id = scene.get_id(scene.token(), pool_id)
    cognito.delete_identity_pool(IdentityPoolId=pool_id)
    assert refused(cognito.describe_identity_pool, IdentityPoolId=pool_id)[1:] == (
        "ResourceNotFoundException",
        f"IdentityPool '{pool_id}' not found.",
    )
    call = scene.app.get_credentials_for_identity
    said = refused(call, IdentityId=identity_id, Logins=scene.logins(scene.token()))
    assert said[1] == "ResourceNotFoundException"


def test_the_account_sees_and_deletes_its_identities(scene: PoolScene) -> None:
    cognito, pool_id = scene.cognito, scene.new_pool()
    first, second = scene.get_id(scene.token(), pool_id), scene.get_id(scene.machine_token, pool_id)
    described = cognito.describe_identity(IdentityId=first)
    assert described["Logins"] == [scene.provider_name]
    page = cognito.list_identities(IdentityPoolId=pool_id, MaxResults=1)
    rest = cognito.list_identities(IdentityPoolId=pool_id, MaxResults=1, NextToken=page["NextToken"])
    assert {one["IdentityId"] for one in page["Identities"] + rest["Identities"]} == {first, second}
    theirs = scene.get_id(scene.token())
    stranger = scene.server.client("cognito-identity", account_of(scene.server).root)
    answer = stranger.delete_identities(IdentityIdsToDelete=[theirs])
    assert answer["UnprocessedIdentityIds"] == [{"IdentityId": theirs, "ErrorCode": "AccessDenied"}]
    assert refused(stranger.describe_identity, IdentityId=theirs)[1] == "ResourceNotFoundException"
    assert cognito.delete_identities(IdentityIdsToDelete=[first])["UnprocessedIdentityIds"] == []
    assert scene.get_id(scene.token(), pool_id) != first


def test_an_identity_without_its_last_login_is_nobodys(scene: PoolScene) -> None:
    pool_id = scene.new_pool(AllowUnauthenticatedIdentities=True)
    identity_id = scene.get_id(scene.token(), pool_id)
    at = {"IdentityId": identity_id, "LoginsToRemove": [scene.provider_name]}
    others = scene.logins(scene.machine_token)
    assert refused(scene.app.unlink_identity, **at, Logins=others) == (*NOT_AUTHORIZED, NO_MATCH)
    scene.app.unlink_identity(**at, Logins=scene.logins(scene.token()))
    call = scene.app.get_credentials_for_identity
    assert refused(call, IdentityId=identity_id)[:2] == NOT_AUTHORIZED
    logins = scene.logins(scene.token())
    assert refused(call, IdentityId=identity_id, Logins=logins)[:2] == NOT_AUTHORIZED
    assert scene.get_id(scene.token(), pool_id) != identity_id
    hidden = scene.cognito.list_identities(IdentityPoolId=pool_id, MaxResults=60, HideDisabled=True)
    assert identity_id not in {one["IdentityId"] for one in hidden["Identities"]}


def test_who_may_nothing_is_refused_everywhere(scene: PoolScene) -> None:
    nobody = scene.server.client("cognito-identity", new_user(scene.server, scene.account, "nobody"))
    pool, arn = {"IdentityPoolId": scene.pool_id}, f"arn:aws:cognito-identity:{REGION}:1:identitypool/x"
    provider = {**pool, "IdentityProviderName": scene.provider_arn}
    described = {"IdentityPoolName": "one", "AllowUnauthenticatedIdentities": True}
    identity = scene.get_id(scene.token())
    for call, arguments in (
        (nobody.create_identity_pool, described),
        (nobody.update_identity_pool, {**pool, **described}),
        (nobody.describe_identity_pool, pool),
        (nobody.delete_identity_pool, pool),
        (nobody.list_identity_pools, {"MaxResults": 1}),
        (nobody.list_identities, {**pool, "MaxResults": 1}),
        (nobody.describe_identity, {"IdentityId": identity}),
        (nobody.delete_identities, {"IdentityIdsToDelete": [identity]}),
        (nobody.get_identity_pool_roles, pool),
        (nobody.set_identity_pool_roles, {**pool, "Roles": {}}),
        (nobody.get_principal_tag_attribute_map, provider),
        (nobody.set_principal_tag_attribute_map, provider),
        (nobody.get_open_id_token_for_developer_identity, {**pool, "Logins": {"login.app": "user-7"}}),
        (nobody.lookup_developer_identity, {**pool, "DeveloperUserIdentifier": "user-7"}),
        (
            nobody.unlink_developer_identity,
            {
                **pool,
                "IdentityId": identity,
                "DeveloperProviderName": "login.app",
                "DeveloperUserIdentifier": "user-7",
            },
        ),
        (
            nobody.merge_developer_identities,
            {
                **pool,
                "DeveloperProviderName": "login.app",
                "SourceUserIdentifier": "user-7",
                "DestinationUserIdentifier": "user-8",
            },
        ),
        (nobody.tag_resource, {"ResourceArn": arn, "Tags": {"a": "b"}}),
        (nobody.untag_resource, {"ResourceArn": arn, "TagKeys": ["a"]}),
        (nobody.list_tags_for_resource, {"ResourceArn": arn}),
    ):
        assert refused(call, **arguments)[1] == "AccessDeniedException", call


def test_who_may_not_pass_a_role_does_not_give_it_to_a_pool(scene: PoolScene) -> None:
    keys = new_user(scene.server, scene.account, "pools-only", allow("cognito-identity:*"))
    cognito = scene.server.client("cognito-identity", keys)
    pool = {"IdentityPoolId": scene.pool_id}
    code = refused(cognito.set_identity_pool_roles, **pool, Roles={"authenticated": scene.role_arn})[1]
    assert code == "AccessDeniedException"
    given = {scene.provider_arn: rules(rule("Equals", "sub", "x", scene.role_arn))}
    assert refused(cognito.set_identity_pool_roles, **pool, Roles={}, RoleMappings=given)[1] == code
    foreign = {"authenticated": "arn:aws:iam::999999999999:role/admin"}
    assert refused(cognito.set_identity_pool_roles, **pool, Roles=foreign)[1] == "InvalidParameterException"


@pytest.mark.parametrize(
    "options",
    [
        {"SamlProviderARNs": ["arn:aws:iam::111111111111:saml-provider/idp"]},
        {"SupportedLoginProviders": {"graph.facebook.com": "1"}},
    ],
    ids=lambda options: next(iter(options)),
)
def test_what_the_broker_cannot_do_is_refused(scene: PoolScene, options: dict[str, Any]) -> None:
    described = {"IdentityPoolName": "one", "AllowUnauthenticatedIdentities": False, **options}
    assert refused(scene.cognito.create_identity_pool, **described)[1] == "NotImplemented"
    unknown = {**described, "OpenIdConnectProviderARNs": ["arn:aws:iam::1:oidc-provider/x"]}
    unknown.pop(next(iter(options)))
    assert refused(scene.cognito.create_identity_pool, **unknown)[1] == "InvalidParameterException"
