"""The operations listener, for the operator: liveness, readiness and metrics."""

from collections.abc import Awaitable, Callable

from prometheus_client import CONTENT_TYPE_LATEST

from broker.version import VERSION
from broker.web.host_names import HostNames, is_called_by
from broker.web.http import Handler, Request, Response, header_lines
from broker.web.metrics import Metrics

_ALIVE = f"alive, version {VERSION}\n"
_TEXT = header_lines({"Content-Type": "text/plain; charset=utf-8"})
_METRICS = header_lines({"Content-Type": CONTENT_TYPE_LATEST})
_NOTHING_ELSE = b"there is /livez, /livez/WORKER, /readyz and /metrics\n"
# Seconds without a heartbeat after which a worker counts as not alive; each gives one a second.
_LONGEST_SILENCE = 5.0

_READ_ONLY = header_lines({"Allow": "GET, HEAD"}) + _TEXT


def operations_handler(
    metrics: Metrics, why_not_ready: Callable[[], Awaitable[str]], host_names: HostNames
) -> Handler:
    """The handler of `/livez`, `/readyz` and `/metrics`; `why_not_ready` answers "" where the worker is ready.

    `/livez` is always 200, because the worker that was asked does answer; it names those that are not alive, which the
    supervisor replaces. `/livez/NUMBER` is 503 where that worker is not alive.
    """

    async def answer(request: Request) -> Response:
        if not is_called_by(request, host_names):
            return Response(403, _TEXT, b"this host name is not in listen.host_names\n")
        if request.method not in ("GET", "HEAD"):
            return Response(405, _READ_ONLY, b"only GET and HEAD\n")
        match request.path:
            case "/livez":
                lines = [
                    f"worker {worker}: {_shown(silence)}\n"
                    for worker, silence in metrics.silences().items()
                    if not _is_alive(silence)
                ]
                return Response(200, _TEXT, "".join([_ALIVE, *lines]).encode())
            case "/readyz":
                why_not = await why_not_ready()
                return Response(503 if why_not else 200, _TEXT, f"{why_not or 'ready'}\n".encode())
            case "/metrics":
                return Response(200, _METRICS, metrics.exposition())
        return _of_one_worker(request.path, metrics) or Response(404, _TEXT, _NOTHING_ELSE)

    return answer


def _of_one_worker(path: str, metrics: Metrics) -> Response | None:
    for worker, silence in metrics.silences().items():
        if path == f"/livez/{worker}":
            return Response(200 if _is_alive(silence) else 503, _TEXT, f"{_shown(silence)}\n".encode())
    return None


def _is_alive(silence: float | None) -> bool:
    return silence is not None and silence < _LONGEST_SILENCE


def _shown(silence: float | None) -> str:
    if silence is None:
        return "not started yet"
    return "alive" if _is_alive(silence) else f"no heartbeat for {silence:.0f} seconds"
