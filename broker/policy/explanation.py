"""The explanation of a decision, layer by layer; computed on demand, not while deciding."""

from collections.abc import Iterable, Iterator

import msgspec

from broker.policy.conditions import condition_variables, spell
from broker.policy.context import ByKey
from broker.policy.elements import Condition, Effect, Statement
from broker.policy.index import PolicySet
from broker.policy.principals import Names
from broker.policy.request import (
    AccessRequest,
    Layer,
    Layers,
    Outcome,
    are_rcps_exempted,
    are_scps_exempted,
    names_in,
)
from broker.policy.services import facts_of
from broker.policy.statement import CompiledStatement, Source, resource_variables

_PRINCIPAL_LAYERS = (Layer.RCP, Layer.ENDPOINT, Layer.RESOURCE)


class Match(msgspec.Struct, frozen=True):
    """A statement that matched, and the policy that holds it."""

    source: Source
    statement: Statement
    layer: Layer


class NearMiss(msgspec.Struct, frozen=True):
    """A statement that did not match because of one condition. `actual` is None where the key is missing."""

    source: Source
    statement: Statement
    layer: Layer
    operator: str
    key: str
    actual: tuple[str, ...] | None
    expected: tuple[str, ...]


class JudgedCondition(msgspec.Struct, frozen=True):
    """One condition of a statement, and whether it holds. `actual` is None where the key is missing."""

    statement: Statement
    operator: str
    key: str
    actual: tuple[str, ...] | None
    expected: tuple[str, ...]
    holds: bool


class LayerExplanation(msgspec.Struct, frozen=True):
    """One layer: its outcome, the statements that matched, near misses, and missing condition keys."""

    layer: Layer
    outcome: Outcome
    matches: tuple[Match, ...]
    near_misses: tuple[NearMiss, ...]
    missing_keys: tuple[str, ...]


class Explanation(msgspec.Struct, frozen=True):
    """The explanation of a decision, in the order of evaluation.

    One entry per level for SCPs and RCPs, and one per scope down policy.
    """

    layers: tuple[LayerExplanation, ...]

    @property
    def matches(self) -> tuple[Match, ...]:
        return tuple(match for layer in self.layers for match in layer.matches)

    @property
    def near_misses(self) -> tuple[NearMiss, ...]:
        return tuple(miss for layer in self.layers for miss in layer.near_misses)

    @property
    def missing_keys(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(key for layer in self.layers for key in layer.missing_keys))


def explain(request: AccessRequest, layers: Layers) -> Explanation:
    names = names_in(request, layers)
    return Explanation(
        tuple(
            _explain_layer(request, names, layer, policies)
            for layer, policies in policies_in_order(request, layers)
        )
    )


def resource_conditions(request: AccessRequest, layers: Layers) -> Iterator[JudgedCondition]:
    """Every condition of the resource policy's statements that name this principal and this action."""
    if layers.resource is None:
        return
    names, by_key = names_in(request, layers), request.context.by_key
    for _, compiled in _candidates(request, layers.resource):
        if _concerns(compiled, Layer.RESOURCE, names):
            for condition, test in zip(compiled.statement.conditions, compiled.tests, strict=True):
                yield JudgedCondition(
                    compiled.statement,
                    condition.operator,
                    condition.key,
                    by_key.get(condition.key.lower()),
                    condition.values,
                    test(by_key),
                )


def denials_in(request: AccessRequest, layers: Layers, layer: Layer | None) -> Iterator[Match]:
    """The statements that deny in one layer, found lazily, so that the first one costs only its own search."""
    names = names_in(request, layers)
    for one, policies in policies_in_order(request, layers):
        if one is not layer:
            continue
        for source, compiled in _candidates(request, policies):
            if compiled.denies and _concerns(compiled, one, names) and compiled.holds(request.context):
                yield Match(source, compiled.statement, one)


def _candidates(request: AccessRequest, policies: PolicySet) -> Iterable[tuple[Source, CompiledStatement]]:
    facts = facts_of(request.action)
    resource = request.resource if facts.supports_resources else "*"
    return policies.candidates(facts.action, resource, request.context)


def policies_in_order(request: AccessRequest, layers: Layers) -> Iterator[tuple[Layer, PolicySet]]:
    """Every policy set that applies, in the order of evaluation; SCPs and RCPs only where they are not exempted."""
    if not are_rcps_exempted(layers):
        yield from ((Layer.RCP, level) for level in layers.rcps)
    if not are_scps_exempted(request.principal, layers):
        yield from ((Layer.SCP, level) for level in layers.scps)
    for layer, policies in (
        (Layer.ENDPOINT, layers.endpoint),
        (Layer.RESOURCE, layers.resource),
        (Layer.IDENTITY, layers.identity),
        (Layer.BOUNDARY, layers.boundary),
        (Layer.SESSION, layers.session),
    ):
        if policies is not None:
            yield layer, policies
    yield from ((Layer.SCOPE, level) for level in layers.scopes)


def _explain_layer(
    request: AccessRequest, names: Names, layer: Layer, policies: PolicySet
) -> LayerExplanation:
    by_key = request.context.by_key
    matches: list[Match] = []
    misses: list[NearMiss] = []
    missing: dict[str, None] = {}
    for source, compiled in _candidates(request, policies):
        if not _concerns(compiled, layer, names):
            continue
        failing = [
            condition
            for condition, test in zip(compiled.statement.conditions, compiled.tests, strict=True)
            if not test(by_key)
        ]
        missing.update(dict.fromkeys(_missing_keys(compiled, by_key)))
        if not failing:
            matches.append(Match(source, compiled.statement, layer))
        elif len(failing) == 1:
            misses.append(_near_miss(source, compiled, layer, failing[0], by_key))
    return LayerExplanation(layer, _outcome(matches), tuple(matches), tuple(misses), tuple(missing))


def _concerns(compiled: CompiledStatement, layer: Layer, names: Names) -> bool:
    return layer not in _PRINCIPAL_LAYERS or bool(compiled.grant_to(names))


def _near_miss(
    source: Source, compiled: CompiledStatement, layer: Layer, condition: Condition, by_key: ByKey
) -> NearMiss:
    return NearMiss(
        source,
        compiled.statement,
        layer,
        condition.operator,
        condition.key,
        by_key.get(condition.key.lower()),
        condition.values,
    )


def _missing_keys(compiled: CompiledStatement, by_key: ByKey) -> Iterator[str]:
    """Keys that conditions and variables read and the request lacks, in the policy's spelling."""
    has_variables = compiled.has_variables  # which all texts of the statement are asked for
    for condition in compiled.statement.conditions:
        if condition.key.lower() not in by_key and not _asks_for_absence(condition):
            yield condition.key
        if has_variables:
            for variable in condition_variables(condition):
                if variable.key not in by_key:
                    yield variable.name
    if has_variables:
        for variable in resource_variables(compiled.statement):
            if variable.key not in by_key:
                yield variable.name


def _asks_for_absence(condition: Condition) -> bool:
    spelling = spell(condition.operator)
    return spelling is not None and spelling.name == "Null"


def _outcome(matches: list[Match]) -> Outcome:
    effects = {match.statement.effect for match in matches}
    if Effect.DENY in effects:
        return Outcome.EXPLICITLY_DENIED
    return Outcome.ALLOWED if effects else Outcome.IMPLICITLY_DENIED
