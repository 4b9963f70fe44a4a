"""Create, get, list, update and delete analyzers."""

from msgspec.structs import replace

from broker.access.organization import find_organization
from broker.access.resource import Resource
from broker.analyzer.archive_rules import new_rule
from broker.analyzer.looking import OF_ORGANIZATION, OF_UNUSED_ACCESS
from broker.analyzer.refusals import conflict, invalid
from broker.analyzer.resources import (
    current_findings,
    delete_findings,
    find_analyzer,
    in_region,
    kept_findings,
    named,
    page_of,
    put_analyzer,
)
from broker.analyzer.tags import checked_tags
from broker.errors import Refusal, not_implemented
from broker.names.arn import analyzer_arn, is_account_id
from broker.operation import Call, Prepared, no_resource, operation
from broker.protocol.shapes import accessanalyzer as shapes
from broker.storage.analyzer_records import Analyzer, ExcludedEntities, analyzer_key
from broker.storage.store import ANALYZERS

SERVICE_PRINCIPAL = "access-analyzer.amazonaws.com"
_KNOWN = frozenset({"ACCOUNT", "ORGANIZATION"}) | OF_UNUSED_ACCESS
# AWS's quotas: analyzers of one type in a region of an account.
_MOST_OF_ACCOUNT, _MOST_OF_ORGANIZATION = 1, 5
_DEFAULT_DAYS, _MOST_DAYS = 90, 365
_named = named("analyzer_name")


async def _new(call: Call, request: shapes.CreateAnalyzerRequest) -> Prepared[None]:
    arn = analyzer_arn(call.facts.region, call.account, request.analyzer_name)
    return Prepared(Resource(arn, call.account), None)


@operation("access-analyzer:CreateAnalyzer", prepare=_new)
async def create_analyzer(
    call: Call, request: shapes.CreateAnalyzerRequest, prepared: Prepared[None]
) -> shapes.CreateAnalyzerResponse:
    if request.type not in _KNOWN:
        raise not_implemented(f"Analyzers of the type {request.type} are not supported.")
    existing = await find_analyzer(call, request.analyzer_name)
    if existing is not None:
        if existing.client_token and existing.client_token == request.client_token:
            return shapes.CreateAnalyzerResponse(arn=existing.arn)
        raise conflict(f"An analyzer named {request.analyzer_name} exists already.")
    await _require_room(call, request.type)
    await _require_organization(call, request.type)
    days, excluded, entities = _configured(request.type, request.configuration)
    if len({rule.rule_name for rule in request.archive_rules}) != len(request.archive_rules):
        raise invalid("The names of archive rules are not unique.")
    analyzer = Analyzer(
        account_id=call.account,
        region=call.facts.region,
        name=request.analyzer_name,
        type=request.type,
        created_at=int(call.now),
        unused_days=days,
        excluded_accounts=excluded,
        excluded_entities=entities,
        archive_rules={
            one.rule_name: new_rule(call, one.rule_name, one.filter) for one in request.archive_rules
        },
        tags=checked_tags(call, {}, request.tags),
        client_token=request.client_token or "",
    )
    put_analyzer(call, analyzer)
    await current_findings(call, analyzer)
    return shapes.CreateAnalyzerResponse(arn=analyzer.arn)


async def _require_room(call: Call, kind: str) -> None:
    most = _MOST_OF_ORGANIZATION if kind in OF_ORGANIZATION else _MOST_OF_ACCOUNT
    if sum(one.type == kind for one in await in_region(call)) >= most:
        message = f"The account has {most} analyzers of the type {kind} in this region: no more are allowed."
        raise Refusal("ServiceQuotaExceededException", message)


async def _require_organization(call: Call, kind: str) -> None:
    """Only the management account and delegated administrators of the service look at a whole organization."""
    if kind not in OF_ORGANIZATION:
        return
    organization = await find_organization(call.store)
    if organization is None or not (
        call.account == organization.management_account_id
        or SERVICE_PRINCIPAL in organization.delegated_administrators.get(call.account, {})
    ):
        raise invalid(
            "The account is not the management account or a delegated administrator of an organization."
        )


def _configured(
    kind: str, configuration: shapes.AnalyzerConfiguration | None
) -> tuple[int, tuple[str, ...], tuple[ExcludedEntities, ...]]:
    """Days of unused access, and what is excluded: accounts, and entities by tags. Raises ValidationException."""
    unused = None if configuration is None else configuration.unused_access
    if configuration is not None and (kind not in OF_UNUSED_ACCESS or unused is None):
        raise invalid(f"This configuration is not one of analyzers of the type {kind}.")
    if kind not in OF_UNUSED_ACCESS:
        return 0, (), ()
    days = _DEFAULT_DAYS if unused is None or unused.unused_access_age is None else unused.unused_access_age
    if not 1 <= days <= _MOST_DAYS:
        raise invalid(f"unusedAccessAge is from 1 to {_MOST_DAYS}.")
    rule = None if unused is None else unused.analysis_rule
    exclusions = () if rule is None else rule.exclusions
    if not all(is_account_id(account) for one in exclusions for account in one.account_ids):
        raise invalid("accountIds are of twelve digits.")
    if any(not tags for one in exclusions for tags in one.resource_tags):
        raise invalid("resourceTags has an element without tags.")
    accounts = tuple(account for one in exclusions if not one.resource_tags for account in one.account_ids)
    entities = tuple(
        ExcludedEntities(tags=one.resource_tags, accounts=one.account_ids)
        for one in exclusions
        if one.resource_tags
    )
    return days, accounts, entities


@operation("access-analyzer:GetAnalyzer", prepare=_named)
async def get_analyzer(
    call: Call, request: shapes.GetAnalyzerRequest, prepared: Prepared[Analyzer]
) -> shapes.GetAnalyzerResponse:
    return shapes.GetAnalyzerResponse(analyzer=_summary(prepared.found))


@operation("access-analyzer:ListAnalyzers", prepare=no_resource)
async def list_analyzers(
    call: Call, request: shapes.ListAnalyzersRequest, prepared: Prepared[None]
) -> shapes.ListAnalyzersResponse:
    chosen = [one for one in await in_region(call) if request.type in (None, one.type)]
    shown, token = page_of(chosen, lambda one: one.name, request.next_token, request.max_results)
    return shapes.ListAnalyzersResponse(analyzers=tuple(map(_summary, shown)), next_token=token)


@operation("access-analyzer:UpdateAnalyzer", prepare=_named)
async def update_analyzer(
    call: Call, request: shapes.UpdateAnalyzerRequest, prepared: Prepared[Analyzer]
) -> shapes.UpdateAnalyzerResponse:
    """AWS changes which accounts are excluded; days are as they were created."""
    analyzer = prepared.found
    days, excluded, entities = _configured(analyzer.type, request.configuration)
    unused = None if request.configuration is None else request.configuration.unused_access
    if unused is not None and unused.unused_access_age not in (None, analyzer.unused_days):
        raise invalid(f"unusedAccessAge cannot be changed: it is {analyzer.unused_days}, not {days}.")
    if unused is not None:
        analyzer = replace(analyzer, excluded_accounts=excluded, excluded_entities=entities)
        put_analyzer(call, analyzer)
    return shapes.UpdateAnalyzerResponse(configuration=_configuration(analyzer))


@operation("access-analyzer:DeleteAnalyzer", prepare=_named)
async def delete_analyzer(
    call: Call, request: shapes.DeleteAnalyzerRequest, prepared: Prepared[Analyzer]
) -> None:
    analyzer = prepared.found
    delete_findings(call, list((await kept_findings(call, analyzer)).values()))
    call.store.delete(ANALYZERS, call.account, analyzer_key(analyzer.region, analyzer.name))


def _summary(analyzer: Analyzer) -> shapes.AnalyzerSummary:
    return shapes.AnalyzerSummary(
        arn=analyzer.arn,
        name=analyzer.name,
        type=analyzer.type,
        created_at=analyzer.created_at,
        last_resource_analyzed=analyzer.last_resource or None,
        last_resource_analyzed_at=analyzer.last_resource_at or None,
        tags=analyzer.tags,
        status="ACTIVE",
        configuration=_configuration(analyzer),
    )


def _configuration(analyzer: Analyzer) -> shapes.AnalyzerConfiguration | None:
    if analyzer.type not in OF_UNUSED_ACCESS:
        return None
    excluded = [
        shapes.AnalysisRuleCriteria(account_ids=one.accounts, resource_tags=one.tags)
        for one in analyzer.excluded_entities
    ]
    if analyzer.excluded_accounts:
        excluded.insert(0, shapes.AnalysisRuleCriteria(account_ids=analyzer.excluded_accounts))
    rule = shapes.AnalysisRule(exclusions=tuple(excluded)) if excluded else None
    unused = shapes.UnusedAccessConfiguration(unused_access_age=analyzer.unused_days, analysis_rule=rule)
    return shapes.AnalyzerConfiguration(unused_access=unused)
