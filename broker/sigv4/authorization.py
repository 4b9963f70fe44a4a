"""Authorization header or presigned query -> what the client claims to have signed. Nothing here is proven."""

import msgspec


class UnverifiedRequest(msgspec.Struct, frozen=True):
    """An HTTP request as it arrived.

    `path` and `query` are raw, percent-encoded as on the request line, `query` without its `?`; `headers` have
    lower-case names and stand in their order of arrival, repeated ones included.
    """

    method: str
    path: str
    query: str
    headers: tuple[tuple[str, str], ...]
    body: bytes


class UnverifiedAuthorization(msgspec.Struct, frozen=True):
    """What the client says of its signature.

    `date` is the scope's YYYYMMDD, `timestamp` the signing time in epoch seconds and `signed_at` the same as
    YYYYMMDDTHHMMSSZ. SigV4 names one `region`; SigV4A leaves it empty and claims a `region_set` instead.
    `expires` is the life of a presigned URL in seconds, None where the request is not presigned or does not say.
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


def find_authorization(request: UnverifiedRequest) -> UnverifiedAuthorization | None:
    """The authorization that `request` carries, or None where it is not signed at all.

    Raises Refusal IncompleteSignature naming every missing part, or SignatureDoesNotMatch.
    """
    raise RuntimeError("first commit: the types only, the parser follows")
