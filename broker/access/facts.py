"""What the door knows of a request, before anybody has read it."""

import msgspec


class RequestFacts(msgspec.Struct, frozen=True):
    """Facts of the transport: times in epoch seconds, `source_ip` after trusted proxies were taken off."""

    now: float
    request_id: str
    source_ip: str
    user_agent: str = ""
    secure_transport: bool = False
    region: str = "us-east-1"
    service: str = ""
