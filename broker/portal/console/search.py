"""One search for everything in the account that the person may see: each kind by its own list operation."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from aiohttp import web

from broker.errors import Refusal
from broker.portal.console.frame import console_page, console_route
from broker.portal.console.lists import LISTS, ListedEntity, is_found, search_entities
from broker.portal.console.operations import attempt
from broker.portal.dependencies import Portal
from broker.portal.visit import Visit

MOST_OF_A_KIND = 8
_LONGEST = 128
_MOST_INSTANCES = 1000
_LOCAL = {"Scope": "Local"}


class FoundEntities(msgspec.Struct, frozen=True):
    """Those of one kind; `more` are not shown. `refusal` is why the kind could not be searched."""

    kind: str
    rows: Sequence[ListedEntity] = ()
    more: int = 0
    refusal: Refusal | None = None


async def show(portal: Portal, visit: Visit) -> web.Response:
    query = visit.request.query.get("q", "")[:_LONGEST].strip()
    found = await _find(portal, visit, query) if query else []
    return await console_page(
        portal,
        visit,
        "search",
        query=query,
        found=[one for one in found if one.rows],
        refused=[one.kind for one in found if one.refusal is not None],
    )


async def _find(portal: Portal, visit: Visit, query: str) -> list[FoundEntities]:
    found = []
    for kind, listing in LISTS.items():
        scope = _LOCAL if kind == "policies" else {}
        found.append(_shown(kind, await search_entities(portal, visit, listing, scope, query)))
    found.append(_shown("instances", await _instances(portal, visit, query)))
    found.append(_shown("providers", await _providers(portal, visit, query)))
    return found


def _shown(kind: str, rows: Sequence[ListedEntity] | Refusal) -> FoundEntities:
    if isinstance(rows, Refusal):
        return FoundEntities(kind, refusal=rows)
    return FoundEntities(kind, rows[:MOST_OF_A_KIND], max(0, len(rows) - MOST_OF_A_KIND))


async def _instances(portal: Portal, visit: Visit, query: str) -> Sequence[ListedEntity] | Refusal:
    listed = await attempt(portal, visit, "ListInstances", {"MaxItems": str(_MOST_INSTANCES)})
    return listed if isinstance(listed, Refusal) else _matching(map(instance_row, listed.instances), query)


def instance_row(instance: Any) -> ListedEntity:
    """An instance by its id, its name and its addresses."""
    names = [tag.value for tag in instance.tags if tag.key == "Name"]
    said: Mapping[str, str] = {"path": " ".join([*names, *instance.addresses])}
    return ListedEntity(instance.instance_id, "instances", said)


async def _providers(portal: Portal, visit: Visit, query: str) -> Sequence[ListedEntity] | Refusal:
    openid = await attempt(portal, visit, "ListOpenIDConnectProviders")
    if isinstance(openid, Refusal):
        return openid
    saml = await attempt(portal, visit, "ListSAMLProviders")
    if isinstance(saml, Refusal):
        return saml
    arns = [one.arn for one in (*openid.open_id_connect_provider_list, *saml.saml_provider_list)]
    return _matching(map(provider_row, arns), query)


def provider_row(arn: str) -> ListedEntity:
    kind, name = ("openid", "oidc") if ":oidc-provider/" in arn else ("saml", "saml")
    called = arn.partition(f":{name}-provider/")[2]
    return ListedEntity(called, f"providers/{kind}/{called}", {"path": ""})


def _matching(rows: Any, query: str) -> list[ListedEntity]:
    words = query.lower().split()
    return [row for row in rows if is_found(row, words)]


ROUTES = (console_route("GET", "/search", show, "ConsoleSearch"),)
