"""Analyzers by name or ARN in the caller's region, the findings that they have now, and pages."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from broker.access.resource import resource_of
from broker.analyzer.looking import look
from broker.analyzer.reconciling import reconcile
from broker.analyzer.refusals import invalid, not_found
from broker.names.arn import analyzer_arn
from broker.operation import Absent, Call, Prepare, Prepared
from broker.paging import page
from broker.storage.analyzer_records import Analyzer, AnalyzerFinding, analyzer_key, finding_key
from broker.storage.store import ANALYZER_FINDINGS, ANALYZERS

_LARGEST_PAGE = 1000
T = TypeVar("T")


async def in_region(call: Call) -> list[Analyzer]:
    return await call.store.scan(ANALYZERS, call.account, f"{call.facts.region}/")


async def find_analyzer(call: Call, name: str) -> Analyzer | None:
    """By its name or its ARN, in the caller's account and region."""
    short = name.removeprefix(analyzer_arn(call.facts.region, call.account, ""))
    return await call.store.find(ANALYZERS, call.account, analyzer_key(call.facts.region, short))


def named(field: str) -> Prepare[Any, Analyzer]:
    """The `prepare` of operations on the analyzer that the request's `field` names."""

    async def prepare(call: Call, request: Any) -> Prepared[Analyzer] | Absent:
        name = getattr(request, field)
        analyzer = await find_analyzer(call, name)
        if analyzer is None:
            arn = name if name.startswith("arn:") else analyzer_arn(call.facts.region, call.account, name)
            return Absent(resource_of(arn, None), not_found("the analyzer"))
        return Prepared(resource_of(analyzer.arn, analyzer), analyzer)

    return prepare


def put_analyzer(call: Call, analyzer: Analyzer) -> None:
    call.store.put(ANALYZERS, call.account, analyzer)


async def kept_findings(call: Call, analyzer: Analyzer) -> dict[str, AnalyzerFinding]:
    prefix = f"{analyzer_key(analyzer.region, analyzer.name)}/"
    kept = await call.store.scan(ANALYZER_FINDINGS, call.account, prefix)
    return {one.finding_id: one for one in kept}


async def current_findings(call: Call, analyzer: Analyzer) -> dict[str, AnalyzerFinding]:
    """By id. The analyzer looks again, so no finding is stale; what has changed is kept with the request."""
    rules = [one.criteria for one in analyzer.archive_rules.values()]
    kept = await kept_findings(call, analyzer)
    reconciled = reconcile(kept, await look(call, analyzer), rules, int(call.now))
    for one in reconciled.changed:
        put_finding(call, one)
    delete_findings(call, reconciled.ended)
    return reconciled.findings


def put_finding(call: Call, finding: AnalyzerFinding) -> None:
    call.store.put(ANALYZER_FINDINGS, call.account, finding)


def delete_findings(call: Call, findings: Sequence[AnalyzerFinding]) -> None:
    for one in findings:
        call.store.delete(ANALYZER_FINDINGS, call.account, finding_key(one))


def page_of(
    items: Sequence[T], key: Callable[[T], str], token: str | None, size: int | None
) -> tuple[tuple[T, ...], str | None]:
    """Raises ValidationException."""
    if size is not None and not 1 <= size <= _LARGEST_PAGE:
        raise invalid(f"maxResults is from 1 to {_LARGEST_PAGE}.")
    chosen = page(items, key, token, size)
    return chosen.items, chosen.marker
