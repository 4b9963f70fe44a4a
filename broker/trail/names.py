"""Names of trails, buckets and prefixes, by AWS's rules ("Trail naming requirements", CloudTrail user guide)."""

import re

from broker.errors import Refusal
from broker.names.arn import Arn, parse_arn
from broker.names.foreign_arn import parse_foreign_arn
from broker.trail.refusals import invalid_name

_SHORTEST, _LONGEST, _LONGEST_PREFIX = 3, 128, 200
_TRAIL = "trail/"
_is_of_characters = re.compile(r"[A-Za-z0-9._-]+").fullmatch
_is_address = re.compile(r"[0-9]+\.[0-9]+\.[0-9]+\.[0-9]+").fullmatch
_has_neighbours = re.compile(r"[._-]{2}").search
_is_of_region = re.compile(r"[a-z]{2,8}(-[a-z]{2,12}){1,3}-[0-9]{1,2}").fullmatch
# What every S3 store, and a folder, takes as it is.
_is_prefix = re.compile(r"[A-Za-z0-9!_.*'()-]+(/[A-Za-z0-9!_.*'()-]+)*").fullmatch


def is_region(text: str) -> bool:
    """Whether it has the form of a region's name: a client may sign for any text."""
    return _is_of_region(text) is not None


def require_trail_name(name: str) -> None:
    """Raises InvalidTrailNameException."""
    if not name:
        raise invalid_name("Trail name cannot be blank!")
    if len(name) < _SHORTEST:
        raise invalid_name(
            f"Trail name too short. Minimum allowed length: {_SHORTEST} characters. Specified name length: "
            f"{len(name)} characters."
        )
    if len(name) > _LONGEST:
        raise invalid_name(
            f"Trail name too long. Maximum allowed length: {_LONGEST} characters. Specified name length: "
            f"{len(name)} characters."
        )
    if _is_of_characters(name) is None:
        raise invalid_name(
            "Trail name or ARN can only contain uppercase letters, lowercase letters, numbers, periods (.), hyphens "
            "(-), and underscores (_)."
        )
    if not name[0].isalnum():
        raise invalid_name("Trail name must start with a letter or number.")
    if not name[-1].isalnum():
        raise invalid_name("Trail name must end with a letter or number.")
    if _has_neighbours(name) or _is_address(name):
        raise invalid_name("Trail name has adjacent periods, hyphens or underscores, or is an IP address.")


def parse_trail_arn(text: str) -> Arn:
    """The ARN of a trail, whose name follows `trail/`; raises CloudTrailARNInvalidException."""
    try:
        arn = parse_arn(text)
    except ValueError:
        arn = None
    if arn is None or arn.service != "cloudtrail" or not arn.resource.startswith(_TRAIL):
        raise Refusal("CloudTrailARNInvalidException", f"Invalid ARN: {text[:256]}")
    return arn


def require_bucket_name(name: str) -> None:
    """Raises InvalidS3BucketNameException."""
    try:
        parse_foreign_arn(f"arn:aws:s3:::{name}")
    except ValueError:
        raise Refusal("InvalidS3BucketNameException", f"Bucket name {name[:64]!r} is invalid.") from None


def require_prefix(prefix: str) -> None:
    """Raises InvalidS3PrefixException. DANGER: a prefix with `..` would leave the bucket's folder."""
    if not prefix:
        return
    segments = prefix.split("/")
    if len(prefix) > _LONGEST_PREFIX or _is_prefix(prefix) is None or {".", ".."} & set(segments):
        raise Refusal(
            "InvalidS3PrefixException",
            f"The prefix is segments of letters, digits and !_.*'()- with a slash between two, at most "
            f"{_LONGEST_PREFIX} characters.",
        )
