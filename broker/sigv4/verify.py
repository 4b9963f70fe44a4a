"""Signature, date, skew and scope -> a VerifiedRequest, or AWS's exact refusal."""

from collections.abc import Collection

import msgspec

from broker.errors import Refusal
from broker.names.secret import SecretKey
from broker.sigv4.authorization import UnverifiedAuthorization, UnverifiedRequest
from broker.sigv4.signing_keys import SigningKeys


class VerifiedRequest(msgspec.Struct, frozen=True):
    """A request whose signature is proven; only `verify` makes one.

    `signed_at` is epoch seconds. `signed_headers` are names: a header not among them is not proven.
    """

    method: str
    path: str
    query: str
    body: bytes
    access_key_id: str
    region: str
    region_set: tuple[str, ...]
    service: str
    signed_at: int
    signed_headers: tuple[str, ...]
    session_token: str | None
    presigned: bool


def missing_authentication_token() -> Refusal:
    return Refusal("MissingAuthenticationToken", "Request is missing Authentication Token")


def verify(
    request: UnverifiedRequest,
    authorization: UnverifiedAuthorization,
    secret: SecretKey,
    now: float,
    signing_keys: SigningKeys,
    *,
    services: Collection[str],
    regions: Collection[str] | None = None,
) -> VerifiedRequest:
    """Judge `authorization`; `now` in epoch seconds, `regions` None accepts every region. Raises Refusal."""
    raise RuntimeError("first commit: the types only, the judgement follows")
