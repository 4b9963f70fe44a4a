"""What the door knows of a request, before anybody has read it."""

from collections.abc import Callable

import msgspec


class RequestFacts(msgspec.Struct, frozen=True):
    """Facts of the transport: times in epoch seconds, `source_ip` after trusted proxies were taken off.

    `client_certificates` gives the chain of the certificate that the client has proven to hold in its TLS handshake, in
    DER, its own first; nothing where there is none.
    """

    now: float
    request_id: str
    source_ip: str
    user_agent: str = ""
    secure_transport: bool = False
    region: str = "us-east-1"
    service: str = ""
    client_certificates: Callable[[], tuple[bytes, ...]] = tuple
