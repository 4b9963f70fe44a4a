"""Which headers of a request reach the store, and which of an answer reach the client.

What an operation does not have in S3's model is left out, as S3 ignores it; connection headers, cookies, the client's
own signature and headers of other vendors never pass.
"""

from collections.abc import Iterable, Mapping

from broker.errors import Refusal
from broker.gateway.incoming import METADATA, OF_TRANSPORT, Incoming
from broker.gateway.operations import S3Level, S3Operation
from broker.gateway.refusals import acl_not_supported, invalid_argument

AWS_CHUNKED = "aws-chunked"

_CHECKSUMS = frozenset(
    f"x-amz-checksum-{name}"
    for name in (
        "crc32",
        "crc32c",
        "crc64nvme",
        "md5",
        "sha1",
        "sha256",
        "sha512",
        "xxhash64",
        "xxhash3",
        "xxhash128",
    )
)
_BODY = _CHECKSUMS | {"content-type", "content-md5", "x-amz-sdk-checksum-algorithm"}
_CUSTOMER_KEY = frozenset(
    f"x-amz-server-side-encryption-customer-{name}" for name in ("algorithm", "key", "key-md5")
)
_CONDITIONS = frozenset({"if-match", "if-none-match", "if-modified-since", "if-unmodified-since"})
_READ = _CONDITIONS | _CUSTOMER_KEY | {"range", "x-amz-checksum-mode"}
_PROPERTIES = _CUSTOMER_KEY | {
    "cache-control",
    "content-disposition",
    "content-encoding",
    "content-language",
    "content-type",
    "expires",
    "x-amz-object-lock-legal-hold",
    "x-amz-object-lock-mode",
    "x-amz-object-lock-retain-until-date",
    "x-amz-server-side-encryption",
    "x-amz-server-side-encryption-aws-kms-key-id",
    "x-amz-server-side-encryption-bucket-key-enabled",
    "x-amz-server-side-encryption-context",
    "x-amz-storage-class",
    "x-amz-tagging",
    "x-amz-website-redirect-location",
}
_COPY = frozenset(
    {
        "x-amz-copy-source-if-match",
        "x-amz-copy-source-if-modified-since",
        "x-amz-copy-source-if-none-match",
        "x-amz-copy-source-if-unmodified-since",
        "x-amz-copy-source-server-side-encryption-customer-algorithm",
        "x-amz-copy-source-server-side-encryption-customer-key",
        "x-amz-copy-source-server-side-encryption-customer-key-md5",
    }
)
_WRITE_CONDITIONS = frozenset({"if-match", "if-none-match"})

# S3Operation -> the headers that it passes on. One that is missing here passes those of a body.
_OF_OPERATION: Mapping[str, frozenset[str]] = {
    "GetObject": _READ,
    "HeadObject": _READ,
    "GetObjectAttributes": _CUSTOMER_KEY
    | {"x-amz-max-parts", "x-amz-part-number-marker", "x-amz-object-attributes"},
    "PutObject": _PROPERTIES | _BODY | _WRITE_CONDITIONS,
    "PostObject": _PROPERTIES | _BODY,
    "CopyObject": _PROPERTIES
    | _COPY
    | _WRITE_CONDITIONS
    | {"x-amz-checksum-algorithm", "x-amz-metadata-directive", "x-amz-tagging-directive"},
    "CreateMultipartUpload": _PROPERTIES | {"x-amz-checksum-algorithm", "x-amz-checksum-type"},
    "UploadPart": _CUSTOMER_KEY | _BODY,
    "UploadPartCopy": _CUSTOMER_KEY | _COPY | {"x-amz-copy-source-range"},
    "CompleteMultipartUpload": _CUSTOMER_KEY
    | _BODY
    | _WRITE_CONDITIONS
    | {"x-amz-checksum-type", "x-amz-mp-object-size"},
    "AbortMultipartUpload": frozenset({"x-amz-if-match-initiated-time"}),
    "ListParts": _CUSTOMER_KEY,
    "SelectObjectContent": _CUSTOMER_KEY | _BODY,
    "DeleteObject": frozenset(
        {
            "if-match",
            "x-amz-bypass-governance-retention",
            "x-amz-if-match-last-modified-time",
            "x-amz-if-match-size",
        }
    ),
    "DeleteObjects": frozenset({"x-amz-bypass-governance-retention"}),
    "PutObjectRetention": _BODY | {"x-amz-bypass-governance-retention"},
    "ListObjects": frozenset({"x-amz-optional-object-attributes"}),
    "ListObjectsV2": frozenset({"x-amz-optional-object-attributes"}),
    "ListObjectVersions": frozenset({"x-amz-optional-object-attributes"}),
}
_HAVE_METADATA = frozenset({"PutObject", "PostObject", "CopyObject", "CreateMultipartUpload"})
_GRANTS = (
    "x-amz-grant-full-control",
    "x-amz-grant-read",
    "x-amz-grant-read-acp",
    "x-amz-grant-write",
    "x-amz-grant-write-acp",
)
_DIRECTIVES = frozenset({"COPY", "REPLACE"})
# An object or bucket belongs to its account alone, which these say, too.
_OWNERS_ACLS = frozenset({"private", "bucket-owner-full-control"})

# Of an answer: everything that describes an object, and nothing that describes the store.
_ANSWERED = frozenset(
    {
        "accept-ranges",
        "cache-control",
        "content-disposition",
        "content-encoding",
        "content-language",
        "content-length",
        "content-range",
        "content-type",
        "etag",
        "expires",
        "last-modified",
    }
)
# DANGER: a store may keep headers of the request that wrote an object, and send them to each reader: those of the
# gateway's own signature, its session token among them.
_HIDDEN = OF_TRANSPORT | {
    "x-amz-bucket-region",
    "x-amz-id-2",
    "x-amz-request-id",
    "x-amz-sdk-checksum-algorithm",
    "x-amz-transfer-encoding",  # which takes up an offer that the store was not made
}


def forwarded_headers(incoming: Incoming, operation: S3Operation) -> dict[str, str]:
    """Raises Refusal for ACLs that give others access, and for a header that is not UTF-8."""
    if operation.level is not S3Level.SERVICE:
        refuse_acls(incoming)
    names = _OF_OPERATION.get(operation.name, _BODY if operation.takes_body else frozenset())
    passed = {name: value for name, value in incoming.headers.items() if name in names}
    if operation.name in _HAVE_METADATA:
        passed |= {name: value for name, value in incoming.headers.items() if name.startswith(METADATA)}
    if "content-encoding" in passed:
        passed["content-encoding"] = _without_chunked(passed["content-encoding"])
        if not passed["content-encoding"]:
            del passed["content-encoding"]
    for name, value in passed.items():
        if not value.isprintable():
            raise invalid_argument(f"The header {name[:64]} is not printable UTF-8.")
    return passed


def is_of_form(name: str) -> bool:
    """Whether a field of a form may be this header of the upload."""
    return name in _OF_OPERATION["PostObject"] or name.startswith(METADATA) or name in _GRANTS


def refuse_acls(incoming: Incoming) -> None:
    if incoming.header("x-amz-acl") not in ("", *_OWNERS_ACLS) or any(
        incoming.header(name) for name in _GRANTS
    ):
        raise acl_not_supported()


def require_known_directives(incoming: Incoming) -> None:
    """Of a copy, each in its one spelling: what a store does not know as REPLACE, it takes for COPY."""
    for what in ("metadata", "tagging"):
        if incoming.headers.get(f"x-amz-{what}-directive", "COPY") not in _DIRECTIVES:
            raise invalid_argument(f"Unknown {what} directive.")


def is_chunked(incoming: Incoming) -> bool:
    """Whether the content encoding says aws-chunked, as the signature of such a body also does."""
    return AWS_CHUNKED in incoming.header("content-encoding")


def _without_chunked(encoding: str) -> str:
    """The clause: S3 stores the object without the aws-chunked value in the content-encoding header."""
    return ",".join(one.strip() for one in encoding.split(",") if one.strip().lower() != AWS_CHUNKED)


def answered_headers(
    received: Iterable[tuple[str, str]], *, is_partial: bool = False
) -> list[tuple[str, str]]:
    """`is_partial` is for an answer with a range: a checksum of the whole object is none of it, and S3 sends none.

    Names of metadata are in lower case, as S3 has them: boto3 and the AWS CLI look for them so.
    """
    hidden = _HIDDEN | _CHECKSUMS if is_partial else _HIDDEN
    return [
        (lowered if lowered.startswith(METADATA) else name, value)
        for name, value in received
        if (lowered := name.lower()) in _ANSWERED or (lowered.startswith("x-amz-") and lowered not in hidden)
    ]


def refuse_chosen_headers(incoming: Incoming) -> None:
    """The clause: the response header parameters "cannot be used with an unsigned (anonymous) request" (GetObject)."""
    if any(name.startswith("response-") for name in incoming.query):
        raise Refusal(
            "InvalidRequest", "Request specific response headers cannot be used for anonymous GET requests."
        )


def require_owner(incoming: Incoming, header: str, owner: str) -> None:
    """The clause: "If the account ID that you provide does not match [...], the request fails with 403"."""
    expected = incoming.header(header)
    if expected and expected != owner:
        raise Refusal("AccessDenied", "Access Denied", reason=f"{header} is not the owner")
