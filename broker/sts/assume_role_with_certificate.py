"""AssumeRoleWithCertificate: the holder of a TLS client certificate takes on a role.

MinIO's addition to STS, whose names it has on the wire. The connection is the proof: the client has shown in its
handshake that it holds the certificate's key. MinIO's call names no role: there the common name is a policy's. Here
the names in the certificate choose a role (`client_certificates.roles`), or the request does among those that they
give. The role's trust policy has to admit the authority (`"Federated": "certificates.example.com"`), and may read the
keys `x509:…` below. A session never outlives the certificate.
"""

from broker.access.assumable import account_of_role
from broker.access.caller import Asserted, Caller, Keys
from broker.access.directory_people import kept_session_keys
from broker.access.facts import RequestFacts
from broker.assertions.checks import CheckFailed, Checks
from broker.assertions.client_certificate import ClientCertificate
from broker.assertions.requested_session import RequestedSession
from broker.errors import Refusal
from broker.federation.client_certificates import CertificateRules, names_in
from broker.federation.federation import Federation
from broker.federation.mapped_roles import chosen_among
from broker.names.principal import CertificateSubject
from broker.operation import Call, Prepared, operation
from broker.protocol.shapes import sts as shapes
from broker.storage.store import Transaction
from broker.sts.answers import credentials_shape
from broker.sts.asserted_roles import (
    AssertedRole,
    minted_session,
    not_configured,
    proven_role,
    refused_assertion,
    require_mapped_role,
    require_session_name,
)

# MinIO's code; what is wrong with the certificate only the journal says.
_INVALID = ("InvalidClientCertificate", "The client certificate is not accepted.")
_INSECURE = ("InsecureConnection", "A client certificate can be shown on a TLS connection only.")
# Also what the gate says of a role that does not trust the authority.
_DENIED = ("AccessDenied", "Not authorized to perform sts:AssumeRoleWithCertificate")


async def certificate_caller(
    federation: Federation,
    store: Transaction,
    facts: RequestFacts,
    request: shapes.AssumeRoleWithCertificateRequest,
) -> Caller:
    """The holder of the connection's certificate, and the role that its names give; raises Refusal."""
    certificates, checks = federation.certificates, Checks()
    if certificates is None:
        raise not_configured(
            "AssumeRoleWithCertificate", "no authorities of client certificates are configured"
        )
    if request.role_arn is not None:
        account_of_role(request.role_arn)
    if not facts.secure_transport:
        raise Refusal(*_INSECURE)
    try:
        chain = facts.client_certificates()
        checks.require(
            "client certificate",
            bool(chain),
            found="none, or a resumed connection",
            wanted="one from the handshake",
        )
        certificate = certificates.verify(chain, facts.now, checks)
        session_name = _require_session_name(certificate, checks)
    except CheckFailed as failed:
        raise refused_assertion(*_INVALID, failed) from None
    try:
        role_arn = _require_role(certificates.rules, certificate, request.role_arn, checks)
    except CheckFailed as failed:
        raise refused_assertion(*_DENIED, failed) from None
    keys, provider = _condition_keys(certificate), certificates.rules.provider
    return Caller(
        principal=CertificateSubject(provider, certificate.subject or certificate.serial_number),
        account="",
        session_keys=keys,
        federated_provider=provider,
        asserted=Asserted(
            account=account_of_role(role_arn),
            issuer=provider,
            subject=certificate.subject,
            audience="",
            attributes=RequestedSession(),
            session_keys=kept_session_keys(keys),
            session_name=session_name,
            role_arn=role_arn,
            max_duration=max(certificate.expires_at - int(facts.now), 1),
        ),
    )


def _require_session_name(certificate: ClientCertificate, checks: Checks) -> str:
    """The common name, and the serial number where there is none."""
    name = certificate.common_name or certificate.serial_number[:64]
    return require_session_name(name, "a common name of 2 to 64 letters, digits and _+=,.@-, or none", checks)


def _require_role(
    rules: CertificateRules, certificate: ClientCertificate, wanted: str | None, checks: Checks
) -> str:
    names = names_in(certificate)
    role_arn = chosen_among(rules.mapped_roles, names, wanted)
    found = ", ".join(names) or "a certificate without names"
    return require_mapped_role(role_arn, wanted, checks, found=found, giver="a name")


def _condition_keys(certificate: ClientCertificate) -> Keys:
    """The names have many values where the certificate has several."""
    found: Keys = {
        "x509:commonname": (certificate.common_name,) if certificate.common_name else (),
        "x509:subject": (certificate.subject,),
        "x509:issuer": (certificate.issuer,),
        "x509:serialnumber": (certificate.serial_number,),
        "x509:dns": certificate.dns_names,
        "x509:uri": certificate.uris,
        "x509:email": certificate.email_addresses,
    }
    return {key: values for key, values in found.items() if values}


@operation("sts:AssumeRoleWithCertificate", prepare=proven_role, prove=certificate_caller)
async def assume_role_with_certificate(
    call: Call, request: shapes.AssumeRoleWithCertificateRequest, prepared: Prepared[AssertedRole]
) -> shapes.AssumeRoleWithCertificateResponse:
    session = prepared.found.session
    minted = await minted_session(call, request, prepared)
    return shapes.AssumeRoleWithCertificateResponse(
        credentials=credentials_shape(minted),
        assumed_role_user=shapes.AssumedRoleUser(assumed_role_id=session.user_id, arn=session.arn),
        packed_policy_size=minted.packed_policy_size,
        provider=call.caller.principal.arn,
        session_token_utilization=minted.utilization,
        session_token_size=minted.token_size,
    )
