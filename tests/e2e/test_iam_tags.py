"""Tags of each kind of entity, and the policies of each kind of identity, as boto3 sets, lists and takes them away."""

import time
from base64 import b32decode
from typing import Any

import pytest

from broker.sealing.totp import STEP_SECONDS, totp
from tests.e2e.conftest import Account, Server
from tests.e2e.scenes import allow, document, refused, trust
from tests.unit.assertions.saml_provider import KeyPair, metadata

AUDIT = "arn:aws:iam::aws:policy/SecurityAudit"
BLUE, EMPTY = {"Key": "team", "Value": "blue"}, {"Key": "a", "Value": ""}
DOCUMENT = document(allow("s3:GetObject"))


def test_tags_of_each_kind_are_set_listed_and_taken_away(root: Any, account: Account) -> None:
    root.create_role(RoleName="r", AssumeRolePolicyDocument=document(trust(account.account_id)))
    root.create_instance_profile(InstanceProfileName="i")
    policy = {"PolicyArn": root.create_policy(PolicyName="p", PolicyDocument=DOCUMENT)["Policy"]["Arn"]}
    device = root.create_virtual_mfa_device(VirtualMFADeviceName="m")["VirtualMFADevice"]
    phone = {"SerialNumber": device["SerialNumber"]}
    made = root.create_open_id_connect_provider(Url="https://idp.example.com")
    openid = {"OpenIDConnectProviderArn": made["OpenIDConnectProviderArn"]}
    made = root.create_saml_provider(Name="s", SAMLMetadataDocument=metadata(KeyPair()))
    saml = {"SAMLProviderArn": made["SAMLProviderArn"]}
    both, one = {"Tags": [BLUE, EMPTY]}, {"TagKeys": ["team"]}

    root.tag_role(RoleName="r", **both)
    root.untag_role(RoleName="r", **one)
    assert root.list_role_tags(RoleName="r")["Tags"] == [EMPTY]
    root.tag_instance_profile(InstanceProfileName="i", **both)
    root.untag_instance_profile(InstanceProfileName="i", **one)
    assert root.list_instance_profile_tags(InstanceProfileName="i")["Tags"] == [EMPTY]
    root.tag_policy(**policy, **both)
    root.untag_policy(**policy, **one)
    assert root.list_policy_tags(**policy)["Tags"] == [EMPTY]
    root.tag_mfa_device(**phone, **both)
    root.untag_mfa_device(**phone, **one)
    assert root.list_mfa_device_tags(**phone)["Tags"] == [EMPTY]
    root.tag_open_id_connect_provider(**openid, **both)
    root.untag_open_id_connect_provider(**openid, **one)
    assert root.list_open_id_connect_provider_tags(**openid)["Tags"] == [EMPTY]
    root.tag_saml_provider(**saml, **both)
    root.untag_saml_provider(**saml, **one)
    assert root.list_saml_provider_tags(**saml)["Tags"] == [EMPTY]

    (listed,) = root.list_open_id_connect_providers()["OpenIDConnectProviderList"]
    assert listed["Arn"] == openid["OpenIDConnectProviderArn"]
    assert [entry["Arn"] for entry in root.list_saml_providers()["SAMLProviderList"]] == [
        saml["SAMLProviderArn"]
    ]
    for tag, named in (
        (root.tag_role, {"RoleName": "r"}),
        (root.tag_instance_profile, {"InstanceProfileName": "i"}),
        (root.tag_policy, policy),
        (root.tag_mfa_device, phone),
        (root.tag_open_id_connect_provider, openid),
        (root.tag_saml_provider, saml),
    ):
        many = [{"Key": f"k{number}", "Value": ""} for number in range(50)]
        assert refused(tag, **named, Tags=many)[:2] == (409, "LimitExceeded")
        assert refused(tag, **named, Tags=[BLUE, BLUE])[:2] == (400, "InvalidInput")
        assert refused(tag, **named, Tags=[{"Key": "aws:team", "Value": ""}])[:2] == (400, "InvalidInput")


def test_tags_of_what_is_not_there_are_refused(root: Any, account: Account) -> None:
    def arn(rest: str) -> str:
        return f"arn:aws:iam::{account.account_id}:{rest}"

    openid = {"OpenIDConnectProviderArn": arn("oidc-provider/gone.example.com")}
    for tag, untag, tags_of, named in (
        (root.tag_user, root.untag_user, root.list_user_tags, {"UserName": "gone"}),
        (root.tag_role, root.untag_role, root.list_role_tags, {"RoleName": "gone"}),
        (root.tag_policy, root.untag_policy, root.list_policy_tags, {"PolicyArn": arn("policy/gone")}),
        (
            root.tag_instance_profile,
            root.untag_instance_profile,
            root.list_instance_profile_tags,
            {"InstanceProfileName": "gone"},
        ),
        (
            root.tag_mfa_device,
            root.untag_mfa_device,
            root.list_mfa_device_tags,
            {"SerialNumber": arn("mfa/gone")},
        ),
        (
            root.tag_open_id_connect_provider,
            root.untag_open_id_connect_provider,
            root.list_open_id_connect_provider_tags,
            openid,
        ),
        (
            root.tag_saml_provider,
            root.untag_saml_provider,
            root.list_saml_provider_tags,
            {"SAMLProviderArn": arn("saml-provider/gone")},
        ),
    ):
        assert refused(tag, **named, Tags=[BLUE])[:2] == (404, "NoSuchEntity")
        assert refused(untag, **named, TagKeys=["team"])[:2] == (404, "NoSuchEntity")
        assert refused(tags_of, **named)[:2] == (404, "NoSuchEntity")


def test_policies_of_users_groups_and_roles_are_read_listed_and_taken_away(
    root: Any, account: Account
) -> None:
    own, attached = {"PolicyName": "own"}, {"PolicyArn": AUDIT}
    user, group, role = {"UserName": "u"}, {"GroupName": "g"}, {"RoleName": "r"}
    root.create_user(**user)
    root.create_group(**group)
    root.create_role(**role, AssumeRolePolicyDocument=document(trust(account.account_id)), Description="d")
    for put, named in (
        (root.put_user_policy, user),
        (root.put_group_policy, group),
        (root.put_role_policy, role),
    ):
        put(**named, **own, PolicyDocument=DOCUMENT)
        for text, code in (("{", "MalformedPolicyDocument"), (" ", "MalformedPolicyDocument")):
            assert refused(put, **named, **own, PolicyDocument=text)[:2] == (400, code)
        large = document(allow(*(f"s3:Get{number}" for number in range(2000))))
        assert refused(put, **named, **own, PolicyDocument=large)[:2] == (409, "LimitExceeded")
    for read in (
        root.get_user_policy(**user, **own),
        root.get_group_policy(**group, **own),
        root.get_role_policy(**role, **own),
    ):
        assert (read["PolicyName"], read["PolicyDocument"]["Statement"][0]["Action"]) == (
            "own",
            ["s3:GetObject"],
        )
    assert root.list_user_policies(**user)["PolicyNames"] == ["own"]
    assert root.list_group_policies(**group)["PolicyNames"] == ["own"]
    assert root.list_role_policies(**role)["PolicyNames"] == ["own"]
    root.attach_user_policy(**user, **attached)
    root.attach_group_policy(**group, **attached)
    root.attach_role_policy(**role, **attached)
    expected = [{"PolicyName": "SecurityAudit", "PolicyArn": AUDIT}]
    assert root.list_attached_user_policies(**user)["AttachedPolicies"] == expected
    assert root.list_attached_group_policies(**group)["AttachedPolicies"] == expected
    assert root.list_attached_role_policies(**role)["AttachedPolicies"] == expected
    for delete, named in ((root.delete_user, user), (root.delete_group, group), (root.delete_role, role)):
        assert refused(delete, **named)[:2] == (409, "DeleteConflict")
    root.detach_user_policy(**user, **attached)
    root.detach_group_policy(**group, **attached)
    root.detach_role_policy(**role, **attached)
    root.delete_user_policy(**user, **own)
    root.delete_group_policy(**group, **own)
    root.delete_role_policy(**role, **own)
    assert root.update_role_description(**role, Description="e")["Role"]["Description"] == "e"
    for call, asked in (
        (root.get_user_policy, {**user, **own}),
        (root.get_group_policy, {**group, **own}),
        (root.get_role_policy, {**role, **own}),
        (root.delete_user_policy, {**user, **own}),
        (root.delete_group_policy, {**group, **own}),
        (root.delete_role_policy, {**role, **own}),
        (root.detach_user_policy, {**user, **attached}),
        (root.detach_group_policy, {**group, **attached}),
        (root.detach_role_policy, {**role, **attached}),
    ):
        assert refused(call, **asked)[:2] == (404, "NoSuchEntity")


def test_a_device_is_synchronised_again_with_two_codes_in_a_row(server: Server, root: Any) -> None:
    root.create_user(UserName="u")
    device = root.create_virtual_mfa_device(VirtualMFADeviceName="m")["VirtualMFADevice"]
    seed, step = b32decode(device["Base32StringSeed"]), int(time.time() // STEP_SECONDS)
    phone = {"UserName": "u", "SerialNumber": device["SerialNumber"]}

    def codes(first: int) -> dict[str, str]:
        return {
            "AuthenticationCode1": totp(seed, step + first),
            "AuthenticationCode2": totp(seed, step + first + 1),
        }

    root.enable_mfa_device(**phone, **codes(-1))
    root.resync_mfa_device(**phone, **codes(1))
    shown = root.get_mfa_device(SerialNumber=device["SerialNumber"], UserName="u")
    assert shown["SerialNumber"] == device["SerialNumber"]
    assert refused(root.resync_mfa_device, **phone, **codes(10**6))[:2] == (403, "InvalidAuthenticationCode")
    gone = {**phone, "SerialNumber": f"{device['SerialNumber']}-gone"}
    assert refused(root.resync_mfa_device, **gone, **codes(1))[:2] == (404, "NoSuchEntity")
    assert refused(root.get_mfa_device, SerialNumber=gone["SerialNumber"])[:2] == (404, "NoSuchEntity")
    again = {"VirtualMFADeviceName": "m"}
    assert refused(root.create_virtual_mfa_device, **again)[:2] == (409, "EntityAlreadyExists")


@pytest.mark.parametrize("mode", ["", "Required"])
def test_metadata_of_a_saml_provider_that_verify_nothing_are_refused(root: Any, mode: str) -> None:
    good, text = metadata(KeyPair()), "x" * 1000
    more = {"AssertionEncryptionMode": mode, "AddPrivateKey": KeyPair().private_pem} if mode else {}
    arn = root.create_saml_provider(Name="s", SAMLMetadataDocument=good, **more)["SAMLProviderArn"]
    create, update, named = root.create_saml_provider, root.update_saml_provider, {"SAMLProviderArn": arn}
    assert refused(create, Name="s", SAMLMetadataDocument=good)[:2] == (409, "EntityAlreadyExists")
    assert refused(create, Name="t", SAMLMetadataDocument=text)[:2] == (400, "InvalidInput")
    assert refused(update, **named, SAMLMetadataDocument=text)[:2] == (400, "InvalidInput")
    assert refused(update, **named, RemovePrivateKey="A" * 22)[:2] == (404, "NoSuchEntity")
    assert root.get_saml_provider(**named)["SAMLMetadataDocument"] == good
    root.delete_saml_provider(**named)
    for call in (root.get_saml_provider, root.delete_saml_provider, update):
        assert refused(call, **named)[:2] == (404, "NoSuchEntity")
