"""The identity providers of the account: OpenID Connect and SAML, listed and deleted."""

from typing import Any

from aiohttp import web

from broker.errors import Refusal
from broker.portal.console.frame import console_page, console_path, console_route
from broker.portal.console.operations import OperationForm, attempt, take_form
from broker.portal.dependencies import Portal
from broker.portal.visit import Visit

_MOST_SHOWN = 50  # OpenID Connect providers, of each of which its clients are asked for
_FORMS = ("DeleteOpenIDConnectProvider", "DeleteSAMLProvider")


async def show(portal: Portal, visit: Visit, refusal: Refusal | None = None) -> web.Response:
    return await console_page(
        portal,
        visit,
        "providers",
        refusal=refusal,
        openid=await _openid_providers(portal, visit),
        saml=await attempt(portal, visit, "ListSAMLProviders"),
    )


async def _openid_providers(portal: Portal, visit: Visit) -> Any:
    """Each ARN with what the provider is, which may be a Refusal; or the Refusal of the list."""
    listed = await attempt(portal, visit, "ListOpenIDConnectProviders")
    if isinstance(listed, Refusal):
        return listed
    found = []
    for one in listed.open_id_connect_provider_list[:_MOST_SHOWN]:
        named = {"OpenIDConnectProviderArn": one.arn}
        found.append((one.arn, await attempt(portal, visit, "GetOpenIDConnectProvider", named)))
    return found


async def act(portal: Portal, visit: Visit) -> web.Response:
    here = f"{console_path(visit.request.match_info['account'])}/providers"
    forms = {operation: OperationForm(lambda _answer: here) for operation in _FORMS}
    return await take_form(portal, visit, forms, {}, show)


ROUTES = (
    console_route("GET", "/providers", show, "ConsoleProviders"),
    console_route("POST", "/providers", act, "ConsoleProviders"),
)
