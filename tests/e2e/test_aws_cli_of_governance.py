"""Each operation of Access Analyzer and of identity stores, typed at the real AWS CLI.

CloudTrail's are in `test_trails.py`, those of identity pools in `test_identity_pool_tokens.py`.
"""

from typing import Any

import pytest

from tests.e2e.aws_cli import CommandLine, command_line
from tests.e2e.conftest import Account, Server
from tests.e2e.scenes import allow, document, new_role, new_user, trust, used_in_part

pytestmark = pytest.mark.parametrize("server", ["sqlite"], indirect=True)


def test_access_analyzer_does_what_is_typed(server: Server, account: Account) -> None:
    with command_line(server, account, "accessanalyzer") as aws:
        type_of_findings(aws, new_role(server, account, "shared", trust("999988887777")))
        type_of_unused_access(aws, used_in_part(server, account, "worker"))
        new_user(server, account, "ann")
        type_of_generation(aws, f"arn:aws:iam::{account.account_id}:user/ann")
        type_of_checks(aws)
        assert aws.never_typed() == set()


def type_of_findings(aws: CommandLine, role: str) -> None:
    arn = aws("create-analyzer --analyzer-name outside --type ACCOUNT --tags team=red")["arn"]
    assert [one["arn"] for one in aws("list-analyzers")["analyzers"]] == [arn]
    assert aws("get-analyzer --analyzer-name outside")["analyzer"]["tags"] == {"team": "red"}
    (found,) = aws(f"list-findings --analyzer-arn {arn}")["findings"]
    assert [one["id"] for one in aws(f"list-findings-v2 --analyzer-arn {arn}")["findings"]] == [found["id"]]
    named = f"--analyzer-arn {arn} --id {found['id']}"
    aws(f"update-findings --analyzer-arn {arn} --ids {found['id']} --status ARCHIVED")
    assert aws(f"get-finding {named}")["finding"]["status"] == "ARCHIVED"
    assert aws(f"get-finding-v2 {named}")["resource"] == role
    numbers = aws(f"get-findings-statistics --analyzer-arn {arn}")["findingsStatistics"][0]
    assert numbers["externalAccessFindingsStatistics"]["totalArchivedFindings"] == 1
    of_role = f"--analyzer-arn {arn} --resource-arn {role}"
    aws(f"start-resource-scan {of_role}")
    assert aws(f"get-analyzed-resource {of_role}")["resource"]["resourceType"] == "AWS::IAM::Role"
    analyzed = aws(f"list-analyzed-resources --analyzer-arn {arn}")["analyzedResources"]
    assert [one["resourceArn"] for one in analyzed] == [role]
    aws(f"tag-resource --resource-arn {arn} --tags stage=test")
    aws(f"untag-resource --resource-arn {arn} --tag-keys team")
    assert aws(f"list-tags-for-resource --resource-arn {arn}")["tags"] == {"stage": "test"}
    type_of_rules(aws, arn)
    aws("delete-analyzer --analyzer-name outside")
    assert "ResourceNotFoundException" in aws.refused("get-analyzer --analyzer-name outside")


def type_of_rules(aws: CommandLine, arn: str) -> None:
    named = "--analyzer-name outside --rule-name partner"
    aws(f"create-archive-rule {named}", filter={"isPublic": {"eq": ["false"]}})
    aws(f"update-archive-rule {named}", filter={"isPublic": {"eq": ["true"]}})
    assert aws(f"get-archive-rule {named}")["archiveRule"]["filter"]["isPublic"]["eq"] == ["true"]
    aws(f"apply-archive-rule --analyzer-arn {arn} --rule-name partner")
    (rule,) = aws("list-archive-rules --analyzer-name outside")["archiveRules"]
    assert rule["ruleName"] == "partner"
    aws(f"delete-archive-rule {named}")
    assert aws("list-archive-rules --analyzer-name outside")["archiveRules"] == []


def type_of_unused_access(aws: CommandLine, role: str) -> None:
    days = {"unusedAccess": {"unusedAccessAge": 7}}
    arn = aws("create-analyzer --analyzer-name idle --type ACCOUNT_UNUSED_ACCESS", configuration=days)["arn"]
    excluded = {"unusedAccess": {"analysisRule": {"exclusions": [{"resourceTags": [{"team": "red"}]}]}}}
    changed = aws("update-analyzer --analyzer-name idle", configuration=excluded)["configuration"]
    assert changed["unusedAccess"]["unusedAccessAge"] == 7
    (found,) = aws(f"list-findings-v2 --analyzer-arn {arn}")["findings"]
    assert (found["resource"], found["findingType"]) == (role, "UnusedPermission")
    named = f"--analyzer-arn {arn} --id {found['id']}"
    aws(f"generate-finding-recommendation {named}")
    steps = aws(f"get-finding-recommendation {named}")["recommendedSteps"]
    actions = [one["unusedPermissionsRecommendedStep"]["recommendedAction"] for one in steps]
    assert actions == ["CREATE_POLICY", "DETACH_POLICY"]


def type_of_generation(aws: CommandLine, principal: str) -> None:
    start = f"start-policy-generation --policy-generation-details principalArn={principal}"
    job, second = (aws(f"{start} --client-token {number}")["jobId"] for number in (1, 2))
    listed = aws(f"list-policy-generations --principal-arn {principal}")["policyGenerations"]
    assert {one["jobId"] for one in listed} == {job, second}
    assert aws(f"get-generated-policy --job-id {job}")["jobDetails"]["status"] == "SUCCEEDED"
    third = aws(f"{start} --client-token 3")["jobId"]
    aws(f"cancel-policy-generation --job-id {third}")
    assert aws(f"get-generated-policy --job-id {third}")["jobDetails"]["status"] == "CANCELED"


def type_of_checks(aws: CommandLine) -> None:
    text = document(allow("iam:GetUser"))
    words = f"--policy-document '{text}' --policy-type IDENTITY_POLICY"
    assert aws(f"validate-policy {words}")["findings"] == []
    assert aws(f"check-access-not-granted {words} --access actions=iam:CreateUser")["result"] == "PASS"
    wider = document(allow("iam:*"))
    asked = f"--existing-policy-document '{text}' --new-policy-document '{wider}'"
    assert aws(f"check-no-new-access {asked} --policy-type IDENTITY_POLICY")["result"] == "FAIL"
    public = f"--policy-document '{document(trust('*'))}' --resource-type AWS::IAM::AssumeRolePolicyDocument"
    assert aws(f"check-no-public-access {public}")["result"] == "FAIL"


def test_an_identity_store_does_what_is_typed(server: Server, account: Account) -> None:
    iam = server.client("iam", account.root)
    made = iam.create_open_id_connect_provider(Url="https://people.example", ClientIDList=["x"])
    with command_line(server, account, "identitystore") as aws:
        type_of_store(aws, made["OpenIDConnectProviderArn"])
        assert aws.never_typed() == set()


def type_of_store(aws: CommandLine, provider: str) -> None:
    store = aws(f"create-identity-store --provider {provider}")["IdentityStoreId"]
    of_store = f"--identity-store-id {store}"
    token = aws(f"create-bearer-token {of_store}")["TokenId"]
    assert [one["TokenId"] for one in aws(f"list-bearer-tokens {of_store}")["BearerTokens"]] == [token]
    aws(f"delete-bearer-token {of_store} --token-id {token}")
    type_of_people(aws, of_store)
    aws(f"delete-identity-store {of_store}")
    assert "ResourceNotFoundException" in aws.refused(f"list-users {of_store}")


def type_of_people(aws: CommandLine, of_store: str) -> None:
    user = aws(f"create-user {of_store} --user-name ada --display-name Ada")["UserId"]
    title = {"AttributePath": "title", "AttributeValue": "Countess"}
    aws(f"update-user {of_store} --user-id {user}", operations=[title])
    assert aws(f"describe-user {of_store} --user-id {user}")["Title"] == "Countess"
    assert aws(f"get-user-id {of_store}", alternate_identifier=unique("userName", "ada"))["UserId"] == user
    chosen = "--filters AttributePath=UserName,AttributeValue=ada"
    assert [one["UserId"] for one in aws(f"list-users {of_store} {chosen}")["Users"]] == [user]

    group = aws(f"create-group {of_store} --display-name Readers")["GroupId"]
    of_group = f"{of_store} --group-id {group}"
    aws(f"update-group {of_group}", operations=[{"AttributePath": "description", "AttributeValue": "read"}])
    assert aws(f"describe-group {of_group}")["Description"] == "read"
    by_name = unique("displayName", "Readers")
    assert aws(f"get-group-id {of_store}", alternate_identifier=by_name)["GroupId"] == group
    assert [one["GroupId"] for one in aws(f"list-groups {of_store}")["Groups"]] == [group]

    type_of_memberships(aws, of_store, group, user)
    aws(f"delete-group {of_group}")
    aws(f"delete-user {of_store} --user-id {user}")
    assert "ResourceNotFoundException" in aws.refused(f"describe-user {of_store} --user-id {user}")


def unique(path: str, value: str) -> dict[str, Any]:
    return {"UniqueAttribute": {"AttributePath": path, "AttributeValue": value}}


def type_of_memberships(aws: CommandLine, of_store: str, group: str, user: str) -> None:
    both = f"{of_store} --group-id {group} --member-id UserId={user}"
    membership = aws(f"create-group-membership {both}")["MembershipId"]
    assert aws(f"get-group-membership-id {both}")["MembershipId"] == membership
    named = f"{of_store} --membership-id {membership}"
    assert aws(f"describe-group-membership {named}")["MemberId"] == {"UserId": user}
    of_group = aws(f"list-group-memberships {of_store} --group-id {group}")["GroupMemberships"]
    of_user = aws(f"list-group-memberships-for-member {of_store} --member-id UserId={user}")
    assert [one["MembershipId"] for one in (*of_group, *of_user["GroupMemberships"])] == [membership] * 2
    asked = f"is-member-in-groups {of_store} --member-id UserId={user} --group-ids {group}"
    assert aws(asked)["Results"][0]["MembershipExists"] is True
    aws(f"delete-group-membership {named}")
    assert aws(asked)["Results"][0]["MembershipExists"] is False
