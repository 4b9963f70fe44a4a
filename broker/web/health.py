"""The operations listener: is it alive, may it have traffic, what did it do. For the operator, not for clients."""

from collections.abc import Awaitable, Callable

from aiohttp import web

from broker.web.measures import Measures


def operations_application(
    measures: Measures, is_ready: Callable[[], Awaitable[str]], directory: str | None
) -> web.Application:
    """`/livez`, `/readyz` and `/metrics`; `is_ready` answers why not, or nothing where it is."""

    async def livez(request: web.Request) -> web.Response:
        return web.Response(text="alive\n")

    async def readyz(request: web.Request) -> web.Response:
        why_not = await is_ready()
        return web.Response(status=503 if why_not else 200, text=f"{why_not or 'ready'}\n")

    async def metrics(request: web.Request) -> web.Response:
        body = measures.exposition(directory)
        return web.Response(body=body, headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"})

    application = web.Application()
    application.add_routes(
        [web.get("/livez", livez), web.get("/readyz", readyz), web.get("/metrics", metrics)]
    )
    return application
