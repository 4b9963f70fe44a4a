"""Server certificates, with their private keys and chains. Their tags: `tagging.py`.

A private key is never shown. Nothing in the broker uses these certificates.
"""

import asyncio

import msgspec

from broker.access.resource import Resource
from broker.assertions.uploaded_certificates import (
    BrokenCertificate,
    BrokenChain,
    CertificateFacts,
    KeyMismatch,
    check_server_certificate,
)
from broker.errors import Refusal
from broker.iam import entities, resources
from broker.iam.entities import page_by_path, require_new, require_renamable
from broker.iam.tags import new_tags, tag_shapes
from broker.names import ids
from broker.names.secret import SecretKey
from broker.operation import Call, Prepared, operation
from broker.protocol.shapes import iam as shapes
from broker.storage.credential_records import ServerCertificate
from broker.storage.store import SERVER_CERTIFICATES

_BROKEN_CHAIN = (
    "Unable to validate certificate chain. The certificate chain must start with the immediate signing certificate, "
    "followed by any intermediaries in order. The index within the chain of the invalid certificate is: {}"
)


@operation(
    "iam:UploadServerCertificate",
    prepare=resources.new(entities.SERVER_CERTIFICATE, "server_certificate_name"),
)
async def upload_server_certificate(
    call: Call, request: shapes.UploadServerCertificateRequest, prepared: Prepared[None]
) -> shapes.UploadServerCertificateResponse:
    await require_new(call, entities.SERVER_CERTIFICATE, request.server_certificate_name)
    facts = await asyncio.to_thread(_require_certificate, request, call.now)
    certificate = ServerCertificate(
        account_id=call.account,
        server_certificate_name=request.server_certificate_name,
        server_certificate_id=call.new_id(ids.SERVER_CERTIFICATE),
        path=request.path or "/",
        # Without white space around it: Terraform's provider replaces a certificate that is read back with it.
        certificate=request.certificate_body.strip(),
        private_key=SecretKey(request.private_key),
        chain=request.certificate_chain and request.certificate_chain.strip(),
        uploaded_at=int(call.now),
        expires_at=facts.expires_at,
        tags=await new_tags(call, "iam:TagServerCertificate", prepared.resource, request),
    )
    call.store.put(SERVER_CERTIFICATES, call.account, certificate)
    return shapes.UploadServerCertificateResponse(
        server_certificate_metadata=_metadata(certificate), tags=tag_shapes(certificate.tags)
    )


@operation("iam:GetServerCertificate", prepare=resources.found_server_certificate)
async def get_server_certificate(
    call: Call, request: shapes.GetServerCertificateRequest, prepared: Prepared[ServerCertificate]
) -> shapes.GetServerCertificateResponse:
    certificate = prepared.found
    return shapes.GetServerCertificateResponse(
        server_certificate=shapes.ServerCertificate(
            server_certificate_metadata=_metadata(certificate),
            certificate_body=certificate.certificate,
            certificate_chain=certificate.chain,
            tags=tag_shapes(certificate.tags),
        )
    )


@operation("iam:ListServerCertificates", prepare=resources.listed("server-certificate"))
async def list_server_certificates(
    call: Call, request: shapes.ListServerCertificatesRequest, prepared: Prepared[None]
) -> shapes.ListServerCertificatesResponse:
    chosen = await page_by_path(call, entities.SERVER_CERTIFICATE, request)
    return shapes.ListServerCertificatesResponse(
        server_certificate_metadata_list=tuple(map(_metadata, chosen.items)),
        is_truncated=chosen.is_truncated,
        marker=chosen.marker,
    )


@operation("iam:UpdateServerCertificate", prepare=resources.found_server_certificate)
async def update_server_certificate(
    call: Call, request: shapes.UpdateServerCertificateRequest, prepared: Prepared[ServerCertificate]
) -> None:
    """Rename or move; the caller needs the permission on both names ("Renaming a server certificate")."""
    certificate = prepared.found
    renamed = msgspec.structs.replace(
        certificate,
        server_certificate_name=request.new_server_certificate_name or certificate.server_certificate_name,
        path=request.new_path or certificate.path,
    )
    if renamed.arn != certificate.arn:
        await call.require("iam:UpdateServerCertificate", Resource(renamed.arn, tags=certificate.tags))
    await require_renamable(call, entities.SERVER_CERTIFICATE, certificate, renamed.server_certificate_name)
    call.store.delete(SERVER_CERTIFICATES, call.account, certificate.server_certificate_name)
    call.store.put(SERVER_CERTIFICATES, call.account, renamed)


@operation("iam:DeleteServerCertificate", prepare=resources.found_server_certificate)
async def delete_server_certificate(
    call: Call, request: shapes.DeleteServerCertificateRequest, prepared: Prepared[ServerCertificate]
) -> None:
    call.store.delete(SERVER_CERTIFICATES, call.account, prepared.found.server_certificate_name)


def _require_certificate(request: shapes.UploadServerCertificateRequest, now: float) -> CertificateFacts:
    """Raises MalformedCertificate or KeyPairMismatch for what no server could use."""
    try:
        return check_server_certificate(
            request.certificate_body, request.private_key, request.certificate_chain, now
        )
    except BrokenCertificate as error:
        raise Refusal("MalformedCertificate", str(error)) from None
    except BrokenChain as error:
        raise Refusal("MalformedCertificate", _BROKEN_CHAIN.format(error.index)) from None
    except KeyMismatch:
        raise Refusal(
            "KeyPairMismatch", "The private key does not match the public key of the certificate."
        ) from None


def _metadata(certificate: ServerCertificate) -> shapes.ServerCertificateMetadata:
    return shapes.ServerCertificateMetadata(
        path=certificate.path,
        server_certificate_name=certificate.server_certificate_name,
        server_certificate_id=certificate.server_certificate_id,
        arn=certificate.arn,
        upload_date=certificate.uploaded_at,
        expiration=certificate.expires_at,
    )
