"""Authorization header or presigned query -> what the client claims to have signed. Nothing here is proven.

"Create a signed AWS API request", step "Add the signature to the request": the header form is
`ALGORITHM Credential=..., SignedHeaders=..., Signature=...`, the query form spells the same as `X-Amz-...`.
A SigV4A credential has no region; the regions stand in X-Amz-Region-Set.
"""

import re

import msgspec

from broker.sigv4 import refusals
from broker.sigv4.encoding import query_pairs, wire_text
from broker.sigv4.timestamps import format_timestamp, parse_time

SYMMETRIC = "AWS4-HMAC-SHA256"
ASYMMETRIC = "AWS4-ECDSA-P256-SHA256"
TERMINATOR = "aws4_request"
LONGEST_EXPIRES = 604_800  # seconds, seven days: "Authenticating requests: using query parameters"

# Headers that this package or its callers act on: two of a kind are refused rather than interpreted.
_SINGLE_HEADERS = frozenset(
    {
        "authorization",
        "date",
        "host",
        "x-amz-content-sha256",
        "x-amz-date",
        "x-amz-region-set",
        "x-amz-security-token",
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
_SIGNED_HEADERS = re.compile(r"[!#$%&'*+.^_`|~0-9a-z;-]+")  # RFC 9110 tokens, lower case


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
    """What the client says of its signature.

    `date` is the scope's YYYYMMDD, `timestamp` the signing time in epoch seconds and `signed_at` the same as
    YYYYMMDDTHHMMSSZ. SigV4 names one `region`; SigV4A leaves it empty and claims a `region_set` instead.
    `signed_headers` are lower-case and sorted. `expires` is the life of a presigned URL in seconds, None where
    the request is not presigned or does not say.
    """

    algorithm: str
    access_key_id: str
    date: str
    region: str
    service: str
    signed_headers: tuple[str, ...]
    signature: str
    timestamp: int
    signed_at: str
    session_token: str | None = None
    presigned: bool = False
    expires: int | None = None
    region_set: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"UnverifiedAuthorization({self.access_key_id}, {self.signed_at}, ***)"


def find_authorization(request: UnverifiedRequest) -> UnverifiedAuthorization | None:
    """The authorization that `request` carries, or None where it is not signed at all.

    Raises Refusal IncompleteSignature naming every missing part, or SignatureDoesNotMatch where the two forms
    are mixed or the credential's terminator is wrong.
    """
    headers: dict[str, str] = {}
    repeated_header = ""
    for name, value in request.headers:
        if name in _SINGLE_HEADERS:
            repeated_header = name if name in headers else repeated_header
            headers[name] = value
    parameters = _presigned_parameters(request.query)
    if "authorization" not in headers and not parameters:
        return None
    if repeated_header:
        raise refusals.repeated(repeated_header)
    if not parameters:
        return _from_header(headers)
    if "authorization" in headers:
        raise refusals.both_header_and_query()
    return _from_query(parameters)


def _presigned_parameters(query: str) -> dict[str, str]:
    """The authorization's parameters in `query`, or nothing where it holds no part of a signature.

    An encoded spelling of their names is not recognised: such a request counts as unsigned.
    """
    found: dict[str, str] = {}
    for raw_name, raw_value in query_pairs(query) if "X-Amz-" in query else ():
        name = wire_text(raw_name)
        if name in _KNOWN_QUERY:
            if name in found:
                raise refusals.repeated(name)
            found[name] = wire_text(raw_value)
    is_signed = any(name in found for name in ("X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Signature"))
    return found if is_signed else {}


def _from_header(headers: dict[str, str]) -> UnverifiedAuthorization:
    header = headers["authorization"].strip()
    algorithm, _, rest = header.partition(" ")
    fields: dict[str, str] = {}
    for part in rest.replace(",", " ").split():
        name, equals, value = part.partition("=")
        if not equals:
            raise refusals.not_key_and_value(part, header)
        if name in fields:
            raise refusals.repeated(name)
        fields[name] = value
    asymmetric = algorithm == ASYMMETRIC
    _require_header_parts(fields, headers, header, asymmetric=asymmetric)
    # "AWS first checks the x-amz-date header [...], then it looks for the date header" (Handling dates)
    date_text = headers.get("x-amz-date") or headers["date"]
    timestamp = _parse_time(date_text)
    access_key_id, date, region, service = _parse_credential(algorithm, fields["Credential"])
    return UnverifiedAuthorization(
        algorithm=algorithm,
        access_key_id=access_key_id,
        date=date,
        region=region,
        service=service,
        signed_headers=_parse_signed_headers(fields["SignedHeaders"]),
        signature=fields["Signature"],
        timestamp=timestamp,
        signed_at=date_text if date_text.endswith("Z") else format_timestamp(timestamp),
        session_token=headers.get("x-amz-security-token") or None,
        region_set=_parse_region_set(headers["x-amz-region-set"]) if asymmetric else (),
    )


def _require_header_parts(
    fields: dict[str, str], headers: dict[str, str], header: str, *, asymmetric: bool
) -> None:
    """Every missing part is named in one answer."""
    missing = [
        f"Authorization header requires '{name}' parameter."
        for name in ("Credential", "Signature", "SignedHeaders")
        if not fields.get(name)
    ]
    if not headers.get("x-amz-date") and not headers.get("date"):
        missing.append("Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header.")
    if asymmetric and not headers.get("x-amz-region-set"):
        missing.append("Authorization header requires existence of a 'X-Amz-Region-Set' header.")
    if missing:
        raise refusals.missing_header_parts(missing, header)


def _from_query(parameters: dict[str, str]) -> UnverifiedAuthorization:
    algorithm = parameters.get("X-Amz-Algorithm", "")
    required = (*_REQUIRED_QUERY, "X-Amz-Region-Set") if algorithm == ASYMMETRIC else _REQUIRED_QUERY
    if missing := [name for name in required if not parameters.get(name)]:
        raise refusals.missing_query_parts(missing)
    date_text = parameters["X-Amz-Date"]
    timestamp = _parse_time(date_text)
    access_key_id, date, region, service = _parse_credential(algorithm, parameters["X-Amz-Credential"])
    return UnverifiedAuthorization(
        algorithm=algorithm,
        access_key_id=access_key_id,
        date=date,
        region=region,
        service=service,
        signed_headers=_parse_signed_headers(parameters["X-Amz-SignedHeaders"]),
        signature=parameters["X-Amz-Signature"],
        timestamp=timestamp,
        signed_at=date_text if date_text.endswith("Z") else format_timestamp(timestamp),
        session_token=parameters.get("X-Amz-Security-Token") or None,
        presigned=True,
        expires=_parse_expires(parameters.get("X-Amz-Expires")),
        region_set=_parse_region_set(parameters["X-Amz-Region-Set"]) if algorithm == ASYMMETRIC else (),
    )


def _parse_time(text: str) -> int:
    try:
        return parse_time(text)
    except ValueError:
        raise refusals.malformed_date(text) from None


def _parse_credential(algorithm: str, credential: str) -> tuple[str, str, str, str]:
    """Access key id, date, region (empty for SigV4A) and service."""
    parts = credential.split("/")
    if algorithm == SYMMETRIC:
        if len(parts) != 5:
            raise refusals.malformed_credential(credential, "keyid/date/region/service/term")
        access_key_id, date, region, service, terminator = parts
    elif algorithm == ASYMMETRIC:
        if len(parts) != 4:
            raise refusals.malformed_credential(credential, "keyid/date/service/term")
        access_key_id, date, service, terminator = parts
        region = ""
    else:
        raise refusals.unsupported_algorithm(algorithm)
    if terminator != TERMINATOR:
        raise refusals.wrong_terminator(terminator, TERMINATOR)
    return access_key_id, date, region, service


def _parse_signed_headers(text: str) -> tuple[str, ...]:
    lowered = text.lower()
    # A presigned query could bring a line feed in here, and with it lines of its own into the canonical request.
    if _SIGNED_HEADERS.fullmatch(lowered) is None:
        raise refusals.malformed_signed_headers(text)
    return tuple(sorted({name for name in lowered.split(";") if name}))


def _parse_region_set(text: str) -> tuple[str, ...]:
    return tuple(region.strip() for region in text.split(","))


def _parse_expires(text: str | None) -> int | None:
    """Seconds from 1 to LONGEST_EXPIRES; the sentences are S3's, the only service that documents the limits."""
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
