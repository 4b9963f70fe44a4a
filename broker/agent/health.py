"""/healthz, /readyz and /metrics of the agent, for the kubelet and for Prometheus."""

from broker.agent.cache import AgentCache
from broker.web.http import Request, Response, header_lines

_TEXT = header_lines({"Content-Type": "text/plain; charset=utf-8", "Server": "broker-agent"})


class HealthHandler:
    """It is ready while the broker is away, too: what is still valid is served."""

    def __init__(self, cache: AgentCache) -> None:
        self._cache = cache

    async def answer(self, request: Request) -> Response:
        if request.path in ("/healthz", "/readyz"):
            return Response(200, _TEXT, b"ok\n")
        if request.path == "/metrics":
            return Response(200, _TEXT, self._metrics().encode())
        return Response(404, _TEXT, b"Not found\n")

    def _metrics(self) -> str:
        return (
            "# HELP broker_agent_credentials Askers whose credentials are held.\n"
            "# TYPE broker_agent_credentials gauge\n"
            f"broker_agent_credentials {self._cache.size}\n"
            "# HELP broker_agent_broker_away Whether the last attempt to reach the broker failed.\n"
            "# TYPE broker_agent_broker_away gauge\n"
            f"broker_agent_broker_away {int(self._cache.is_away)}\n"
        )
