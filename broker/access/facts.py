"""What the connection shows of a request, before its body is parsed."""

import time
from collections.abc import Callable

import msgspec

from broker.sigv4.authorization import UnverifiedRequest


class RequestFacts(msgspec.Struct, frozen=True, weakref=True):
    """Facts of the transport. `now` is in epoch seconds; `source_ip` is the client's, behind the trusted proxies.

    `client_certificates` gives the chain of the certificate that the client has proven to hold in its TLS handshake, in
    DER, its own first; nothing where there is none. `arrived` is the same moment as `now`, by a clock that only counts.
    There is one object for a request, however often it is performed. `unverified_request` is for operations that verify
    a signature of their own; None where an operation is performed without a request.
    """

    now: float
    request_id: str
    source_ip: str
    user_agent: str = ""
    secure_transport: bool = False
    region: str = "us-east-1"
    service: str = ""
    client_certificates: Callable[[], tuple[bytes, ...]] = tuple
    unverified_request: UnverifiedRequest | None = None
    arrived: float = msgspec.field(default_factory=time.monotonic)
    referer: str = ""  # as the client says it: anybody may write what they like
