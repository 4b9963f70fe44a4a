"""Which users have old access keys, or a password and no second factor: read in the account's credential report."""

import csv
import io
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

import msgspec

from broker.errors import Refusal
from broker.portal.console.operations import attempt
from broker.portal.dependencies import Portal
from broker.portal.visit import Visit

OLD_KEY_DAYS = 90
_DAY = 86_400
_ROOT = "<root_account>"
_KEYS = (1, 2)
# There is none yet, or it is too old.
_TO_BE_MADE = frozenset({"ReportNotPresent", "ReportExpired"})


class UserFinding(msgspec.Struct, frozen=True):
    """`days` is the age of the user's oldest access key that is active; 0 where that is not what was found."""

    user_name: str
    days: int = 0


class CredentialFindings(msgspec.Struct, frozen=True):
    """What a credential report shows; `as_of` is when it was made, in epoch seconds."""

    old_keys: tuple[UserFinding, ...]
    without_second_factor: tuple[UserFinding, ...]
    as_of: int


async def find_credentials(portal: Portal, visit: Visit) -> CredentialFindings | Refusal:
    """By GetCredentialReport; GenerateCredentialReport where there is no current one."""
    report = await attempt(portal, visit, "GetCredentialReport")
    if isinstance(report, Refusal) and report.code in _TO_BE_MADE:
        made = await attempt(portal, visit, "GenerateCredentialReport")
        report = made if isinstance(made, Refusal) else await attempt(portal, visit, "GetCredentialReport")
    if isinstance(report, Refusal):
        return report
    return findings_of(report, visit.facts.now)


def findings_of(report: Any, now: float) -> CredentialFindings:
    rows = [row for row in csv.DictReader(io.StringIO(report.content.decode())) if row["user"] != _ROOT]
    old = [UserFinding(row["user"], days) for row in rows if (days := _oldest(row, now)) > OLD_KEY_DAYS]
    old.sort(key=lambda one: (-one.days, one.user_name))
    unprotected = tuple(UserFinding(row["user"]) for row in rows if _has_one_factor(row))
    return CredentialFindings(tuple(old), unprotected, int(report.generated_time))


def _has_one_factor(row: Mapping[str, str]) -> bool:
    return (row["password_enabled"], row["mfa_active"]) == ("true", "false")


def _oldest(row: Mapping[str, str], now: float) -> int:
    """Days."""
    return max(_ages(row, now), default=0)


def _ages(row: Mapping[str, str], now: float) -> Iterator[int]:
    for number in _KEYS:
        if row[f"access_key_{number}_active"] == "true":
            made = datetime.fromisoformat(row[f"access_key_{number}_last_rotated"]).timestamp()
            yield int((now - made) // _DAY)
