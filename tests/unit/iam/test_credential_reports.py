import asyncio
import csv
import io

import pytest

from broker.protocol.shapes import iam as shapes
from broker.storage.records import Account, Usage, User
from broker.storage.store import ACCOUNTS, USAGE, USERS
from tests.certificates import Certified

ACCOUNT = "111122223333"
HEADER = (
    "user,arn,user_creation_time,password_enabled,password_last_used,password_last_changed,"
    "password_next_rotation,mfa_active,access_key_1_active,access_key_1_last_rotated,access_key_1_last_used_date,"
    "access_key_1_last_used_region,access_key_1_last_used_service,access_key_2_active,access_key_2_last_rotated,"
    "access_key_2_last_used_date,access_key_2_last_used_region,access_key_2_last_used_service,cert_1_active,"
    "cert_1_last_rotated,cert_2_active,cert_2_last_rotated"
)
# The clock of the tests, and a day later.
NOW, TOMORROW = "2027-01-15T08:00:00Z", "2027-01-16T08:00:00Z"
DAY = 86_400


async def report(iam):
    """The rows by user, of a report that is made now."""
    iam.quotas = type(iam.quotas)(credential_report_hours=0)
    assert (await iam("GenerateCredentialReport")).state == "COMPLETE"
    answer = await iam("GetCredentialReport")
    assert (answer.report_format, answer.generated_time) == ("text/csv", iam.now)
    return {row["user"]: row for row in csv.DictReader(io.StringIO(answer.content.decode()))}


def values(row, *names):
    return tuple(row[name] for name in names)


async def put(iam, *writes):
    async def work(transaction):
        for collection, record, key in writes:
            transaction.put(collection, "" if collection is ACCOUNTS else ACCOUNT, record, **key)

    await iam.store.transact(work)


async def use(iam, key, **fields):
    await put(iam, (USAGE, Usage(last_used_at=int(iam.now) + DAY, **fields), {"key": key}))


async def test_the_columns_are_those_of_aws_and_the_first_row_is_root(iam):
    await put(iam, (ACCOUNTS, Account(account_id=ACCOUNT, created_at=int(iam.now)), {}))
    for name in ("bob", "Alice"):
        await iam(shapes.CreateUserRequest(user_name=name))
    await iam("GenerateCredentialReport")
    lines = (await iam("GetCredentialReport")).content.decode().split("\n")
    assert lines[0] == HEADER
    assert lines[1] == (
        f"<root_account>,arn:aws:iam::{ACCOUNT}:root,{NOW},not_supported,no_information,not_supported,"
        "not_supported,false,false,N/A,N/A,N/A,N/A,false,N/A,N/A,N/A,N/A,false,N/A,false,N/A"
    )
    assert lines[2] == (
        f"Alice,arn:aws:iam::{ACCOUNT}:user/Alice,{NOW},false,N/A,N/A,N/A,"
        "false,false,N/A,N/A,N/A,N/A,false,N/A,N/A,N/A,N/A,false,N/A,false,N/A"
    )
    assert [line.partition(",")[0] for line in lines] == ["user", "<root_account>", "Alice", "bob"]


async def test_a_name_with_a_comma_stays_in_its_column(iam):
    await iam(shapes.CreateUserRequest(user_name="bob,the=builder", path="/a/"))
    row = (await report(iam))["bob,the=builder"]
    assert row["arn"] == f"arn:aws:iam::{ACCOUNT}:user/a/bob,the=builder"


async def test_a_password_is_shown_with_its_use_and_its_rotation(iam):
    user = (await iam(shapes.CreateUserRequest(user_name="bob"))).user
    await iam(shapes.CreateLoginProfileRequest(user_name="bob", password="Correct horse 1"))
    columns = ("password_enabled", "password_last_used", "password_last_changed", "password_next_rotation")
    assert values((await report(iam))["bob"], *columns) == ("true", "no_information", NOW, "N/A")
    await use(iam, user.user_id)
    await iam(shapes.UpdateAccountPasswordPolicyRequest(max_password_age=1))
    assert values((await report(iam))["bob"], *columns) == ("true", TOMORROW, NOW, TOMORROW)


async def test_keys_are_shown_in_order_of_their_ids_with_their_use(iam):
    await iam(shapes.CreateUserRequest(user_name="bob"))
    made = [
        (await iam(shapes.CreateAccessKeyRequest(user_name="bob"))).access_key.access_key_id for _ in range(2)
    ]
    first, second = sorted(made)
    await use(iam, first, region="eu-west-1", service="sts")
    await iam(shapes.UpdateAccessKeyRequest(user_name="bob", access_key_id=second, status="Inactive"))
    row = (await report(iam))["bob"]
    fields = ("active", "last_rotated", "last_used_date", "last_used_region", "last_used_service")
    assert values(row, *(f"access_key_1_{field}" for field in fields)) == (
        ("true", NOW, TOMORROW, "eu-west-1", "sts")
    )
    assert values(row, *(f"access_key_2_{field}" for field in fields)) == ("false", NOW, "N/A", "N/A", "N/A")
    await iam(shapes.DeleteAccessKeyRequest(user_name="bob", access_key_id=first))
    row = (await report(iam))["bob"]
    assert values(row, "access_key_1_active", "access_key_1_last_rotated", "access_key_2_last_rotated") == (
        ("false", NOW, "N/A")
    )


async def test_what_root_has_is_shown(iam):
    await iam(shapes.CreateAccessKeyRequest())
    await use(iam, ACCOUNT)
    row = (await report(iam))["<root_account>"]
    assert values(row, "access_key_1_active", "password_last_used", "password_enabled") == (
        ("true", TOMORROW, "not_supported")
    )


async def test_a_report_is_used_again_for_four_hours(iam):
    await iam("GenerateCredentialReport")
    first = await iam("GetCredentialReport")
    await iam(shapes.CreateUserRequest(user_name="bob"))
    iam.now += 4 * 3600 - 1
    await iam("GenerateCredentialReport")
    assert await iam("GetCredentialReport") == first
    iam.now += 1
    await iam("GenerateCredentialReport")
    second = await iam("GetCredentialReport")
    assert second.generated_time == iam.now
    assert b"\nbob," in second.content and b"\nbob," not in first.content


async def test_a_report_is_absent_then_expired_then_forgotten(iam):
    absent = ("ReportNotPresent", "There is no credential report. Generate one first.")
    assert await iam.refused("GetCredentialReport") == absent
    await iam("GenerateCredentialReport")
    iam.now += 4 * 3600
    assert await iam.refused("GetCredentialReport") == (
        "ReportExpired",
        "The most recent credential report has expired. Generate a new one.",
    )
    iam.now += 7 * DAY
    assert await iam.refused("GetCredentialReport") == absent


async def test_a_report_that_is_used_again_for_longer_is_current_for_longer(iam):
    iam.quotas = type(iam.quotas)(credential_report_hours=24 * 30)
    await iam("GenerateCredentialReport")
    iam.now += 29 * DAY
    assert (await iam("GetCredentialReport")).generated_time == iam.now - 29 * DAY


@pytest.mark.parametrize("name", ["GenerateCredentialReport", "GetCredentialReport"])
async def test_who_may_not_see_it_is_refused(iam, name):
    await iam(shapes.CreateUserRequest(user_name="bob"))
    assert (await iam.refused(name, user="bob"))[0] == "AccessDenied"


async def test_others_have_their_turn_while_a_full_account_is_reported(iam):
    users = [
        User(account_id=ACCOUNT, user_name=f"u{number}", user_id=f"AIDA{number:017}", created_at=0)
        for number in range(1_000)
    ]
    await put(iam, *((USERS, user, {}) for user in users))
    turns = 0

    async def count_turns():
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    others = asyncio.create_task(count_turns())
    assert len(await report(iam)) == len(users) + 1
    others.cancel()
    assert turns >= len(users) / 100


async def test_signing_certificates_are_active_or_not_since_they_were_uploaded(iam):
    await iam(shapes.CreateUserRequest(user_name="bob"))
    columns = ("cert_1_active", "cert_1_last_rotated", "cert_2_active", "cert_2_last_rotated")
    for name in ("first", "second"):
        uploaded = await iam(
            shapes.UploadSigningCertificateRequest(user_name="bob", certificate_body=Certified(name).pem)
        )
    await iam(
        shapes.UpdateSigningCertificateRequest(
            user_name="bob", certificate_id=uploaded.certificate.certificate_id, status="Inactive"
        )
    )
    await iam(shapes.UploadSigningCertificateRequest(certificate_body=Certified("root").pem))
    rows = await report(iam)
    assert values(rows["bob"], *columns) == ("true", NOW, "false", NOW)
    assert values(rows["<root_account>"], *columns) == ("true", NOW, "false", "N/A")
