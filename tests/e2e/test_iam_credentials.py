"""Certificates, SSH keys, service-specific credentials and features of the organization, as boto3 meets them."""

from datetime import UTC, datetime
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from broker.storage.organization_records import Organization, OrganizationalUnit
from tests.certificates import ENDS, Certified, rsa_key
from tests.e2e.conftest import Account, Server
from tests.e2e.scenes import allow, new_user, organization, records_of, refused

ROOT = Certified("root")
SERVER, OTHER = Certified("server", ROOT), Certified("other", ROOT)
WEB: dict[str, Any] = {
    "ServerCertificateName": "web",
    "CertificateBody": SERVER.pem,
    "PrivateKey": SERVER.private_pem,
}
MISSING_CERTIFICATE = (404, "NoSuchEntity", "The Server Certificate with name gone cannot be found.")
COMMITS, MODELS = "codecommit.amazonaws.com", "bedrock.amazonaws.com"
HIDDEN = "HIDDEN_DUE_TO_SECURITY_REASONS"


def ssh_key(size: int = 2048) -> tuple[str, str]:
    """A public key in both encodings."""
    key = rsa_key(size).public_key()
    return (
        key.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode(),
        key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode(),
    )


@pytest.fixture
def root(server: Server, account: Account) -> Any:
    iam = server.client("iam", account.root)
    iam.create_user(UserName="bob")
    return iam


def test_a_server_certificate_is_uploaded_listed_renamed_tagged_and_deleted(
    server: Server, account: Account, root: Any
) -> None:
    tags = [{"Key": "team", "Value": "blue"}]
    uploaded = root.upload_server_certificate(
        **WEB, Path="/cloudfront/", CertificateChain=ROOT.pem, Tags=tags
    )
    metadata = uploaded["ServerCertificateMetadata"]
    assert metadata["Arn"] == f"arn:aws:iam::{account.account_id}:server-certificate/cloudfront/web"
    assert metadata["Expiration"] == ENDS
    assert abs((datetime.now(UTC) - metadata["UploadDate"]).total_seconds()) < 60
    read = root.get_server_certificate(ServerCertificateName="web")["ServerCertificate"]
    assert read["Tags"] == tags
    assert (read["CertificateBody"], read["CertificateChain"]) == (SERVER.pem.strip(), ROOT.pem.strip())
    listed = root.list_server_certificates(PathPrefix="/cloudfront/")["ServerCertificateMetadataList"]
    assert listed == [metadata]
    root.update_server_certificate(ServerCertificateName="web", NewServerCertificateName="shop")
    root.tag_server_certificate(ServerCertificateName="shop", Tags=[{"Key": "a", "Value": "1"}])
    root.untag_server_certificate(ServerCertificateName="shop", TagKeys=["team"])
    assert root.list_server_certificate_tags(ServerCertificateName="shop")["Tags"] == [
        {"Key": "a", "Value": "1"}
    ]
    summary = root.get_account_summary()["SummaryMap"]
    assert (summary["ServerCertificates"], summary["ServerCertificatesQuota"]) == (1, 20)
    root.delete_server_certificate(ServerCertificateName="shop")
    assert root.list_server_certificates()["ServerCertificateMetadataList"] == []
    (record,) = records_of(server, uploaded["ResponseMetadata"]["RequestId"])
    assert record["requestParameters"]["privateKey"] == HIDDEN
    assert "PRIVATE KEY" not in str(record)


@pytest.mark.parametrize(
    ("changes", "status", "code", "words"),
    [
        ({"CertificateBody": "text"}, 400, "MalformedCertificate", "Unable to parse certificate."),
        ({"PrivateKey": "text"}, 400, "MalformedCertificate", "Unable to parse private key"),
        ({"PrivateKey": OTHER.private_pem}, 400, "KeyPairMismatch", "does not match"),
        ({"CertificateChain": OTHER.pem}, 400, "MalformedCertificate", "the invalid certificate is: -1"),
        ({"CertificateBody": "x" * 16385}, 400, "ValidationError", "16384"),
    ],
)
def test_a_server_certificate_that_cannot_be_used_is_refused(
    root: Any, changes: dict[str, str], status: int, code: str, words: str
) -> None:
    refusal = refused(root.upload_server_certificate, **{**WEB, **changes})
    assert (refusal[:2], words in refusal[2]) == ((status, code), True)


def test_server_certificates_that_are_there_or_not_and_quotas(root: Any) -> None:
    root.upload_server_certificate(**WEB)
    assert refused(root.upload_server_certificate, **WEB) == (
        409,
        "EntityAlreadyExists",
        "The Server Certificate with name web already exists.",
    )
    named = {"ServerCertificateName": "gone"}
    for call, more in (
        (root.get_server_certificate, {}),
        (root.update_server_certificate, {"NewPath": "/x/"}),
        (root.delete_server_certificate, {}),
        (root.tag_server_certificate, {"Tags": [{"Key": "a", "Value": "1"}]}),
        (root.untag_server_certificate, {"TagKeys": ["a"]}),
        (root.list_server_certificate_tags, {}),
    ):
        assert refused(call, **named, **more) == MISSING_CERTIFICATE
    for number in range(19):
        root.upload_server_certificate(**{**WEB, "ServerCertificateName": f"web{number}"})
    full = refused(root.upload_server_certificate, **{**WEB, "ServerCertificateName": "last"})
    assert full == (409, "LimitExceeded", "Cannot exceed quota for ServerCertificatesPerAccount: 20")


def test_signing_certificates_are_uploaded_listed_switched_off_and_deleted(root: Any) -> None:
    bob = {"UserName": "bob"}
    one = root.upload_signing_certificate(**bob, CertificateBody=SERVER.pem)["Certificate"]
    assert (one["Status"], one["CertificateBody"]) == ("Active", SERVER.pem)
    named = {**bob, "CertificateId": one["CertificateId"]}
    root.update_signing_certificate(**named, Status="Inactive")
    listed = root.list_signing_certificates(**bob)["Certificates"]
    assert [(each["CertificateId"], each["Status"]) for each in listed] == [
        (one["CertificateId"], "Inactive")
    ]
    upload = root.upload_signing_certificate
    assert refused(upload, CertificateBody=SERVER.pem)[:2] == (409, "DuplicateCertificate")
    assert refused(upload, **bob, CertificateBody="text")[:2] == (400, "MalformedCertificate")
    upload(**bob, CertificateBody=OTHER.pem)
    assert refused(upload, **bob, CertificateBody=ROOT.pem)[:2] == (409, "LimitExceeded")
    assert refused(root.update_signing_certificate, **named, Status="Expired")[:2] == (400, "InvalidInput")
    assert refused(root.delete_user, **bob)[:2] == (409, "DeleteConflict")
    root.delete_signing_certificate(**named)
    assert refused(root.delete_signing_certificate, **named)[:2] == (404, "NoSuchEntity")
    upload(CertificateBody=ROOT.pem)
    assert root.get_account_summary()["SummaryMap"]["AccountSigningCertificatesPresent"] == 1


def test_ssh_public_keys_are_uploaded_read_switched_off_and_deleted(root: Any) -> None:
    bob = {"UserName": "bob"}
    ssh, pem = ssh_key()
    uploaded = root.upload_ssh_public_key(**bob, SSHPublicKeyBody=f"{ssh} bob@laptop")["SSHPublicKey"]
    named = {**bob, "SSHPublicKeyId": uploaded["SSHPublicKeyId"]}
    for encoding, body in (("SSH", ssh), ("PEM", pem)):
        read = root.get_ssh_public_key(**named, Encoding=encoding)["SSHPublicKey"]
        assert (read["SSHPublicKeyBody"], read["Fingerprint"]) == (body, uploaded["Fingerprint"])
    root.update_ssh_public_key(**named, Status="Inactive")
    listed = root.list_ssh_public_keys(**bob)["SSHPublicKeys"]
    assert [(each["SSHPublicKeyId"], each["Status"]) for each in listed] == [
        (uploaded["SSHPublicKeyId"], "Inactive")
    ]
    for body, code in (
        (pem, "DuplicateSSHPublicKey"),
        ("ssh-rsa AAAA", "InvalidPublicKey"),
        (ssh_key(1024)[0], "InvalidPublicKey"),
        ("ssh-ed25519 AAAA", "UnrecognizedPublicKeyEncoding"),
    ):
        assert refused(root.upload_ssh_public_key, **bob, SSHPublicKeyBody=body)[:2] == (400, code)
    assert refused(root.delete_user, **bob)[:2] == (409, "DeleteConflict")
    root.delete_ssh_public_key(**named)
    for call, more in (
        (root.get_ssh_public_key, {"Encoding": "SSH"}),
        (root.update_ssh_public_key, {"Status": "Active"}),
        (root.delete_ssh_public_key, {}),
    ):
        assert refused(call, **named, **more)[:2] == (404, "NoSuchEntity")


def test_service_specific_credentials_are_made_reset_switched_off_and_deleted(
    server: Server, account: Account, root: Any
) -> None:
    bob = {"UserName": "bob"}
    made = root.create_service_specific_credential(**bob, ServiceName=COMMITS)
    one = made["ServiceSpecificCredential"]
    assert one["ServiceUserName"] == f"bob-at-{account.account_id}"
    key = root.create_service_specific_credential(**bob, ServiceName=MODELS, CredentialAgeDays=30)[
        "ServiceSpecificCredential"
    ]
    assert key["ServiceCredentialSecret"].startswith("ABSK")
    assert (key["ExpirationDate"] - key["CreateDate"]).days == 30
    named = {**bob, "ServiceSpecificCredentialId": one["ServiceSpecificCredentialId"]}
    reset = root.reset_service_specific_credential(**named)
    password = reset["ServiceSpecificCredential"]["ServicePassword"]
    assert password != one["ServicePassword"]
    root.update_service_specific_credential(**named, Status="Inactive")
    listed = root.list_service_specific_credentials(AllUsers=True, ServiceName=COMMITS)
    assert [each["Status"] for each in listed["ServiceSpecificCredentials"]] == ["Inactive"]
    for answer, secret in ((made, one["ServicePassword"]), (reset, password)):
        (record,) = records_of(server, answer["ResponseMetadata"]["RequestId"])
        assert secret not in str(record)
        assert record["responseElements"]["serviceSpecificCredential"]["servicePassword"] == HIDDEN
    create = root.create_service_specific_credential
    create(**bob, ServiceName=COMMITS)
    assert refused(create, **bob, ServiceName=COMMITS)[:2] == (409, "LimitExceeded")
    assert refused(create, **bob, ServiceName="s3.amazonaws.com")[:2] == (404, "NoSuchEntity")
    aged = {**bob, "ServiceName": "cassandra.amazonaws.com", "CredentialAgeDays": 1}
    assert refused(create, **aged)[:2] == (400, "ValidationError")
    assert refused(root.delete_user, **bob)[:2] == (409, "DeleteConflict")
    root.delete_service_specific_credential(**named)
    for call, more in (
        (root.reset_service_specific_credential, {}),
        (root.update_service_specific_credential, {"Status": "Active"}),
        (root.delete_service_specific_credential, {}),
    ):
        assert refused(call, **named, **more)[:2] == (404, "NoSuchEntity")


def test_settings_of_the_account(root: Any) -> None:
    root.set_security_token_service_preferences(GlobalEndpointTokenVersion="v2Token")
    assert root.get_account_summary()["SummaryMap"]["GlobalEndpointTokenVersion"] == 2
    assert root.get_account_properties()["Properties"] == {"RoleManager/Enabled": "false"}
    root.put_account_properties(Properties={"RoleManager/Enabled": "false"})
    for properties, code in (
        ({"RoleManager/Enabled": "true"}, "NotImplemented"),
        ({"RoleManager/Enabled": "maybe"}, "InvalidInput"),
        ({"Other/Enabled": "true"}, "InvalidInput"),
    ):
        assert refused(root.put_account_properties, Properties=properties)[1] == code


def test_an_identity_provider_gets_no_context_provider(root: Any) -> None:
    arn = root.create_open_id_connect_provider(Url="https://idp.example.com")["OpenIDConnectProviderArn"]
    update = root.update_open_id_connect_provider
    assert refused(update, OpenIDConnectProviderArn=arn)[:2] == (400, "InvalidInput")
    context = {"ContextProvider": {"SubjectSourceKey": "sub"}}
    assert refused(update, OpenIDConnectProviderArn=arn, **context)[:2] == (400, "ValidationError")
    gone = f"{arn}/gone"
    assert refused(update, OpenIDConnectProviderArn=gone, **context)[:2] == (404, "NoSuchEntity")


def test_a_feature_is_enabled_by_api_and_assume_root_obeys(server: Server, account: Account) -> None:
    member = server.new_account()
    admin = new_user(server, account, "admin", allow("sts:AssumeRoot", "iam:*"))
    iam, sts = server.client("iam", admin), server.client("sts", admin)
    task = {
        "TargetPrincipal": member.account_id,
        "TaskPolicyArn": {"arn": "arn:aws:iam::aws:policy/root-task/IAMAuditRootUserCredentials"},
    }
    assert refused(iam.list_organizations_features)[:2] == (400, "OrganizationNotFoundException")
    record = Organization(
        organization_id="o-1234567890",
        management_account_id=account.account_id,
        accounts={one.account_id: OrganizationalUnit(parent="r-root") for one in (account, member)},
        units={"r-root": OrganizationalUnit(parent=None)},
    )
    with organization(server, record):
        assert iam.list_organizations_features()["EnabledFeatures"] == []
        iam.enable_organizations_root_sessions()
        assert refused(sts.assume_root, **task)[:2] == (403, "AccessDenied")
        enabled = iam.enable_organizations_root_credentials_management()
        assert enabled["OrganizationId"] == "o-1234567890"
        assert enabled["EnabledFeatures"] == ["RootCredentialsManagement", "RootSessions"]
        assert sts.assume_root(**task)["Credentials"]
        inside = server.client("iam", member.root)
        code = "AccountNotManagementOrDelegatedAdministratorException"
        for call in (
            inside.list_organizations_features,
            inside.enable_organizations_root_sessions,
            inside.enable_organizations_root_credentials_management,
            inside.disable_organizations_root_sessions,
            inside.disable_organizations_root_credentials_management,
        ):
            assert refused(call)[:2] == (400, code)
        iam.disable_organizations_root_sessions()
        iam.disable_organizations_root_credentials_management()
        assert refused(sts.assume_root, **task)[:2] == (403, "AccessDenied")
