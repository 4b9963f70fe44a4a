"""The operations of IAM Roles Anywhere, by boto3: each does what it says, and each is refused without permission."""

from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.e2e.conftest import Account, Server
from tests.e2e.roles_anywhere import Anywhere, create_session
from tests.e2e.scenes import allow, document, new_user, refused
from tests.workload_certificates import authority, workload

SOURCE = {"sourceType": "CERTIFICATE_BUNDLE", "sourceData": {"x509CertificateData": authority().pem}}
NOWHERE = "11111111-1111-1111-1111-111111111111"


def code_of(call: Any, **arguments: Any) -> str:
    return refused(call, **arguments)[1]


def test_a_trust_anchor_is_made_changed_listed_and_deleted(server: Server, account: Account) -> None:
    client = server.client("rolesanywhere", account.root)
    made = client.create_trust_anchor(
        name="first", source=SOURCE, tags=[{"key": "team", "value": "blue"}], aliasName="main/first"
    )
    assert made["ResponseMetadata"]["HTTPStatusCode"] == 201
    anchor = made["trustAnchor"]
    arn, anchor_id = anchor["trustAnchorArn"], anchor["trustAnchorId"]
    prefix = f"arn:aws:rolesanywhere:eu-central-1:{account.account_id}:"
    assert arn == f"{prefix}trust-anchor/{anchor_id}"
    assert anchor["aliasArn"] == f"{prefix}alias/trust-anchor/main/first"
    assert (anchor["enabled"], anchor["source"]) == (False, SOURCE)
    assert [one["threshold"] for one in anchor["notificationSettings"]] == [45, 45]
    for identifier in (arn, anchor_id, anchor["aliasArn"]):
        assert client.get_trust_anchor(trustAnchorId=identifier)["trustAnchor"] == anchor
    changed = client.update_trust_anchor(trustAnchorId=arn, name="second", aliasName="")["trustAnchor"]
    assert (changed["name"], changed["previousAliasName"], "aliasArn" in changed) == (
        "second",
        "main/first",
        False,
    )
    assert client.enable_trust_anchor(trustAnchorId=arn)["trustAnchor"]["enabled"] is True
    client.create_trust_anchor(name="third", source=SOURCE)
    first = client.list_trust_anchors(pageSize=1)
    second = client.list_trust_anchors(pageSize=1, nextToken=first["nextToken"])
    assert len(first["trustAnchors"]) == len(second["trustAnchors"]) == 1
    assert first["trustAnchors"] != second["trustAnchors"] and "nextToken" not in second
    assert client.list_tags_for_resource(resourceArn=arn)["tags"] == [{"key": "team", "value": "blue"}]
    client.tag_resource(resourceArn=arn, tags=[{"key": "stage", "value": ""}])
    client.untag_resource(resourceArn=arn, tagKeys=["team"])
    assert client.list_tags_for_resource(resourceArn=arn)["tags"] == [{"key": "stage", "value": ""}]
    assert client.delete_trust_anchor(trustAnchorId=arn)["trustAnchor"]["name"] == "second"
    assert code_of(client.get_trust_anchor, trustAnchorId=arn) == "ResourceNotFoundException"


def test_notification_settings_are_kept_and_reset(server: Server, account: Account) -> None:
    client = server.client("rolesanywhere", account.root)
    anchor_id = client.create_trust_anchor(name="first", source=SOURCE)["trustAnchor"]["trustAnchorId"]
    setting = {"enabled": True, "event": "CA_CERTIFICATE_EXPIRY", "threshold": 90, "channel": "ALL"}
    changed = client.put_notification_settings(trustAnchorId=anchor_id, notificationSettings=[setting])
    assert {**setting, "configuredBy": account.account_id} in changed["trustAnchor"]["notificationSettings"]
    key = {"event": "CA_CERTIFICATE_EXPIRY", "channel": "ALL"}
    reset = client.reset_notification_settings(trustAnchorId=anchor_id, notificationSettingKeys=[key])
    found = reset["trustAnchor"]["notificationSettings"]
    assert {one["configuredBy"] for one in found} == {"rolesanywhere.amazonaws.com"}


def test_a_profile_is_made_changed_listed_and_deleted(server: Server, account: Account) -> None:
    client = server.client("rolesanywhere", account.root)
    iam = server.client("iam", account.root)
    role = f"arn:aws:iam::{account.account_id}:role/machine"
    made = client.create_profile(name="first", roleArns=[role], aliasName="first")["profile"]
    assert (made["durationSeconds"], made["enabled"], made["acceptRoleSessionName"]) == (3600, False, False)
    assert [one["certificateField"] for one in made["attributeMappings"]] == [
        "x509Issuer",
        "x509SAN",
        "x509Subject",
    ]
    arn, profile_id = made["profileArn"], made["profileId"]
    policy = iam.create_policy(PolicyName="p", PolicyDocument=_document())["Policy"]["Arn"]
    changed = client.update_profile(
        profileId=arn, durationSeconds=900, managedPolicyArns=[policy], sessionPolicy=_document()
    )["profile"]
    assert (changed["durationSeconds"], changed["managedPolicyArns"]) == (900, [policy])
    changed = client.update_profile(profileId=made["aliasArn"], managedPolicyArns=[])["profile"]
    assert changed["managedPolicyArns"] == [] and changed["roleArns"] == [role]
    assert client.get_profile(profileId=profile_id)["profile"] == changed
    assert client.enable_profile(profileId=profile_id)["profile"]["enabled"] is True
    assert client.disable_profile(profileId=profile_id)["profile"]["enabled"] is False
    assert [one["profileId"] for one in client.list_profiles()["profiles"]] == [profile_id]
    client.delete_profile(profileId=profile_id)
    assert client.list_profiles()["profiles"] == []


def _document() -> str:
    return document(allow("iam:ListRoles"))


@pytest.mark.parametrize(
    ("operation", "arguments", "words"),
    [
        ("create_trust_anchor", {"name": "a", "source": {"sourceType": "AWS_ACM_PCA"}}, "no AWS Private CA"),
        ("create_trust_anchor", {"name": "a!", "source": SOURCE}, "failed to satisfy constraint"),
        (
            "create_trust_anchor",
            {"name": "a", "source": SOURCE, "aliasName": "AWS/mine"},
            "Alias names that begin with aws/ are reserved",
        ),
        (
            "create_profile",
            {"name": "a", "roleArns": [], "sessionPolicy": "{}"},
            "session policy is malformed",
        ),
        (
            "create_profile",
            {"name": "a", "roleArns": [], "tipConfiguration": {"status": "ENABLED"}},
            "Trusted identity propagation",
        ),
        ("list_profiles", {"nextToken": "x"}, "Invalid Marker"),
        ("list_profiles", {"pageSize": 0}, "pageSize"),
    ],
)
def test_bad_input_is_refused(
    server: Server, account: Account, operation: str, arguments: dict[str, Any], words: str
) -> None:
    client = server.client("rolesanywhere", account.root)
    status, code, message = refused(getattr(client, operation), **arguments)
    assert (status, code, words in message) == (400, "ValidationException", True), message


def test_certificates_that_no_anchor_can_have_are_refused(server: Server, account: Account) -> None:
    client = server.client("rolesanywhere", account.root)
    for pem, words in (
        ("no certificate", "cannot be read"),
        (workload(None).pem, "basic constraints without CA"),
        (authority(usage=(True, False, False)).pem, "no certificate sign"),
        (authority(kind="rsa-1024").pem, "RSA, 1024 bits"),
        (authority().pem * 3, "at most 2 certificates"),
    ):
        source = {"sourceType": "CERTIFICATE_BUNDLE", "sourceData": {"x509CertificateData": pem}}
        with pytest.raises(ClientError, match=words):
            client.create_trust_anchor(name="a", source=source)


def test_each_operation_needs_its_permission(server: Server, account: Account) -> None:
    root = authority()
    scene = Anywhere.of(server, account, root)
    create_session(scene, workload(root))
    (subject,) = scene.client.list_subjects()["subjects"]
    content = root.revoking()
    crl = scene.client.import_crl(name="l", crlData=content, trustAnchorArn=scene.trust_anchor_arn)
    nobody = server.client("rolesanywhere", new_user(server, account, "nobody"))
    anchor, profile, crl_id = scene.trust_anchor_arn, scene.profile_arn, crl["crl"]["crlId"]
    assert scene.client.get_crl(crlId=crl_id)["crl"]["crlData"] == content
    assert [one["crlId"] for one in scene.client.list_crls()["crls"]] == [crl_id]
    setting = {"enabled": False, "event": "CA_CERTIFICATE_EXPIRY"}
    refused_calls: list[tuple[Any, dict[str, Any]]] = [
        (nobody.create_trust_anchor, {"name": "a", "source": SOURCE}),
        (nobody.get_trust_anchor, {"trustAnchorId": anchor}),
        (nobody.update_trust_anchor, {"trustAnchorId": anchor, "name": "b"}),
        (nobody.delete_trust_anchor, {"trustAnchorId": anchor}),
        (nobody.enable_trust_anchor, {"trustAnchorId": anchor}),
        (nobody.disable_trust_anchor, {"trustAnchorId": anchor}),
        (nobody.list_trust_anchors, {}),
        (
            nobody.put_notification_settings,
            {"trustAnchorId": anchor[-36:], "notificationSettings": [setting]},
        ),
        (
            nobody.reset_notification_settings,
            {"trustAnchorId": anchor[-36:], "notificationSettingKeys": []},
        ),
        (nobody.create_profile, {"name": "a", "roleArns": []}),
        (nobody.get_profile, {"profileId": profile}),
        (nobody.update_profile, {"profileId": profile, "name": "b"}),
        (nobody.delete_profile, {"profileId": profile}),
        (nobody.enable_profile, {"profileId": profile}),
        (nobody.disable_profile, {"profileId": profile}),
        (nobody.list_profiles, {}),
        (
            nobody.put_attribute_mapping,
            {"profileId": profile, "certificateField": "x509SAN", "mappingRules": [{"specifier": "URI"}]},
        ),
        (nobody.delete_attribute_mapping, {"profileId": profile, "certificateField": "x509SAN"}),
        (nobody.import_crl, {"name": "l", "crlData": b"x", "trustAnchorArn": anchor}),
        (nobody.get_crl, {"crlId": crl_id}),
        (nobody.update_crl, {"crlId": crl_id, "name": "b"}),
        (nobody.delete_crl, {"crlId": crl_id}),
        (nobody.enable_crl, {"crlId": crl_id}),
        (nobody.disable_crl, {"crlId": crl_id}),
        (nobody.list_crls, {}),
        (nobody.get_subject, {"subjectId": subject["subjectId"]}),
        (nobody.list_subjects, {}),
        (nobody.tag_resource, {"resourceArn": anchor, "tags": []}),
        (nobody.untag_resource, {"resourceArn": anchor, "tagKeys": []}),
        (nobody.list_tags_for_resource, {"resourceArn": anchor}),
    ]
    assert len(refused_calls) == len(nobody.meta.service_model.operation_names)
    for call, arguments in refused_calls:
        status, code, message = refused(call, **arguments)
        assert (status, code) == (403, "AccessDeniedException"), (call, message)
        assert "is not authorized to perform: rolesanywhere:" in message
    # What does not exist is refused in the same way.
    assert code_of(nobody.get_profile, profileId=NOWHERE) == "AccessDeniedException"
    assert code_of(scene.client.get_profile, profileId=NOWHERE) == "ResourceNotFoundException"


def test_permissions_name_resources_tags_and_roles_to_pass(server: Server, account: Account) -> None:
    root = authority()
    scene = Anywhere.of(server, account, root)
    scene.client.tag_resource(resourceArn=scene.profile_arn, tags=[{"key": "team", "value": "blue"}])
    tagged = {"StringEquals": {"aws:ResourceTag/team": "blue"}}
    keys = new_user(
        server,
        account,
        "alice",
        allow("rolesanywhere:GetProfile", "rolesanywhere:UpdateProfile", Condition=tagged),
        allow("rolesanywhere:GetTrustAnchor", on=scene.trust_anchor_arn),
    )
    alice = server.client("rolesanywhere", keys)
    assert alice.get_profile(profileId=scene.profile_arn)
    assert alice.get_trust_anchor(trustAnchorId=scene.trust_anchor_arn)
    other = Anywhere.of(server, account, root)
    assert code_of(alice.get_profile, profileId=other.profile_arn) == "AccessDeniedException"
    assert code_of(alice.get_trust_anchor, trustAnchorId=other.trust_anchor_arn) == "AccessDeniedException"
    passing = {"profileId": scene.profile_arn, "roleArns": [scene.role_arn]}
    status, _, message = refused(alice.update_profile, **passing)
    assert (status, "iam:PassRole" in message) == (403, True)
