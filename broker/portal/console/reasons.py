"""Why a request was refused: the answer of sts:DecodeAuthorizationMessage."""

from typing import Any

import msgspec
from aiohttp import web

from broker.errors import Refusal
from broker.names.arn import iam_arn, parse_arn
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
    arn = str(decoded["context"]["principal"]["arn"])
    return await console_page(portal, visit, "reasons", decoded=decoded, asked_as=source_of(arn))


def source_of(principal: str) -> str:
    """Whose policies a simulation of the request uses: those of the role, where a session of it asked.

    A session does not say the path of its role. Roles with one have to be named by hand.
    """
    kind, _, rest = parse_arn(principal).resource.partition("/")
    if kind != "assumed-role":
        return principal
    return iam_arn(parse_arn(principal).account, f"role/{rest.partition('/')[0]}")


ROUTES = (console_route("POST", "/reasons", show, "ConsoleReasons"),)
