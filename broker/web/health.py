"""The operations listener: is it alive, may it have traffic, what did it do. For the operator, not for clients."""

from collections.abc import Awaitable, Callable

from prometheus_client import CONTENT_TYPE_LATEST

from broker.web.host_names import HostNames, is_called_by
from broker.web.http import Answer, Request, Response, header_lines
from broker.web.measures import Measures

_TEXT = header_lines({"Content-Type": "text/plain; charset=utf-8", "Server": "broker"})
_METRICS = header_lines({"Content-Type": CONTENT_TYPE_LATEST, "Server": "broker"})
_READ_ONLY = header_lines({"Allow": "GET, HEAD"}) + _TEXT


def operations_door(
    measures: Measures, why_not_ready: Callable[[], Awaitable[str]], host_names: HostNames
) -> Answer:
    """`/livez`, `/readyz` and `/metrics`; `why_not_ready` answers nothing where the worker may have traffic."""

    async def answer(request: Request) -> Response:
        if not is_called_by(request, host_names):
            return Response(403, _TEXT, b"this host name is not in listen.host_names\n")
        if request.method not in ("GET", "HEAD"):
            return Response(405, _READ_ONLY, b"only GET and HEAD\n")
        match request.path:
            case "/livez":
                return Response(200, _TEXT, b"alive\n")
            case "/readyz":
                why_not = await why_not_ready()
                return Response(503 if why_not else 200, _TEXT, f"{why_not or 'ready'}\n".encode())
            case "/metrics":
                return Response(200, _METRICS, measures.exposition())
        return Response(404, _TEXT, b"there is /livez, /readyz and /metrics\n")

    return answer
