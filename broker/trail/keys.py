"""The keys of log files and digest files in a bucket ("Finding your CloudTrail log files", CloudTrail user guide)."""

import base64
from datetime import UTC, datetime
from hashlib import blake2b

from broker.storage.trail_records import Trail

_UNIQUE = 16  # characters


def log_key(trail: Trail, account: str, region: str, first_at: int, first_event_id: str) -> str:
    """Of the log file whose first record is that one.

    The same record begins the same file, so a file that is delivered again, after a crash, replaces itself.
    """
    day = _text(first_at, "%Y/%m/%d")
    minute = _text(first_at, "%Y%m%dT%H%MZ")
    digest = blake2b(f"{trail.id} {first_event_id}".encode(), digest_size=32).digest()
    unique = base64.b64encode(digest, b"Aa").decode()[:_UNIQUE]
    name = f"{account}_CloudTrail_{region}_{minute}_{unique}.json.gz"
    return f"{logs_folder(trail, account, region)}{day}/{name}"


def logs_folder(trail: Trail, account: str, region: str) -> str:
    return f"{_account_folder(trail, account)}CloudTrail/{region}/"


def digest_key(trail: Trail, account: str, region: str, end: int) -> str:
    """Of the digest file that ends at `end`."""
    day, second = _text(end, "%Y/%m/%d"), _text(end, "%Y%m%dT%H%M%SZ")
    name = f"{account}_CloudTrail-Digest_{region}_{trail.name}_{trail.region}_{second}.json.gz"
    return f"{_account_folder(trail, account)}CloudTrail-Digest/{region}/{day}/{name}"


def _account_folder(trail: Trail, account: str) -> str:
    parts = (trail.prefix, "AWSLogs", trail.organization_id, account)
    return "".join(f"{one}/" for one in parts if one)


def _text(at: int, form: str) -> str:
    return datetime.fromtimestamp(at, UTC).strftime(form)
