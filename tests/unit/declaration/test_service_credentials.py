from typing import Any

from broker.names.secret import SecretKey
from broker.storage.credential_records import (
    ServiceSpecificCredential,
    ServiceSpecificCredentials,
    SigningCertificate,
    SigningCertificates,
    SshPublicKey,
    SshPublicKeys,
)
from broker.storage.store import (
    SERVICE_SPECIFIC_CREDENTIALS,
    SIGNING_CERTIFICATES,
    SSH_PUBLIC_KEYS,
    USERS,
    Transaction,
)

A = "111111111111"


def users(text: str) -> str:
    return f'accounts: {{"{A}": {{users: {text}}}}}'


async def test_a_user_with_credentials_of_other_services_is_pruned_with_them(declare: Any) -> None:
    await declare(users("{alice: {}}"))
    owner_id = (await declare.find(USERS, A, "alice")).user_id

    async def put(store: Transaction) -> None:
        certificate = SigningCertificate(
            certificate_id="C" * 32, certificate="pem", digest="digest", uploaded_at=0
        )
        key = SshPublicKey(key_id="APKA" + "A" * 17, ssh="ssh", pem="pem", fingerprint="aa", uploaded_at=0)
        credential = ServiceSpecificCredential(
            credential_id="ACCA" + "A" * 17,
            service_name="codecommit.amazonaws.com",
            service_user_name=f"alice-at-{A}",
            password_digest=SecretKey("digest"),
            created_at=0,
        )
        store.put(SIGNING_CERTIFICATES, A, SigningCertificates(owner_id=owner_id, items=(certificate,)))
        store.put(SSH_PUBLIC_KEYS, A, SshPublicKeys(owner_id=owner_id, items=(key,)))
        store.put(
            SERVICE_SPECIFIC_CREDENTIALS,
            A,
            ServiceSpecificCredentials(owner_id=owner_id, items=(credential,)),
        )

    await declare.broker.store.transact(put)
    changes = await declare(users("{}"), prune=True)
    assert set(changes) >= {
        "- user alice: signing certificate",
        "- user alice: SSH public key",
        "- user alice: service-specific credential",
        "- user alice",
    }
    for collection in (SIGNING_CERTIFICATES, SSH_PUBLIC_KEYS, SERVICE_SPECIFIC_CREDENTIALS):
        assert await declare.find(collection, A, owner_id) is None
    assert await declare.find(USERS, A, "alice") is None
