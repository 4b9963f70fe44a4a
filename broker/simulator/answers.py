"""The simulator's answers: one result for each action, which has one for each named resource.

IAM API reference, EvaluationResult and ResourceSpecificResult; what they do not define was measured. Decisions are only
converted here.
"""

from collections.abc import Callable, Iterable
from functools import cache

import msgspec

from broker.names.principal import account_of
from broker.policy import (
    Decision,
    Layer,
    LayerExplanation,
    Match,
    Outcome,
    PolicySet,
    Position,
    Source,
    SourceKind,
    context_keys,
)
from broker.protocol.shapes import iam as shapes
from broker.simulator.inputs import EVERYTHING
from broker.simulator.service_reference import arn_template

# Most restrictive first.
_OUTCOMES = (Outcome.EXPLICITLY_DENIED, Outcome.IMPLICITLY_DENIED, Outcome.ALLOWED)
ORGANIZATION = (Layer.RCP, Layer.SCP)
_ATTACHED_INLINE = (SourceKind.USER, SourceKind.GROUP, SourceKind.ROLE)
# The model's enum has other words; AWS answers with these (measured), in both members.
TYPES = {
    Layer.IDENTITY: "IAM Policy",
    Layer.RESOURCE: "Resource Policy",
    Layer.BOUNDARY: "Permissions Boundary Policy",
}

Verdicts = dict[str, Outcome]


class Finding(msgspec.Struct, frozen=True):
    """The parts of a decision that the simulator shows. None: no policy of that kind applies."""

    resource: str
    outcome: Outcome
    statements: tuple[shapes.Statement, ...] = ()
    missing_keys: tuple[str, ...] = ()
    allowed_by_organizations: bool | None = None
    allowed_by_boundary: bool | None = None
    by_type: Verdicts = {}
    near_misses: tuple[shapes.NearMiss, ...] = ()


KeysOf = Callable[[PolicySet], list[str]]


def cached_keys_of() -> KeysOf:
    """A function that lists the condition keys of policies, with a cache for the sets that many decisions share."""
    return cache(lambda policies: context_keys(policy for _, policy in policies.policies))


def finding(decision: Decision, keys_of: KeysOf) -> Finding:
    """Where an organization's policy denies, AWS shows nothing about other policies."""
    explanation = decision.explain()
    explanations = explanation.layers
    resource, outcome = decision.request.resource, decision.outcome
    organizations = _all_allow(one for one in explanations if one.layer in ORGANIZATION)
    if decision.layer in ORGANIZATION:
        return Finding(resource, outcome, allowed_by_organizations=False)
    return Finding(
        resource,
        outcome,
        _statements(decision.deciding_in(explanation), outcome),
        _missing_keys(decision, keys_of),
        organizations,
        _all_allow(one for one in explanations if one.layer is Layer.BOUNDARY),
        _by_type(decision, explanations),
    )


def _all_allow(explanations: Iterable[LayerExplanation]) -> bool | None:
    outcomes = [one.outcome for one in explanations]
    return all(outcome is Outcome.ALLOWED for outcome in outcomes) if outcomes else None


def _by_type(decision: Decision, explanations: Iterable[LayerExplanation]) -> Verdicts:
    """The outcome of each type of policy across accounts; within one account AWS shows none."""
    request = decision.request
    if request.resource_account == account_of(request.principal):
        return {}
    outcomes = {one.layer: one.outcome for one in explanations}
    return {word: outcomes[layer] for layer, word in TYPES.items() if layer in outcomes}


def _missing_keys(decision: Decision, keys_of: KeysOf) -> tuple[str, ...]:
    """For an implicit denial: every condition key in the policies that the request does not have."""
    if decision.outcome is not Outcome.IMPLICITLY_DENIED:
        return ()
    layers, known = decision.layers, decision.request.context.by_key
    missing: dict[str, str] = {}
    for policies in (layers.identity, layers.boundary, layers.resource):
        for key in keys_of(policies) if policies is not None else ():
            if key.lower() not in known:
                missing.setdefault(key.lower(), key)
    return tuple(missing.values())


def _statements(matches: Iterable[Match], outcome: Outcome) -> tuple[shapes.Statement, ...]:
    """A boundary's statements are shown only where they deny: an allow in a boundary grants nothing."""
    layers = TYPES if outcome is Outcome.EXPLICITLY_DENIED else (Layer.IDENTITY, Layer.RESOURCE)
    shown = [match for match in matches if match.layer in layers and match.source.kind is not SourceKind.NONE]
    return tuple(
        shapes.Statement(
            source_policy_id=policy_id(match.source),
            source_policy_type=TYPES[match.layer],
            start_position=_position(match.statement.span.start),
            end_position=_position(match.statement.span.end),
        )
        for match in shown
    )


def policy_id(source: Source) -> str:
    """`user_bob_reads` for bob's inline policy `reads`; else the name of the policy or of the request's parameter."""
    if source.kind in _ATTACHED_INLINE:
        return f"{source.kind.value}_{source.arn.rpartition('/')[2]}_{source.name}"
    return source.name


def _position(position: Position) -> shapes.Position:
    return shapes.Position(line=position.line, column=position.column)


def evaluation_result(action: str, findings: list[Finding]) -> shapes.EvaluationResult:
    """The result of one action: the most restrictive of the decisions on its resources."""
    outcome = _most_restrictive(one.outcome for one in findings)
    resources = tuple(one.resource for one in findings)
    denying = [one for one in findings if one.outcome is outcome or outcome is Outcome.IMPLICITLY_DENIED]
    return shapes.EvaluationResult(
        eval_action_name=action,
        eval_resource_name=resources[0] if len(resources) == 1 else arn_template(action, resources),
        eval_decision=outcome.value,
        matched_statements=tuple(dict.fromkeys(statement for one in denying for statement in one.statements)),
        missing_context_values=tuple(dict.fromkeys(key for one in findings for key in one.missing_keys)),
        organizations_decision_detail=_organizations(_all(one.allowed_by_organizations for one in findings)),
        permissions_boundary_decision_detail=_boundary(_all(one.allowed_by_boundary for one in findings)),
        eval_decision_details=_details(findings) if resources != (EVERYTHING,) else {},
        resource_specific_results=tuple(map(_specific, findings)) if resources != (EVERYTHING,) else (),
        near_misses=tuple(dict.fromkeys(miss for one in findings for miss in one.near_misses)),
    )


def _specific(one: Finding) -> shapes.ResourceSpecificResult:
    return shapes.ResourceSpecificResult(
        eval_resource_name=one.resource,
        eval_resource_decision=one.outcome.value,
        matched_statements=one.statements,
        missing_context_values=one.missing_keys,
        eval_decision_details={word: outcome.value for word, outcome in one.by_type.items()},
        permissions_boundary_decision_detail=_boundary(one.allowed_by_boundary),
    )


def _most_restrictive(outcomes: Iterable[Outcome]) -> Outcome:
    return min(outcomes, key=_OUTCOMES.index)


def _details(findings: list[Finding]) -> dict[str, str]:
    """The most restrictive outcome of each type of policy."""
    words = dict.fromkeys(word for one in findings for word in one.by_type)
    return {
        word: _most_restrictive(one.by_type[word] for one in findings if word in one.by_type).value
        for word in words
    }


def _all(answers: Iterable[bool | None]) -> bool | None:
    known = [answer for answer in answers if answer is not None]
    return all(known) if known else None


def _organizations(allowed: bool | None) -> shapes.OrganizationsDecisionDetail | None:
    return None if allowed is None else shapes.OrganizationsDecisionDetail(allowed_by_organizations=allowed)


def _boundary(allowed: bool | None) -> shapes.PermissionsBoundaryDecisionDetail | None:
    if allowed is None:
        return None
    return shapes.PermissionsBoundaryDecisionDetail(allowed_by_permissions_boundary=allowed)
