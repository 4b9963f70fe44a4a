"""Organizations as boto3 and the AWS CLI drive it, on both engines; what it writes, the gate obeys at once.

A broker has one organization, so these tests have a server of their own, shared by all of them for one engine.
"""

import json
import os
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.e2e.conftest import REGION, Account, Server
from tests.e2e.scenes import allow, assume, document, new_user, put_organization, records_of, refused

SCP, RCP = "SERVICE_CONTROL_POLICY", "RESOURCE_CONTROL_POLICY"
DENY_USERS = document({"Effect": "Deny", "Action": "iam:ListUsers", "Resource": "*"})


class Scene:
    """An organization of its own, with a member account that it has created."""

    def __init__(self, server: Server, management: Account) -> None:
        self.server, self.management = server, management
        self.client = server.client("organizations", management.root)
        self.organization = self.client.create_organization(FeatureSet="ALL")["Organization"]
        self.root = self.client.list_roots()["Roots"][0]["Id"]
        for policy_type in (SCP, RCP):
            self.client.enable_policy_type(RootId=self.root, PolicyType=policy_type)
        self.member = self.new_member("first")

    def new_member(self, name: str) -> str:
        created = self.client.create_account(Email=f"{name}@example.com", AccountName=name)
        status = self.client.describe_create_account_status(
            CreateAccountRequestId=created["CreateAccountStatus"]["Id"]
        )["CreateAccountStatus"]
        assert status["State"] == "SUCCEEDED"
        account: str = status["AccountId"]
        return account

    def inside(self, account: str) -> Any:
        """Credentials of the role that the management account may assume in a created account."""
        if not hasattr(self, "administrator"):
            self.administrator = new_user(self.server, self.management, "admin", allow("*"))
        return assume(
            self.server, self.administrator, f"arn:aws:iam::{account}:role/OrganizationAccountAccessRole"
        )

    def new_policy(self, name: str, content: str = DENY_USERS, policy_type: str = SCP) -> str:
        answer = self.client.create_policy(
            Name=name, Type=policy_type, Description="of a test", Content=content
        )
        found: str = answer["Policy"]["PolicySummary"]["Id"]
        return found


@pytest.fixture(scope="module")
def scene(server: Server) -> Iterator[Scene]:
    """On the server that all tests share; the organization is gone afterwards, for other tests put theirs there."""
    made = Scene(server, server.new_account())
    yield made
    put_organization(server, None)


def test_what_was_created_is_described_as_it_was_written(scene: Scene) -> None:
    client, organization = scene.client, scene.organization
    assert client.describe_organization()["Organization"]["Id"] == organization["Id"]
    assert organization["MasterAccountId"] == scene.management.account_id
    unit = client.create_organizational_unit(
        ParentId=scene.root, Name="team é", Tags=[{"Key": "a", "Value": "b"}]
    )
    unit_id = unit["OrganizationalUnit"]["Id"]
    shown = client.describe_organizational_unit(OrganizationalUnitId=unit_id)["OrganizationalUnit"]
    assert shown == unit["OrganizationalUnit"]
    assert client.list_tags_for_resource(ResourceId=unit_id)["Tags"] == [{"Key": "a", "Value": "b"}]
    client.move_account(AccountId=scene.member, SourceParentId=scene.root, DestinationParentId=unit_id)
    assert client.list_parents(ChildId=scene.member)["Parents"] == [
        {"Id": unit_id, "Type": "ORGANIZATIONAL_UNIT"}
    ]
    client.move_account(AccountId=scene.member, SourceParentId=unit_id, DestinationParentId=scene.root)
    client.delete_organizational_unit(OrganizationalUnitId=unit_id)
    (account,) = [one for one in client.list_accounts()["Accounts"] if one["Id"] == scene.member]
    assert (account["Name"], account["Email"], account["Status"]) == ("first", "first@example.com", "ACTIVE")
    assert account["JoinedTimestamp"].year >= 2026


def test_a_policy_limits_a_member_with_the_next_request_and_its_arn_is_named(scene: Scene) -> None:
    client, server = scene.client, scene.server
    iam = server.client("iam", scene.inside(scene.member))
    assert iam.list_users()["Users"] == []
    guard = scene.new_policy("guard")
    client.attach_policy(PolicyId=guard, TargetId=scene.root)
    arn = client.describe_policy(PolicyId=guard)["Policy"]["PolicySummary"]["Arn"]
    _, code, message = refused(iam.list_users)
    assert code == "AccessDenied"
    assert f"with an explicit deny in a service control policy: {arn}" in message
    client.update_policy(PolicyId=guard, Content=DENY_USERS.replace("ListUsers", "ListRoles"))
    assert iam.list_users()["Users"] == []
    client.detach_policy(PolicyId=guard, TargetId=scene.root)
    assert iam.list_roles()["Roles"]
    client.delete_policy(PolicyId=guard)


def test_a_refusal_has_its_code_its_reason_and_its_record(scene: Scene) -> None:
    with pytest.raises(ClientError) as caught:
        scene.client.detach_policy(PolicyId="p-FullAWSAccess", TargetId=scene.root)
    response = caught.value.response
    assert response["Error"]["Code"] == "ConstraintViolationException"
    assert response["Reason"] == "MIN_POLICY_TYPE_ATTACHMENT_LIMIT_EXCEEDED"
    (record,) = records_of(scene.server, response["ResponseMetadata"]["RequestId"])
    assert (record["eventSource"], record["eventName"], record["errorCode"]) == (
        "organizations.amazonaws.com",
        "DetachPolicy",
        "ConstraintViolationException",
    )
    with pytest.raises(ClientError) as caught:
        scene.client.describe_account(AccountId="12345678901x")
    assert (caught.value.response["Error"]["Code"], caught.value.response["Reason"]) == (
        "InvalidInputException",
        "INVALID_PATTERN",
    )


def test_a_name_and_an_address_are_not_in_the_journal(scene: Scene) -> None:
    answer = scene.client.create_account(Email="first@example.com", AccountName="a secret name")
    assert answer["CreateAccountStatus"]["FailureReason"] == "EMAIL_ALREADY_EXISTS"
    (record,) = records_of(scene.server, answer["ResponseMetadata"]["RequestId"])
    assert "secret" not in json.dumps(record) and "first@" not in json.dumps(record)


def test_an_operation_that_is_not_there_says_so(scene: Scene) -> None:
    _, code, message = refused(scene.client.list_inbound_responsibility_transfers, Type="BILLING")
    assert code == "NotImplemented"
    assert "does not implement organizations:ListInboundResponsibilityTransfers" in message


def test_a_closed_account_may_do_nothing_any_more(scene: Scene) -> None:
    member = scene.new_member("closing")
    session = scene.inside(member)
    iam = scene.server.client("iam", session)
    assert iam.list_roles()["Roles"]
    scene.client.close_account(AccountId=member)
    assert refused(iam.list_roles)[1] == "AccessDenied"
    with pytest.raises(ClientError, match="AccessDenied"):
        scene.inside(member)


def test_an_account_that_accepts_an_invitation_is_limited_until_it_leaves(scene: Scene) -> None:
    invited = scene.server.new_account()
    guard = scene.new_policy("for all")
    scene.client.attach_policy(PolicyId=guard, TargetId=scene.root)
    iam = scene.server.client("iam", invited.root)
    assert iam.list_users()["Users"] == []
    scene.client.invite_account_to_organization(Target={"Id": invited.account_id, "Type": "ACCOUNT"})
    theirs = scene.server.client("organizations", invited.root)
    (handshake,) = theirs.list_handshakes_for_account()["Handshakes"]
    assert theirs.accept_handshake(HandshakeId=handshake["Id"])["Handshake"]["State"] == "ACCEPTED"
    assert refused(iam.list_users)[1] == "AccessDenied"
    theirs.leave_organization()
    assert iam.list_users()["Users"] == []
    assert refused(theirs.list_roots)[1] == "AWSOrganizationsNotInUseException"
    scene.client.detach_policy(PolicyId=guard, TargetId=scene.root)


def test_many_at_once_keep_the_quotas(scene: Scene) -> None:
    client, member = scene.client, scene.new_member("busy")
    ids = [scene.new_policy(f"busy {number}") for number in range(8)]

    def attach(policy_id: str) -> str:
        try:
            client.attach_policy(PolicyId=policy_id, TargetId=member)
        except ClientError as error:
            return str(error.response["Reason"])
        return "attached"

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(attach, ids))
    assert sorted(answers) == ["MAX_POLICY_TYPE_ATTACHMENT_LIMIT_EXCEEDED"] * 4 + ["attached"] * 4
    listed = client.list_policies_for_target(TargetId=member, Filter=SCP)["Policies"]
    assert len(listed) == 5


@pytest.mark.parametrize("server", ["sqlite"], indirect=True)
def test_the_cli_shows_the_organization(cli: Path, scene: Scene) -> None:
    def run(*words: str) -> Any:
        plain = {one: value for one, value in os.environ.items() if not one.startswith(("AWS_", "BROKER_"))}
        files = dict.fromkeys(("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"), os.devnull)
        keys = scene.management.root.environment
        done = subprocess.run(
            [str(cli), "organizations", *words, "--output", "json", "--endpoint-url", scene.server.url],
            env={**plain, **files, **keys, "AWS_DEFAULT_REGION": REGION, "AWS_PAGER": ""},
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    listed = run("list-accounts", "--max-items", "1")
    assert listed["Accounts"][0]["Arn"].startswith(
        f"arn:aws:organizations::{scene.management.account_id}:account/"
    )
    assert listed["NextToken"]


def test_a_report_tells_which_services_the_policies_leave_to_a_member(scene: Scene) -> None:
    """That its uses are told is examined beside it, without the wait until they are written."""
    iam = scene.server.client("iam", scene.management.root)
    path = f"{scene.organization['Id']}/{scene.root}/{scene.member}"
    job = iam.generate_organizations_access_report(EntityPath=path)["JobId"]
    report = iam.get_organizations_access_report(
        JobId=job, SortKey="SERVICE_NAMESPACE_DESCENDING", MaxItems=5
    )
    assert (report["JobStatus"], len(report["AccessDetails"]), report["IsTruncated"]) == (
        "COMPLETED",
        5,
        True,
    )
    assert report["NumberOfServicesAccessible"] > 300
