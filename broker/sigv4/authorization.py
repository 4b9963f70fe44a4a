"""Authorization header or presigned query -> what the client claims to have signed. Nothing here is proven.

"Create a signed AWS API request", step "Add the signature to the request": the header form is
`ALGORITHM Credential=..., SignedHeaders=..., Signature=...`, the query form spells the same as `X-Amz-...`.
A SigV4A request claims its regions in X-Amz-Region-Set.
"""

from collections.abc import Mapping
from functools import lru_cache

import msgspec

from broker.errors import Refusal
from broker.sigv4 import refusals
from broker.sigv4.encoding import query_pairs, trimmed, wire_text
from broker.sigv4.signer import ASYMMETRIC, LONGEST_REPEATED, UnverifiedSigner, read_signer
from broker.sigv4.timestamps import format_timestamp, parse_time

LONGEST_EXPIRES = 604_800  # seconds, seven days: "Authenticating requests: using query parameters"

# Headers that this package or its callers act on: a repeated one is refused.
_SINGLE_HEADERS = frozenset(
    {
        "authorization",
        "date",
        "host",
        "x-amz-content-sha256",
        "x-amz-date",
        "x-amz-region-set",
        "x-amz-security-token",
        "x-amz-x509",
        "x-amz-x509-chain",
    }
)
_REQUIRED_QUERY = (
    "X-Amz-Algorithm",
    "X-Amz-Credential",
    "X-Amz-Signature",
    "X-Amz-SignedHeaders",
    "X-Amz-Date",
)
_KNOWN_QUERY = frozenset({*_REQUIRED_QUERY, "X-Amz-Expires", "X-Amz-Security-Token", "X-Amz-Region-Set"})


class UnverifiedRequest(msgspec.Struct, frozen=True):
    """An HTTP request as it arrived.

    `path` and `query` are raw, percent-encoded as on the request line, `query` without its `?`; `headers` have
    lower-case names and stand in their order of arrival, repeated ones included. Bytes that are not UTF-8 are
    surrogate escapes.
    """

    method: str
    path: str
    query: str
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def __repr__(self) -> str:
        return (
            f"UnverifiedRequest({self.method} {self.path}, ***)"  # tokens and passwords may be anywhere in it
        )


class UnverifiedAuthorization(msgspec.Struct, frozen=True):
    """What the client claims of its signature, and the request that carries the claim.

    `headers` are those of `request` by name, the values of repeated ones joined by commas. `timestamp` is the signing
    time in epoch seconds and `signed_at` the same as YYYYMMDDTHHMMSSZ. `expires` is the life of a presigned URL in
    seconds, None where the request is not presigned or does not state it. `region_set` is what SigV4A claims instead of
    a region.
    """

    request: UnverifiedRequest
    headers: Mapping[str, str]
    signer: UnverifiedSigner
    signature: str
    timestamp: int
    signed_at: str
    session_token: str | None = None
    region_set: tuple[str, ...] = ()
    presigned: bool = False
    expires: int | None = None

    @property
    def access_key_id(self) -> str:
        return self.signer.access_key_id

    @property
    def region(self) -> str:
        return self.signer.scope.region

    @property
    def service(self) -> str:
        return self.signer.scope.service

    def __repr__(self) -> str:
        return f"UnverifiedAuthorization({self.access_key_id}, {self.signed_at}, ***)"


def find_authorization(request: UnverifiedRequest) -> UnverifiedAuthorization | None:
    """The authorization that `request` carries, or None where it is not signed.

    Raises Refusal IncompleteSignature naming every missing part, or SignatureDoesNotMatch where the two forms
    are mixed or the credential's terminator is wrong.
    """
    headers = dict(request.headers)
    parameters = _presigned_parameters(request.query) if "X-Amz-" in request.query else None
    if "authorization" not in headers and not parameters:
        return None
    if len(headers) != len(request.headers):
        headers = _joined(request.headers)
    if not parameters:
        return _from_header(request, headers)
    if "authorization" in headers:
        raise refusals.both_header_and_query()
    return _from_query(request, headers, parameters)


def _joined(headers: tuple[tuple[str, str], ...]) -> dict[str, str]:
    """Raises Refusal IncompleteSignature where one of _SINGLE_HEADERS is repeated."""
    joined: dict[str, str] = {}
    for name, value in headers:
        if name not in joined:
            joined[name] = value
        elif name in _SINGLE_HEADERS:
            raise refusals.repeated(name)
        else:
            joined[name] = f"{trimmed(joined[name])},{trimmed(value)}"
    return joined


def _presigned_parameters(query: str) -> dict[str, str]:
    """The authorization's parameters in `query`, or nothing where it holds no part of a signature.

    A percent-encoded spelling of their names is not recognised: such a request counts as unsigned.
    """
    found: dict[str, str] = {}
    for raw_name, raw_value in query_pairs(query):
        name = wire_text(raw_name)
        if name in _KNOWN_QUERY:
            if name in found:
                raise refusals.repeated(name)
            found[name] = wire_text(raw_value)
    is_signed = any(name in found for name in ("X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Signature"))
    return found if is_signed else {}


def _from_header(request: UnverifiedRequest, headers: Mapping[str, str]) -> UnverifiedAuthorization:
    header = headers["authorization"].strip()
    # "AWS first checks the x-amz-date header [...], then it looks for the date header" (Handling dates)
    date_text = headers.get("x-amz-date") or headers.get("date") or ""
    before, _, signature = header.rpartition("Signature=")
    is_one_part = "," not in signature and signature.split() == [signature]
    is_usual = is_one_part and date_text and len(before) <= LONGEST_REPEATED
    signer = _find_signer(before) if is_usual else None
    region_set: tuple[str, ...] = ()
    if signer is None or signer.scope.algorithm == ASYMMETRIC:
        region_text = headers.get("x-amz-region-set") or ""
        signer, signature = _read_header(header, date_text, region_text)
        region_set = _parse_region_set(region_text) if signer.scope.algorithm == ASYMMETRIC else ()
    timestamp, signed_at = _signing_time(date_text)
    token = headers.get("x-amz-security-token") or None
    return UnverifiedAuthorization(
        request, headers, signer, signature, timestamp, signed_at, token, region_set
    )


@lru_cache(maxsize=4096)
def _find_signer(before_signature: str) -> UnverifiedSigner | None:
    """The signer of a header, from the part before its signature, so that it can be cached for all signatures.

    Only for signatures without comma or space, which do not change how the rest is read. None for a header that must be
    refused, or read in full.
    """
    try:
        algorithm, parts = _header_parts(f"{before_signature}Signature=0")
        signer = read_signer(algorithm, parts["Credential"], parts["SignedHeaders"])
    except (KeyError, Refusal):
        return None
    # The last part must be the signature: the name of another part may end with "Signature".
    return signer if list(parts)[-1] == "Signature" else None


def _read_header(header: str, date_text: str, region_set: str) -> tuple[UnverifiedSigner, str]:
    """Signer and signature of a complete header. Every refusal of a header is made here."""
    algorithm, parts = _header_parts(header)
    missing = [
        f"Authorization header requires '{name}' parameter."
        for name in ("Credential", "Signature", "SignedHeaders")
        if not parts.get(name)
    ]
    if not date_text:
        missing.append("Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header.")
    if algorithm == ASYMMETRIC and not region_set:
        missing.append("Authorization header requires existence of a 'X-Amz-Region-Set' header.")
    if missing:
        raise refusals.missing_header_parts(missing, header)
    _signing_time(date_text)  # an invalid date is refused before an invalid credential
    return read_signer(algorithm, parts["Credential"], parts["SignedHeaders"]), parts["Signature"]


def _header_parts(header: str) -> tuple[str, dict[str, str]]:
    """The algorithm and the `name=value` parts behind it."""
    algorithm, _, rest = header.partition(" ")
    parts: dict[str, str] = {}
    for part in rest.replace(",", " ").split():
        name, equals, value = part.partition("=")
        if not equals:
            raise refusals.not_key_and_value(header)
        if name in parts:
            raise refusals.repeated(name)
        parts[name] = value
    return algorithm, parts


def _from_query(
    request: UnverifiedRequest, headers: Mapping[str, str], parameters: dict[str, str]
) -> UnverifiedAuthorization:
    algorithm = parameters.get("X-Amz-Algorithm", "")
    required = (*_REQUIRED_QUERY, "X-Amz-Region-Set") if algorithm == ASYMMETRIC else _REQUIRED_QUERY
    if missing := [name for name in required if not parameters.get(name)]:
        raise refusals.missing_query_parts(missing)
    timestamp, signed_at = _signing_time(parameters["X-Amz-Date"])
    return UnverifiedAuthorization(
        request,
        headers,
        read_signer(algorithm, parameters["X-Amz-Credential"], parameters["X-Amz-SignedHeaders"]),
        parameters["X-Amz-Signature"],
        timestamp,
        signed_at,
        session_token=parameters.get("X-Amz-Security-Token") or None,
        region_set=_parse_region_set(parameters["X-Amz-Region-Set"]) if algorithm == ASYMMETRIC else (),
        presigned=True,
        expires=_parse_expires(parameters.get("X-Amz-Expires")),
    )


@lru_cache(maxsize=1024)
def _signing_time(text: str) -> tuple[int, str]:
    """Epoch seconds, and the same as YYYYMMDDTHHMMSSZ."""
    try:
        timestamp = parse_time(text)
    except ValueError:
        raise refusals.malformed_date(text) from None
    return timestamp, text if text.endswith("Z") else format_timestamp(timestamp)


def _parse_region_set(text: str) -> tuple[str, ...]:
    return tuple(region.strip() for region in text.split(","))


def _parse_expires(text: str | None) -> int | None:
    """Seconds from 1 to LONGEST_EXPIRES; the messages are S3's, the only service that documents the limits."""
    if text is None:
        return None
    if not text.isascii() or not text.removeprefix("-").isdigit() or len(text) > 12:
        raise refusals.incomplete("X-Amz-Expires should be a number")
    expires = int(text)
    if expires < 1:
        raise refusals.incomplete("X-Amz-Expires must be non-negative")
    if expires > LONGEST_EXPIRES:
        raise refusals.incomplete(
            "X-Amz-Expires must be less than a week (in seconds); that is, the given X-Amz-Expires must be less "
            "than 604800 seconds"
        )
    return expires
