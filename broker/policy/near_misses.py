"""Statements that would match a request but for their resource; those but for one condition are in `explanation`.

Computed on demand, to explain a decision: every statement that names the action is looked at, which the index avoids.
"""

from collections.abc import Iterator
from itertools import islice
from typing import Final

from broker.policy.explanation import NearMiss, policies_in_order
from broker.policy.index import PolicySet
from broker.policy.request import AccessRequest, Layer, Layers
from broker.policy.services import facts_of
from broker.policy.statement import CompiledStatement, Source, compile_statement, entry_matches

# Statements that are looked at in one layer.
MOST_STATEMENTS: Final = 1000
# Of policies of the principal: a resource's policy is about the resource that it is attached to.
_LAYERS: Final = (Layer.IDENTITY, Layer.BOUNDARY, Layer.SESSION)


def resource_near_misses(request: AccessRequest, layers: Layers) -> Iterator[NearMiss]:
    """Statements whose action and conditions match, and whose resource does not."""
    facts = facts_of(request.action)
    resource = request.resource if facts.supports_resources else "*"
    for layer, policies in policies_in_order(request, layers):
        if layer not in _LAYERS:
            continue
        for source, compiled in islice(_compiled(policies), MOST_STATEMENTS):
            if _misses_by_resource(compiled, facts.action, resource, request):
                yield _near_miss(source, compiled, layer, resource)


def _misses_by_resource(
    compiled: CompiledStatement, action: str, resource: str, request: AccessRequest
) -> bool:
    return (
        compiled.names_action(action)
        and not any(entry_matches(entry, resource, request.context) for entry in compiled.resources)
        and compiled.holds(request.context)
    )


def _compiled(policies: PolicySet) -> Iterator[tuple[Source, CompiledStatement]]:
    for source, policy in policies.policies:
        for statement in policy.statements:
            yield source, compile_statement(source, policy, statement, {})


def _near_miss(source: Source, compiled: CompiledStatement, layer: Layer, resource: str) -> NearMiss:
    statement = compiled.statement
    is_negated = statement.resources is None
    wanted = (statement.not_resources if is_negated else statement.resources) or ()
    key = "NotResource" if is_negated else "Resource"
    return NearMiss(source, statement, layer, "", key, (resource,), wanted)
