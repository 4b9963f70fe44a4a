"""What is written is read back the same, at once: as Terraform's provider for AWS wants it, on both engines.

Each kind of resource is created, read, changed, read again and deleted. Policies are compared as JSON, tags as a map.
"""

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.certificates import ENDS, Certified, rsa_key
from tests.e2e.conftest import Account
from tests.e2e.scenes import Phone
from tests.unit.assertions.saml_provider import KeyPair, metadata


def document(action: str) -> dict[str, Any]:
    """With an order of its own: lists must come back as they were sent."""
    statement = {
        "Sid": "One",
        "Effect": "Allow",
        "Action": [f"s3:{action}", "s3:ListBucket", "s3:A*"],
        "Resource": ["arn:aws:s3:::b/*", "arn:aws:s3:::a"],
        "Condition": {"StringEquals": {"aws:PrincipalTag/Team": ["z", "a"]}},
    }
    return {"Version": "2012-10-17", "Statement": [statement, {**statement, "Sid": "Two"}]}


def trust(service: str) -> dict[str, Any]:
    statement = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
    return {"Version": "2012-10-17", "Statement": [statement]}


TAGS = [{"Key": "b", "Value": "1"}, {"Key": "a", "Value": ""}]
READ_ONLY = "arn:aws:iam::aws:policy/ReadOnlyAccess"
AUDIT = "arn:aws:iam::aws:policy/SecurityAudit"


def as_map(tags: list[dict[str, str]]) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in tags}


def is_gone(read: Any, **named: Any) -> bool:
    try:
        read(**named)
    except ClientError as error:
        return bool(error.response["Error"]["Code"] == "NoSuchEntity")
    return False


def test_a_user(root: Any) -> None:
    made = root.create_user(UserName="u", Path="/a/", PermissionsBoundary=READ_ONLY, Tags=TAGS)["User"]
    read = root.get_user(UserName="u")["User"]
    assert as_map(read["Tags"]) == as_map(TAGS)
    assert {**read, "Tags": None} == {**made, "Tags": None}
    root.update_user(UserName="u", NewUserName="v", NewPath="/b/")
    root.put_user_permissions_boundary(UserName="v", PermissionsBoundary=AUDIT)
    root.untag_user(UserName="v", TagKeys=["a"])
    root.tag_user(UserName="v", Tags=[{"Key": "b", "Value": "2"}])
    read = root.get_user(UserName="v")["User"]
    assert (read["Path"], read["UserId"], as_map(read["Tags"])) == ("/b/", made["UserId"], {"b": "2"})
    assert read["PermissionsBoundary"]["PermissionsBoundaryArn"] == AUDIT
    assert is_gone(root.get_user, UserName="u")
    root.delete_user(UserName="v")
    assert is_gone(root.get_user, UserName="v")


def test_a_group_with_its_members(root: Any) -> None:
    made = root.create_group(GroupName="g", Path="/a/")["Group"]
    assert root.get_group(GroupName="g")["Group"] == made
    for name in ("z", "a"):
        root.create_user(UserName=name)
        root.add_user_to_group(GroupName="g", UserName=name)
    root.update_group(GroupName="g", NewGroupName="h", NewPath="/b/")
    assert [user["UserName"] for user in root.get_group(GroupName="h")["Users"]] == ["a", "z"]
    assert [group["GroupName"] for group in root.list_groups_for_user(UserName="a")["Groups"]] == ["h"]
    for name in ("z", "a"):
        root.remove_user_from_group(GroupName="h", UserName=name)
    root.delete_group(GroupName="h")
    assert is_gone(root.get_group, GroupName="h")


def test_a_role(root: Any) -> None:
    first, second = trust("ec2.amazonaws.com"), trust("lambda.amazonaws.com")
    root.create_role(
        RoleName="r",
        Path="/a/",
        AssumeRolePolicyDocument=json.dumps(first),
        Description="d",
        MaxSessionDuration=7200,
        Tags=TAGS,
    )
    read = root.get_role(RoleName="r")["Role"]
    assert read["AssumeRolePolicyDocument"] == first
    assert (read["Description"], read["MaxSessionDuration"], as_map(read["Tags"])) == (
        "d",
        7200,
        as_map(TAGS),
    )
    root.update_assume_role_policy(RoleName="r", PolicyDocument=json.dumps(second))
    root.update_role(RoleName="r", Description="", MaxSessionDuration=3600)
    root.put_role_permissions_boundary(RoleName="r", PermissionsBoundary=READ_ONLY)
    read = root.get_role(RoleName="r")["Role"]
    assert (read["AssumeRolePolicyDocument"], read["MaxSessionDuration"]) == (second, 3600)
    assert read.get("Description", "") == ""
    root.delete_role_permissions_boundary(RoleName="r")
    assert "PermissionsBoundary" not in root.get_role(RoleName="r")["Role"]
    root.delete_role(RoleName="r")
    assert is_gone(root.get_role, RoleName="r")


def test_a_managed_policy_with_its_versions(root: Any) -> None:
    first, second = document("GetObject"), document("PutObject")
    arn = root.create_policy(
        PolicyName="p", Path="/a/", Description="d", PolicyDocument=json.dumps(first, indent=3), Tags=TAGS
    )["Policy"]["Arn"]
    read = root.get_policy(PolicyArn=arn)["Policy"]
    assert (read["Description"], read["DefaultVersionId"], as_map(read["Tags"])) == ("d", "v1", as_map(TAGS))
    shown = root.get_policy_version(PolicyArn=arn, VersionId="v1")["PolicyVersion"]
    assert json.dumps(shown["Document"]) == json.dumps(first), "order included"
    root.create_policy_version(PolicyArn=arn, PolicyDocument=json.dumps(second), SetAsDefault=True)
    assert root.get_policy(PolicyArn=arn)["Policy"]["DefaultVersionId"] == "v2"
    shown = root.get_policy_version(PolicyArn=arn, VersionId="v2")["PolicyVersion"]
    assert (shown["Document"], shown["IsDefaultVersion"]) == (second, True)
    root.delete_policy_version(PolicyArn=arn, VersionId="v1")
    assert [one["VersionId"] for one in root.list_policy_versions(PolicyArn=arn)["Versions"]] == ["v2"]
    root.delete_policy(PolicyArn=arn)
    assert is_gone(root.get_policy, PolicyArn=arn)


@pytest.mark.parametrize("kind", ["user", "group", "role"])
def test_inline_and_attached_policies(root: Any, kind: str) -> None:
    named = {f"{kind.capitalize()}Name": "n"}
    more = {"AssumeRolePolicyDocument": json.dumps(trust("ec2.amazonaws.com"))} if kind == "role" else {}
    getattr(root, f"create_{kind}")(**named, **more)
    get, put = getattr(root, f"get_{kind}_policy"), getattr(root, f"put_{kind}_policy")
    for action in ("GetObject", "PutObject"):
        wanted = document(action)
        put(**named, PolicyName="own", PolicyDocument=json.dumps(wanted))
        assert get(**named, PolicyName="own")["PolicyDocument"] == wanted
    for arn in (READ_ONLY, AUDIT):
        getattr(root, f"attach_{kind}_policy")(**named, PolicyArn=arn)
    listed = getattr(root, f"list_attached_{kind}_policies")
    assert [one["PolicyArn"] for one in listed(**named)["AttachedPolicies"]] == [READ_ONLY, AUDIT]
    for arn in (READ_ONLY, AUDIT):
        getattr(root, f"detach_{kind}_policy")(**named, PolicyArn=arn)
    assert listed(**named)["AttachedPolicies"] == []
    getattr(root, f"delete_{kind}_policy")(**named, PolicyName="own")
    assert is_gone(get, **named, PolicyName="own")
    getattr(root, f"delete_{kind}")(**named)


def test_an_instance_profile(root: Any) -> None:
    root.create_role(RoleName="r", AssumeRolePolicyDocument=json.dumps(trust("ec2.amazonaws.com")))
    made = root.create_instance_profile(InstanceProfileName="i", Path="/a/", Tags=TAGS)["InstanceProfile"]
    root.add_role_to_instance_profile(InstanceProfileName="i", RoleName="r")
    read = root.get_instance_profile(InstanceProfileName="i")["InstanceProfile"]
    assert ([role["RoleName"] for role in read["Roles"]], as_map(read["Tags"])) == (["r"], as_map(TAGS))
    assert read["InstanceProfileId"] == made["InstanceProfileId"]
    root.remove_role_from_instance_profile(InstanceProfileName="i", RoleName="r")
    assert root.get_instance_profile(InstanceProfileName="i")["InstanceProfile"]["Roles"] == []
    root.delete_instance_profile(InstanceProfileName="i")
    assert is_gone(root.get_instance_profile, InstanceProfileName="i")


def test_an_open_id_connect_provider(root: Any) -> None:
    arn = root.create_open_id_connect_provider(
        Url="https://idp.example.com/realm", ClientIDList=["z", "a"], ThumbprintList=["0" * 40], Tags=TAGS
    )["OpenIDConnectProviderArn"]
    named = {"OpenIDConnectProviderArn": arn}
    read = root.get_open_id_connect_provider(**named)
    assert (read["ClientIDList"], as_map(read["Tags"])) == (["z", "a"], as_map(TAGS))
    root.add_client_id_to_open_id_connect_provider(**named, ClientID="b")
    root.remove_client_id_from_open_id_connect_provider(**named, ClientID="z")
    root.update_open_id_connect_provider_thumbprint(**named, ThumbprintList=["1" * 40])
    read = root.get_open_id_connect_provider(**named)
    assert (read["ClientIDList"], read["ThumbprintList"]) == (["a", "b"], ["1" * 40])
    root.delete_open_id_connect_provider(**named)
    assert is_gone(root.get_open_id_connect_provider, **named)


def test_a_server_certificate(root: Any) -> None:
    authority = Certified("root")
    signed = Certified("server", authority)
    made = root.upload_server_certificate(
        ServerCertificateName="c",
        Path="/a/",
        CertificateBody=signed.pem,
        PrivateKey=signed.private_pem,
        CertificateChain=authority.pem,
        Tags=TAGS,
    )["ServerCertificateMetadata"]
    read = root.get_server_certificate(ServerCertificateName="c")["ServerCertificate"]
    assert (read["ServerCertificateMetadata"], made["Expiration"]) == (made, ENDS)
    assert (read["CertificateBody"], read["CertificateChain"]) == (
        signed.pem.strip(),
        authority.pem.strip(),
    )
    assert as_map(read["Tags"]) == as_map(TAGS)
    root.update_server_certificate(ServerCertificateName="c", NewServerCertificateName="d", NewPath="/b/")
    root.untag_server_certificate(ServerCertificateName="d", TagKeys=["a"])
    read = root.get_server_certificate(ServerCertificateName="d")["ServerCertificate"]
    shown = read["ServerCertificateMetadata"]
    assert (shown["Path"], shown["ServerCertificateId"]) == ("/b/", made["ServerCertificateId"])
    assert (as_map(read["Tags"]), read["CertificateBody"]) == ({"b": "1"}, signed.pem.strip())
    assert root.list_server_certificates()["ServerCertificateMetadataList"] == [shown]
    assert is_gone(root.get_server_certificate, ServerCertificateName="c")
    root.delete_server_certificate(ServerCertificateName="d")
    assert is_gone(root.get_server_certificate, ServerCertificateName="d")


def test_a_saml_provider(root: Any) -> None:
    first, second = metadata(KeyPair()), metadata(KeyPair())
    made = root.create_saml_provider(Name="s", SAMLMetadataDocument=first, Tags=TAGS)
    named = {"SAMLProviderArn": made["SAMLProviderArn"]}
    read = root.get_saml_provider(**named)
    assert (read["SAMLMetadataDocument"], as_map(read["Tags"])) == (first, as_map(TAGS))
    (listed,) = root.list_saml_providers()["SAMLProviderList"]
    assert (listed["ValidUntil"], listed["CreateDate"]) == (read["ValidUntil"], read["CreateDate"])
    assert root.update_saml_provider(**named, SAMLMetadataDocument=second)["SAMLProviderArn"] == listed["Arn"]
    root.update_saml_provider(
        **named, AssertionEncryptionMode="Required", AddPrivateKey=KeyPair().private_pem
    )
    root.untag_saml_provider(**named, TagKeys=["a"])
    changed = root.get_saml_provider(**named)
    assert (changed["SAMLMetadataDocument"], changed["AssertionEncryptionMode"]) == (second, "Required")
    assert (as_map(changed["Tags"]), changed["SAMLProviderUUID"]) == ({"b": "1"}, read["SAMLProviderUUID"])
    (key,) = changed["PrivateKeyList"]
    root.update_saml_provider(**named, AssertionEncryptionMode="Allowed", RemovePrivateKey=key["KeyId"])
    assert root.get_saml_provider(**named).get("PrivateKeyList", []) == []
    root.delete_saml_provider(**named)
    assert is_gone(root.get_saml_provider, **named)


def test_ssh_keys_in_both_encodings(root: Any) -> None:
    root.create_user(UserName="u")
    key = rsa_key(2048).public_key()
    ssh = key.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
    pem = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    made = root.upload_ssh_public_key(UserName="u", SSHPublicKeyBody=ssh)["SSHPublicKey"]
    named = {"UserName": "u", "SSHPublicKeyId": made["SSHPublicKeyId"]}
    assert root.get_ssh_public_key(**named, Encoding="SSH")["SSHPublicKey"] == made
    read = root.get_ssh_public_key(**named, Encoding="PEM")["SSHPublicKey"]
    assert read == {**made, "SSHPublicKeyBody": pem}
    root.update_ssh_public_key(**named, Status="Inactive")
    changed = root.get_ssh_public_key(**named, Encoding="SSH")["SSHPublicKey"]
    assert changed == {**made, "Status": "Inactive"}
    (listed,) = root.list_ssh_public_keys(UserName="u")["SSHPublicKeys"]
    assert listed.items() <= changed.items()
    root.delete_ssh_public_key(**named)
    assert is_gone(root.get_ssh_public_key, **named, Encoding="SSH")
    assert root.list_ssh_public_keys(UserName="u")["SSHPublicKeys"] == []


def test_an_mfa_device(root: Any, account: Account) -> None:
    root.create_user(UserName="u")
    phone = Phone(root, "u")
    device = {"SerialNumber": phone.serial_number}
    assert phone.serial_number == f"arn:aws:iam::{account.account_id}:mfa/u"
    (listed,) = root.list_mfa_devices(UserName="u")["MFADevices"]
    read = root.get_mfa_device(UserName="u", **device)
    assert (read["UserName"], read["EnableDate"]) == ("u", listed["EnableDate"])
    (shown,) = root.list_virtual_mfa_devices(AssignmentStatus="Assigned")["VirtualMFADevices"]
    assert (shown["SerialNumber"], shown["User"]["UserName"]) == (phone.serial_number, "u")
    root.tag_mfa_device(**device, Tags=TAGS)
    root.untag_mfa_device(**device, TagKeys=["a"])
    assert as_map(root.list_mfa_device_tags(**device)["Tags"]) == {"b": "1"}
    root.update_user(UserName="u", NewUserName="v")
    assert root.get_mfa_device(UserName="v", **device)["UserName"] == "v"
    root.deactivate_mfa_device(UserName="v", **device)
    assert root.list_mfa_devices(UserName="v")["MFADevices"] == []
    (shown,) = root.list_virtual_mfa_devices(AssignmentStatus="Unassigned")["VirtualMFADevices"]
    assert shown["SerialNumber"] == phone.serial_number
    root.delete_virtual_mfa_device(**device)
    assert root.list_virtual_mfa_devices()["VirtualMFADevices"] == []
    assert is_gone(root.list_mfa_device_tags, **device)


def test_keys_a_login_profile_and_the_settings_of_an_account(account: Account, root: Any) -> None:
    root.create_user(UserName="u")
    key = root.create_access_key(UserName="u")["AccessKey"]["AccessKeyId"]
    root.update_access_key(UserName="u", AccessKeyId=key, Status="Inactive")
    (listed,) = root.list_access_keys(UserName="u")["AccessKeyMetadata"]
    assert (listed["AccessKeyId"], listed["Status"]) == (key, "Inactive")
    root.delete_access_key(UserName="u", AccessKeyId=key)
    root.create_login_profile(UserName="u", Password="Correct-Horse-1", PasswordResetRequired=True)
    assert root.get_login_profile(UserName="u")["LoginProfile"]["PasswordResetRequired"] is True
    root.delete_login_profile(UserName="u")
    assert is_gone(root.get_login_profile, UserName="u")
    wanted = {"MinimumPasswordLength": 12, "RequireSymbols": True, "MaxPasswordAge": 90}
    root.update_account_password_policy(**wanted)
    assert wanted.items() <= root.get_account_password_policy()["PasswordPolicy"].items()
    root.delete_account_password_policy()
    assert is_gone(root.get_account_password_policy)
    root.create_account_alias(AccountAlias=f"alias-{account.account_id}")
    assert root.list_account_aliases()["AccountAliases"] == [f"alias-{account.account_id}"]
    root.delete_account_alias(AccountAlias=f"alias-{account.account_id}")
    assert root.list_account_aliases()["AccountAliases"] == []
    root.delete_user(UserName="u")
