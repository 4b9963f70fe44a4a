"""Signing certificates of users and of root: uploaded, activated and deactivated, listed, deleted.

Nothing in the broker accepts a signature that such a certificate verifies.
"""

import msgspec

from broker.assertions.uploaded_certificates import BrokenCertificate, CertificateFacts, check_certificate
from broker.errors import Refusal
from broker.iam import resources
from broker.iam.entities import require_room
from broker.iam.owned_credentials import items_of, put_items, replaced, require_settable, without
from broker.iam.owners import Owner, shown_name
from broker.names.ids import CERTIFICATE_ID_ENTROPY, certificate_id
from broker.operation import Call, Prepared, operation
from broker.paging import page
from broker.protocol.shapes import iam as shapes
from broker.storage.credential_records import SigningCertificate
from broker.storage.store import SIGNING_CERTIFICATES


@operation("iam:UploadSigningCertificate", prepare=resources.found_owner)
async def upload_signing_certificate(
    call: Call, request: shapes.UploadSigningCertificateRequest, prepared: Prepared[Owner]
) -> shapes.UploadSigningCertificateResponse:
    owner = prepared.found
    facts = _require_certificate(request.certificate_body, call.now)
    await _require_new(call, facts.digest)
    present = await _items(call, owner)
    require_room(call, present, "signing_certificates_per_user", "CertificatesPerUser")
    certificate = SigningCertificate(
        certificate_id=certificate_id(call.entropy(CERTIFICATE_ID_ENTROPY)),
        certificate=request.certificate_body,
        digest=facts.digest,
        uploaded_at=int(call.now),
    )
    put_items(call, SIGNING_CERTIFICATES, owner, (*present, certificate))
    return shapes.UploadSigningCertificateResponse(
        certificate=_shape(certificate, await shown_name(call, owner))
    )


@operation("iam:ListSigningCertificates", prepare=resources.found_owner)
async def list_signing_certificates(
    call: Call, request: shapes.ListSigningCertificatesRequest, prepared: Prepared[Owner]
) -> shapes.ListSigningCertificatesResponse:
    owner = prepared.found
    chosen = page(await _items(call, owner), _key, request.marker, request.max_items)
    name = await shown_name(call, owner)
    return shapes.ListSigningCertificatesResponse(
        certificates=tuple(_shape(one, name) for one in chosen.items),
        is_truncated=chosen.is_truncated,
        marker=chosen.marker,
    )


@operation("iam:UpdateSigningCertificate", prepare=resources.found_owner)
async def update_signing_certificate(
    call: Call, request: shapes.UpdateSigningCertificateRequest, prepared: Prepared[Owner]
) -> None:
    owner = prepared.found
    present = await _items(call, owner)
    certificate = _get(present, request.certificate_id)
    status = require_settable(request.status, "a signing certificate")
    changed = msgspec.structs.replace(certificate, status=status)
    put_items(call, SIGNING_CERTIFICATES, owner, replaced(present, certificate, changed))


@operation("iam:DeleteSigningCertificate", prepare=resources.found_owner)
async def delete_signing_certificate(
    call: Call, request: shapes.DeleteSigningCertificateRequest, prepared: Prepared[Owner]
) -> None:
    owner = prepared.found
    present = await _items(call, owner)
    certificate = _get(present, request.certificate_id)
    put_items(call, SIGNING_CERTIFICATES, owner, without(present, certificate))


async def _items(call: Call, owner: Owner) -> tuple[SigningCertificate, ...]:
    return await items_of(call, SIGNING_CERTIFICATES, owner)


def _require_certificate(pem: str, now: float) -> CertificateFacts:
    try:
        return check_certificate(pem, now)
    except BrokenCertificate as error:
        raise Refusal("MalformedCertificate", str(error)) from None


async def _require_new(call: Call, digest: str) -> None:
    """Raises DuplicateCertificate where a user of the account, or root, has the certificate."""
    for record in await call.store.scan(SIGNING_CERTIFICATES, call.account):
        if any(one.digest == digest for one in record.items):
            raise Refusal(
                "DuplicateCertificate", "The certificate is associated with a user of this account already."
            )


def _get(certificates: tuple[SigningCertificate, ...], wanted: str) -> SigningCertificate:
    for one in certificates:
        if one.certificate_id == wanted:
            return one
    raise Refusal("NoSuchEntity", f"The Certificate with id {wanted} cannot be found.")


def _key(certificate: SigningCertificate) -> str:
    return certificate.certificate_id


def _shape(certificate: SigningCertificate, user_name: str) -> shapes.SigningCertificate:
    return shapes.SigningCertificate(
        user_name=user_name,
        certificate_id=certificate.certificate_id,
        certificate_body=certificate.certificate,
        status=certificate.status,
        upload_date=certificate.uploaded_at,
    )
