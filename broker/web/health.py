"""The operations listener: is it alive, may it have traffic, what did it do. For the operator, not for clients."""

from collections.abc import Awaitable, Callable

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST

from broker.web.measures import Measures


def operations_application(
    measures: Measures, why_not_ready: Callable[[], Awaitable[str]]
) -> web.Application:
    """`/livez`, `/readyz` and `/metrics`; `why_not_ready` answers nothing where the worker may have traffic."""

    async def livez(request: web.Request) -> web.Response:
        return web.Response(text="alive\n")

    async def readyz(request: web.Request) -> web.Response:
        why_not = await why_not_ready()
        return web.Response(status=503 if why_not else 200, text=f"{why_not or 'ready'}\n")

    async def metrics(request: web.Request) -> web.Response:
        return web.Response(body=measures.exposition(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    application = web.Application()
    application.add_routes(
        [web.get("/livez", livez), web.get("/readyz", readyz), web.get("/metrics", metrics)]
    )
    return application
