"""The credential report: a CSV of all users of an account, and the state of their passwords, keys and MFA devices.

IAM User Guide, "Generate credential reports for your AWS account". A report is a picture of one moment: what changes
afterwards changes the next one. It is made within the request, so none is ever in progress. Unlike in the
guide there is no column `additional_credentials_info`, and an inactive key has its dates: so reports of AWS look that
others have published.
"""

import asyncio
import csv
import io
from collections.abc import Iterator
from datetime import UTC, datetime

from broker.credentials.password_changes import find_login_profile
from broker.errors import Refusal
from broker.iam.owned_credentials import items_of
from broker.iam.owners import Owner, access_key_ids, get_account, get_settings, mfa_serial_numbers
from broker.names import ids
from broker.names.principal import Root
from broker.operation import Call, Prepared, no_resource, operation
from broker.protocol.shapes import iam as shapes
from broker.storage.password_records import LoginProfile, PasswordPolicy
from broker.storage.records import Usage, User
from broker.storage.store import (
    ACCESS_KEYS,
    CREDENTIAL_REPORTS,
    LOGIN_PROFILES,
    PASSWORD_POLICY,
    SIGNING_CERTIFICATES,
    USAGE,
    USERS,
)
from broker.storage.task_records import CredentialReport

FORMAT = "text/csv"
# A report is current for four hours; later it is refused, and deleted after a week.
CURRENT_SECONDS = 4 * 3600
_KEPT_SECONDS = 7 * 86_400
_DAY = 86_400
NOT_SUPPORTED, NOT_APPLICABLE, NO_INFORMATION = "not_supported", "N/A", "no_information"
_KEY = ("active", "last_rotated", "last_used_date", "last_used_region", "last_used_service")
_KEYS = _CERTIFICATES = (1, 2)
HEADER = (
    "user",
    "arn",
    "user_creation_time",
    "password_enabled",
    "password_last_used",
    "password_last_changed",
    "password_next_rotation",
    "mfa_active",
    *(f"access_key_{number}_{field}" for number in _KEYS for field in _KEY),
    *(f"cert_{number}_{field}" for number in _CERTIFICATES for field in ("active", "last_rotated")),
)
_NO_CERTIFICATE = ("false", NOT_APPLICABLE)
_NO_KEY = ("false", *(NOT_APPLICABLE,) * 4)
# Rows that are made before other requests have their turn.
_ROWS_AT_A_TIME = 100


@operation("iam:GenerateCredentialReport", prepare=no_resource)
async def generate_credential_report(
    call: Call, request: None, prepared: Prepared[None]
) -> shapes.GenerateCredentialReportResponse:
    report = await call.store.find(CREDENTIAL_REPORTS, call.account)
    reused_until = 0 if report is None else report.generated_at + call.quotas.credential_report_hours * 3600
    if call.now >= reused_until:
        made = CredentialReport(generated_at=int(call.now), content=await _content(call))
        expires_at = call.now + max(_KEPT_SECONDS, call.quotas.credential_report_hours * 3600)
        call.store.put(CREDENTIAL_REPORTS, call.account, made, expires_at=expires_at)
    return shapes.GenerateCredentialReportResponse(state="COMPLETE")


@operation("iam:GetCredentialReport", prepare=no_resource)
async def get_credential_report(
    call: Call, request: None, prepared: Prepared[None]
) -> shapes.GetCredentialReportResponse:
    report = await call.store.find(CREDENTIAL_REPORTS, call.account)
    if report is None:
        raise Refusal("ReportNotPresent", "There is no credential report. Generate one first.")
    current = max(CURRENT_SECONDS, call.quotas.credential_report_hours * 3600)
    if call.now >= report.generated_at + current:
        raise Refusal("ReportExpired", "The most recent credential report has expired. Generate a new one.")
    return shapes.GetCredentialReportResponse(
        content=report.content, report_format=FORMAT, generated_time=report.generated_at
    )


async def _content(call: Call) -> bytes:
    """The whole CSV: root, then the users by name; as on AWS, the last line does not end."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(HEADER)
    writer.writerow(await _root_row(call))
    # Read all at once; what is looked up below is in the cache then.
    await call.store.scan(LOGIN_PROFILES, call.account)
    await call.store.scan(ACCESS_KEYS, call.account)
    await call.store.scan(SIGNING_CERTIFICATES, call.account)
    for prefix in (ids.LONG_TERM_KEY, ids.USER):
        await call.store.scan(USAGE, call.account, prefix)
    policy = await call.store.find(PASSWORD_POLICY, call.account)
    for number, user in enumerate(await call.store.scan(USERS, call.account)):
        if number % _ROWS_AT_A_TIME == 0:
            await asyncio.sleep(0)
        writer.writerow(await _user_row(call, user, policy))
    return text.getvalue().removesuffix("\n").encode()


async def _root_row(call: Call) -> list[str]:
    account, settings = await get_account(call), await get_settings(call)
    usage = await call.store.find(USAGE, call.account, call.account)
    return [
        "<root_account>",
        Root(call.account).arn,
        _time(account.created_at),
        NOT_SUPPORTED,
        NO_INFORMATION if usage is None else _time(usage.last_used_at),
        NOT_SUPPORTED,
        NOT_SUPPORTED,
        *await _credentials(call, settings),
    ]


async def _user_row(call: Call, user: User, policy: PasswordPolicy | None) -> list[str]:
    profile = await find_login_profile(call.store, call.account, user.user_name)
    usage = await call.store.find(USAGE, call.account, user.user_id)
    return [
        user.user_name,
        user.arn,
        _time(user.created_at),
        *_password(profile, usage, policy),
        *await _credentials(call, user),
    ]


def _password(
    profile: LoginProfile | None, usage: Usage | None, policy: PasswordPolicy | None
) -> Iterator[str]:
    """Enabled, last used, last changed, next rotation."""
    if profile is None:
        yield from ("false", NOT_APPLICABLE, NOT_APPLICABLE, NOT_APPLICABLE)
        return
    yield "true"
    yield NO_INFORMATION if usage is None else _time(usage.last_used_at)
    yield _time(profile.changed_at)
    age = 0 if policy is None else policy.maximum_age
    yield _time(profile.changed_at + age * _DAY) if age else NOT_APPLICABLE


async def _credentials(call: Call, owner: Owner) -> list[str]:
    """From `mfa_active` on."""
    keys: list[str] = []
    for key_id in sorted(access_key_ids(owner))[: len(_KEYS)]:
        keys += await _key(call, key_id)
    missing = len(_KEYS) - len(keys) // len(_KEY)
    has_device = _boolean(bool(mfa_serial_numbers(owner)))
    return [has_device, *keys, *_NO_KEY * missing, *await _certificates(call, owner)]


async def _certificates(call: Call, owner: Owner) -> list[str]:
    columns: list[str] = []
    for one in (await items_of(call, SIGNING_CERTIFICATES, owner))[: len(_CERTIFICATES)]:
        columns += (_boolean(one.status == "Active"), _time(one.uploaded_at))
    missing = len(_CERTIFICATES) - len(columns) // len(_NO_CERTIFICATE)
    return [*columns, *_NO_CERTIFICATE * missing]


async def _key(call: Call, key_id: str) -> tuple[str, ...]:
    key = await call.store.find(ACCESS_KEYS, call.account, key_id)
    if key is None:
        return _NO_KEY
    usage = await call.store.find(USAGE, call.account, key_id)
    used = ("", "", "") if usage is None else (_time(usage.last_used_at), usage.region, usage.service)
    return (
        _boolean(key.status == "Active"),
        _time(key.created_at),
        *(text or NOT_APPLICABLE for text in used),
    )


def _time(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _boolean(value: bool) -> str:
    return "true" if value else "false"
