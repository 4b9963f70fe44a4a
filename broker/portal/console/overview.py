"""The overview: what of the account needs attention, and how much there is of everything."""

from collections.abc import Mapping
from typing import Any

import msgspec
from aiohttp import web

from broker.errors import Refusal
from broker.portal.console.denials import find_denials
from broker.portal.console.frame import console_page, console_route
from broker.portal.console.hygiene import find_credentials
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
    policy = await attempt(portal, visit, "GetAccountPasswordPolicy")
    sessions = await attempt(portal, visit, "ListSessions", {"MaxItems": "1000"}, service="sts")
    counts = getattr(summary, "summary_map", {})
    return await console_page(
        portal,
        visit,
        "overview",
        summary=summary,
        counts=counts_of(counts),
        findings=findings_in(counts, policy),
        sessions=sessions,
        credentials=await find_credentials(portal, visit),
        denials=await find_denials(portal, visit),
    )


def counts_of(summary: Mapping[str, int]) -> list[AccountCount]:
    return [
        AccountCount(kind, summary[key], summary.get(f"{key}Quota"))
        for key, kind in _COUNTED.items()
        if key in summary
    ]


def findings_in(summary: Mapping[str, int], password_policy: Any) -> list[str]:
    """What needs attention, the most severe first: names of the page's texts."""
    findings = []
    if summary.get("AccountAccessKeysPresent"):
        findings.append("root_keys")
    if summary.get("AccountPasswordPresent") and not summary.get("AccountMFAEnabled"):
        findings.append("root_without_second_factor")
    if isinstance(password_policy, Refusal) and password_policy.code == "NoSuchEntity":
        findings.append("no_password_policy")
    return findings


ROUTES = (console_route("GET", "/overview", show, "ConsoleOverview"),)
