"""Access Analyzer's findings: who outside is let in, what is not used; one opens beside the others, and is archived.

An analyzer belongs to a region, which the address names; without it, it is the one of `aws sso login`.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

import msgspec
from aiohttp import web
from msgspec.structs import replace

from broker.errors import Refusal
from broker.names.arn import parse_arn
from broker.portal.console.frame import console_page, console_path, console_route
from broker.portal.console.operations import OperationForm, attempt, take_form
from broker.portal.dependencies import Portal
from broker.portal.visit import Visit

_SERVICE = "accessanalyzer"
_SHOWN = 50
_LONGEST = 2048
_REGION = re.compile(r"[a-z]{2,3}(-[a-z]{1,20}){1,3}-[0-9]{1,2}")
STATES = ("ACTIVE", "ARCHIVED", "RESOLVED")
EXTERNAL = "ExternalAccess"
_OF_EXTERNAL_ACCESS = ("ACCOUNT", "ORGANIZATION")
_PAGES = {"role": "roles", "user": "users"}


class FindingsQuery(msgspec.Struct, frozen=True):
    """What the address asks for: `analyzer` and `finding` are names, "" for none; `token` is of a later page."""

    region: str
    analyzer: str = ""
    status: str = "ACTIVE"
    finding: str = ""
    token: str = ""

    def address(self, **changed: str) -> str:
        """The query of the address of the same list, or of one with these parts; it opens no finding by itself."""
        parts = {"region": self.region, "analyzer": self.analyzer, "status": self.status, "token": self.token}
        return urlencode({name: text for name, text in (parts | changed).items() if text})


class FindingRow(msgspec.Struct, frozen=True):
    """A finding in the list: `page` is that of its user or role in this account, "" for others; `who` is let in."""

    finding_id: str
    type: str
    resource: str
    page: str
    who: str
    is_public: bool
    status: str
    updated_at: float


def query_of(query: Mapping[str, str], region: str) -> FindingsQuery:
    """Raises Refusal ValidationException."""
    wanted = FindingsQuery(
        query.get("region", "").strip() or region,
        query.get("analyzer", "")[:_LONGEST],
        query.get("status", "") or STATES[0],
        query.get("finding", "")[:_LONGEST],
        query.get("token", "")[:_LONGEST],
    )
    if _REGION.fullmatch(wanted.region) is None:
        raise Refusal("ValidationException", "This is not the name of a region, such as eu-central-1.")
    if wanted.status not in STATES:
        raise Refusal("ValidationException", f"The status of a finding is one of {', '.join(STATES)}.")
    return wanted


def rows_of(findings: Iterable[Any], account: str) -> list[FindingRow]:
    """Of both versions of the API: the first is for external access alone, and says who is let in."""
    return [
        FindingRow(
            one.id,
            getattr(one, "finding_type", EXTERNAL),
            one.resource,
            page_of(one.resource, account),
            ", ".join((getattr(one, "principal", None) or {}).values()),
            bool(getattr(one, "is_public", False)),
            one.status,
            one.updated_at,
        )
        for one in findings
    ]


def page_of(arn: str, account: str) -> str:
    """The page of the user or role, below those of its account: `roles/reader`; "" for what has none there."""
    try:
        parts = parse_arn(arn)
    except ValueError:
        return ""
    kind, _, path = parts.resource.partition("/")
    if parts.service != "iam" or parts.account != account or kind not in _PAGES:
        return ""
    return f"{_PAGES[kind]}/{path.rpartition('/')[2]}"


async def show(portal: Portal, visit: Visit, refusal: Refusal | None = None) -> web.Response:
    query = query_of(visit.request.query, portal.sso_region)
    there = _in_region(visit, query)
    analyzers = await attempt(portal, there, "ListAnalyzers", service=_SERVICE)
    chosen = _chosen(getattr(analyzers, "analyzers", ()), query.analyzer)
    listed = await _listed(portal, there, chosen, query) if chosen else None
    opened = await _opened(portal, there, chosen, query) if chosen and query.finding else None
    account = visit.request.match_info["account"]
    return await console_page(
        portal,
        visit,
        "analyzers",
        refusal=refusal,
        query=query,
        states=STATES,
        here=f"{console_path(account)}/analyzers",
        analyzers=analyzers,
        chosen=chosen,
        listed=listed,
        rows=rows_of(getattr(listed, "findings", ()), account),
        opened=opened,
        opened_page=page_of(getattr(opened, "resource", ""), account),
    )


def _in_region(visit: Visit, query: FindingsQuery) -> Visit:
    return replace(visit, facts=replace(visit.facts, region=query.region))


def _chosen(analyzers: Sequence[Any], name: str) -> Any:
    """The one with this name, else the first; None where there is none."""
    return next((one for one in analyzers if one.name == name), analyzers[0] if analyzers else None)


async def _listed(portal: Portal, visit: Visit, analyzer: Any, query: FindingsQuery) -> Any:
    """A page of its findings, or the Refusal."""
    is_external = analyzer.type in _OF_EXTERNAL_ACCESS
    parameters = {
        "analyzerArn": analyzer.arn,
        "maxResults": str(_SHOWN),
        "filter.entry.1.key": "status",
        "filter.entry.1.value.eq.member.1": query.status,
        **({"nextToken": query.token} if query.token else {}),
    }
    operation = "ListFindings" if is_external else "ListFindingsV2"
    return await attempt(portal, visit, operation, parameters, service=_SERVICE)


async def _opened(portal: Portal, visit: Visit, analyzer: Any, query: FindingsQuery) -> Any:
    """The finding with its details, or the Refusal."""
    parameters = {"analyzerArn": analyzer.arn, "id": query.finding}
    return await attempt(portal, visit, "GetFindingV2", parameters, service=_SERVICE)


async def act(portal: Portal, visit: Visit) -> web.Response:
    """Archive the finding that the form names, or make it active again."""
    query = query_of(visit.request.query, portal.sso_region)
    here = f"{console_path(visit.request.match_info['account'])}/analyzers?{query.address()}"
    forms = {"UpdateFindings": OperationForm(lambda _answer: here, service=_SERVICE)}
    return await take_form(portal, _in_region(visit, query), forms, {}, show)


ROUTES = (
    console_route("GET", "/analyzers", show, "ConsoleAnalyzers"),
    console_route("POST", "/analyzers", act, "ConsoleAnalyzers"),
)
