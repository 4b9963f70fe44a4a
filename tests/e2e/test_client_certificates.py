"""AssumeRoleWithCertificate: real TLS, OpenSSL's and MinIO's clients, and a certificate authority of the tests."""

import datetime
import http.client
import json
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from xml.etree import ElementTree

import minio.credentials
import pytest
from botocore.config import Config
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from tests.e2e.conftest import REGION, ROOT, Account, Keys, Server, sdk
from tests.e2e.scenes import allow, document, records_of
from tests.identity_providers.certificates import KeyPair
from tests.identity_providers.client_certificates import DAY, SERVER, ClientAuthority, Holder

PROVIDER, ACTION = "certificates.example.com", "sts:AssumeRoleWithCertificate"
READER = "123456789012"
DENIED = (403, "AccessDenied", f"Not authorized to perform {ACTION}")
INVALID = (400, "InvalidClientCertificate", "The client certificate is not accepted.")
NAMESPACE = "{https://sts.amazonaws.com/doc/2011-06-15/}"


def role_arn(name: str) -> str:
    return f"arn:aws:iam::{READER}:role/{name}"


def trust(**condition: Any) -> dict[str, Any]:
    return {
        "Effect": "Allow",
        "Principal": {"Federated": PROVIDER},
        "Action": ACTION,
        **({"Condition": condition} if condition else {}),
    }


@dataclass(frozen=True)
class Scene:
    """A broker with TLS that asks for certificates of `authority`, whose list of revocations is in `revocations`."""

    server: Server
    account: Account
    authority: ClientAuthority
    below: ClientAuthority
    folder: Path

    @property
    def revocations(self) -> Path:
        return self.folder / "revoked.pem"

    def context(self, holder: Holder | None, *versions: ssl.TLSVersion) -> ssl.SSLContext:
        made = ssl.create_default_context(cafile=self.folder / "server-ca.crt")
        if versions:
            (made.maximum_version,) = versions
        if holder is not None:
            made.load_cert_chain(*holder.write(self.folder, "client"))
        return made

    def asked(
        self, holder: Holder | None, headers: dict[str, str] | None = None, **parameters: str
    ) -> tuple[int, dict[str, str]]:
        """Status and texts of the answer, on a new connection."""
        connection = http.client.HTTPSConnection(self.server.api, context=self.context(holder), timeout=30)
        try:
            return ask(connection, headers, **parameters)
        finally:
            connection.close()

    def refused(self, holder: Holder | None, **more: Any) -> tuple[tuple[int, str, str], str]:
        """The refusal, and the reason that the journal has."""
        status, said = self.asked(holder, **more)
        (record,) = records_of(self.server, said["RequestId"])
        assert record["eventName"] == "AssumeRoleWithCertificate"
        return (status, said["Code"], said["Message"]), record["errorMessage"]

    def client(self, service: str, keys: Keys) -> Any:
        return sdk().client(
            service,
            region_name=REGION,
            endpoint_url=self.server.url,
            verify=str(self.folder / "server-ca.crt"),
            aws_access_key_id=keys.access_key_id,
            aws_secret_access_key=keys.secret_access_key,
            aws_session_token=keys.session_token,
            config=Config(retries={"max_attempts": 0}),
        )


def ask(
    connection: http.client.HTTPConnection, headers: dict[str, str] | None = None, **parameters: str
) -> tuple[int, dict[str, str]]:
    form = {"Action": "AssumeRoleWithCertificate", "Version": "2011-06-15", **parameters}
    connection.request("POST", f"/?{urlencode(form)}", headers=headers or {})
    answer = connection.getresponse()
    said = ElementTree.fromstring(answer.read())
    return answer.status, {one.tag.removeprefix(NAMESPACE): one.text or "" for one in said.iter()}


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    folder = tmp_path_factory.mktemp("certificates")
    authority = ClientAuthority()
    below = ClientAuthority("below.test", authority)
    (folder / "clients.pem").write_bytes(authority.pem)
    (folder / "revoked.pem").write_bytes(authority.revocations() + below.revocations())
    own = KeyPair("server-ca")
    own.write(folder, "server-ca")
    key, chain = KeyPair("server", own).write(folder, "server")
    environment = {
        "BROKER_TLS_CERTIFICATE_FILE": str(chain),
        "BROKER_TLS_KEY_FILE": str(key),
        "BROKER_CLIENT_CERTIFICATES_CERTIFICATE_AUTHORITIES": str(folder / "clients.pem"),
        "BROKER_CLIENT_CERTIFICATES_PROVIDER": PROVIDER,
        "BROKER_CLIENT_CERTIFICATES_REVOCATION_LISTS": str(folder / "revoked.pem"),
        "BROKER_CLIENT_CERTIFICATES_ROLES": ",".join(
            [
                f"cn:night = {role_arn('reader')}",
                f"cn:night = {role_arn('nights')}",
                f"cn:night = {role_arn('stranger')}",
                f"uri:spiffe://example.com/day = {role_arn('days')}",
                f"cn:x = {role_arn('reader')}",
            ]
        ),
    }
    server = Server(folder, f"sqlite:{folder / 'broker.db'}", environment=environment)
    with server.running():
        account = server.new_account(READER)
        made = Scene(server, account, authority, below, folder)
        make_roles(made)
        yield made


def make_roles(scene: Scene) -> None:
    iam = scene.client("iam", scene.account.root)
    only_night = {"StringEquals": {"x509:CommonName": "night", "x509:Issuer": "CN=clients.test"}}
    only_day = {"StringEquals": {"x509:URI": "spiffe://example.com/day"}}
    trusts = {
        "reader": trust(),
        "nights": trust(**only_night),
        "days": trust(**only_day),
        "stranger": {**trust(), "Principal": {"Federated": "other.example.com"}},
    }
    for name, statement in trusts.items():
        iam.create_role(RoleName=name, AssumeRolePolicyDocument=document(statement))
        iam.put_role_policy(
            RoleName=name, PolicyName="scene", PolicyDocument=document(allow("iam:ListUsers"))
        )


def test_the_holder_of_a_certificate_gets_a_session_of_the_role_that_its_name_gives(scene: Scene) -> None:
    status, said = scene.asked(scene.authority.issue("night"))
    assert status == 200, said
    assert said["Arn"] == f"arn:aws:sts::{READER}:assumed-role/reader/night"
    assert said["Provider"] == PROVIDER
    keys = Keys(said["AccessKeyId"], said["SecretAccessKey"], said["SessionToken"])
    assert scene.client("sts", keys).get_caller_identity()["Arn"] == said["Arn"]
    assert scene.client("iam", keys).list_users()["Users"] == []
    (record,) = records_of(scene.server, said["RequestId"])
    assert record["userIdentity"]["type"] == "CertificateUser"
    assert record["userIdentity"]["principalId"] == f"{PROVIDER}:CN=night"
    assert record["recipientAccountId"] == READER


def test_minios_client_gets_credentials_and_renews_them(scene: Scene) -> None:
    certificate, key = scene.below.issue("night").write(scene.folder, "minio")
    provider = minio.credentials.CertificateIdentityProvider(
        sts_endpoint=scene.server.url,
        cert_file=str(certificate),
        key_file=str(key),
        ca_certs=str(scene.folder / "server-ca.crt"),
    )
    given = provider.retrieve()
    keys = Keys(given.access_key, given.secret_key, given.session_token)
    assert scene.client("sts", keys).get_caller_identity()["Arn"].endswith("/reader/night")


def test_curl_gets_credentials_as_minios_documentation_has_it(scene: Scene) -> None:
    certificate, key = scene.authority.issue("night").write(scene.folder, "curl")
    query = "Action=AssumeRoleWithCertificate&Version=2011-06-15&DurationSeconds=900"
    ran = subprocess.run(
        [
            *("curl", "-sS", "-X", "POST", "--key", key, "--cert", certificate),
            *("--cacert", scene.folder / "server-ca.crt", f"{scene.server.url}?{query}"),
        ],
        check=True,
        capture_output=True,
        text=True,
    )
    assert "<AssumeRoleWithCertificateResult><Credentials><AccessKeyId>ASIA" in ran.stdout


def test_a_role_is_asked_for_among_those_that_the_names_give(scene: Scene) -> None:
    night = scene.authority.issue("night")
    status, said = scene.asked(night, RoleArn=role_arn("nights"))
    assert (status, said.get("Arn")) == (200, f"arn:aws:sts::{READER}:assumed-role/nights/night")
    refusal, reason = scene.refused(night, RoleArn=role_arn("days"))
    assert refusal == DENIED
    assert f"check failed: role given: found cn:night, wanted a name that gives {role_arn('days')}" in reason
    # The same sentence where the role does not trust the authority, and where a condition does not hold.
    assert scene.refused(night, RoleArn=role_arn("stranger"))[0] == DENIED
    assert scene.refused(scene.below.issue("night"), RoleArn=role_arn("nights"))[0] == DENIED


def test_a_certificate_without_a_common_name_is_called_by_its_number(scene: Scene) -> None:
    day = scene.authority.issue(names=[x509.UniformResourceIdentifier("spiffe://example.com/day")])
    status, said = scene.asked(day)
    assert (status, said.get("Arn")) == (
        200,
        f"arn:aws:sts::{READER}:assumed-role/days/{day.certificate.serial_number:x}",
    )


def test_a_session_ends_with_the_certificate(scene: Scene) -> None:
    status, said = scene.asked(scene.authority.issue("night", ends=DAY / 48), DurationSeconds="3600")
    assert status == 200, said
    ends = datetime.datetime.fromisoformat(said["Expiration"]).timestamp()
    assert time.time() + 1500 < ends <= time.time() + 1801


@pytest.mark.parametrize(
    ("common_name", "refusal", "check"),
    [
        ("nobody", DENIED, "role given: found cn:nobody"),
        ("NIGHT", DENIED, "role given: found cn:NIGHT"),
        ("x", INVALID, "session name: found x"),
        ("night watch", INVALID, "session name: found night watch"),
    ],
)
def test_a_name_that_gives_nothing_is_refused(
    scene: Scene, common_name: str, refusal: tuple[int, str, str], check: str
) -> None:
    said, reason = scene.refused(scene.authority.issue(common_name))
    assert said == refusal
    assert f"check failed: {check}" in reason


def test_without_a_certificate_one_is_served_and_only_this_operation_refused(scene: Scene) -> None:
    refusal, reason = scene.refused(None)
    assert refusal == INVALID
    assert "check failed: client certificate: found none" in reason
    assert scene.client("sts", scene.account.root).get_caller_identity()["Account"] == READER


def test_a_certificate_in_a_header_is_not_believed(scene: Scene) -> None:
    pem = scene.authority.issue("night").certificate.public_bytes(Encoding.PEM)
    headers = {
        name: urlencode({"": pem.decode()})[1:]
        for name in ("X-SSL-Client-Cert", "X-Forwarded-Client-Cert", "X-Amzn-Mtls-Clientcert", "Client-Cert")
    }
    assert scene.refused(None, headers=headers)[0] == INVALID


@pytest.mark.parametrize(
    "holder",
    [
        lambda scene: ClientAuthority().issue("night"),
        lambda scene: ClientAuthority("below.test", ClientAuthority()).issue("night"),
        lambda scene: scene.authority.issue("night", usages=(SERVER,)),
        lambda scene: scene.authority.issue("night", ends=-DAY / 2),
        lambda scene: scene.authority.issue("night", begins=DAY / 2),
    ],
    ids=["namesake", "chain of a namesake", "for servers", "expired", "to come"],
)
def test_what_the_authority_does_not_vouch_for_ends_the_handshake(scene: Scene, holder: Any) -> None:
    with pytest.raises((ssl.SSLError, ConnectionError)):
        scene.asked(holder(scene))


def test_a_certificate_that_does_not_say_that_it_is_for_clients_is_refused(scene: Scene) -> None:
    refusal, reason = scene.refused(scene.authority.issue("night", usages=()))
    assert refusal == INVALID
    assert "check failed: extended key usage: found none" in reason


def test_a_revoked_certificate_is_refused_with_the_next_request_of_an_open_connection(scene: Scene) -> None:
    night, before = scene.authority.issue("night"), scene.revocations.read_bytes()
    connection = http.client.HTTPSConnection(scene.server.api, context=scene.context(night), timeout=30)
    try:
        assert ask(connection)[0] == 200
        own = connection.sock
        scene.revocations.write_bytes(scene.authority.revocations(night) + scene.below.revocations())
        status, said = ask(connection)
        assert connection.sock is own
        assert (status, said["Code"]) == INVALID[:2]
        (record,) = records_of(scene.server, said["RequestId"])
        assert "check failed: revocation: found CN=night: revoked" in record["errorMessage"]
    finally:
        scene.revocations.write_bytes(before)
        connection.close()
    assert scene.asked(scene.authority.issue("night"))[0] == 200


def test_a_certificate_that_expires_is_refused_on_its_open_connection(scene: Scene) -> None:
    brief = scene.authority.issue("night", ends=datetime.timedelta(seconds=4))
    connection = http.client.HTTPSConnection(scene.server.api, context=scene.context(brief), timeout=30)
    try:
        assert ask(connection)[0] == 200
        time.sleep(5)
        status, said = ask(connection)
    finally:
        connection.close()
    assert (status, said["Code"]) == INVALID[:2]
    (record,) = records_of(scene.server, said["RequestId"])
    assert "check failed: validity" in record["errorMessage"]


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_an_earlier_session_proves_nothing_when_it_is_taken_up_again(
    scene: Scene, version: ssl.TLSVersion
) -> None:
    """Nothing verifies the certificate then: it may have been revoked, or its authority have expired."""
    context = scene.context(scene.authority.issue("night"), version)
    host, _, port = scene.server.api.partition(":")
    session: Any = None
    for _ in range(2):
        connection = http.client.HTTPSConnection(host, int(port), context=context, timeout=30)
        plain = http.client.HTTPConnection(host, int(port), timeout=30)
        plain.connect()
        connection.sock = context.wrap_socket(plain.sock, server_hostname=host, session=session)
        is_resumed = connection.sock.session_reused
        status, said = ask(connection)
        session = connection.sock.session
        connection.close()
        if is_resumed:
            (record,) = records_of(scene.server, said["RequestId"])
            assert (status, said["Code"]) == INVALID[:2]
            assert "a resumed connection" in record["errorMessage"]
        else:
            assert status == 200, said


def test_what_a_trusted_proxy_shows_is_its_own(scene: Scene, tmp_path: Path) -> None:
    """The certificate by which a proxy speaks to the broker is not that of who speaks to the proxy."""
    settings = {**scene.server.environment, "BROKER_REQUESTS_TRUSTED_PROXIES": "127.0.0.0/8"}
    with Server(tmp_path, f"sqlite:{tmp_path / 'broker.db'}", environment=settings).running() as behind:
        own = Scene(behind, behind.new_account(READER), scene.authority, scene.below, scene.folder)
        make_roles(own)
        night = own.authority.issue("night")
        assert own.refused(night, headers={"X-Forwarded-For": "192.0.2.9"})[0] == INVALID
        assert own.refused(night)[0] == INVALID


def test_without_tls_there_is_no_certificate_and_without_settings_no_operation(
    own: Server, scene: Scene
) -> None:
    connection = http.client.HTTPConnection(own.api, timeout=30)
    status, said = ask(connection)
    connection.close()
    assert (status, said["Code"]) == (400, "InvalidAction")
    (record,) = records_of(own, said["RequestId"])
    assert "no authorities of client certificates are configured" in record["errorMessage"]


def test_config_check_names_what_cannot_be_used(scene: Scene, tmp_path: Path) -> None:
    (tmp_path / "broken.pem").write_text("no certificates")
    (tmp_path / "file.pem").write_bytes(scene.authority.pem)
    wrong = {
        "BROKER_CLIENT_CERTIFICATES_CERTIFICATE_AUTHORITIES": str(tmp_path / "broken.pem"),
        "BROKER_CLIENT_CERTIFICATES_REVOCATION_LISTS": str(tmp_path / "file.pem"),
    }
    stopped = Server(
        tmp_path, f"sqlite:{tmp_path / 'broker.db'}", environment={**scene.server.environment, **wrong}
    )
    ran = subprocess.run(
        [sys.executable, "-m", "broker", "config", "check"],
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", **stopped.settings},
        capture_output=True,
        text=True,
        check=False,
    )
    said = ran.stdout + ran.stderr
    assert ran.returncode == 2
    assert "broken.pem cannot be used" in said
    assert "file.pem is no certificate revocation list" in said


def test_the_audit_record_has_no_secret(scene: Scene) -> None:
    status, said = scene.asked(scene.authority.issue("night"))
    assert status == 200
    (record,) = records_of(scene.server, said["RequestId"])
    assert said["SecretAccessKey"] not in json.dumps(record)
    assert said["SessionToken"] not in json.dumps(record)
