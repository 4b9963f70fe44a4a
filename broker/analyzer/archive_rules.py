"""Archive rules of an analyzer: create, get, list, update, delete, and apply to the findings that exist."""

from collections.abc import Mapping
from typing import Any

from msgspec.structs import replace

from broker.access.resource import Resource, resource_of
from broker.analyzer.criteria import criterion_shapes, is_archived_by, read_criteria
from broker.analyzer.refusals import conflict, invalid, not_found
from broker.analyzer.resources import (
    current_findings,
    find_analyzer,
    named,
    page_of,
    put_analyzer,
    put_finding,
)
from broker.names.arn import analyzer_arn
from broker.operation import Absent, Call, Prepared, operation
from broker.protocol.shapes import accessanalyzer as shapes
from broker.storage.analyzer_records import Analyzer, ArchiveRule

_MOST_RULES = 1000
Found = tuple[Analyzer, ArchiveRule]


def new_rule(call: Call, name: str, given: Mapping[str, shapes.Criterion]) -> ArchiveRule:
    """Raises ValidationException."""
    if not given:
        raise invalid("An archive rule has at least one criterion.")
    now = int(call.now)
    return ArchiveRule(rule_name=name, criteria=read_criteria(given), created_at=now, updated_at=now)


def _rule_arn(call: Call, analyzer: str, rule: str) -> str:
    return analyzer_arn(call.facts.region, call.account, f"{analyzer}/archive-rule/{rule}")


async def _rule(call: Call, request: Any) -> Prepared[Found] | Absent:
    arn = _rule_arn(call, request.analyzer_name, request.rule_name)
    analyzer = await find_analyzer(call, request.analyzer_name)
    rule = None if analyzer is None else analyzer.archive_rules.get(request.rule_name)
    if analyzer is None or rule is None:
        what = "the analyzer" if analyzer is None else "the archive rule"
        return Absent(resource_of(arn, None), not_found(what))
    return Prepared(Resource(arn, call.account), (analyzer, rule))


async def _new(call: Call, request: shapes.CreateArchiveRuleRequest) -> Prepared[Analyzer] | Absent:
    arn = _rule_arn(call, request.analyzer_name, request.rule_name)
    analyzer = await find_analyzer(call, request.analyzer_name)
    if analyzer is None:
        return Absent(resource_of(arn, None), not_found("the analyzer"))
    return Prepared(Resource(arn, call.account), analyzer)


def _put(call: Call, analyzer: Analyzer, rules: dict[str, ArchiveRule]) -> None:
    put_analyzer(call, replace(analyzer, archive_rules=rules))


@operation("access-analyzer:CreateArchiveRule", prepare=_new)
async def create_archive_rule(
    call: Call, request: shapes.CreateArchiveRuleRequest, prepared: Prepared[Analyzer]
) -> None:
    """It is for findings that come; ApplyArchiveRule is for those that exist."""
    analyzer = prepared.found
    if request.rule_name in analyzer.archive_rules:
        raise conflict(f"An archive rule named {request.rule_name} exists already.")
    if len(analyzer.archive_rules) >= _MOST_RULES:
        raise invalid(f"An analyzer has at most {_MOST_RULES} archive rules.")
    # Those that nobody has looked at yet came before the rule.
    await current_findings(call, analyzer)
    rule = new_rule(call, request.rule_name, request.filter)
    _put(call, analyzer, {**analyzer.archive_rules, rule.rule_name: rule})


@operation("access-analyzer:GetArchiveRule", prepare=_rule)
async def get_archive_rule(
    call: Call, request: shapes.GetArchiveRuleRequest, prepared: Prepared[Found]
) -> shapes.GetArchiveRuleResponse:
    return shapes.GetArchiveRuleResponse(archive_rule=_shape(prepared.found[1]))


@operation("access-analyzer:ListArchiveRules", prepare=named("analyzer_name"))
async def list_archive_rules(
    call: Call, request: shapes.ListArchiveRulesRequest, prepared: Prepared[Analyzer]
) -> shapes.ListArchiveRulesResponse:
    rules = list(prepared.found.archive_rules.values())
    shown, token = page_of(rules, lambda one: one.rule_name, request.next_token, request.max_results)
    return shapes.ListArchiveRulesResponse(archive_rules=tuple(map(_shape, shown)), next_token=token)


@operation("access-analyzer:UpdateArchiveRule", prepare=_rule)
async def update_archive_rule(
    call: Call, request: shapes.UpdateArchiveRuleRequest, prepared: Prepared[Found]
) -> None:
    analyzer, rule = prepared.found
    await current_findings(call, analyzer)
    changed = replace(new_rule(call, rule.rule_name, request.filter), created_at=rule.created_at)
    _put(call, analyzer, {**analyzer.archive_rules, rule.rule_name: changed})


@operation("access-analyzer:DeleteArchiveRule", prepare=_rule)
async def delete_archive_rule(
    call: Call, request: shapes.DeleteArchiveRuleRequest, prepared: Prepared[Found]
) -> None:
    analyzer, rule = prepared.found
    await current_findings(call, analyzer)
    _put(
        call, analyzer, {name: one for name, one in analyzer.archive_rules.items() if name != rule.rule_name}
    )


@operation("access-analyzer:ApplyArchiveRule", prepare=named("analyzer_arn"))
async def apply_archive_rule(
    call: Call, request: shapes.ApplyArchiveRuleRequest, prepared: Prepared[Analyzer]
) -> None:
    rule = prepared.found.archive_rules.get(request.rule_name)
    if rule is None:
        raise not_found("the archive rule")
    for one in (await current_findings(call, prepared.found)).values():
        if not (one.is_archived or one.resolved_at) and is_archived_by(one, [rule.criteria]):
            put_finding(call, replace(one, is_archived=True, updated_at=int(call.now)))


def _shape(rule: ArchiveRule) -> shapes.ArchiveRuleSummary:
    return shapes.ArchiveRuleSummary(
        rule_name=rule.rule_name,
        filter=criterion_shapes(rule.criteria),
        created_at=rule.created_at,
        updated_at=rule.updated_at,
    )
