from typing import Any

import pytest

from broker.access.caller import Caller
from broker.names.principal import AssumedRole
from broker.operation import Quotas
from broker.protocol.shapes import iam as shapes
from tests.certificates import Certified

ACCOUNT = "111122223333"
FIRST, SECOND, THIRD = (Certified(name) for name in ("first", "second", "third"))


@pytest.fixture(autouse=True)
async def bob(iam: Any) -> None:
    await iam(shapes.CreateUserRequest(user_name="bob"))


def upload(pem: str = FIRST.pem, user_name: str | None = "bob") -> Any:
    return shapes.UploadSigningCertificateRequest(certificate_body=pem, user_name=user_name)


async def listed(iam: Any, user_name: str | None = "bob", **who: Any) -> Any:
    asked = shapes.ListSigningCertificatesRequest(user_name=user_name)
    return (await iam(asked, **who)).certificates


async def test_a_certificate_is_uploaded_listed_and_paged(iam: Any) -> None:
    first = (await iam(upload())).certificate
    assert (first.user_name, first.status, first.certificate_body) == ("bob", "Active", FIRST.pem)
    assert (len(first.certificate_id), first.upload_date) == (32, int(iam.now))
    second = (await iam(upload(SECOND.pem))).certificate
    assert set(await listed(iam)) == {first, second}
    one = await iam(shapes.ListSigningCertificatesRequest(user_name="bob", max_items=1))
    rest = await iam(shapes.ListSigningCertificatesRequest(user_name="bob", marker=one.marker))
    assert {*one.certificates, *rest.certificates} == {first, second}


@pytest.mark.parametrize("pem", ["text", FIRST.private_pem, FIRST.pem + SECOND.pem])
async def test_what_is_no_certificate_is_refused(iam: Any, pem: str) -> None:
    assert (await iam.refused(upload(pem)))[0] == "MalformedCertificate"


async def test_a_certificate_belongs_to_one_user_of_the_account(iam: Any) -> None:
    await iam(shapes.CreateUserRequest(user_name="eve"))
    await iam(upload())
    for owner in ("eve", "bob", None):
        refusal = await iam.refused(upload(FIRST.pem.strip(), owner))
        assert refusal[0] == "DuplicateCertificate"


async def test_a_third_certificate_is_refused(iam: Any) -> None:
    for pem in (FIRST.pem, SECOND.pem):
        await iam(upload(pem))
    refusal = await iam.refused(upload(THIRD.pem))
    assert refusal == ("LimitExceeded", "Cannot exceed quota for CertificatesPerUser: 2")
    iam.quotas = Quotas(signing_certificates_per_user=3)
    await iam(upload(THIRD.pem))
    assert (await iam("GetAccountSummary")).summary_map["SigningCertificatesPerUserQuota"] == 3


async def test_a_certificate_is_switched_off_and_deleted(iam: Any) -> None:
    named = {"certificate_id": (await iam(upload())).certificate.certificate_id, "user_name": "bob"}
    for status in ("Inactive", "Active"):
        await iam(shapes.UpdateSigningCertificateRequest(**named, status=status))
        assert [one.status for one in await listed(iam)] == [status]
    expired = shapes.UpdateSigningCertificateRequest(**named, status="Expired")
    assert (await iam.refused(expired))[0] == "InvalidInput"
    refusal = await iam.refused(shapes.DeleteUserRequest(user_name="bob"))
    assert refusal == ("DeleteConflict", "Cannot delete entity, must delete signing certificates first.")
    await iam(shapes.DeleteSigningCertificateRequest(**named))
    missing = ("NoSuchEntity", f"The Certificate with id {named['certificate_id']} cannot be found.")
    for request in (
        shapes.DeleteSigningCertificateRequest(**named),
        shapes.UpdateSigningCertificateRequest(**named, status="Active"),
    ):
        assert await iam.refused(request) == missing
    await iam(shapes.DeleteUserRequest(user_name="bob"))


async def test_certificates_follow_their_user_and_are_nobody_elses(iam: Any) -> None:
    found = (await iam(upload())).certificate
    await iam(shapes.UpdateUserRequest(user_name="bob", new_user_name="rob"))
    (renamed,) = await listed(iam, "rob")
    assert (renamed.certificate_id, renamed.user_name) == (found.certificate_id, "rob")
    await iam(shapes.CreateUserRequest(user_name="bob"))
    assert await listed(iam) == ()
    stolen = shapes.DeleteSigningCertificateRequest(user_name="bob", certificate_id=found.certificate_id)
    assert (await iam.refused(stolen))[0] == "NoSuchEntity"


async def test_root_has_certificates_of_its_own(iam: Any) -> None:
    assert (await iam("GetAccountSummary")).summary_map["AccountSigningCertificatesPresent"] == 0
    await iam(upload(user_name=None))
    assert [one.user_name for one in await listed(iam, None)] == [ACCOUNT]
    assert await listed(iam) == ()
    assert (await iam("GetAccountSummary")).summary_map["AccountSigningCertificatesPresent"] == 1


async def test_a_role_has_no_certificates(iam: Any) -> None:
    caller = Caller(principal=AssumedRole(ACCOUNT, "reader", "AROAREADER", "session"), account=ACCOUNT)
    refusal = await iam.refused(upload(user_name=None), caller=caller)
    assert refusal == ("ValidationError", "Must specify userName when calling with non-User credentials")
