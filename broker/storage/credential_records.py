"""Credentials that services other than this broker take: certificates, SSH keys, passwords of single services.

Those of one owner are one record, under the owner's unique id (a user's; root's is the account's number), so that they
survive the user's renaming. A record without any is deleted.
"""

from broker.names.arn import iam_arn
from broker.names.secret import SecretKey
from broker.storage.records import Record


class ServerCertificate(Record, frozen=True, kw_only=True):
    """A certificate with its private key and its chain, all PEM as uploaded. The key is never shown again."""

    account_id: str
    server_certificate_name: str
    server_certificate_id: str
    path: str = "/"
    certificate: str
    private_key: SecretKey
    chain: str | None = None
    uploaded_at: int
    expires_at: int
    tags: dict[str, str] = {}

    @property
    def arn(self) -> str:
        return iam_arn(self.account_id, f"server-certificate{self.path}{self.server_certificate_name}")


class SigningCertificate(Record, frozen=True, kw_only=True):
    """A certificate (PEM, as uploaded); `digest` is SHA-256 over its DER encoding, in hexadecimal digits."""

    certificate_id: str
    certificate: str
    digest: str
    status: str = "Active"
    uploaded_at: int


class SigningCertificates(Record, frozen=True, kw_only=True):
    owner_id: str
    items: tuple[SigningCertificate, ...] = ()


class SshPublicKey(Record, frozen=True, kw_only=True):
    """An RSA public key, without a comment in both encodings."""

    key_id: str
    ssh: str
    pem: str
    fingerprint: str
    status: str = "Active"
    uploaded_at: int


class SshPublicKeys(Record, frozen=True, kw_only=True):
    owner_id: str
    items: tuple[SshPublicKey, ...] = ()


class ServiceSpecificCredential(Record, frozen=True, kw_only=True):
    """A name and a password for one service. The password is shown once: a digest is all that is known of it."""

    credential_id: str
    service_name: str
    service_user_name: str
    password_digest: SecretKey
    status: str = "Active"
    created_at: int
    expires_at: int | None = None


class ServiceSpecificCredentials(Record, frozen=True, kw_only=True):
    owner_id: str
    items: tuple[ServiceSpecificCredential, ...] = ()
