"""A signature presented without its request: a store has made the string to sign, and asks whose it is.

OpenStack Keystone's s3tokens. The string is that of `canonical.string_to_sign`: algorithm, time, scope, digest. What
the digest is of, the store compares with its request; the broker sees that the key's owner has signed it.
"""

import re

from broker.names.secret import SecretKey
from broker.sigv4.signing_keys import derive_signing_key, is_authenticated_by, set_up
from broker.sigv4.timestamps import parse_time

LONGEST_PRESIGNED, SKEW = 604_800, 900  # seconds
_SERVICES = ("s3", "iam", "sts")

_SCOPE = re.compile(r"([0-9]{8})/([A-Za-z0-9-]{1,64})/([a-z0-9-]{1,64})/aws4_request").fullmatch
_DIGEST = re.compile(r"[0-9a-f]{64}").fullmatch


def is_string_signed(
    secret: SecretKey, unverified_string: str, unverified_signature: str, now: float
) -> bool:
    """Whether the owner of `secret` has signed the string, at a time that a presigned URL may be of at most."""
    lines = unverified_string.split("\n")
    if len(lines) != 4 or lines[0] != "AWS4-HMAC-SHA256":
        return False
    found, signed_at = _SCOPE(lines[2]), lines[1]
    if found is None or _DIGEST(lines[3]) is None or found[3] not in _SERVICES:
        return False
    try:
        timestamp = parse_time(signed_at)
    except ValueError:
        return False
    if found[1] != signed_at[:8]:
        return False
    if not now - LONGEST_PRESIGNED <= timestamp <= now + SKEW:
        return False
    key = set_up(derive_signing_key(secret, found[1], found[2], found[3]))
    return is_authenticated_by(key, unverified_signature, unverified_string.encode())
