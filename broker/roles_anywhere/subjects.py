"""Subjects: who has shown a certificate, by the name in it, and what became of the requests.

Only certificates that are proven make a subject. A request that changes nothing but the time is written at most once
in NOTED_EVERY seconds.
"""

from hashlib import blake2b

import msgspec

from broker.audit.event import uuid_text
from broker.operation import Call, Prepared, no_resource, operation
from broker.protocol.shapes import rolesanywhere as shapes
from broker.roles_anywhere.resources import SUBJECT, found, in_region, page_of
from broker.storage.store import WORKLOAD_SUBJECTS
from broker.storage.workload_records import PresentedCertificate, PresentedProperties, WorkloadSubject

NOTED_EVERY = 60  # seconds
_MOST_KEPT = 10  # certificates and sets of properties of a subject, the latest

_named = found(SUBJECT, "subject_id")


class Presented(msgspec.Struct, frozen=True):
    """A proven certificate, and the properties of the instance in its request."""

    account: str
    region: str
    subject: str
    issuer: str
    serial_number: str
    pem: str
    properties: dict[str, str]


def subject_id(presented: Presented) -> str:
    """Made of the subject's name, so that there is one for each name in an account and region."""
    named = "\0".join((presented.account, presented.region, presented.subject))
    return uuid_text(blake2b(named.encode(), digest_size=16, person=b"subject").digest())


def after_request(
    before: WorkloadSubject | None, presented: Presented, now: int, *, failed: bool
) -> WorkloadSubject | None:
    """The record of the subject after a request; None where it need not be written."""
    certificate = PresentedCertificate(
        serial_number=presented.serial_number,
        issuer=presented.issuer,
        pem=presented.pem,
        seen_at=now,
        failed=failed,
    )
    known = () if before is None else before.certificates
    own = next((one for one in known if one.pem == certificate.pem), None)
    is_noted = own is not None and own.failed == failed and now < own.seen_at + NOTED_EVERY
    if before is not None and is_noted and _has_properties(before, presented):
        return None
    return WorkloadSubject(
        account_id=presented.account,
        region=presented.region,
        id=subject_id(presented),
        name=presented.subject,
        enabled=True,
        created_at=now if before is None else before.created_at,
        updated_at=now,
        tags={} if before is None else before.tags,
        seen_at=now,
        certificates=(certificate, *(one for one in known if one is not own))[:_MOST_KEPT],
        properties=_with_properties(before, presented, now, failed=failed),
    )


def _has_properties(before: WorkloadSubject, presented: Presented) -> bool:
    return not presented.properties or any(
        one.properties == presented.properties for one in before.properties
    )


def _with_properties(
    before: WorkloadSubject | None, presented: Presented, now: int, *, failed: bool
) -> tuple[PresentedProperties, ...]:
    known = () if before is None else before.properties
    if not presented.properties:
        return known
    own = PresentedProperties(properties=presented.properties, seen_at=now, failed=failed)
    return (own, *(one for one in known if one.properties != presented.properties))[:_MOST_KEPT]


async def note_request(call: Call, presented: Presented, *, failed: bool) -> None:
    before = await call.store.find(WORKLOAD_SUBJECTS, presented.account, subject_id(presented))
    after = after_request(before, presented, int(call.now), failed=failed)
    if after is not None:
        call.store.put(WORKLOAD_SUBJECTS, presented.account, after)


@operation("rolesanywhere:GetSubject", prepare=_named)
async def get_subject(
    call: Call, request: shapes.ScalarSubjectRequest, prepared: Prepared[WorkloadSubject]
) -> shapes.SubjectDetailResponse:
    one = prepared.found
    return shapes.SubjectDetailResponse(
        subject=shapes.SubjectDetail(
            subject_arn=one.arn,
            subject_id=one.id,
            enabled=one.enabled,
            x509_subject=one.name,
            last_seen_at=one.seen_at,
            created_at=one.created_at,
            updated_at=one.updated_at,
            credentials=tuple(map(_certificate_shape, one.certificates)),
            instance_properties=tuple(
                shapes.InstanceProperty(seen_at=each.seen_at, properties=each.properties, failed=each.failed)
                for each in one.properties
            ),
        )
    )


def _certificate_shape(one: PresentedCertificate) -> shapes.CredentialSummary:
    return shapes.CredentialSummary(
        seen_at=one.seen_at,
        serial_number=one.serial_number,
        issuer=one.issuer,
        enabled=True,
        x509_certificate_data=one.pem,
        failed=one.failed,
    )


@operation("rolesanywhere:ListSubjects", prepare=no_resource)
async def list_subjects(
    call: Call, request: shapes.ListRequest, prepared: Prepared[None]
) -> shapes.ListSubjectsResponse:
    chosen, token = page_of(await in_region(call, SUBJECT), request.next_token, request.page_size)
    return shapes.ListSubjectsResponse(
        subjects=tuple(
            shapes.SubjectSummary(
                subject_arn=one.arn,
                subject_id=one.id,
                enabled=one.enabled,
                x509_subject=one.name,
                last_seen_at=one.seen_at,
                created_at=one.created_at,
                updated_at=one.updated_at,
            )
            for one in chosen
        ),
        next_token=token,
    )
