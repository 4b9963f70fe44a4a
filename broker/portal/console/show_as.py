"""An entity as `broker apply` YAML and as commands of the AWS CLI."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import quote

from aiohttp import web

from broker.errors import Refusal
from broker.names.arn import iam_arn
from broker.portal.console.entity_forms import (
    EntityForms,
    Perform,
    forms_of_group,
    forms_of_policy,
    forms_of_role,
    forms_of_user,
)
from broker.portal.console.frame import console_page, console_route
from broker.portal.console.operations import FAULTS, perform
from broker.portal.dependencies import Portal
from broker.portal.visit import Visit

_KINDS: Mapping[str, Callable[[Perform, str], Awaitable[EntityForms]]] = {
    "users": forms_of_user,
    "groups": forms_of_group,
    "roles": forms_of_role,
}


async def show(portal: Portal, visit: Visit) -> web.Response:
    matched = visit.request.match_info
    kind, name = matched["kind"], matched["name"]
    return await _show(portal, visit, kind, f"{kind}/{quote(name)}", _KINDS[kind], name)


async def show_policy(portal: Portal, visit: Visit) -> web.Response:
    matched = visit.request.match_info
    owner, name = matched["owner"], matched["policy"]
    arn = iam_arn(owner, f"policy/{name}")
    return await _show(portal, visit, "policies", f"policies/{owner}/{quote(name)}", forms_of_policy, arn)


async def _show(
    portal: Portal,
    visit: Visit,
    kind: str,
    path: str,
    forms_of: Callable[[Perform, str], Awaitable[EntityForms]],
    name: str,
) -> web.Response:
    async def performed(operation: str, parameters: Mapping[str, str]) -> Any:
        return await perform(portal, visit, operation, parameters)

    try:
        forms = await forms_of(performed, name)
    except Refusal as refusal:
        if refusal.code in FAULTS:
            raise
        return await console_page(portal, visit, "refused", refusal=refusal)
    return await console_page(portal, visit, "show_as", kind=kind, path=path, forms=forms)


ROUTES = (
    console_route("GET", r"/as/{kind:users|groups|roles}/{name:[\w+=,.@-]{1,128}}", show, "ConsoleShowAs"),
    console_route("GET", r"/as/policies/{owner:[0-9]{12}}/{policy:.{1,640}}", show_policy, "ConsoleShowAs"),
)
