"""GenerateFindingRecommendation, GetFindingRecommendation: which policies would do without the unused permissions.

A recommendation is made of the finding and the policies as they are when it is read. Policies of groups stay:
others have them, too.
"""

from collections.abc import Iterator

import msgspec
from msgspec.structs import replace

from broker.access.gather import find_managed_policy
from broker.analyzer.criteria import status_of
from broker.analyzer.looking import UNUSED_PERMISSION
from broker.analyzer.refusals import invalid, not_found
from broker.analyzer.resources import current_findings, named, page_of, put_finding
from broker.errors import Refusal
from broker.names.arn import parse_arn
from broker.operation import Call, Prepared, operation
from broker.permission_use.used_actions import BESIDES
from broker.policy import actions_of_service, without_actions
from broker.protocol.shapes import accessanalyzer as shapes
from broker.storage.analyzer_records import Analyzer, AnalyzerFinding
from broker.storage.records import Role, User
from broker.storage.store import ROLES, USERS

_named = named("analyzer_arn")


class ExistingPolicy(msgspec.Struct, frozen=True):
    """`policy_id` of an inline policy is its name; `updated_at` is None where that is not known."""

    policy_id: str
    text: str
    updated_at: int | None = None


@operation("access-analyzer:GenerateFindingRecommendation", prepare=_named)
async def generate_finding_recommendation(
    call: Call, request: shapes.GenerateFindingRecommendationRequest, prepared: Prepared[Analyzer]
) -> None:
    found = await _finding(call, prepared.found, request.id)
    if not found.recommended_at:
        put_finding(call, replace(found, recommended_at=int(call.now)))


async def _finding(call: Call, analyzer: Analyzer, finding_id: str) -> AnalyzerFinding:
    """Raises ValidationException."""
    found = (await current_findings(call, analyzer)).get(finding_id)
    if found is None:
        raise invalid(f"The analyzer has no finding {finding_id}.")
    if found.type != UNUSED_PERMISSION or status_of(found) == "RESOLVED":
        raise invalid("Recommendations are for active and archived findings of unused permissions.")
    return found


@operation("access-analyzer:GetFindingRecommendation", prepare=_named)
async def get_finding_recommendation(
    call: Call, request: shapes.GetFindingRecommendationRequest, prepared: Prepared[Analyzer]
) -> shapes.GetFindingRecommendationResponse:
    found = await _finding(call, prepared.found, request.id)
    if not found.recommended_at:
        raise not_found("the recommendation")
    steps = list(recommended_steps(await _existing_policies(call, found), unneeded_actions(found)))
    rows = list(enumerate(steps))
    shown, token = page_of(rows, lambda row: f"{row[0]:06}", request.next_token, request.max_results)
    return shapes.GetFindingRecommendationResponse(
        started_at=found.recommended_at,
        completed_at=found.recommended_at,
        next_token=token,
        resource_arn=found.resource,
        recommended_steps=tuple(
            shapes.RecommendedStep(unused_permissions_recommended_step=one) for _, one in shown
        ),
        recommendation_type="UnusedPermissionRecommendation",
        status="SUCCEEDED",
    )


def unneeded_actions(finding: AnalyzerFinding) -> frozenset[str]:
    """Of a service that was not used all, but those that are judged within requests for others."""
    named_ones = {
        f"{service.service}:{one.action}" for service in finding.permissions for one in service.actions
    }
    whole = {one.service for one in finding.permissions if not one.actions}
    of_whole = {action for service in whole for action in actions_of_service(service)}
    return frozenset(named_ones | (of_whole - BESIDES))


def recommended_steps(
    policies: list[ExistingPolicy], unneeded: frozenset[str]
) -> Iterator[shapes.UnusedPermissionsRecommendedStep]:
    """For each policy that would change: another one to be created, where something is left, and to detach this one."""
    for policy in policies:
        text = without_actions(policy.text, unneeded)
        if text == policy.text:
            continue
        if text is not None:
            yield shapes.UnusedPermissionsRecommendedStep(
                recommended_action="CREATE_POLICY",
                recommended_policy=text,
                existing_policy_id=policy.policy_id,
                policy_updated_at=policy.updated_at,
            )
        yield shapes.UnusedPermissionsRecommendedStep(
            recommended_action="DETACH_POLICY",
            existing_policy_id=policy.policy_id,
            policy_updated_at=policy.updated_at,
        )


async def _existing_policies(call: Call, found: AnalyzerFinding) -> list[ExistingPolicy]:
    """Inline and managed policies of the user or the role itself."""
    kind, _, path_and_name = parse_arn(found.resource).resource.partition("/")
    name = path_and_name.rpartition("/")[2]
    entity: User | Role | None = (
        await call.store.find(USERS, found.owner, name)
        if kind == "user"
        else await call.store.find(ROLES, found.owner, name)
    )
    if entity is None:
        raise Refusal("ResourceNotFoundException", f"{found.resource} was not found.")
    policies = [ExistingPolicy(name, text) for name, text in entity.inline_policies.items()]
    for arn in entity.attached_policies:
        managed = await find_managed_policy(call.store, found.owner, arn)
        if managed is not None:
            policies.append(ExistingPolicy(managed.policy_id, managed.document, managed.updated_at))
    return policies
