"""The overview: what of the account needs attention, and how much there is of everything."""

from collections.abc import Mapping

import msgspec
from aiohttp import web

from broker.portal.console.denials import find_denials
from broker.portal.console.frame import console_page, console_route
from broker.portal.console.hygiene import find_all
from broker.portal.console.operations import attempt
from broker.portal.dependencies import Portal
from broker.portal.visit import Visit

# What is counted, by the key of the summary, and the page that lists it.
_COUNTED = {"Users": "users", "Groups": "groups", "Roles": "roles", "Policies": "policies"}


class AccountCount(msgspec.Struct, frozen=True):
    """How many there are of a kind, and of how many; `quota` None where the account has none."""

    kind: str
    number: int
    quota: int | None


async def show(portal: Portal, visit: Visit) -> web.Response:
    summary = await attempt(portal, visit, "GetAccountSummary")
    sessions = await attempt(portal, visit, "ListSessions", {"MaxItems": "1000"}, service="sts")
    hygiene = await find_all(portal, visit)
    return await console_page(
        portal,
        visit,
        "overview",
        summary=summary,
        counts=counts_of(getattr(summary, "summary_map", {})),
        findings=hygiene.by_rule,
        refused=hygiene.refused,
        sessions=sessions,
        denials=await find_denials(portal, visit),
    )


def counts_of(summary: Mapping[str, int]) -> list[AccountCount]:
    return [
        AccountCount(kind, summary[key], summary.get(f"{key}Quota"))
        for key, kind in _COUNTED.items()
        if key in summary
    ]


ROUTES = (console_route("GET", "/overview", show, "ConsoleOverview"),)
