"""Near misses of a decision, for those who ask for them: AWS's simulator has none."""

from itertools import chain, islice

from broker.policy import Decision, Effect, NearMiss, Outcome, SourceKind, resource_near_misses
from broker.protocol.shapes import iam as shapes
from broker.simulator.answers import ORGANIZATION, TYPES, policy_id

_MOST = 20
# The effect of a statement that would change an outcome. An explicit denial is changed by no further statement.
_CHANGING = {Outcome.IMPLICITLY_DENIED: Effect.ALLOW, Outcome.ALLOWED: Effect.DENY}


def near_misses(decision: Decision) -> tuple[shapes.NearMiss, ...]:
    """The statements that one condition, or the resource, keeps from changing the outcome.

    An Allow where none allows, a Deny where the request is allowed. Nothing of an organization's policies is shown.
    """
    effect = _CHANGING.get(decision.outcome)
    if effect is None or decision.layer in ORGANIZATION:
        return ()
    found = chain(decision.explain().near_misses, resource_near_misses(decision.request, decision.layers))
    shown = (
        miss
        for miss in found
        if miss.layer in TYPES and miss.statement.effect is effect and miss.source.kind is not SourceKind.NONE
    )
    return tuple(map(_shape, islice(shown, _MOST)))


def _shape(miss: NearMiss) -> shapes.NearMiss:
    return shapes.NearMiss(
        source_policy_id=policy_id(miss.source),
        source_policy_type=TYPES[miss.layer],
        sid=miss.statement.sid or None,
        effect=miss.statement.effect.value,
        element=miss.key,
        operator=miss.operator or None,
        found=miss.actual or (),
        wanted=miss.expected,
    )
