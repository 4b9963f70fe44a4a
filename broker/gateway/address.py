"""Host and path of a request -> its bucket and key, read in one way only.

Path style is `/bucket/key`, virtual-host style has the bucket in the host, in front of one of the gateway's own domains
("Virtual hosting of general purpose buckets", Amazon S3 user guide). A key is the percent-decoded rest of the path,
slashes, dots and all; the store is given the one canonical encoding of it (`encode_key`), so that both agree.
"""

import re
from urllib.parse import quote, unquote_to_bytes

import msgspec

from broker.errors import Refusal
from broker.gateway.refusals import invalid_argument
from broker.sigv4.encoding import is_plain_path

LONGEST_KEY = 1024  # bytes of UTF-8

# "General purpose bucket naming rules"
_is_bucket_name = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]").fullmatch
_is_address = re.compile(r"\d+\.\d+\.\d+\.\d+", re.ASCII).fullmatch
_has_bad_escape = re.compile(r"%(?![0-9A-Fa-f]{2})").search
_port = re.compile(r":\d+$")
_is_host = re.compile(r"[a-z0-9._-]+|\[[0-9a-f:.]+\]").fullmatch


class KeyRules(msgspec.Struct, frozen=True):
    """`domains` are those in front of which a bucket may stand. With `relative_keys` the store is known to take keys
    with empty, `.` and `..` segments literally; else they are refused, because a store might normalise them.
    `reserved` are names that mean something else to the store, mostly its administration.
    """

    domains: tuple[str, ...] = ()
    relative_keys: bool = False
    reserved: frozenset[str] = frozenset()


class Address(msgspec.Struct, frozen=True):
    """What a request is about: nothing (the service), a bucket, or an object. Both are decoded."""

    bucket: str = ""
    key: str = ""


def read_address(host: str, raw_path: str, rules: KeyRules) -> Address:
    """Raises Refusal InvalidURI, InvalidBucketName, KeyTooLongError."""
    if not raw_path.startswith("/") or _has_bad_escape(raw_path) or not raw_path.isascii():
        raise invalid_uri("the path cannot be read")
    bucket = _bucket_of_host(host, rules.domains)
    rest = raw_path[1:]
    if not bucket:
        if not rest:
            return Address()
        # The bucket ends at the first slash that is one: an encoded one is part of no bucket's name.
        name, _, rest = rest.partition("/")
        bucket = _decoded(name)
    require_bucket_name(bucket, rules)
    key = _decoded(rest)
    if key:
        require_key(key, rules)
    return Address(bucket, key)


def _bucket_of_host(host: str, domains: tuple[str, ...]) -> str:
    name = host.strip().lower()
    without_port = _port.sub("", name)
    if not _is_host(without_port):
        raise invalid_uri("the host cannot be read")
    for domain in domains:
        if without_port.endswith(f".{domain}"):
            return without_port.removesuffix(f".{domain}")
    return ""


def _decoded(raw: str) -> str:
    if "%" not in raw:
        return raw
    try:
        return unquote_to_bytes(raw).decode()
    except UnicodeDecodeError:
        raise invalid_uri("the path is not UTF-8") from None


def require_bucket_name(name: str, rules: KeyRules) -> None:
    if not _is_bucket_name(name) or ".." in name or _is_address(name) or name in rules.reserved:
        raise Refusal(
            "InvalidBucketName", "The specified bucket is not valid.", members={"BucketName": name[:128]}
        )


def require_key(key: str, rules: KeyRules) -> None:
    """Raises Refusal for a key that no object may have."""
    if len(key.encode()) > LONGEST_KEY:
        raise Refusal("KeyTooLongError", "Your key is too long")
    if "\0" in key:
        raise invalid_uri("the key has a NUL")
    if not rules.relative_keys and is_relative(key):
        raise invalid_uri("the key has an empty, . or .. segment, which gateway.relative_keys does not allow")


def require_prefix(name: str, prefix: str, rules: KeyRules) -> None:
    """The same for what is only the beginning of a key; `name` is that of the query parameter."""
    if "\0" in prefix or (not rules.relative_keys and is_relative(prefix)):
        raise invalid_argument(f"{name} must not have empty, . or .. segments")


def is_relative(key: str) -> bool:
    """Whether a file system would take `key` for another one. A slash at the end is usual: the key of a folder."""
    segments = key.split("/")
    return (
        (not segments[0] and len(segments) > 1)
        or "" in segments[1:-1]
        or not {".", ".."}.isdisjoint(segments)
    )


def encode_key(key: str) -> str:
    """The canonical encoding: "every byte except the unreserved characters", and the slashes."""
    return key if is_plain_path(key) else quote(key, safe="/-_.~")


def invalid_uri(reason: str) -> Refusal:
    return Refusal("InvalidURI", "Couldn't parse the specified URI.", reason=reason)
