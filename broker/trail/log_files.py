"""Log files: what of a batch of records a trail delivers, by account and region."""

import gzip
from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256

import msgspec

from broker.audit.facets import find_event, time_of
from broker.audit.history import shown_to_account
from broker.audit.reader import FoundRecord
from broker.storage.trail_records import DeliveredLog, Trail
from broker.trail.keys import log_key
from broker.trail.selecting import delivery_region, is_delivered

Batch = Mapping[str, Sequence[FoundRecord]]  # records by the account that they belong to


class LogFile(msgspec.Struct, frozen=True):
    """`body` is compressed; `log` is what a digest file says of it."""

    log: DeliveredLog
    body: bytes


def batch_of(lines: Iterable[bytes]) -> Batch:
    """Lines that are no records (what a killed writer left) are skipped."""
    found: dict[str, list[FoundRecord]] = {}
    for line in lines:
        event = find_event(line)
        if event is not None and event.recipient_account_id:
            found.setdefault(event.recipient_account_id, []).append(FoundRecord(event, line))
    return found


def log_files(trail: Trail, accounts: Iterable[str], batch: Batch) -> list[LogFile]:
    """What `trail` delivers of `batch`, whose records are those of `accounts` and others."""
    files = []
    for account in accounts:
        by_region: dict[str, list[FoundRecord]] = {}
        for record in batch.get(account, ()):
            if is_delivered(trail, record.event):
                by_region.setdefault(delivery_region(trail, record.event), []).append(record)
        files += [_log_file(trail, account, region, records) for region, records in by_region.items()]
    return files


def _log_file(trail: Trail, account: str, region: str, records: Sequence[FoundRecord]) -> LogFile:
    content = b'{"Records":[' + b",".join(shown_to_account(one).line for one in records) + b"]}"
    times = [time_of(one.event) for one in records]
    log = DeliveredLog(
        trail_id=trail.id,
        account_id=account,
        region=region,
        bucket=trail.bucket,
        key=log_key(trail, account, region, times[0], records[0].event.event_id),
        sha256=sha256(content).hexdigest(),
        oldest=min(times),
        newest=max(times),
    )
    return LogFile(log, gzip.compress(content, mtime=0))
