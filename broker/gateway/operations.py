"""The operations of S3 that the gateway knows, one row each, and which of them a request is.

Sources: the Amazon S3 API reference (method, query, headers, "Permissions" of each operation) and the Service
Authorization Reference. A row says by method, level and sub-resource what it is, which other query parameters it may
have, which actions it needs, and who answers. A request that is no row's is refused.

Left out on purpose, so refused as not implemented: what makes the store itself act elsewhere with its own authority
(replication, logging, inventories, notifications, metadata tables, restoring with SQL, websites), and directory
buckets.
"""

import enum
from collections.abc import Mapping
from functools import partial

import msgspec

from broker.gateway.incoming import Incoming
from broker.gateway.refusals import not_implemented


class S3Level(enum.Enum):
    SERVICE = "service"
    BUCKET = "bucket"
    OBJECT = "object"


class On(enum.Enum):
    """What an action is asked about: everything, the bucket, the object, or the object that is copied."""

    ALL = "all"
    BUCKET = "bucket"
    OBJECT = "object"
    SOURCE = "source"


class AnsweredBy(enum.Enum):
    """Who answers: the store, or the gateway from the broker's records, or the gateway for each key of a list, or the
    store asked with what a form says.
    """

    STORE = "store"
    GATEWAY = "gateway"
    EACH_KEY = "each key"
    FORM = "form"


class Need(msgspec.Struct, frozen=True):
    """An action; `of_version` replaces it where the request names a version. `header` limits it to requests that have
    one of these headers.
    """

    action: str
    on: On
    of_version: str = ""
    header: tuple[str, ...] = ()


class S3Operation(msgspec.Struct, frozen=True):
    """A row. `marks` are the query parameters that make a request this operation, with the value that they must have
    (None: any), `optional` the others that it may have. `copies` says that it has x-amz-copy-source.

    `takes_body` says whether a body is passed on; `is_data` whether CloudTrail calls it a data event.
    """

    name: str
    method: str
    level: S3Level
    needs: tuple[Need, ...]
    marks: Mapping[str, str | None] = {}
    optional: frozenset[str] = frozenset()
    copies: bool = False
    takes_body: bool = False
    is_data: bool = False
    answer: AnsweredBy = AnsweredBy.STORE


_ACL_HEADERS = (
    "x-amz-acl",
    "x-amz-grant-full-control",
    "x-amz-grant-read",
    "x-amz-grant-read-acp",
    "x-amz-grant-write",
    "x-amz-grant-write-acp",
)
_LISTING = frozenset({"prefix", "delimiter", "max-keys", "encoding-type"})
_RESPONSE = frozenset(
    {
        "response-cache-control",
        "response-content-disposition",
        "response-content-encoding",
        "response-content-language",
        "response-content-type",
        "response-expires",
        "versionId",
        "partNumber",
    }
)
_VERSION = frozenset({"versionId"})
# Any request may have it: SDKs name the operation in it, for logs.
_ALWAYS = frozenset({"x-id"})

_PUT_OBJECT = Need("s3:PutObject", On.OBJECT)
_TAGS = Need("s3:PutObjectTagging", On.OBJECT, header=("x-amz-tagging",))
_ACL = Need("s3:PutObjectAcl", On.OBJECT, header=_ACL_HEADERS)
_RETENTION = Need(
    "s3:PutObjectRetention",
    On.OBJECT,
    header=("x-amz-object-lock-mode", "x-amz-object-lock-retain-until-date"),
)
_LEGAL_HOLD = Need("s3:PutObjectLegalHold", On.OBJECT, header=("x-amz-object-lock-legal-hold",))
_WRITES = (_PUT_OBJECT, _TAGS, _ACL, _RETENTION, _LEGAL_HOLD)
_READS_SOURCE = Need("s3:GetObject", On.SOURCE, "s3:GetObjectVersion")
_BYPASS = Need("s3:BypassGovernanceRetention", On.OBJECT, header=("x-amz-bypass-governance-retention",))
_DELETE = Need("s3:DeleteObject", On.OBJECT, "s3:DeleteObjectVersion")
_READ = Need("s3:GetObject", On.OBJECT, "s3:GetObjectVersion")


def _of_object(name: str, method: str, *needs: Need, **more: object) -> S3Operation:
    return msgspec.structs.replace(S3Operation(name, method, S3Level.OBJECT, needs, is_data=True), **more)


def _of_bucket(name: str, method: str, mark: str, action: str, **more: object) -> S3Operation:
    """An operation on the bucket itself, whose only query parameter is the sub-resource `mark`."""
    marks = {mark: ""} if mark else {}
    row = S3Operation(
        name, method, S3Level.BUCKET, (Need(action, On.BUCKET),), marks, takes_body=method == "PUT"
    )
    return msgspec.structs.replace(row, **more)


def _configuration(
    title: str,
    mark: str,
    reads: str,
    writes: str,
    deletes: str = "",
    *,
    deleting: str = "",
    answer: AnsweredBy = AnsweredBy.STORE,
) -> list[S3Operation]:
    """Get, Put and, where there is one, Delete of one configuration of a bucket. Mostly who may write it may delete it:
    else `deleting` is the action.
    """
    kinds = [(f"Get{title}", "GET", reads), (f"Put{title}", "PUT", writes)]
    if deletes:
        kinds.append((deletes, "DELETE", deleting or writes))
    return [_of_bucket(name, method, mark, action, answer=answer) for name, method, action in kinds]


_kept = partial(_configuration, answer=AnsweredBy.GATEWAY)

_SERVICE_ROWS = [
    S3Operation(
        "ListBuckets",
        "GET",
        S3Level.SERVICE,
        (Need("s3:ListAllMyBuckets", On.ALL),),
        optional=frozenset({"prefix", "max-buckets", "continuation-token", "bucket-region"}),
        answer=AnsweredBy.GATEWAY,
    )
]
_BUCKET_ROWS = [
    _of_bucket("CreateBucket", "PUT", "", "s3:CreateBucket", answer=AnsweredBy.GATEWAY),
    _of_bucket("DeleteBucket", "DELETE", "", "s3:DeleteBucket", answer=AnsweredBy.GATEWAY),
    _of_bucket("HeadBucket", "HEAD", "", "s3:ListBucket"),
    _of_bucket("GetBucketLocation", "GET", "location", "s3:GetBucketLocation", answer=AnsweredBy.GATEWAY),
    _of_bucket("GetBucketAcl", "GET", "acl", "s3:GetBucketAcl", answer=AnsweredBy.GATEWAY),
    _of_bucket("PutBucketAcl", "PUT", "acl", "s3:PutBucketAcl", answer=AnsweredBy.GATEWAY),
    _of_bucket(
        "GetBucketOwnershipControls",
        "GET",
        "ownershipControls",
        "s3:GetBucketOwnershipControls",
        answer=AnsweredBy.GATEWAY,
    ),
    *_kept(
        "BucketPolicy",
        "policy",
        "s3:GetBucketPolicy",
        "s3:PutBucketPolicy",
        "DeleteBucketPolicy",
        deleting="s3:DeleteBucketPolicy",
    ),
    _of_bucket(
        "GetBucketPolicyStatus", "GET", "policyStatus", "s3:GetBucketPolicyStatus", answer=AnsweredBy.GATEWAY
    ),
    *_kept(
        "PublicAccessBlock",
        "publicAccessBlock",
        "s3:GetBucketPublicAccessBlock",
        "s3:PutBucketPublicAccessBlock",
        "DeletePublicAccessBlock",
    ),
    *_configuration("BucketVersioning", "versioning", "s3:GetBucketVersioning", "s3:PutBucketVersioning"),
    *_configuration(
        "BucketTagging", "tagging", "s3:GetBucketTagging", "s3:PutBucketTagging", "DeleteBucketTagging"
    ),
    *_kept("BucketCors", "cors", "s3:GetBucketCORS", "s3:PutBucketCORS", "DeleteBucketCors"),
    *_configuration(
        "BucketEncryption",
        "encryption",
        "s3:GetEncryptionConfiguration",
        "s3:PutEncryptionConfiguration",
        "DeleteBucketEncryption",
    ),
    *_configuration(
        "BucketLifecycleConfiguration",
        "lifecycle",
        "s3:GetLifecycleConfiguration",
        "s3:PutLifecycleConfiguration",
        "DeleteBucketLifecycle",
    ),
    *_configuration(
        "ObjectLockConfiguration",
        "object-lock",
        "s3:GetBucketObjectLockConfiguration",
        "s3:PutBucketObjectLockConfiguration",
    ),
    _of_bucket("ListObjects", "GET", "", "s3:ListBucket", optional=_LISTING | {"marker"}, is_data=True),
    _of_bucket(
        "ListObjectsV2",
        "GET",
        "",
        "s3:ListBucket",
        marks={"list-type": "2"},
        optional=_LISTING | {"continuation-token", "fetch-owner", "start-after"},
        is_data=True,
    ),
    _of_bucket(
        "ListObjectVersions",
        "GET",
        "versions",
        "s3:ListBucketVersions",
        optional=_LISTING | {"key-marker", "version-id-marker"},
        is_data=True,
    ),
    _of_bucket(
        "ListMultipartUploads",
        "GET",
        "uploads",
        "s3:ListBucketMultipartUploads",
        optional=frozenset(
            {"prefix", "delimiter", "encoding-type", "key-marker", "max-uploads", "upload-id-marker"}
        ),
        is_data=True,
    ),
    S3Operation(
        "DeleteObjects",
        "POST",
        S3Level.BUCKET,
        (_DELETE, _BYPASS),
        {"delete": ""},
        takes_body=True,
        is_data=True,
        answer=AnsweredBy.EACH_KEY,
    ),
]
_FORM_ROW = S3Operation(
    "PostObject", "POST", S3Level.BUCKET, _WRITES, takes_body=True, is_data=True, answer=AnsweredBy.FORM
)
_UPLOAD: Mapping[str, str | None] = {"uploadId": None}
_PART: Mapping[str, str | None] = {"uploadId": None, "partNumber": None}
_OBJECT_ROWS = [
    _of_object("GetObject", "GET", _READ, optional=_RESPONSE),
    _of_object("HeadObject", "HEAD", _READ, optional=_RESPONSE),
    _of_object("PutObject", "PUT", *_WRITES, takes_body=True),
    _of_object("CopyObject", "PUT", *_WRITES, _READS_SOURCE, copies=True),
    _of_object("DeleteObject", "DELETE", _DELETE, _BYPASS, optional=_VERSION),
    _of_object(
        "GetObjectAttributes",
        "GET",
        _READ,
        Need("s3:GetObjectAttributes", On.OBJECT, "s3:GetObjectVersionAttributes"),
        marks={"attributes": ""},
        optional=_VERSION,
    ),
    _of_object(
        "GetObjectTagging",
        "GET",
        Need("s3:GetObjectTagging", On.OBJECT, "s3:GetObjectVersionTagging"),
        marks={"tagging": ""},
        optional=_VERSION,
    ),
    _of_object(
        "PutObjectTagging",
        "PUT",
        Need("s3:PutObjectTagging", On.OBJECT, "s3:PutObjectVersionTagging"),
        marks={"tagging": ""},
        optional=_VERSION,
        takes_body=True,
    ),
    _of_object(
        "DeleteObjectTagging",
        "DELETE",
        Need("s3:DeleteObjectTagging", On.OBJECT, "s3:DeleteObjectVersionTagging"),
        marks={"tagging": ""},
        optional=_VERSION,
    ),
    _of_object(
        "GetObjectRetention",
        "GET",
        Need("s3:GetObjectRetention", On.OBJECT),
        marks={"retention": ""},
        optional=_VERSION,
    ),
    _of_object(
        "PutObjectRetention",
        "PUT",
        Need("s3:PutObjectRetention", On.OBJECT),
        _BYPASS,
        marks={"retention": ""},
        optional=_VERSION,
        takes_body=True,
    ),
    _of_object(
        "GetObjectLegalHold",
        "GET",
        Need("s3:GetObjectLegalHold", On.OBJECT),
        marks={"legal-hold": ""},
        optional=_VERSION,
    ),
    _of_object(
        "PutObjectLegalHold",
        "PUT",
        Need("s3:PutObjectLegalHold", On.OBJECT),
        marks={"legal-hold": ""},
        optional=_VERSION,
        takes_body=True,
    ),
    _of_object(
        "GetObjectAcl",
        "GET",
        Need("s3:GetObjectAcl", On.OBJECT, "s3:GetObjectVersionAcl"),
        marks={"acl": ""},
        optional=_VERSION,
        answer=AnsweredBy.GATEWAY,
    ),
    _of_object(
        "PutObjectAcl",
        "PUT",
        Need("s3:PutObjectAcl", On.OBJECT, "s3:PutObjectVersionAcl"),
        marks={"acl": ""},
        optional=_VERSION,
        answer=AnsweredBy.GATEWAY,
    ),
    _of_object("CreateMultipartUpload", "POST", *_WRITES, marks={"uploads": ""}),
    _of_object("UploadPart", "PUT", _PUT_OBJECT, marks=_PART, takes_body=True),
    _of_object("UploadPartCopy", "PUT", _PUT_OBJECT, _READS_SOURCE, marks=_PART, copies=True),
    _of_object("CompleteMultipartUpload", "POST", _PUT_OBJECT, marks=_UPLOAD, takes_body=True),
    _of_object("AbortMultipartUpload", "DELETE", Need("s3:AbortMultipartUpload", On.OBJECT), marks=_UPLOAD),
    _of_object(
        "ListParts",
        "GET",
        Need("s3:ListMultipartUploadParts", On.OBJECT),
        marks=_UPLOAD,
        optional=frozenset({"max-parts", "part-number-marker", "encoding-type"}),
    ),
    _of_object(
        "SelectObjectContent",
        "POST",
        Need("s3:GetObject", On.OBJECT),
        marks={"select": "", "select-type": "2"},
        takes_body=True,
    ),
]
OPERATIONS: tuple[S3Operation, ...] = (*_SERVICE_ROWS, *_BUCKET_ROWS, _FORM_ROW, *_OBJECT_ROWS)
_ROWS = {
    (method, level): tuple(row for row in OPERATIONS if (row.method, row.level) == (method, level))
    for method in ("GET", "HEAD", "PUT", "POST", "DELETE")
    for level in S3Level
}


def find_operation(incoming: Incoming) -> S3Operation:
    """The one operation that `incoming` is. Raises Refusal NotImplemented where it is none."""
    matching = [row for row in _ROWS.get((incoming.method, level_of(incoming)), ()) if _is(row, incoming)]
    if len(matching) != 1:
        shown = "&".join(sorted(incoming.query)) or "no query"
        raise not_implemented(f"{incoming.method} with {shown[:128]}")
    return matching[0]


def level_of(incoming: Incoming) -> S3Level:
    if incoming.key:
        return S3Level.OBJECT
    return S3Level.BUCKET if incoming.bucket else S3Level.SERVICE


def _is(row: S3Operation, incoming: Incoming) -> bool:
    query = incoming.query
    if not row.marks.keys() <= query.keys():
        return False
    if row.copies is not ("x-amz-copy-source" in incoming.headers):
        return False
    if any(wanted is not None and query[name] != wanted for name, wanted in row.marks.items()):
        return False
    return not query.keys() - row.marks.keys() - row.optional - _ALWAYS
