"""How every listener of the agent refuses, and what it asks first."""

import logging

from broker.agent.guard import Guard
from broker.web.http import Handler, Request, Response, header_lines

_TEXT = "text/plain; charset=utf-8"
_SERVER = "broker-agent"
JSON_LINES = header_lines(
    {"Content-Type": "application/json", "Cache-Control": "no-store", "Server": _SERVER}
)

_logger = logging.getLogger("broker.agent")


class AgentRefusal(Exception):
    """An answer that gives nothing; `reason` is for the log, where the client's sentence is vaguer."""

    def __init__(self, status: int, message: str, reason: str = "", **headers: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.reason = reason or message
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


def outermost(work: Handler) -> Handler:
    """A handler that answers every request, of `work`, which may raise."""

    async def answer(request: Request) -> Response:
        try:
            return await work(request)
        except AgentRefusal as refused:
            return _refused(request, refused)
        except Exception as error:  # the outermost handler: the client always gets an answer
            _logger.exception("internal failure", exc_info=error)
            return _refused(request, AgentRefusal(500, "Internal failure"))

    return answer


def require_reading(request: Request, guard: Guard) -> None:
    """The request is whole, from here, meant for here, and reads; raises AgentRefusal."""
    if request.limit_exceeded is not None:
        raise AgentRefusal(request.limit_exceeded.status, request.limit_exceeded.value)
    if why := guard.why_not(request):
        raise AgentRefusal(403, "Access denied", why)
    if request.method not in ("GET", "HEAD"):
        raise AgentRefusal(405, "This reads only", Allow="GET, HEAD")


def _refused(request: Request, refused: AgentRefusal) -> Response:
    facts = {"source": request.peer.address, "status": int(refused.status), "reason": refused.reason}
    _logger.info("refused", extra={"facts": facts})
    lines = header_lines({"Content-Type": _TEXT, "Server": _SERVER, **refused.headers})
    return Response(int(refused.status), lines, f"{refused.message}\n".encode() if refused.message else b"")
