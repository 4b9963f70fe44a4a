"""What the operations of Organizations refuse, as boto3 meets it; and those that no longer story drives, driven.

Each line of a table is a call, what it is asked, and the code of the refusal; all have status 400, as on AWS.
"""

from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.e2e.conftest import Account, Server
from tests.e2e.scenes import allow, document, new_user, put_organization, refused

SCP, RCP = "SERVICE_CONTROL_POLICY", "RESOURCE_CONTROL_POLICY"
DENIAL = document({"Effect": "Deny", "Action": "iam:ListUsers", "Resource": "*"})
GONE, NOWHERE = "000000000000", "ou-a1b2-a1b2c3d4"
Lines = list[tuple[Any, dict[str, Any], str]]


def all_refused(lines: Lines) -> None:
    outcomes = [(call.__name__, asked, refused(call, **asked)[:2]) for call, asked, _ in lines]
    assert outcomes == [(call.__name__, asked, (400, expected)) for call, asked, expected in lines]


def reason(call: Any, **asked: Any) -> str:
    with pytest.raises(ClientError) as caught:
        call(**asked)
    return str(caught.value.response["Reason"])


class Scene:
    """An organization with a unit, a policy and a member that has its own administrator."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.account, self.member, self.outsider = (server.new_account() for _ in range(3))
        self.client = server.client("organizations", self.account.root)
        self.organization = self.client.create_organization()["Organization"]["Id"]
        self.root: str = self.client.list_roots()["Roots"][0]["Id"]
        self.client.enable_policy_type(RootId=self.root, PolicyType=SCP)
        self.unit = self.new_unit("unit")
        self.policy = self.new_policy("policy")
        invited = {"Id": self.member.account_id, "Type": "ACCOUNT"}
        invitation = self.client.invite_account_to_organization(Target=invited)["Handshake"]["Id"]
        self.inside = server.client("organizations", self.member.root)
        self.inside.accept_handshake(HandshakeId=invitation)
        self.accepted = invitation
        self.outside = server.client("organizations", self.outsider.root)

    def new_unit(self, name: str) -> str:
        made = self.client.create_organizational_unit(ParentId=self.root, Name=name)
        return str(made["OrganizationalUnit"]["Id"])

    def new_policy(self, name: str) -> str:
        made = self.client.create_policy(Name=name, Type=SCP, Description="", Content=DENIAL)
        return str(made["Policy"]["PolicySummary"]["Id"])


@pytest.fixture(scope="module")
def scene(server: Server) -> Iterator[Scene]:
    yield Scene(server)
    put_organization(server, None)


def test_the_organization_and_its_handshakes(scene: Scene) -> None:
    client, gone = scene.client, {"HandshakeId": "h-a1b2c3d4e5"}
    target = {"Target": {"Id": scene.member.account_id, "Type": "ACCOUNT"}}
    all_refused(
        [
            (client.create_organization, {}, "AlreadyInOrganizationException"),
            (client.delete_organization, {}, "OrganizationNotEmptyException"),
            (client.leave_organization, {}, "MasterCannotLeaveOrganizationException"),
            (scene.outside.describe_organization, {}, "AWSOrganizationsNotInUseException"),
            (client.accept_handshake, gone, "HandshakeNotFoundException"),
            (client.cancel_handshake, gone, "HandshakeNotFoundException"),
            (client.decline_handshake, gone, "HandshakeNotFoundException"),
            (client.describe_handshake, gone, "HandshakeNotFoundException"),
            (
                scene.inside.accept_handshake,
                {"HandshakeId": scene.accepted},
                "HandshakeAlreadyInStateException",
            ),
            (client.cancel_handshake, {"HandshakeId": scene.accepted}, "InvalidHandshakeTransitionException"),
            (client.invite_account_to_organization, target, "HandshakeConstraintViolationException"),
            (client.enable_all_features, {}, "HandshakeConstraintViolationException"),
            (scene.inside.list_handshakes_for_organization, {}, "AccessDeniedException"),
            (client.list_handshakes_for_account, {"NextToken": "no token"}, "InvalidInputException"),
        ]
    )


def test_units_and_accounts(scene: Scene) -> None:
    client, nobody = scene.client, {"AccountId": GONE}
    member, root = {"AccountId": scene.member.account_id}, scene.root
    moved = {"SourceParentId": root, "DestinationParentId": scene.unit}
    unit, no_unit = {"OrganizationalUnitId": scene.unit}, {"OrganizationalUnitId": NOWHERE}
    taken, full = scene.new_unit("taken"), scene.new_unit("full")
    client.create_organizational_unit(ParentId=full, Name="inner")
    all_refused(
        [
            (client.create_account, {"Email": "no address", "AccountName": "a"}, "InvalidInputException"),
            (client.close_account, nobody, "AccountNotFoundException"),
            (client.close_account, {"AccountId": scene.account.account_id}, "ConstraintViolationException"),
            (client.describe_account, nobody, "AccountNotFoundException"),
            (client.remove_account_from_organization, nobody, "AccountNotFoundException"),
            (
                client.remove_account_from_organization,
                {"AccountId": scene.account.account_id},
                "MasterCannotLeaveOrganizationException",
            ),
            (client.move_account, {**nobody, **moved}, "AccountNotFoundException"),
            (
                client.move_account,
                {**member, "SourceParentId": NOWHERE, "DestinationParentId": root},
                "SourceParentNotFoundException",
            ),
            (
                client.move_account,
                {**member, **moved, "DestinationParentId": NOWHERE},
                "DestinationParentNotFoundException",
            ),
            (
                client.move_account,
                {**member, **moved, "DestinationParentId": root},
                "DuplicateAccountException",
            ),
            (
                client.describe_create_account_status,
                {"CreateAccountRequestId": "car-" + "a1" * 16},
                "CreateAccountStatusNotFoundException",
            ),
            (client.list_create_account_status, {"States": ["NONSENSE"]}, "InvalidInputException"),
            (scene.inside.list_accounts, {}, "AccessDeniedException"),
            (client.list_accounts_for_parent, {"ParentId": NOWHERE}, "ParentNotFoundException"),
            (client.list_children, {"ParentId": NOWHERE, "ChildType": "ACCOUNT"}, "ParentNotFoundException"),
            (client.list_parents, {"ChildId": GONE}, "ChildNotFoundException"),
            (client.list_organizational_units_for_parent, {"ParentId": NOWHERE}, "ParentNotFoundException"),
            (
                client.create_organizational_unit,
                {"ParentId": NOWHERE, "Name": "n"},
                "ParentNotFoundException",
            ),
            (
                client.create_organizational_unit,
                {"ParentId": root, "Name": "unit"},
                "DuplicateOrganizationalUnitException",
            ),
            (
                client.update_organizational_unit,
                {**no_unit, "Name": "n"},
                "OrganizationalUnitNotFoundException",
            ),
            (
                client.update_organizational_unit,
                {**unit, "Name": "taken"},
                "DuplicateOrganizationalUnitException",
            ),
            (client.describe_organizational_unit, no_unit, "OrganizationalUnitNotFoundException"),
            (client.delete_organizational_unit, no_unit, "OrganizationalUnitNotFoundException"),
            (
                client.delete_organizational_unit,
                {"OrganizationalUnitId": full},
                "OrganizationalUnitNotEmptyException",
            ),
        ]
    )
    assert reason(client.list_accounts, NextToken="no token") == "INVALID_NEXT_TOKEN"
    client.delete_organizational_unit(OrganizationalUnitId=taken)


def test_policies_and_tags(scene: Scene) -> None:
    client, gone = scene.client, {"PolicyId": "p-a1b2c3d4"}
    own, on_root = {"PolicyId": scene.policy}, {"TargetId": scene.root}
    tags = {"Tags": [{"Key": "a", "Value": "b"}]}
    made = {"Name": "policy", "Type": SCP, "Description": "", "Content": DENIAL}
    client.attach_policy(**own, **on_root)
    malformed = "MalformedPolicyDocumentException"
    all_refused(
        [
            (client.create_policy, made, "DuplicatePolicyException"),
            (client.create_policy, {**made, "Name": "n", "Content": "{"}, malformed),
            (client.create_policy, {**made, "Name": "n", "Type": "NONSENSE"}, "InvalidInputException"),
            (client.update_policy, {**gone, "Name": "n"}, "PolicyNotFoundException"),
            (client.update_policy, {**own, "Content": "{"}, malformed),
            (client.describe_policy, gone, "PolicyNotFoundException"),
            (client.delete_policy, gone, "PolicyNotFoundException"),
            (client.delete_policy, own, "PolicyInUseException"),
            (client.attach_policy, {**gone, **on_root}, "PolicyNotFoundException"),
            (client.attach_policy, {**own, **on_root}, "DuplicatePolicyAttachmentException"),
            (client.attach_policy, {**own, "TargetId": NOWHERE}, "TargetNotFoundException"),
            (client.detach_policy, {**own, "TargetId": scene.unit}, "PolicyNotAttachedException"),
            (client.list_policies, {"Filter": "NONSENSE"}, "InvalidInputException"),
            (client.list_policies_for_target, {"TargetId": GONE, "Filter": SCP}, "TargetNotFoundException"),
            (client.list_targets_for_policy, gone, "PolicyNotFoundException"),
            (
                client.enable_policy_type,
                {"RootId": scene.root, "PolicyType": SCP},
                "PolicyTypeAlreadyEnabledException",
            ),
            (client.enable_policy_type, {"RootId": "r-zzzz", "PolicyType": RCP}, "RootNotFoundException"),
            (
                client.disable_policy_type,
                {"RootId": scene.root, "PolicyType": RCP},
                "PolicyTypeNotEnabledException",
            ),
            (
                client.describe_effective_policy,
                {"PolicyType": "TAG_POLICY"},
                "EffectivePolicyNotFoundException",
            ),
            (client.tag_resource, {"ResourceId": GONE, **tags}, "TargetNotFoundException"),
            (client.untag_resource, {"ResourceId": GONE, "TagKeys": ["a"]}, "TargetNotFoundException"),
            (client.list_tags_for_resource, {"ResourceId": GONE}, "TargetNotFoundException"),
            (scene.outside.list_roots, {}, "AWSOrganizationsNotInUseException"),
        ]
    )
    client.detach_policy(**own, **on_root)


def test_trusted_services_and_the_resource_policy(scene: Scene) -> None:
    client, member = scene.client, {"AccountId": scene.member.account_id}
    config = {"ServicePrincipal": "config.amazonaws.com"}
    all_refused(
        [
            (client.delete_resource_policy, {}, "ResourcePolicyNotFoundException"),
            (client.describe_resource_policy, {}, "ResourcePolicyNotFoundException"),
            (client.put_resource_policy, {"Content": "{"}, "InvalidInputException"),
            (client.enable_aws_service_access, {"ServicePrincipal": "a b"}, "InvalidInputException"),
            (client.disable_aws_service_access, {"ServicePrincipal": "a b"}, "InvalidInputException"),
            (scene.inside.list_aws_service_access_for_organization, {}, "AccessDeniedException"),
            (scene.inside.list_delegated_administrators, {}, "AccessDeniedException"),
            (
                client.register_delegated_administrator,
                {"AccountId": GONE, **config},
                "AccountNotFoundException",
            ),
            (
                client.register_delegated_administrator,
                {"AccountId": scene.account.account_id, **config},
                "ConstraintViolationException",
            ),
            (
                client.deregister_delegated_administrator,
                {**member, **config},
                "AccountNotRegisteredException",
            ),
            (client.list_delegated_services_for_account, {"AccountId": GONE}, "AccountNotFoundException"),
            (client.list_delegated_services_for_account, member, "AccountNotRegisteredException"),
        ]
    )


def test_services_are_trusted_and_an_account_acts_for_the_organization(scene: Scene) -> None:
    client, member = scene.client, {"AccountId": scene.member.account_id}
    config = {"ServicePrincipal": "config.amazonaws.com"}
    client.enable_aws_service_access(**config)
    (trusted,) = client.list_aws_service_access_for_organization()["EnabledServicePrincipals"]
    assert trusted["ServicePrincipal"] == "config.amazonaws.com"
    client.register_delegated_administrator(**member, **config)
    assert refused(client.register_delegated_administrator, **member, **config)[1] == (
        "AccountAlreadyRegisteredException"
    )
    (listed,) = client.list_delegated_administrators(**config)["DelegatedAdministrators"]
    (service,) = client.list_delegated_services_for_account(**member)["DelegatedServices"]
    assert (listed["Id"], service["ServicePrincipal"]) == (scene.member.account_id, "config.amazonaws.com")
    assert len(scene.inside.list_accounts()["Accounts"]) == 2, "which a delegated administrator may read"
    client.deregister_delegated_administrator(**member, **config)
    client.disable_aws_service_access(**config)
    assert client.list_aws_service_access_for_organization()["EnabledServicePrincipals"] == []
    assert refused(scene.inside.list_accounts)[1] == "AccessDeniedException"


def test_the_resource_policy_lets_a_member_read(scene: Scene) -> None:
    statement = {"Effect": "Allow", "Principal": {"AWS": scene.member.account_id}, "Resource": "*"}
    content = document({**statement, "Action": "organizations:ListAccounts"})
    put = scene.client.put_resource_policy(Content=content, Tags=[{"Key": "a", "Value": "b"}])
    shown = scene.client.describe_resource_policy()["ResourcePolicy"]
    assert shown == put["ResourcePolicy"]
    assert len(scene.inside.list_accounts()["Accounts"]) == 2
    assert refused(scene.inside.list_roots)[1] == "AccessDeniedException"
    scene.client.delete_resource_policy()
    assert refused(scene.inside.list_accounts)[1] == "AccessDeniedException"


def test_the_tree_is_listed_renamed_and_tagged(scene: Scene) -> None:
    client, unit = scene.client, scene.unit
    member = scene.member.account_id
    assert [
        one["Id"]
        for one in client.list_organizational_units_for_parent(ParentId=scene.root)["OrganizationalUnits"]
    ]
    client.move_account(AccountId=member, SourceParentId=scene.root, DestinationParentId=unit)
    assert [one["Id"] for one in client.list_accounts_for_parent(ParentId=unit)["Accounts"]] == [member]
    assert client.list_create_account_status(States=["SUCCEEDED"])["CreateAccountStatuses"] == []
    children = client.list_children(ParentId=unit, ChildType="ACCOUNT")["Children"]
    assert children == [{"Id": member, "Type": "ACCOUNT"}]
    client.move_account(AccountId=member, SourceParentId=unit, DestinationParentId=scene.root)
    renamed = client.update_organizational_unit(OrganizationalUnitId=unit, Name="renamed")
    assert renamed["OrganizationalUnit"]["Name"] == "renamed"
    client.tag_resource(ResourceId=unit, Tags=[{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "2"}])
    client.untag_resource(ResourceId=unit, TagKeys=["a"])
    assert client.list_tags_for_resource(ResourceId=unit)["Tags"] == [{"Key": "b", "Value": "2"}]
    client.attach_policy(PolicyId=scene.policy, TargetId=unit)
    (target,) = client.list_targets_for_policy(PolicyId=scene.policy)["Targets"]
    assert (target["TargetId"], target["Name"], target["Type"]) == (unit, "renamed", "ORGANIZATIONAL_UNIT")
    client.detach_policy(PolicyId=scene.policy, TargetId=unit)


def test_invitations_are_cancelled_declined_and_shown(scene: Scene) -> None:
    client, invited = scene.client, {"Id": scene.outsider.account_id, "Type": "ACCOUNT"}
    first = {"HandshakeId": client.invite_account_to_organization(Target=invited)["Handshake"]["Id"]}
    assert refused(client.invite_account_to_organization, Target=invited)[1] == "DuplicateHandshakeException"
    assert client.cancel_handshake(**first)["Handshake"]["State"] == "CANCELED"
    second = {"HandshakeId": client.invite_account_to_organization(Target=invited)["Handshake"]["Id"]}
    assert scene.outside.decline_handshake(**second)["Handshake"]["State"] == "DECLINED"
    assert client.describe_handshake(**second)["Handshake"]["State"] == "DECLINED"
    listed = client.list_handshakes_for_organization(Filter={"ActionType": "INVITE"})["Handshakes"]
    assert {one["State"] for one in listed} == {"ACCEPTED", "CANCELED", "DECLINED"}


def test_a_type_of_policies_is_switched_off_and_its_attachments_with_it(scene: Scene) -> None:
    client, named = scene.client, {"RootId": scene.root, "PolicyType": RCP}
    client.enable_policy_type(**named)
    with pytest.raises(ClientError, match="EffectivePolicyNotFoundException"):
        client.describe_effective_policy(PolicyType="TAG_POLICY", TargetId=scene.member.account_id)
    attached = client.list_policies_for_target(TargetId=scene.root, Filter=RCP)["Policies"]
    assert [one["Name"] for one in attached] == ["RCPFullAWSAccess"]
    assert {one["Type"] for one in client.disable_policy_type(**named)["Root"]["PolicyTypes"]} == {SCP}


def test_the_organization_is_deleted_when_it_is_empty_and_another_has_all_features(
    server: Server, scene: Scene
) -> None:
    client, parent = scene.client, {"ParentId": scene.root}
    client.remove_account_from_organization(AccountId=scene.member.account_id)
    for unit in client.list_organizational_units_for_parent(**parent)["OrganizationalUnits"]:
        inside = client.list_organizational_units_for_parent(ParentId=unit["Id"])["OrganizationalUnits"]
        for one in (*inside, unit):
            client.delete_organizational_unit(OrganizationalUnitId=one["Id"])
    client.delete_policy(PolicyId=scene.policy)
    client.delete_organization()
    assert refused(client.create_organization, FeatureSet="CONSOLIDATED_BILLING")[:2] == (
        501,
        "NotImplemented",
    )
    client.create_organization()
    with pytest.raises(ClientError) as caught:
        client.enable_all_features()
    assert caught.value.response["Error"]["Code"] == "HandshakeConstraintViolationException"
    client.delete_organization()


def test_an_operation_is_refused_without_its_permission(server: Server, account: Account) -> None:
    keys = new_user(server, account, "eve", allow("organizations:Describe*"))
    eve = server.client("organizations", keys)
    status, code, message = refused(eve.create_organization)
    assert (status, code) == (400, "AccessDeniedException")
    assert "is not authorized to perform: organizations:CreateOrganization" in message
