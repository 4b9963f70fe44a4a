"""What the connection shows of a request, before its body is parsed."""

import msgspec


class RequestFacts(msgspec.Struct, frozen=True):
    """Facts of the transport. `now` is in epoch seconds; `source_ip` is the client's, behind the trusted proxies."""

    now: float
    request_id: str
    source_ip: str
    user_agent: str = ""
    secure_transport: bool = False
    region: str = "us-east-1"
    service: str = ""
