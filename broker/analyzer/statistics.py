"""GetFindingsStatistics: how many findings an analyzer has, by status, by type, by account."""

from collections import Counter
from collections.abc import Sequence

from broker.analyzer.criteria import status_of
from broker.analyzer.looking import OF_UNUSED_ACCESS
from broker.analyzer.resources import current_findings, named
from broker.operation import Call, Prepared, operation
from broker.protocol.shapes import accessanalyzer as shapes
from broker.storage.analyzer_records import Analyzer, AnalyzerFinding

_MOST_ACCOUNTS = 10
Findings = Sequence[AnalyzerFinding]


@operation("access-analyzer:GetFindingsStatistics", prepare=named("analyzer_arn"))
async def get_findings_statistics(
    call: Call, request: shapes.GetFindingsStatisticsRequest, prepared: Prepared[Analyzer]
) -> shapes.GetFindingsStatisticsResponse:
    analyzer = prepared.found
    found = tuple((await current_findings(call, analyzer)).values())
    if analyzer.type in OF_UNUSED_ACCESS:
        statistics = shapes.FindingsStatistics(unused_access_findings_statistics=unused_statistics(found))
    else:
        statistics = shapes.FindingsStatistics(external_access_findings_statistics=external_statistics(found))
    return shapes.GetFindingsStatisticsResponse(findings_statistics=(statistics,), last_updated_at=call.now)


def external_statistics(findings: Findings) -> shapes.ExternalAccessFindingsStatistics:
    active = _active(findings)
    public = Counter(one.resource_type for one in active if one.is_public)
    cross = Counter(one.resource_type for one in active if not one.is_public)
    statuses = Counter(map(status_of, findings))
    return shapes.ExternalAccessFindingsStatistics(
        resource_type_statistics={
            kind: shapes.ResourceTypeDetails(
                total_active_public=public[kind],
                total_active_cross_account=cross[kind],
                total_active_errors=0,
            )
            for kind in sorted({one.resource_type for one in active})
        },
        total_active_findings=statuses["ACTIVE"],
        total_archived_findings=statuses["ARCHIVED"],
        total_resolved_findings=statuses["RESOLVED"],
    )


def unused_statistics(findings: Findings) -> shapes.UnusedAccessFindingsStatistics:
    """Accounts are those with the most active findings, at most ten."""
    active = _active(findings)
    statuses = Counter(map(status_of, findings))
    accounts = Counter(one.owner for one in active)
    return shapes.UnusedAccessFindingsStatistics(
        unused_access_type_statistics=tuple(
            shapes.UnusedAccessTypeStatistics(unused_access_type=kind, total=total)
            for kind, total in sorted(Counter(one.type for one in active).items())
        ),
        top_accounts=tuple(
            shapes.FindingAggregationAccountDetails(
                account=account,
                number_of_active_findings=total,
                details=dict(Counter(one.type for one in active if one.owner == account)),
            )
            for account, total in sorted(accounts.items(), key=lambda one: (-one[1], one[0]))[:_MOST_ACCOUNTS]
        ),
        total_active_findings=statuses["ACTIVE"],
        total_archived_findings=statuses["ARCHIVED"],
        total_resolved_findings=statuses["RESOLVED"],
    )


def _active(findings: Findings) -> Findings:
    return [one for one in findings if status_of(one) == "ACTIVE"]
