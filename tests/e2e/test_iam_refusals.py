"""What IAM's operations refuse of what is not there, there already, in use or malformed, as boto3 meets it.

Each line of a table is a call, what it is asked, and the refusal. Refusals that belong to a longer story stand there.
"""

from typing import Any

import pytest

from tests.e2e.conftest import Account, Server
from tests.e2e.scenes import allow, document, new_user, refused, trust

AUDIT = "arn:aws:iam::aws:policy/SecurityAudit"
DOCUMENT = document(allow("s3:GetObject"))
MISSING, TAKEN, IN_USE, FULL = (
    (404, "NoSuchEntity"),
    (409, "EntityAlreadyExists"),
    (409, "DeleteConflict"),
    (409, "LimitExceeded"),
)
INVALID, INPUT, MALFORMED = (400, "ValidationError"), (400, "InvalidInput"), (400, "MalformedPolicyDocument")

Lines = list[tuple[Any, dict[str, Any], tuple[int, str]]]


def all_refused(lines: Lines) -> None:
    outcomes = [(call.__name__, asked, refused(call, **asked)[:2]) for call, asked, _ in lines]
    assert outcomes == [(call.__name__, asked, expected) for call, asked, expected in lines]


@pytest.fixture
def filled(root: Any, account: Account) -> Any:
    """The account's root, with the user u, the group g, the role r, the profile i and the policy p."""
    root.create_user(UserName="u")
    root.create_group(GroupName="g")
    root.create_role(RoleName="r", AssumeRolePolicyDocument=document(trust(account.account_id)))
    root.create_instance_profile(InstanceProfileName="i")
    root.create_policy(PolicyName="p", PolicyDocument=DOCUMENT)
    return root


def test_users_groups_and_their_policies(filled: Any, account: Account) -> None:
    iam, attached = filled, {"PolicyArn": AUDIT}
    user, group, role = {"UserName": "gone"}, {"GroupName": "gone"}, {"RoleName": "gone"}
    missing_policy = {"PolicyArn": f"arn:aws:iam::{account.account_id}:policy/gone"}
    boundary = {"PermissionsBoundary": missing_policy["PolicyArn"]}
    iam.create_login_profile(UserName="u", Password="Correct-Horse-1")
    all_refused(
        [
            (iam.add_user_to_group, {**user, "GroupName": "g"}, MISSING),
            (iam.add_user_to_group, {"UserName": "u", **group}, MISSING),
            (iam.remove_user_from_group, {**user, "GroupName": "g"}, MISSING),
            (iam.list_groups_for_user, user, MISSING),
            (iam.update_user, {**user, "NewPath": "/a/"}, MISSING),
            (iam.update_user, {"UserName": "u", "NewPath": "a"}, INVALID),
            (iam.update_group, {**group, "NewPath": "/a/"}, MISSING),
            (iam.attach_user_policy, {**user, **attached}, MISSING),
            (iam.attach_user_policy, {"UserName": "u", **missing_policy}, MISSING),
            (iam.attach_user_policy, {"UserName": "u", "PolicyArn": "x" * 20}, INVALID),
            (iam.attach_group_policy, {**group, **attached}, MISSING),
            (iam.attach_role_policy, {**role, **attached}, MISSING),
            (iam.list_user_policies, user, MISSING),
            (iam.list_group_policies, group, MISSING),
            (iam.list_role_policies, role, MISSING),
            (iam.list_attached_user_policies, user, MISSING),
            (iam.list_attached_group_policies, group, MISSING),
            (iam.list_attached_role_policies, role, MISSING),
            (iam.put_user_permissions_boundary, {**user, "PermissionsBoundary": AUDIT}, MISSING),
            (iam.put_user_permissions_boundary, {"UserName": "u", **boundary}, MISSING),
            (iam.put_role_permissions_boundary, {**role, "PermissionsBoundary": AUDIT}, MISSING),
            (iam.put_role_permissions_boundary, {"RoleName": "r", **boundary}, MISSING),
            (iam.delete_user_permissions_boundary, user, MISSING),
            (iam.delete_role_permissions_boundary, role, MISSING),
            (iam.update_role_description, {**role, "Description": "d"}, MISSING),
            (iam.create_login_profile, {**user, "Password": "Correct-Horse-1"}, MISSING),
            (iam.create_login_profile, {"UserName": "u", "Password": "Correct-Horse-1"}, TAKEN),
            (iam.delete_login_profile, user, MISSING),
        ]
    )


def test_policies_and_their_versions(filled: Any, account: Account) -> None:
    iam, own = filled, {"PolicyArn": f"arn:aws:iam::{account.account_id}:policy/p"}
    gone = {"PolicyArn": f"{own['PolicyArn']}-gone"}
    for _ in range(4):
        iam.create_policy_version(**own, PolicyDocument=DOCUMENT)
    all_refused(
        [
            (iam.create_policy, {"PolicyName": "P", "PolicyDocument": DOCUMENT}, TAKEN),
            (iam.create_policy, {"PolicyName": "q", "PolicyDocument": "{"}, MALFORMED),
            (iam.create_policy, {"PolicyName": "a b", "PolicyDocument": DOCUMENT}, INVALID),
            (iam.create_policy_version, {**own, "PolicyDocument": DOCUMENT}, FULL),
            (iam.create_policy_version, {**own, "PolicyDocument": "{"}, MALFORMED),
            (iam.create_policy_version, {**gone, "PolicyDocument": DOCUMENT}, MISSING),
            (iam.get_policy_version, {**own, "VersionId": "v9"}, MISSING),
            (iam.set_default_policy_version, {**own, "VersionId": "v9"}, MISSING),
            (iam.delete_policy_version, {**own, "VersionId": "v9"}, MISSING),
            (iam.delete_policy_version, {**own, "VersionId": "v1"}, IN_USE),
            (iam.list_entities_for_policy, gone, MISSING),
            (iam.list_policy_versions, gone, MISSING),
            (iam.list_policies, {"Scope": "Mine"}, INVALID),
        ]
    )


def test_instance_profiles(filled: Any, account: Account) -> None:
    iam, profile = filled, {"InstanceProfileName": "i"}
    iam.add_role_to_instance_profile(**profile, RoleName="r")
    all_refused(
        [
            (iam.create_instance_profile, profile, TAKEN),
            (iam.delete_instance_profile, profile, IN_USE),
            (iam.delete_instance_profile, {"InstanceProfileName": "gone"}, MISSING),
            (iam.remove_role_from_instance_profile, {**profile, "RoleName": "gone"}, MISSING),
            (iam.list_instance_profiles_for_role, {"RoleName": "gone"}, MISSING),
            (iam.list_instance_profiles, {"PathPrefix": "a"}, INVALID),
            (iam.get_instance_profile, {"InstanceProfileName": "gone"}, MISSING),
        ]
    )
    (listed,) = iam.list_instance_profiles(PathPrefix="/")["InstanceProfiles"]
    assert (listed["InstanceProfileName"], listed["Roles"][0]["RoleName"]) == ("i", "r")


def test_identity_providers(root: Any, account: Account) -> None:
    created = root.create_open_id_connect_provider(Url="https://idp.example.com")
    own = {"OpenIDConnectProviderArn": created["OpenIDConnectProviderArn"]}
    root.update_open_id_connect_provider(**own, RemoveContextProvider=True)
    gone = {"OpenIDConnectProviderArn": f"{created['OpenIDConnectProviderArn']}/gone"}
    thumbprints, update = {"ThumbprintList": ["0" * 40]}, root.update_open_id_connect_provider_thumbprint
    all_refused(
        [
            (root.create_open_id_connect_provider, {"Url": "https://idp.example.com"}, TAKEN),
            (root.create_open_id_connect_provider, {"Url": "ftp://idp.example.com"}, INVALID),
            (root.add_client_id_to_open_id_connect_provider, {**gone, "ClientID": "a"}, MISSING),
            (root.remove_client_id_from_open_id_connect_provider, {**gone, "ClientID": "a"}, MISSING),
            (update, {**gone, **thumbprints}, MISSING),
            (update, {**own, "ThumbprintList": ["z" * 40]}, INPUT),
        ]
    )
    root.delete_open_id_connect_provider(**own)
    all_refused([(root.delete_open_id_connect_provider, own, MISSING)])


def test_what_takes_no_name_is_refused_to_whom_another_action_is_allowed(
    server: Server, account: Account
) -> None:
    keys = new_user(server, account, "eve", allow("iam:ListUsers", "iam:GetAccountSummary"))
    eve, denied = server.client("iam", keys), (403, "AccessDenied")
    assert eve.get_account_summary()["SummaryMap"]["Users"] == 1
    all_refused(
        [
            (eve.list_open_id_connect_providers, {}, denied),
            (eve.list_saml_providers, {}, denied),
            (eve.get_account_authorization_details, {}, denied),
            (eve.get_account_properties, {}, denied),
        ]
    )


def test_lists_of_credentials_and_settings_of_the_account(filled: Any) -> None:
    iam, user = filled, {"UserName": "gone"}
    all_refused(
        [
            (iam.list_ssh_public_keys, user, MISSING),
            (iam.list_signing_certificates, user, MISSING),
            (iam.list_service_specific_credentials, user, MISSING),
            (iam.list_server_certificates, {"PathPrefix": "a"}, INVALID),
            (iam.list_virtual_mfa_devices, {"AssignmentStatus": "Lost"}, INVALID),
            (iam.set_security_token_service_preferences, {"GlobalEndpointTokenVersion": "v3Token"}, INVALID),
            (iam.delete_account_alias, {"AccountAlias": "not-there"}, MISSING),
            (iam.list_account_aliases, {"Marker": "no marker"}, INVALID),
        ]
    )


def test_questions_about_policies_and_reports(filled: Any, account: Account, server: Server) -> None:
    iam, gone = filled, f"arn:aws:iam::{account.account_id}:user/gone"
    job = "11111111-2222-4333-8444-555555555555"
    all_refused(
        [
            (iam.get_context_keys_for_custom_policy, {"PolicyInputList": ["{"]}, INPUT),
            (iam.get_context_keys_for_principal_policy, {"PolicySourceArn": gone}, MISSING),
            (
                iam.list_policies_granting_service_access,
                {"Arn": gone, "ServiceNamespaces": ["s3"]},
                MISSING,
            ),
            (
                iam.list_policies_granting_service_access,
                {"Arn": gone.replace("/gone", "/u"), "ServiceNamespaces": ["nonsense"]},
                INPUT,
            ),
            (
                iam.generate_organizations_access_report,
                {"EntityPath": f"o-a1b2c3d4e5/r-a1b2/{account.account_id}"},
                (403, "AccessDenied"),
            ),
            (iam.get_organizations_access_report, {"JobId": job}, (403, "AccessDenied")),
        ]
    )


def test_delegation(filled: Any, account: Account, server: Server) -> None:
    asked = {
        "OwnerAccountId": account.account_id,
        "Description": "to mend the tables",
        "Permissions": {"PolicyTemplateArn": f"arn:aws:iam::{account.account_id}:policy/gone"},
        "RequestorWorkflowId": "ticket-1",
        "NotificationChannel": "poll",
        "SessionDuration": 900,
    }
    named = {"DelegationRequestId": "a-request-of-nobody"}
    arn = f"arn:aws:iam::{account.account_id}:delegation-request/a-request-of-nobody"
    all_refused(
        [
            (filled.create_delegation_request, asked, INPUT),
            (filled.update_delegation_request, named, MISSING),
            (filled.get_human_readable_summary, {"EntityArn": arn}, MISSING),
            (filled.list_delegation_requests, {"Marker": "no marker"}, INVALID),
        ]
    )
    sts = server.client("sts", new_user(server, account, "bot", allow("sts:*")))
    web = {"Audience": ["a"], "SigningAlgorithm": "RS256"}
    disabled = (403, "OutboundWebIdentityFederationDisabledException")
    all_refused(
        [
            (sts.get_delegated_access_token, {"TradeInToken": "not-a-token"}, (403, "AccessDenied")),
            (sts.get_web_identity_token, web, disabled),
        ]
    )
