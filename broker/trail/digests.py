"""Digest files: which log files were delivered, signed and chained ("CloudTrail digest file structure").

The law: a digest file is written into the store before it is delivered, with its signature, and the log files that it
lists leave the store with the same commit. So each log file is listed once, and whoever delivers a digest file, however
often, delivers the same bytes under the same name.
"""

from collections.abc import Sequence
from hashlib import sha256

import msgspec

from broker.audit.event import iso_time
from broker.sealing.digest_signature import ALGORITHM, sign_digest
from broker.storage.trail_records import DeliveredLog, DigestChain, DigestFile, DigestKey, Trail
from broker.trail.keys import digest_key

KEY_SECONDS = 365 * 86400  # how long a key signs
_HASH = "SHA-256"


def signing_key(keys: Sequence[DigestKey], now: float) -> DigestKey | None:
    """The key that signs at `now`; None where one has to be made."""
    return next((one for one in keys if one.start <= now < one.end), None)


def due_start(
    trail: Trail, chain: DigestChain, logs: Sequence[DeliveredLog], now: float, interval: int
) -> int | None:
    """From when on the next digest file reports; None where none is due yet.

    It follows the one before. Where log file validation was off for longer than an interval, a chain begins anew.
    Where nothing was delivered, only the account's own region of a trail that is logging has a digest file.
    """
    since = max(trail.validated_since, trail.periods[-1].start if trail.periods else trail.validated_since)
    start = since if chain.last is None or since - chain.last.end > interval else chain.last.end
    is_home = (chain.account_id, chain.region) == (trail.account_id, trail.region)
    if chain.pending is not None or not (logs or (is_home and trail.is_logging)):
        return None
    return start if now - start >= interval else None


def make_digest(
    trail: Trail, chain: DigestChain, logs: Sequence[DeliveredLog], key: DigestKey, start: int, end: int
) -> DigestFile:
    """The signed digest file of `logs`; the one before is named where this one follows it."""
    previous = chain.last if chain.last is not None and chain.last.end == start else None
    name = digest_key(trail, chain.account_id, chain.region, end)
    content = msgspec.json.format(
        msgspec.json.encode(
            {
                "awsAccountId": chain.account_id,
                "digestStartTime": iso_time(start),
                "digestEndTime": iso_time(end),
                "digestS3Bucket": trail.bucket,
                "digestS3Object": name,
                "digestPublicKeyFingerprint": key.fingerprint,
                "digestSignatureAlgorithm": ALGORITHM,
                "newestEventTime": iso_time(max(one.newest for one in logs)) if logs else None,
                "oldestEventTime": iso_time(min(one.oldest for one in logs)) if logs else None,
                "previousDigestS3Bucket": None if previous is None else previous.bucket,
                "previousDigestS3Object": None if previous is None else previous.key,
                "previousDigestHashValue": None if previous is None else previous.sha256,
                "previousDigestHashAlgorithm": None if previous is None else _HASH,
                "previousDigestSignature": None if previous is None else previous.signature,
                "logFiles": [_listed(one) for one in logs],
            }
        ),
        indent=0,
    )
    signed = None if previous is None else previous.signature
    signature = sign_digest(key.private_key, iso_time(end), f"{trail.bucket}/{name}", content, signed)
    return DigestFile(
        bucket=trail.bucket,
        key=name,
        start=start,
        end=end,
        sha256=sha256(content).hexdigest(),
        signature=signature,
        content=content,
    )


def _listed(log: DeliveredLog) -> dict[str, str]:
    return {
        "s3Bucket": log.bucket,
        "s3Object": log.key,
        "hashValue": log.sha256,
        "hashAlgorithm": _HASH,
        "newestEventTime": iso_time(log.newest),
        "oldestEventTime": iso_time(log.oldest),
    }
