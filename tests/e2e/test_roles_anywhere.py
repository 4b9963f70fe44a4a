"""IAM Roles Anywhere: boto3 manages it, workloads sign CreateSession with their certificates."""

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError
from cryptography import x509
from cryptography.x509.oid import NameOID

from tests.e2e.conftest import Account, Server
from tests.e2e.roles_anywhere import Anywhere, create_session, sent_parts, session_keys, trusting
from tests.e2e.scenes import allow, document, new_role, records_of, refusal
from tests.e2e.test_revocation import broker
from tests.http_host import HttpHost, text_answer
from tests.workload_certificates import Issued, Signing, authority, workload

URI = "spiffe://example.com/build-agent"
NAMES = [
    (NameOID.COMMON_NAME, "build-agent"),
    (NameOID.ORGANIZATIONAL_UNIT_NAME, "Security"),
    (NameOID.ORGANIZATIONAL_UNIT_NAME, "Engineering"),
]


def spiffe(uri: str = URI) -> tuple[x509.ExtensionType, bool]:
    names: list[x509.GeneralName] = [x509.DNSName("a.example.com"), x509.UniformResourceIdentifier(uri)]
    return x509.SubjectAlternativeName(names), False


def denied(scene: Anywhere, own: Issued, **more: Any) -> tuple[str, str]:
    """What the client reads, and what the journal says."""
    status, said = create_session(scene, own, **more)
    assert status == 403, said
    (record,) = records_of(scene.server, said["request id"])
    return said["message"], record["errorMessage"]


@pytest.mark.parametrize("kind", ["rsa", "ec", "p-384", "ml-dsa-44", "ml-dsa-65", "ml-dsa-87"])
def test_a_certificate_is_traded_for_credentials_of_a_role(
    server: Server, account: Account, kind: str
) -> None:
    root = authority(kind=kind)
    between = authority("between", kind, issuer=root)
    scene = Anywhere.of(server, account, root)
    own = workload(between, "build-agent", kind)
    status, answer = create_session(scene, own, chain=[between])
    assert status == 201, answer
    (given,) = answer["credentialSet"]
    serial = f"{own.certificate.serial_number:x}"
    session_name = serial.zfill(len(serial) + len(serial) % 2)
    assert given["sourceIdentity"] == "CN=build-agent"
    assert given["roleArn"] == scene.role_arn
    assert given["assumedRoleUser"]["arn"].rpartition("/")[2] == session_name
    who = server.client("sts", session_keys(answer)).get_caller_identity()
    assert who["Arn"] == given["assumedRoleUser"]["arn"]
    assert who["UserId"] == given["assumedRoleUser"]["assumedRoleId"]


def test_the_longest_chain_of_the_largest_keys_is_read(server: Server, account: Account) -> None:
    kind = "ml-dsa-87"
    chain = [authority("root", kind)]
    for number in range(5):
        chain.append(authority(f"authority {number}", kind, issuer=chain[-1]))
    scene = Anywhere.of(server, account, chain[0])
    status, answer = create_session(scene, workload(chain[-1], kind=kind), chain=chain[1:])
    assert status == 201, answer


def test_the_trust_policy_reads_anchor_names_and_source_identity(server: Server, account: Account) -> None:
    root = authority("the authority")
    scene = Anywhere.of(server, account, root)
    iam = server.client("iam", account.root)
    condition = {
        "StringEquals": {
            "aws:PrincipalTag/x509Subject/CN": "build-agent",
            "aws:PrincipalTag/x509Subject/OU": "Security/Engineering",
            "aws:PrincipalTag/x509Issuer/CN": "the authority",
            "aws:PrincipalTag/x509SAN/URI": URI,
            "aws:PrincipalTag/x509SAN/DNS": "a.example.com",
            "aws:RequestTag/x509Subject/CN": "build-agent",
            "aws:SourceAccount": account.account_id,
            "sts:SourceIdentity": "CN=build-agent",
        },
        "ArnEquals": {"aws:SourceArn": scene.trust_anchor_arn},
    }
    role_name = scene.role_arn.rpartition("/")[2]
    iam.update_assume_role_policy(RoleName=role_name, PolicyDocument=document(trusting(**condition)))
    own = workload(root, NAMES, extensions=[spiffe()])
    status, answer = create_session(scene, own)
    assert status == 201, answer
    # The tags are the session's: its own policies read them, too.
    allowed = allow(
        "iam:ListUsers", Condition={"StringEquals": {"aws:PrincipalTag/x509Subject/CN": "build-agent"}}
    )
    iam.put_role_policy(RoleName=role_name, PolicyName="p", PolicyDocument=document(allowed))
    assert server.client("iam", session_keys(answer)).list_users()["Users"] == []
    for other in (
        workload(root, "other", extensions=[spiffe()]),
        workload(root, NAMES, extensions=[spiffe("spiffe://example.com/other")]),
    ):
        message, reason = denied(scene, other)
        assert message == f"Unable to assume role for {scene.role_arn}"
        assert "sts:AssumeRole" in reason


def test_tags_and_source_identity_are_permissions_of_their_own(server: Server, account: Account) -> None:
    root = authority()
    only = {**trusting(), "Action": ["sts:AssumeRole"]}
    scene = Anywhere.of(server, account, root, only)
    _, reason = denied(scene, workload(root))
    assert "sts:TagSession" in reason
    trust = {**trusting(), "Action": ["sts:AssumeRole", "sts:TagSession"]}
    server.client("iam", account.root).update_assume_role_policy(
        RoleName=scene.role_arn.rpartition("/")[2], PolicyDocument=document(trust)
    )
    _, reason = denied(scene, workload(root))
    assert "sts:SetSourceIdentity" in reason


def test_mapping_rules_choose_the_tags(server: Server, account: Account) -> None:
    root = authority()
    wanted = trusting(StringEquals={"aws:PrincipalTag/x509Subject/CN": "build-agent"})
    scene = Anywhere.of(server, account, root, wanted)
    own = workload(root, NAMES)
    assert create_session(scene, own)[0] == 201
    profile_id = scene.profile_arn.rpartition("/")[2]
    changed = scene.client.delete_attribute_mapping(profileId=profile_id, certificateField="x509Subject")
    fields = [one["certificateField"] for one in changed["profile"]["attributeMappings"]]
    assert fields == ["x509Issuer", "x509SAN"]
    denied(scene, own)
    changed = scene.client.put_attribute_mapping(
        profileId=profile_id,
        certificateField="x509Subject",
        mappingRules=[{"specifier": "OU"}, {"specifier": "CN"}],
    )
    assert create_session(scene, own)[0] == 201
    scene.client.delete_attribute_mapping(
        profileId=profile_id, certificateField="x509Subject", specifiers=["CN"]
    )
    denied(scene, own)


def test_a_value_that_no_tag_can_have_is_left_out_and_named(server: Server, account: Account) -> None:
    root = authority()
    scene = Anywhere.of(server, account, root, trusting(StringLike={"aws:PrincipalTag/x509SAN/DNS": "*"}))
    starred = x509.SubjectAlternativeName([x509.DNSName("*.example.com")])
    message, _ = denied(scene, workload(root, extensions=[(starred, False)]))
    assert message.endswith(
        "Some attributes failed to be mapped into session tags. Issuer: [  ]; Subject: [  ]; SAN: [ DNS ]"
    )


def test_the_profile_limits_role_duration_policies_and_names(server: Server, account: Account) -> None:
    root = authority()
    scene = Anywhere.of(
        server,
        account,
        root,
        durationSeconds=1800,
        sessionPolicy=document(allow("iam:ListRoles")),
        requireInstanceProperties=True,
    )
    own = workload(root)
    status, said = create_session(scene, own)
    assert (status, said["message"]) == (400, "The profile requires instanceProperties.")
    properties = {"instanceProperties": {"rack": "7"}}
    status, answer = create_session(scene, own, durationSeconds=43200, **properties)
    assert status == 201
    role = scene.role_arn.rpartition("/")[2]
    iam = server.client("iam", account.root)
    iam.put_role_policy(RoleName=role, PolicyName="p", PolicyDocument=document(allow("iam:*")))
    as_workload = server.client("iam", session_keys(answer))
    assert as_workload.list_roles()["Roles"]
    assert refusal(as_workload.list_users)[0] == "AccessDenied"
    sessions = server.client("sts", account.root)
    assert sessions.get_caller_identity()
    message, _ = denied(scene, own, roleSessionName="nightly", **properties)
    assert message == "Not authorized to set roleSessionName."
    scene.client.update_profile(
        profileId=scene.profile_arn.rpartition("/")[2], acceptRoleSessionName=True, durationSeconds=7200
    )
    _, answer = create_session(scene, own, roleSessionName="nightly", durationSeconds=900, **properties)
    assert answer["credentialSet"][0]["assumedRoleUser"]["arn"].endswith("/nightly")
    status, said = create_session(scene, own, roleSessionName="nightly", **properties)
    assert status == 400 and "exceeds the MaxSessionDuration" in said["message"]


def test_a_role_that_is_not_in_the_profile_or_of_another_account_is_refused(
    server: Server, account: Account
) -> None:
    root = authority()
    scene = Anywhere.of(server, account, root)
    other = new_role(server, account, "not-in-the-profile", trusting())
    own = workload(root)
    message, reason = denied(_with(scene, role_arn=other), own)
    assert (message, "is not among the roles" in reason) == (f"Unable to assume role for {other}", True)
    elsewhere = server.new_account()
    foreign = new_role(server, elsewhere, "of-another-account", trusting())
    with pytest.raises(ClientError, match="is not a role of the account"):
        scene.client.create_profile(name="p", roleArns=[foreign])
    theirs = Anywhere.of(server, elsewhere, root)
    _, reason = denied(_with(scene, profile_arn=theirs.profile_arn, role_arn=theirs.role_arn), own)
    assert "are not of one account" in reason


def _with(scene: Anywhere, **changed: str) -> Anywhere:
    parts = {name: getattr(scene, name) for name in ("trust_anchor_arn", "profile_arn", "role_arn")}
    return Anywhere(scene.server, scene.account, scene.client, **{**parts, **changed})


def test_what_is_disabled_deleted_or_of_another_region_gives_nothing(
    server: Server, account: Account
) -> None:
    root = authority()
    scene, own = Anywhere.of(server, account, root), workload(root)
    anchor, profile = (arn.rpartition("/")[2] for arn in (scene.trust_anchor_arn, scene.profile_arn))
    assert create_session(scene, own)[0] == 201
    scene.client.disable_trust_anchor(trustAnchorId=anchor)
    assert denied(scene, own)[1].startswith("the trust anchor")
    scene.client.enable_trust_anchor(trustAnchorId=anchor)
    scene.client.disable_profile(profileId=profile)
    assert denied(scene, own)[1].startswith("the profile")
    scene.client.enable_profile(profileId=profile)
    assert create_session(scene, own)[0] == 201
    elsewhere = scene.trust_anchor_arn.replace("eu-central-1", "us-east-1")
    status, said = create_session(_with(scene, trust_anchor_arn=elsewhere), own)
    assert (status, said["message"]) == (404, "The trust anchor was not found.")
    scene.client.delete_trust_anchor(trustAnchorId=anchor)
    assert create_session(scene, own)[0] == 404


def test_revoked_certificates_are_refused_and_existing_sessions_stay(
    server: Server, account: Account
) -> None:
    root = authority()
    between, other = authority("between", issuer=root), authority("other", issuer=root)
    scene = Anywhere.of(server, account, root)
    own, sibling = workload(between), workload(between)
    # The same serial number under another authority is another certificate.
    namesake = workload(other, serial_number=own.certificate.serial_number)
    _, answer = create_session(scene, own, chain=[between])
    made = scene.client.import_crl(
        name="list",
        enabled=True,
        trustAnchorArn=scene.trust_anchor_arn,
        crlData=between.revoking(own.certificate.serial_number),
    )["crl"]
    message, reason = denied(scene, own, chain=[between])
    assert message == "Untrusted Signing Certificate"
    assert reason.startswith("check failed: revocation: found")
    assert create_session(scene, sibling, chain=[between])[0] == 201
    assert create_session(scene, namesake, chain=[other])[0] == 201
    # As on AWS: what it had got is good until it ends.
    as_workload = server.client("sts", session_keys(answer))
    assert as_workload.get_caller_identity()
    scene.client.disable_crl(crlId=made["crlId"])
    assert create_session(scene, own, chain=[between])[0] == 201
    scene.client.enable_crl(crlId=made["crlId"])
    for content, check in (
        (between.revoking(begins=-9, ends=-1), "revocation list"),
        (between.revoking(own.certificate.serial_number, begins=-9, ends=-1), "revocation"),
        (between.revoking(key=other.key), "revocation list"),
    ):
        scene.client.update_crl(crlId=made["crlId"], crlData=content)
        assert denied(scene, own, chain=[between])[1].startswith(f"check failed: {check}: found")
    scene.client.update_crl(crlId=made["crlId"], crlData=root.revoking(between.certificate.serial_number))
    _, reason = denied(scene, own, chain=[between])
    assert reason.startswith("check failed: revocation: found CN=between")
    with pytest.raises(ClientError, match="not signed by the trust anchor"):
        scene.client.update_crl(crlId=made["crlId"], crlData=root.revoking(key=other.key))
    scene.client.delete_crl(crlId=made["crlId"])
    assert create_session(scene, own, chain=[between])[0] == 201
    # `broker revoke` ends it at once, by the name of its session in the ARN.
    ended = broker(server, "revoke", "session", session_keys(answer).access_key_id)
    assert refusal(as_workload.get_caller_identity)[0] == "InvalidClientTokenId", ended


def test_a_repository_trusts_its_own_certificates_alone(server: Server, account: Account) -> None:
    own, stranger = workload(None, "listed"), workload(None, "listed")
    scene = Anywhere.of(server, account, authority())
    source = {
        "sourceType": "SELF_SIGNED_REPOSITORY",
        "sourceData": {"x509CertificateData": own.pem + workload(None, "another").pem},
    }
    scene.client.update_trust_anchor(trustAnchorId=scene.trust_anchor_arn.rpartition("/")[2], source=source)
    assert create_session(scene, own)[0] == 201
    assert denied(scene, stranger)[1].startswith("check failed: path: found CN=listed is not in")
    below = workload(own, "below")
    assert denied(scene, below, chain=[own])[1].startswith("check failed: chain")


def test_a_subject_is_recorded_with_the_last_requests(server: Server, account: Account) -> None:
    root = authority()
    scene, own = Anywhere.of(server, account, root), workload(root)
    _, answer = create_session(scene, own, instanceProperties={"rack": "7"})
    (listed,) = scene.client.list_subjects()["subjects"]
    assert (listed["x509Subject"], listed["subjectArn"]) == ("CN=machine", answer["subjectArn"])
    found = scene.client.get_subject(subjectId=listed["subjectId"])["subject"]
    (credential,) = found["credentials"]
    assert credential["serialNumber"] == str(own.certificate.serial_number)
    assert (credential["failed"], credential["x509CertificateData"]) == (False, own.pem)
    assert found["instanceProperties"][0]["properties"] == {"rack": "7"}
    role = scene.role_arn.rpartition("/")[2]
    nobody = {**trusting(), "Effect": "Deny"}
    server.client("iam", account.root).update_assume_role_policy(
        RoleName=role, PolicyDocument=document(nobody)
    )
    denied(scene, own)
    found = scene.client.get_subject(subjectId=listed["subjectId"])["subject"]
    assert found["credentials"][0]["failed"] is True
    # What is not proven leaves no subject.
    denied(scene, workload(authority("evil"), "evil"))
    assert len(scene.client.list_subjects()["subjects"]) == 1


def test_the_journal_has_the_session_and_the_role_it_assumed(server: Server, account: Account) -> None:
    root = authority()
    scene, own = Anywhere.of(server, account, root), workload(root)
    _, answer = create_session(scene, own)
    written = {one["eventName"]: one for one in records_of(server, answer["request id"])}
    session, role = written["CreateSession"], written["AssumeRole"]
    assert session["requestParameters"]["roleArnInQuery"] == scene.role_arn
    assert session["recipientAccountId"] == role["recipientAccountId"] == account.account_id
    assert role["userIdentity"]["type"] == "AWSService"
    assert role["requestParameters"]["sourceIdentity"] == "CN=machine"
    secret = answer["credentialSet"][0]["credentials"]["secretAccessKey"]
    assert secret not in json.dumps(written)


def test_sigv4_keys_do_not_open_create_session_and_certificates_open_nothing_else(
    server: Server, account: Account
) -> None:
    root = authority()
    scene = Anywhere.of(server, account, root)
    path, headers, body = Signing(server.api, workload(root), query=scene.arns).request()
    status, said = sent_parts(server, path.replace("/sessions", "/profiles"), headers, body)
    assert status in (400, 403), said
    del headers["authorization"]
    status, said = sent_parts(server, path, headers, body)
    assert (status, said["message"]) == (403, "Missing Authentication Token")
    by_secret = Signing(
        server.api,
        workload(root),
        query=scene.arns,
        algorithm="AWS4-HMAC-SHA256",
        serial_number=account.root.access_key_id,
    )
    status, said = sent_parts(server, *by_secret.request())
    assert (status, said["message"]) == (403, "Missing Authentication Token")


def published_at(url: str) -> tuple[x509.ExtensionType, bool]:
    names = [x509.UniformResourceIdentifier(url)]
    return x509.CRLDistributionPoints([x509.DistributionPoint(names, None, None, None)]), False


def test_lists_come_from_distribution_points_where_the_anchor_says_so(
    server: Server, account: Account
) -> None:
    root = authority()
    scene = Anywhere.of(server, account, root)
    anchor = scene.trust_anchor_arn.rpartition("/")[2]
    with HttpHost().running() as host:
        good = workload(root, extensions=[published_at(f"{host.url}/good.crl")])
        revoked = workload(root, extensions=[published_at(f"{host.url}/revoked.crl")])
        missing = workload(root, extensions=[published_at(f"{host.url}/missing.crl")])
        foreign = workload(root, extensions=[published_at(f"{host.url}/foreign.crl")])
        host.answers["/good.crl"] = text_answer(root.revoking())
        host.answers["/revoked.crl"] = text_answer(root.revoking(revoked.certificate.serial_number))
        host.answers["/foreign.crl"] = text_answer(authority("evil").revoking())
        assert create_session(scene, revoked)[0] == create_session(scene, missing)[0] == 201
        assert host.asked == [], "the anchor does not say so yet"
        scene.client.update_trust_anchor(trustAnchorId=anchor, crlDpRevocationEnabled=True)
        assert create_session(scene, good)[0] == create_session(scene, good)[0] == 201
        assert host.asked == ["/good.crl"]
        assert denied(scene, revoked)[1].startswith("check failed: revocation: found")
        assert denied(scene, missing)[1].startswith("check failed: distribution point: found")
        assert denied(scene, foreign)[1].startswith("check failed: distribution point: found")
        host.asked.clear()
        unproven = workload(authority("evil"), extensions=[published_at(f"{host.url}/trap")])
        assert denied(scene, unproven)[1].startswith("check failed: path")
        assert host.asked == [], "the broker asked where an unproven certificate told it to"
    # A certificate without a distribution point has nowhere to ask.
    assert create_session(scene, workload(root))[0] == 201
