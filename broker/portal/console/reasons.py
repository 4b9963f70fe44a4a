"""Why a request was refused: what sts:DecodeAuthorizationMessage tells whoever may ask it."""

from typing import Any

import msgspec
from aiohttp import web

from broker.errors import Refusal
from broker.portal.console.frame import console_page, console_route
from broker.portal.console.operations import attempt
from broker.portal.dependencies import Portal
from broker.portal.visit import Visit


async def show(portal: Portal, visit: Visit) -> web.Response:
    encoded = {"EncodedMessage": visit.form.get("EncodedMessage", "")}
    answer = await attempt(portal, visit, "DecodeAuthorizationMessage", encoded, service="sts")
    if isinstance(answer, Refusal):
        return await console_page(portal, visit, "refused", refusal=answer)
    decoded: dict[str, Any] = msgspec.json.decode(answer.decoded_message)
    return await console_page(portal, visit, "reasons", decoded=decoded)


ROUTES = (console_route("POST", "/reasons", show, "ConsoleReasons"),)
