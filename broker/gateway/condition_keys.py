"""The condition keys of a request to S3 (Service Authorization Reference, "Condition keys for Amazon S3").

A key that AWS leaves out of a request is left out here, too. What only the store knows (s3:ExistingObjectTag/*) is in
`broker.gateway.deciding`.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from urllib.parse import parse_qsl

import msgspec

from broker.errors import Refusal
from broker.gateway.bodies import require_tag_number
from broker.gateway.incoming import Incoming
from broker.gateway.operations import S3Operation
from broker.gateway.refusals import invalid_argument
from broker.sigv4.authorization import UnverifiedAuthorization

Keys = dict[str, str | tuple[str, ...]]

_DAY = 86_400

# Headers whose value is the key `s3:<header>`.
_OF_HEADERS = (
    "x-amz-acl",
    "x-amz-copy-source",
    "x-amz-grant-full-control",
    "x-amz-grant-read",
    "x-amz-grant-read-acp",
    "x-amz-grant-write",
    "x-amz-grant-write-acp",
    "x-amz-metadata-directive",
    "x-amz-object-ownership",
    "x-amz-server-side-encryption",
    "x-amz-server-side-encryption-aws-kms-key-id",
    "x-amz-server-side-encryption-customer-algorithm",
    "x-amz-storage-class",
    "x-amz-website-redirect-location",
    "if-match",
    "if-none-match",
)
# Query parameters whose value is the key `s3:<name>`.
_OF_QUERY = {"prefix": "prefix", "delimiter": "delimiter", "max-keys": "max-keys", "versionId": "versionid"}
_OF_LOCK = {
    "x-amz-object-lock-mode": "s3:object-lock-mode",
    "x-amz-object-lock-retain-until-date": "s3:object-lock-retain-until-date",
    "x-amz-object-lock-legal-hold": "s3:object-lock-legal-hold",
}
_CREATES = frozenset({"PutObject", "CopyObject", "CompleteMultipartUpload", "PostObject"})
_CREATES_NOT_YET = frozenset({"CreateMultipartUpload", "UploadPart", "UploadPartCopy"})


class JudgedBody(msgspec.Struct, frozen=True):
    """What is judged of a body: object tags (None where it has none), a lock, a location."""

    tags: Mapping[str, str] | None = None
    lock_mode: str = ""
    retain_until: str = ""
    legal_hold: str = ""
    location: str = ""


def request_keys(incoming: Incoming, operation: S3Operation, body: JudgedBody, now: float) -> Keys:
    """The keys of what is asked for; raises Refusal for a header that has no meaning."""
    keys: Keys = {f"s3:{name}": incoming.headers[name] for name in _OF_HEADERS if name in incoming.headers}
    for name, key in _OF_QUERY.items():
        if name in incoming.query:
            keys[f"s3:{key}"] = incoming.query[name]
    for name, key in _OF_LOCK.items():
        if name in incoming.headers:
            keys[key] = incoming.headers[name]
    _add_body(keys, body)
    tags = (
        read_tag_header(incoming.headers["x-amz-tagging"])
        if "x-amz-tagging" in incoming.headers
        else body.tags
    )
    if tags is not None:
        _add_tags(keys, tags)
    if (until := keys.get("s3:object-lock-retain-until-date")) is not None:
        keys["s3:object-lock-remaining-retention-days"] = str(remaining_days(str(until), now))
    if operation.name in _CREATES | _CREATES_NOT_YET:
        keys["s3:ObjectCreationOperation"] = "true" if operation.name in _CREATES else "false"
    return keys


def signature_keys(
    authorization: UnverifiedAuthorization | None,
    payload: str,
    now: float,
    tls_version: str,
    *,
    is_form: bool,
) -> Keys:
    """The keys of how a request came; `payload` is what was signed of its body, `tls_version` 1.2 or 1.3 or empty."""
    keys: Keys = {"s3:TlsVersion": tls_version} if tls_version else {}
    if authorization is None:
        return keys
    in_request = "REST-QUERY-STRING" if authorization.presigned else "REST-HEADER"
    keys["s3:authType"] = "POST" if is_form else in_request
    keys["s3:signatureversion"] = authorization.signer.scope.algorithm
    keys["s3:signatureAge"] = str(max(0, int((now - authorization.timestamp) * 1000)))
    keys["s3:x-amz-content-sha256"] = payload
    return keys


def read_tag_header(text: str) -> dict[str, str]:
    """x-amz-tagging: "encoded as URL query parameters". Raises Refusal."""
    try:
        pairs = parse_qsl(text, keep_blank_values=True, strict_parsing=bool(text), errors="strict")
    except ValueError:
        raise _no_tags() from None
    tags = dict(pairs)
    if len(tags) != len(pairs) or not all(tags):
        raise _no_tags()
    require_tag_number(tags)
    return tags


def _no_tags() -> Refusal:
    return invalid_argument(
        "The header 'x-amz-tagging' shall be encoded as UTF-8 then URLEncoded URL query parameters without tag name "
        "duplicates."
    )


def _add_body(keys: Keys, body: JudgedBody) -> None:
    for key, value in (
        ("s3:object-lock-mode", body.lock_mode),
        ("s3:object-lock-retain-until-date", body.retain_until),
        ("s3:object-lock-legal-hold", body.legal_hold),
        ("s3:locationconstraint", body.location),
    ):
        if value:
            keys[key] = value


def _add_tags(keys: Keys, tags: Mapping[str, str]) -> None:
    """Tags whose keys differ in case only become one key with several values, which nothing can be allowed by."""
    keys["s3:RequestObjectTagKeys"] = tuple(tags)
    for key, value in tags.items():
        name = f"s3:requestobjecttag/{key.lower()}"
        had = keys.get(name, ())
        assert not isinstance(had, str)
        keys[name] = (*had, value)


def remaining_days(retain_until: str, now: float) -> int:
    """Whole days until then. Raises Refusal for what is no date."""
    try:
        moment = datetime.fromisoformat(retain_until)
    except ValueError:
        raise Refusal(
            "InvalidArgument", "The retain until date must be provided in ISO 8601 format"
        ) from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return int((moment.timestamp() - now) // _DAY)
