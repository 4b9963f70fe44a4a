"""A request as its operation sees it: bucket, key, query and headers, each read once and strictly.

Presigned URLs carry headers in their query ("x-amz-… headers may be hoisted"); a store may obey them there. So they
become headers here, and none is left in the query. What is not known is refused, not passed on.
"""

from collections.abc import Mapping

import msgspec

from broker.errors import Refusal
from broker.gateway.address import Address, KeyRules, read_address, require_prefix
from broker.gateway.refusals import invalid_argument, not_implemented
from broker.sigv4.authorization import UnverifiedRequest
from broker.sigv4.encoding import query_pairs, trimmed

# Query parameters of a presigned URL itself, spelled exactly so ("Authenticating requests: using query parameters").
_OF_SIGNATURE = frozenset(
    {
        "X-Amz-Algorithm",
        "X-Amz-Credential",
        "X-Amz-Date",
        "X-Amz-Expires",
        "X-Amz-SignedHeaders",
        "X-Amz-Signature",
        "X-Amz-Security-Token",
        "X-Amz-Region-Set",
        "X-Amz-Content-Sha256",
    }
)
# Headers of the connection and of the signature: read elsewhere, never passed on.
OF_TRANSPORT = frozenset(
    {
        "x-amz-api-version",
        "x-amz-content-sha256",
        "x-amz-date",
        "x-amz-decoded-content-length",
        "x-amz-region-set",
        "x-amz-request-payer",
        "x-amz-security-token",
        "x-amz-te",  # an offer to read an MD5 behind an answer: it need not be taken up
        "x-amz-trailer",
        "x-amz-user-agent",
    }
)
METADATA = "x-amz-meta-"
# What an operation may be sent beside its signature; other `x-amz-` headers are refused.
_KNOWN = frozenset(
    {
        "x-amz-acl",
        "x-amz-bucket-object-lock-enabled",
        "x-amz-bypass-governance-retention",
        "x-amz-checksum-algorithm",
        "x-amz-checksum-crc32",
        "x-amz-checksum-crc32c",
        "x-amz-checksum-crc64nvme",
        "x-amz-checksum-md5",
        "x-amz-checksum-mode",
        "x-amz-checksum-sha1",
        "x-amz-checksum-sha256",
        "x-amz-checksum-sha512",
        "x-amz-checksum-type",
        "x-amz-checksum-xxhash128",
        "x-amz-checksum-xxhash3",
        "x-amz-checksum-xxhash64",
        "x-amz-confirm-remove-self-bucket-access",
        "x-amz-copy-source",
        "x-amz-copy-source-if-match",
        "x-amz-copy-source-if-modified-since",
        "x-amz-copy-source-if-none-match",
        "x-amz-copy-source-if-unmodified-since",
        "x-amz-copy-source-range",
        "x-amz-copy-source-server-side-encryption-customer-algorithm",
        "x-amz-copy-source-server-side-encryption-customer-key",
        "x-amz-copy-source-server-side-encryption-customer-key-md5",
        "x-amz-expected-bucket-owner",
        "x-amz-grant-full-control",
        "x-amz-grant-read",
        "x-amz-grant-read-acp",
        "x-amz-grant-write",
        "x-amz-grant-write-acp",
        "x-amz-if-match-initiated-time",
        "x-amz-if-match-last-modified-time",
        "x-amz-if-match-size",
        "x-amz-max-parts",
        "x-amz-metadata-directive",
        "x-amz-mp-object-size",
        "x-amz-object-attributes",
        "x-amz-object-lock-legal-hold",
        "x-amz-object-lock-mode",
        "x-amz-object-lock-retain-until-date",
        "x-amz-object-ownership",
        "x-amz-optional-object-attributes",
        "x-amz-part-number-marker",
        "x-amz-sdk-checksum-algorithm",
        "x-amz-server-side-encryption",
        "x-amz-server-side-encryption-aws-kms-key-id",
        "x-amz-server-side-encryption-bucket-key-enabled",
        "x-amz-server-side-encryption-context",
        "x-amz-server-side-encryption-customer-algorithm",
        "x-amz-server-side-encryption-customer-key",
        "x-amz-server-side-encryption-customer-key-md5",
        "x-amz-source-expected-bucket-owner",
        "x-amz-storage-class",
        "x-amz-tagging",
        "x-amz-tagging-directive",
        "x-amz-website-redirect-location",
    }
)
_PREFIXES = ("prefix", "marker", "key-marker", "start-after")


class Incoming(msgspec.Struct, frozen=True):
    """`query` is decoded, by exact name; `headers` by lower-case name, those of the query among them.

    `is_presigned` says whether the query has the signature.
    """

    method: str
    bucket: str
    key: str
    query: Mapping[str, str]
    headers: Mapping[str, str]

    def header(self, name: str) -> str:
        return self.headers.get(name, "")


def read_incoming(request: UnverifiedRequest, rules: KeyRules) -> Incoming:
    """Raises Refusal where anything of it could be read in two ways."""
    headers = _headers(request.headers)
    if "host" not in headers:
        raise Refusal("InvalidRequest", "Missing required header for this request: host")
    address: Address = read_address(headers["host"], request.path, rules)
    query = _query(request.query, headers)
    for name in _PREFIXES:
        if name in query:
            require_prefix(name, query[name], rules)
    for name in headers:
        if name.startswith("x-amz-") and not (
            name in _KNOWN or name in OF_TRANSPORT or name.startswith(METADATA)
        ):
            raise not_implemented(name)
    return Incoming(request.method, address.bucket, address.key, query, headers)


def _headers(received: tuple[tuple[str, str], ...]) -> dict[str, str]:
    """Raises Refusal for a repeated header: one of its values would be signed, and another obeyed.

    Metadata may be repeated; its values are joined, as HTTP and the signature have them.
    """
    headers: dict[str, str] = {}
    for name, value in received:
        if name not in headers:
            headers[name] = trimmed(value) if name.startswith("x-amz-") else value.strip()
        elif name.startswith(METADATA):
            headers[name] += f",{trimmed(value)}"
        elif name.startswith("x-amz-") or name in _SINGLE:
            raise invalid_argument(f"The header {name} must not be repeated.")
    return headers


_SINGLE = frozenset(
    {
        "cache-control",
        "content-disposition",
        "content-encoding",
        "content-language",
        "content-length",
        "content-md5",
        "content-type",
        "expect",
        "expires",
        "host",
        "if-match",
        "if-modified-since",
        "if-none-match",
        "if-unmodified-since",
        "range",
        "transfer-encoding",
    }
)


def _query(raw: str, headers: dict[str, str]) -> dict[str, str]:
    """The parameters; those that are headers are moved to `headers`. Raises Refusal for a repeated one."""
    query: dict[str, str] = {}
    for raw_name, raw_value in query_pairs(raw):
        try:
            name, value = raw_name.decode(), raw_value.decode()
        except UnicodeDecodeError:
            raise invalid_argument("The query string is not UTF-8.") from None
        if name in _OF_SIGNATURE:
            continue
        into, lowered = (headers, name.lower()) if name.lower().startswith("x-amz-") else (query, name)
        if lowered in into or lowered in OF_TRANSPORT:
            raise invalid_argument(f"The query parameter {lowered[:64]} must not be given twice.")
        if into is headers and not (value.isascii() and value.isprintable()):
            raise invalid_argument(f"The query parameter {lowered[:64]} is no value of a header.")
        into[lowered] = value
    return query
