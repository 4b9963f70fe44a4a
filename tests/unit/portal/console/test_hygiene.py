"""Old keys and users without a second factor, read in a credential report."""

import csv
import io

from broker.iam.credential_reports import HEADER
from broker.portal.console.hygiene import UserFinding, findings_of
from broker.protocol.shapes.iam import GetCredentialReportResponse

NOW = 1_767_225_600.0  # 2026-01-01


def report(*rows: dict[str, str]) -> GetCredentialReportResponse:
    text = io.StringIO()
    writer = csv.DictWriter(text, HEADER, restval="N/A")
    writer.writeheader()
    writer.writerows(rows)
    return GetCredentialReportResponse(content=text.getvalue().encode(), generated_time=NOW - 60)


def key(number: int, made: str, *, is_active: bool = True) -> dict[str, str]:
    active = "true" if is_active else "false"
    return {f"access_key_{number}_active": active, f"access_key_{number}_last_rotated": made}


def test_active_keys_of_more_than_ninety_days_are_old_the_oldest_first() -> None:
    found = findings_of(
        report(
            {"user": "<root_account>", **key(1, "2020-01-01T00:00:00+00:00")},
            {"user": "exact", **key(1, "2025-10-03T00:00:00+00:00")},
            {"user": "old", **key(1, "2025-10-02T00:00:00+00:00")},
            {"user": "older", **key(1, "2025-12-31T00:00:00+00:00"), **key(2, "2025-01-01T00:00:00+00:00")},
            {"user": "off", **key(1, "2020-01-01T00:00:00+00:00", is_active=False)},
        ),
        NOW,
    )
    assert found.old_keys == (UserFinding("older", 365), UserFinding("old", 91))
    assert found.as_of == NOW - 60


def test_a_password_without_a_device_is_found_and_nothing_else() -> None:
    found = findings_of(
        report(
            {"user": "<root_account>", "password_enabled": "not_supported", "mfa_active": "false"},
            {"user": "one", "password_enabled": "true", "mfa_active": "false"},
            {"user": "two", "password_enabled": "true", "mfa_active": "true"},
            {"user": "none", "password_enabled": "false", "mfa_active": "false"},
        ),
        NOW,
    )
    assert found.without_second_factor == (UserFinding("one"),)
