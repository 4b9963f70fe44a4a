"""What a request has to be allowed: each action with its resource and condition keys. Every one must be allowed."""

import re
from collections.abc import Mapping
from urllib.parse import unquote_to_bytes

import msgspec

from broker.gateway.address import KeyRules, encode_key, require_bucket_name, require_key
from broker.gateway.bodies import Deletion
from broker.gateway.condition_keys import Keys
from broker.gateway.incoming import Incoming
from broker.gateway.operations import Need, On, S3Operation
from broker.gateway.refusals import invalid_argument

_has_bad_escape = re.compile(r"%(?![0-9A-Fa-f]{2})").search
_VERSION = "?versionId="
_is_version = re.compile(r"[A-Za-z0-9._~+/=-]{1,1024}").fullmatch


class CopySource(msgspec.Struct, frozen=True):
    """The object that is copied."""

    bucket: str
    key: str
    version_id: str = ""


class NeededPermission(msgspec.Struct, frozen=True):
    """May the caller do `action`? `bucket` and `key` name the resource; without a bucket it is everything."""

    action: str
    bucket: str
    key: str
    keys: Mapping[str, str | tuple[str, ...]]

    @property
    def arn(self) -> str:
        if not self.bucket:
            return "*"
        return f"arn:aws:s3:::{self.bucket}/{self.key}" if self.key else f"arn:aws:s3:::{self.bucket}"


def questions(
    incoming: Incoming, operation: S3Operation, source: CopySource | None, keys: Keys
) -> list[NeededPermission]:
    """Of every operation but DeleteObjects."""
    return [
        _question(need, incoming, source, keys)
        for need in operation.needs
        if not need.header or not incoming.headers.keys().isdisjoint(need.header)
    ]


def questions_of_key(
    incoming: Incoming, operation: S3Operation, deletion: Deletion, keys: Keys
) -> list[NeededPermission]:
    """Of one key of DeleteObjects: those of a DeleteObject of it."""
    query = {"versionId": deletion.version_id} if deletion.version_id else {}
    own = {**keys, "s3:versionid": deletion.version_id} if deletion.version_id else dict(keys)
    if "ETag" in deletion.conditions:
        own["s3:if-match"] = deletion.conditions["ETag"]
    one = msgspec.structs.replace(incoming, key=deletion.key, query=query)
    return questions(one, operation, None, own)


def questions_of_tags(incoming: Incoming, source: CopySource, keys: Keys) -> list[NeededPermission]:
    """Of a copy that takes the tags of its source with it: to read those, and to write them."""
    reading = Need("s3:GetObjectTagging", On.SOURCE, "s3:GetObjectVersionTagging")
    writing = Need("s3:PutObjectTagging", On.OBJECT)
    return [_question(need, incoming, source, keys) for need in (reading, writing)]


def _question(need: Need, incoming: Incoming, source: CopySource | None, keys: Keys) -> NeededPermission:
    if need.on is On.SOURCE:
        assert source is not None
        action = need.of_version if source.version_id else need.action
        own: Keys = {key: value for key, value in keys.items() if key != "s3:versionid"}
        if source.version_id:
            own["s3:versionid"] = source.version_id
        return NeededPermission(action, source.bucket, source.key, own)
    bucket = "" if need.on is On.ALL else incoming.bucket
    key = incoming.key if need.on is On.OBJECT else ""
    has_version = need.of_version and "versionId" in incoming.query
    return NeededPermission(need.of_version if has_version else need.action, bucket, key, keys)


def read_source(text: str, rules: KeyRules) -> CopySource:
    """x-amz-copy-source: `[/]bucket/key[?versionId=…]`, percent-encoded. Raises Refusal for access points, too."""
    path, has_version, version = text.partition(_VERSION)
    if "?" in path or _has_bad_escape(path) or not path.isascii():
        raise _invalid_source()
    try:
        decoded = unquote_to_bytes(path).decode()
    except UnicodeDecodeError:
        raise _invalid_source() from None
    bucket, slash, key = decoded.removeprefix("/").partition("/")
    if not slash or not key or (has_version and not _is_version(version)):
        raise _invalid_source()
    require_bucket_name(bucket, rules)
    require_key(key, rules)
    return CopySource(bucket, key, version)


def write_source(source: CopySource) -> str:
    """For the store, in the canonical encoding."""
    version = f"{_VERSION}{source.version_id}" if source.version_id else ""
    return f"/{source.bucket}/{encode_key(source.key)}{version}"


def _invalid_source() -> Exception:
    return invalid_argument("Copy Source must mention the source bucket and key: sourcebucket/sourcekey")
