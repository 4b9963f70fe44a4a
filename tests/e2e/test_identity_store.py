"""`identitystore` by boto3: what providers have pushed is read, and groups are kept, as by AWS's own service."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import REGION, Account, Server
from tests.e2e.identity_pools import account_of
from tests.e2e.scenes import new_user, refused
from tests.e2e.scim import MODELS, Pushed, ScimClient, push_people

PROVIDER = "https://people.example"
NOT_FOUND = "ResourceNotFoundException"
NOBODY = "00000000-0000-4000-8000-000000000000"


@pytest.fixture(scope="module")
def account(server: Server) -> Account:
    return account_of(server)


@pytest.fixture(scope="module")
def provider_arn(server: Server, account: Account) -> str:
    iam = server.client("iam", account.root)
    made = iam.create_open_id_connect_provider(Url=PROVIDER, ClientIDList=["x"])
    return str(made["OpenIDConnectProviderArn"])


@pytest.fixture(scope="module")
def pushed(server: Server, account: Account, provider_arn: str) -> Pushed:
    return push_people(server, account.root, provider_arn)


@pytest.fixture(scope="module")
def store(server: Server, account: Account, pushed: Pushed) -> Any:
    """Plain boto3."""
    return server.client("identitystore", account.root)


def test_what_was_pushed_is_read(store: Any, pushed: Pushed, provider_arn: str) -> None:
    ada = pushed.scim.new_user(
        "ada@example.com",
        externalId="X-1",
        name={"familyName": "Lovelace", "givenName": "Ada"},
        emails=[{"value": "ada@work.example", "type": "work", "primary": True}],
        title="Countess",
    )
    readers = pushed.scim.new_group("Readers", ada)
    named = {"IdentityStoreId": pushed.store_id}
    user = store.describe_user(UserId=ada, **named)
    assert (user["UserName"], user["Title"], user["UserStatus"]) == ("ada@example.com", "Countess", "ENABLED")
    assert user["Name"] == {"FamilyName": "Lovelace", "GivenName": "Ada"}
    assert user["Emails"] == [{"Value": "ada@work.example", "Type": "work", "Primary": True}]
    assert user["ExternalIds"] == [{"Issuer": provider_arn, "Id": "X-1"}]
    by_name = {"UniqueAttribute": {"AttributePath": "userName", "AttributeValue": "ADA@example.com"}}
    by_mail = {"UniqueAttribute": {"AttributePath": "emails.value", "AttributeValue": "ada@work.example"}}
    by_id = {"ExternalId": {"Issuer": provider_arn, "Id": "X-1"}}
    for one in (by_name, by_mail, by_id):
        assert store.get_user_id(AlternateIdentifier=one, **named)["UserId"] == ada
    chosen = [{"AttributePath": "UserName", "AttributeValue": "ada@example.com"}]
    assert [one["UserId"] for one in store.list_users(Filters=chosen, **named)["Users"]] == [ada]
    assert store.describe_group(GroupId=readers, **named)["DisplayName"] == "Readers"
    by_name = {"UniqueAttribute": {"AttributePath": "displayName", "AttributeValue": "readers"}}
    assert store.get_group_id(AlternateIdentifier=by_name, **named)["GroupId"] == readers
    chosen = [{"AttributePath": "DisplayName", "AttributeValue": "Readers"}]
    assert [one["GroupId"] for one in store.list_groups(Filters=chosen, **named)["Groups"]] == [readers]
    (member,) = store.list_group_memberships(GroupId=readers, **named)["GroupMemberships"]
    assert member["MemberId"] == {"UserId": ada}
    found = store.get_group_membership_id(GroupId=readers, MemberId={"UserId": ada}, **named)
    assert found["MembershipId"] == member["MembershipId"]
    shown = store.describe_group_membership(MembershipId=member["MembershipId"], **named)
    assert shown["GroupId"] == readers
    (of_ada,) = store.list_group_memberships_for_member(MemberId={"UserId": ada}, **named)["GroupMemberships"]
    assert of_ada["GroupId"] == readers
    (result,) = store.is_member_in_groups(MemberId={"UserId": ada}, GroupIds=[readers], **named)["Results"]
    assert result["MembershipExists"] is True
    assert store.describe_identity_store(**named)["IdentityStoreArn"] == pushed.arn
    assert [one["IdentityStoreId"] for one in store.list_identity_stores()["IdentityStores"]] == [
        pushed.store_id
    ]


def test_lists_come_in_pages(store: Any, pushed: Pushed) -> None:
    ids = {pushed.scim.new_user(f"paged-{number}") for number in range(5)}
    pages = store.get_paginator("list_users").paginate(
        IdentityStoreId=pushed.store_id, PaginationConfig={"PageSize": 2}
    )
    listed = [one["UserId"] for page in pages for one in page["Users"]]
    assert len(listed) == len(set(listed))
    assert ids <= set(listed)


def test_users_and_groups_are_made_and_changed(store: Any, pushed: Pushed) -> None:
    named = {"IdentityStoreId": pushed.store_id}
    user = store.create_user(
        UserName="bob", DisplayName="Bob", Emails=[{"Value": "bob@example.com", "Type": "work"}], **named
    )
    user_id = user["UserId"]
    assert pushed.scim.get(f"/Users/{user_id}").body["emails"] == [
        {"value": "bob@example.com", "type": "work"}
    ]
    changed = store.update_user(
        UserId=user_id,
        Operations=[
            {"AttributePath": "displayName", "AttributeValue": "Robert"},
            {"AttributePath": "name.givenName", "AttributeValue": "Robert"},
            {"AttributePath": "emails"},
        ],
        Revision=user["Revision"],
        **named,
    )
    shown = store.describe_user(UserId=user_id, **named)
    assert (shown["DisplayName"], shown["Name"], shown["Emails"]) == (
        "Robert",
        {"GivenName": "Robert"},
        [],
    )
    stale = {"UserId": user_id, "Revision": user["Revision"], **named}
    title = [{"AttributePath": "title", "AttributeValue": "x"}]
    assert refused(store.update_user, Operations=title, **stale)[1] == "ConflictException"
    assert refused(store.delete_user, **stale)[1] == "ConflictException"
    status = [{"AttributePath": "active", "AttributeValue": True}]
    assert refused(store.update_user, UserId=user_id, Operations=status, **named)[1] == "ValidationException"
    assert refused(store.create_user, UserName="BOB", **named)[1] == "ConflictException"
    group_id = store.create_group(DisplayName="Writers", Description="write", **named)["GroupId"]
    assert refused(store.create_group, DisplayName="writers", **named)[1] == "ConflictException"
    rename = [{"AttributePath": "displayName", "AttributeValue": "Authors"}]
    store.update_group(GroupId=group_id, Operations=rename, **named)
    shown = store.describe_group(GroupId=group_id, **named)
    assert (shown["DisplayName"], shown["Description"]) == ("Authors", "write")
    joined = store.create_group_membership(GroupId=group_id, MemberId={"UserId": user_id}, **named)
    again = {"GroupId": group_id, "MemberId": {"UserId": user_id}, **named}
    assert refused(store.create_group_membership, **again)[1] == "ConflictException"
    store.delete_group_membership(MembershipId=joined["MembershipId"], **named)
    assert refused(store.get_group_membership_id, **again)[1] == NOT_FOUND
    store.delete_group(GroupId=group_id, **named)
    store.delete_user(UserId=user_id, Revision=changed["Revision"], **named)
    assert refused(store.describe_user, UserId=user_id, **named)[1] == NOT_FOUND
    assert refused(store.describe_group, GroupId=group_id, **named)[1] == NOT_FOUND


def test_what_is_not_there_is_not_found_and_nothing_is_shown_without_permission(
    store: Any, pushed: Pushed, server: Server, account: Account
) -> None:
    nobody = server.client("identitystore", new_user(server, account, "nobody"))
    named, member = {"IdentityStoreId": pushed.store_id}, {"MemberId": {"UserId": NOBODY}}
    by_name = {"UniqueAttribute": {"AttributePath": "userName", "AttributeValue": "no-one"}}
    by_title = {"UniqueAttribute": {"AttributePath": "displayName", "AttributeValue": "none"}}
    change = [{"AttributePath": "displayName", "AttributeValue": "x"}]

    def asked(client: Any) -> list[tuple[Any, dict[str, Any]]]:
        return [
            (client.describe_user, {"UserId": NOBODY}),
            (client.get_user_id, {"AlternateIdentifier": by_name}),
            (client.update_user, {"UserId": NOBODY, "Operations": change}),
            (client.delete_user, {"UserId": NOBODY}),
            (client.describe_group, {"GroupId": NOBODY}),
            (client.get_group_id, {"AlternateIdentifier": by_title}),
            (client.update_group, {"GroupId": NOBODY, "Operations": change}),
            (client.delete_group, {"GroupId": NOBODY}),
            (client.list_group_memberships, {"GroupId": NOBODY}),
            (client.list_group_memberships_for_member, member),
            (client.is_member_in_groups, {**member, "GroupIds": [NOBODY]}),
            (client.get_group_membership_id, {**member, "GroupId": NOBODY}),
            (client.create_group_membership, {**member, "GroupId": NOBODY}),
            (client.describe_group_membership, {"MembershipId": NOBODY}),
            (client.delete_group_membership, {"MembershipId": NOBODY}),
        ]

    for call, arguments in asked(store):
        assert refused(call, **arguments, **named)[1] == NOT_FOUND
    lists = [(nobody.list_users, {}), (nobody.list_groups, {}), (nobody.describe_identity_store, {})]
    making = [(nobody.create_user, {"UserName": "x"}), (nobody.create_group, {"DisplayName": "x"})]
    for call, arguments in [*asked(nobody), *lists, *making]:
        assert refused(call, **arguments, **named)[1] == "AccessDeniedException"
    assert refused(nobody.list_identity_stores)[1] == "AccessDeniedException"
    other = server.client("identitystore", account_of(server).root)
    assert refused(other.list_users, **named)[1] == NOT_FOUND


def test_the_aws_cli_does_what_the_guide_shows(own: Server, cli: Path) -> None:
    account = account_of(own)
    iam = own.client("iam", account.root)
    arn = iam.create_open_id_connect_provider(Url=PROVIDER, ClientIDList=["x"])["OpenIDConnectProviderArn"]
    environment = {
        **os.environ,
        **account.root.environment,
        "AWS_DATA_PATH": str(MODELS),
        "AWS_ENDPOINT_URL": own.url,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_CONFIG_FILE": os.devnull,
    }

    def run(*words: str) -> dict[str, Any]:
        command = [str(cli), "identitystore", *words, "--output", "json"]
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return dict(json.loads(done.stdout))

    claim = ("--match-by", "userName", "--claim", "preferred_username")
    store_id = run("create-identity-store", "--provider", arn, *claim)["IdentityStoreId"]
    token = run("create-bearer-token", "--identity-store-id", store_id)["BearerToken"]
    user_id = ScimClient(own.url, token).new_user("ada")
    (user,) = run("list-users", "--identity-store-id", store_id)["Users"]
    assert (user["UserId"], user["UserName"], user["UserStatus"]) == (user_id, "ada", "ENABLED")
    (shown,) = run("list-bearer-tokens", "--identity-store-id", store_id)["BearerTokens"]
    assert shown["CreatedBy"] == f"arn:aws:iam::{account.account_id}:root"
