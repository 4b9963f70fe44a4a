"""Digest files: when they are due, what they say, and that their signatures verify."""

import json
from hashlib import sha256

import rsa
from msgspec.structs import replace

from broker.sealing.digest_signature import new_digest_key
from broker.storage.trail_records import (
    DeliveredLog,
    DigestChain,
    DigestFile,
    DigestKey,
    LoggingPeriod,
    Trail,
)
from broker.trail.digests import due_start, make_digest, signing_key
from tests.unit.trail.test_selecting import ACCOUNT, trail

NOW, HOUR = 1_800_000_000, 3600
PAIR = new_digest_key()
KEY = DigestKey(
    fingerprint=PAIR.fingerprint,
    private_key=PAIR.private_key,
    public_key=PAIR.public_key,
    start=NOW,
    end=NOW + 10 * HOUR,
)
TRAIL: Trail = trail(validated_since=NOW, periods=(LoggingPeriod(start=NOW),))
CHAIN = DigestChain(trail_id="1", account_id=ACCOUNT, region="eu-central-1")


def log(number: int) -> DeliveredLog:
    return DeliveredLog(
        trail_id="1",
        account_id=ACCOUNT,
        region="eu-central-1",
        bucket="logs",
        key=f"log-{number}",
        sha256="ab" * 32,
        oldest=NOW + number,
        newest=NOW + number + 5,
    )


def last(end: int) -> DigestFile:
    return DigestFile(bucket="logs", key="last", start=end - HOUR, end=end, sha256="cd", signature="ef")


def verified(made: DigestFile, previous: str) -> bool:
    text = f"{json.loads(made.content)['digestEndTime']}\n{made.bucket}/{made.key}\n{made.sha256}\n{previous}"
    public = rsa.PublicKey.load_pkcs1(KEY.public_key, "DER")
    return rsa.verify(text.encode(), bytes.fromhex(made.signature), public) == "SHA-256"


def test_the_first_digest_begins_with_the_trail_and_names_none_before_it() -> None:
    assert due_start(TRAIL, CHAIN, [], NOW + HOUR - 1, HOUR) is None
    assert due_start(TRAIL, CHAIN, [], NOW + HOUR, HOUR) == NOW
    made = make_digest(TRAIL, CHAIN, [log(1), log(3)], KEY, NOW, NOW + HOUR)
    said = json.loads(made.content)
    assert (said["previousDigestS3Object"], said["previousDigestSignature"]) == (None, None)
    assert [one["s3Object"] for one in said["logFiles"]] == ["log-1", "log-3"]
    assert (said["oldestEventTime"], said["newestEventTime"]) == (
        "2027-01-15T08:00:01Z",
        "2027-01-15T08:00:08Z",
    )
    assert made.key.endswith(
        f"{ACCOUNT}_CloudTrail-Digest_eu-central-1_all_eu-central-1_20270115T090000Z.json.gz"
    )
    assert said["digestS3Object"] == made.key and sha256(made.content).hexdigest() == made.sha256
    assert verified(made, "null")


def test_the_next_digest_follows_the_one_before() -> None:
    chain = replace(CHAIN, last=last(NOW + HOUR))
    assert due_start(TRAIL, chain, [], NOW + 2 * HOUR - 1, HOUR) is None
    assert due_start(TRAIL, chain, [], NOW + 5 * HOUR, HOUR) == NOW + HOUR
    made = make_digest(TRAIL, chain, [], KEY, NOW + HOUR, NOW + 5 * HOUR)
    said = json.loads(made.content)
    assert (said["previousDigestS3Object"], said["previousDigestSignature"]) == ("last", "ef")
    assert (said["logFiles"], said["newestEventTime"]) == ([], None)
    assert verified(made, "ef")


def test_a_chain_begins_anew_after_a_pause_that_is_longer_than_an_interval() -> None:
    chain = replace(CHAIN, last=last(NOW))
    paused = replace(
        TRAIL, periods=(LoggingPeriod(start=NOW - HOUR, end=NOW + 1), LoggingPeriod(start=NOW + 2 * HOUR))
    )
    assert due_start(paused, chain, [], NOW + 3 * HOUR, HOUR) == NOW + 2 * HOUR
    brief = replace(
        TRAIL, periods=(LoggingPeriod(start=NOW - HOUR, end=NOW + 1), LoggingPeriod(start=NOW + 9))
    )
    assert due_start(brief, chain, [], NOW + 3 * HOUR, HOUR) == NOW


def test_a_stopped_trail_has_a_digest_of_what_is_left_and_then_none() -> None:
    stopped = replace(TRAIL, periods=(LoggingPeriod(start=NOW, end=NOW + 5),))
    assert due_start(stopped, CHAIN, [log(1)], NOW + HOUR, HOUR) == NOW
    assert due_start(stopped, CHAIN, [], NOW + HOUR, HOUR) is None


def test_a_digest_that_is_not_delivered_yet_comes_first() -> None:
    assert due_start(TRAIL, replace(CHAIN, pending=last(NOW)), [log(1)], NOW + 9 * HOUR, HOUR) is None


def test_other_regions_have_digests_of_their_log_files_only() -> None:
    elsewhere = replace(CHAIN, region="us-east-1")
    assert due_start(TRAIL, elsewhere, [], NOW + HOUR, HOUR) is None
    assert due_start(TRAIL, elsewhere, [log(1)], NOW + HOUR, HOUR) == NOW


def test_a_key_signs_while_it_is_valid() -> None:
    assert signing_key([KEY], NOW + HOUR) == KEY
    assert signing_key([KEY], NOW + 10 * HOUR) is None
