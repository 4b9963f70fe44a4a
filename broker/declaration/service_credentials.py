"""Credentials that other services take, which no file declares: a user that is pruned is rid of them first."""

from broker.declaration.attempt import Attempt
from broker.declaration.properties import NamedEntity, Property
from broker.storage.records import User
from broker.storage.store import SERVICE_SPECIFIC_CREDENTIALS, SIGNING_CERTIFICATES, SSH_PUBLIC_KEYS


async def _remove_all(attempt: Attempt, target: NamedEntity, user: User) -> None:
    certificates = await attempt.store.find(SIGNING_CERTIFICATES, target.account, user.user_id)
    for certificate in certificates.items if certificates else ():
        parameters = {"CertificateId": certificate.certificate_id}
        await target.change(attempt, "DeleteSigningCertificate", parameters, "-", "signing certificate")
    keys = await attempt.store.find(SSH_PUBLIC_KEYS, target.account, user.user_id)
    for key in keys.items if keys else ():
        await target.change(
            attempt, "DeleteSSHPublicKey", {"SSHPublicKeyId": key.key_id}, "-", "SSH public key"
        )
    credentials = await attempt.store.find(SERVICE_SPECIFIC_CREDENTIALS, target.account, user.user_id)
    for credential in credentials.items if credentials else ():
        parameters = {"ServiceSpecificCredentialId": credential.credential_id}
        await target.change(
            attempt, "DeleteServiceSpecificCredential", parameters, "-", "service-specific credential"
        )


SERVICE_CREDENTIALS = Property(remove=_remove_all)
