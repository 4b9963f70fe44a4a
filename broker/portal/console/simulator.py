"""The simulator as a picture: who, does what, on what; each layer of policies as a lamp, the deciding one lit.

It is iam:SimulatePrincipalPolicy, and shows what that answers. A question is an address that can be sent to others.
"""

from collections.abc import Mapping
from typing import Any

import msgspec
from aiohttp import web

from broker.errors import Refusal
from broker.portal.console.frame import console_page, console_route
from broker.portal.console.operations import attempt
from broker.portal.console.statements import ShownStatement, Sources, find_sources, find_statements
from broker.portal.dependencies import Portal
from broker.portal.visit import Visit

_MOST_KEYS = 12
_EMPTY_KEYS = 2  # fields for keys that the question has not yet
_LONGEST = 2048
_MOST_VALUES = 8  # of a condition or of resources, in a near miss
_RESOURCE_ELEMENTS = ("Resource", "NotResource")
_ALLOWED, _DENIED = "allowed", "explicitDeny"
_TYPES = {"identity": "IAM Policy", "resource": "Resource Policy", "boundary": "Permissions Boundary Policy"}


class Lamp(msgspec.Struct, frozen=True):
    """A layer: `state` is allows, denies, silent (nothing of it matches) or absent; `is_deciding` lights it."""

    layer: str
    state: str
    is_deciding: bool
    statements: tuple[ShownStatement, ...] = ()


class ShownNearMiss(msgspec.Struct, frozen=True):
    """A statement that would match but for one element: `kind` is resource or condition, `more` are values left out.

    `path` is that of its policy, below the pages of the account; "" where it has none.
    """

    policy: str
    sid: str
    effect: str
    kind: str
    element: str
    operator: str
    found: tuple[str, ...]
    wanted: tuple[str, ...]
    more: int
    path: str = ""


class Question(msgspec.Struct, frozen=True):
    """What was asked, as the address has it; `keys` are condition keys with their values, by comma."""

    principal: str = ""
    action: str = ""
    resource: str = ""
    keys: tuple[tuple[str, str], ...] = ()

    @property
    def is_whole(self) -> bool:
        return bool(self.principal and self.action)


def question_of(query: Mapping[str, str]) -> Question:
    keys = []
    for number in range(1, _MOST_KEYS + 1):
        key, value = query.get(f"key{number}", "").strip(), query.get(f"value{number}", "").strip()
        if key and value:
            keys.append((key[:256], value[:_LONGEST]))
    named = {name: query.get(name, "").strip()[:_LONGEST] for name in ("principal", "action", "resource")}
    return Question(**named, keys=tuple(keys))


def parameters_of(question: Question) -> dict[str, str]:
    """The request of SimulatePrincipalPolicy, as the Query protocol spells it."""
    parameters = {
        "PolicySourceArn": question.principal,
        "ActionNames.member.1": question.action,
        "ShowNearMisses": "true",
    }
    if question.resource:
        parameters["ResourceArns.member.1"] = question.resource
    for number, (key, text) in enumerate(question.keys, 1):
        entry, values = f"ContextEntries.member.{number}", [one.strip() for one in text.split(",")]
        parameters[f"{entry}.ContextKeyName"] = key
        parameters[f"{entry}.ContextKeyType"] = "string" if len(values) == 1 else "stringList"
        for place, value in enumerate(values, 1):
            parameters[f"{entry}.ContextKeyValues.member.{place}"] = value
    return parameters


def lamps_of(result: Any, statements: Mapping[str, tuple[ShownStatement, ...]]) -> list[Lamp]:
    """The layers in the order of evaluation; `statements` are those that matched, by layer."""
    decision = result.eval_decision
    organizations = getattr(result.organizations_decision_detail, "allowed_by_organizations", None)
    boundary = getattr(result.permissions_boundary_decision_detail, "allowed_by_permissions_boundary", None)
    lamps = [_limit("organizations", organizations, decision, statements)]
    for layer in ("resource", "identity"):
        found = statements.get(layer, ())
        state = "silent" if not found else "denies" if decision == _DENIED else "allows"
        lamps.append(Lamp(layer, state, bool(found), found))
    lamps.insert(2, _limit("boundary", boundary, decision, statements))
    if not any(lamp.is_deciding for lamp in lamps):
        # Nothing matched and no limit denied: that no policy of the principal allows it decides.
        lamps[-1] = msgspec.structs.replace(lamps[-1], is_deciding=True)
    return lamps


def near_misses_of(result: Any, sources: Sources) -> list[ShownNearMiss]:
    """Each with the element that fails, what the question has there, and what the statement wants."""
    return [
        ShownNearMiss(
            miss.source_policy_id,
            miss.sid or "",
            miss.effect,
            "resource" if miss.element in _RESOURCE_ELEMENTS else "condition",
            miss.element,
            miss.operator or "",
            tuple(miss.found),
            tuple(miss.wanted[:_MOST_VALUES]),
            max(0, len(miss.wanted) - _MOST_VALUES),
            _path_of(miss, sources),
        )
        for miss in result.near_misses
    ]


def _path_of(miss: Any, sources: Sources) -> str:
    """Of a policy of the principal: a boundary may be called as one of them is."""
    source = sources.get(miss.source_policy_id)
    return source.path if source is not None and miss.source_policy_type == _TYPES["identity"] else ""


def _limit(
    layer: str, is_allowed: bool | None, decision: str, statements: Mapping[str, tuple[ShownStatement, ...]]
) -> Lamp:
    """A layer that grants nothing and only limits: absent where it has no policy."""
    if is_allowed is None:
        return Lamp(layer, "absent", False)
    if is_allowed:
        return Lamp(layer, "allows", False)
    found = statements.get(layer, ())
    return Lamp(layer, "denies" if found else "silent", decision != _ALLOWED, found)


async def show(portal: Portal, visit: Visit) -> web.Response:
    question = question_of(visit.request.query)
    result = await _simulate(portal, visit, question) if question.is_whole else None
    refusal = result if isinstance(result, Refusal) else None
    result = None if isinstance(result, Refusal) else result
    statements: Mapping[str, tuple[ShownStatement, ...]] = {}
    sources: Sources = {}
    if result is not None and (result.matched_statements or result.near_misses):
        sources = await find_sources(portal, visit, question.principal)
    if result is not None:
        matched = result.matched_statements
        by_type = {
            layer: [one for one in matched if one.source_policy_type == shown]
            for layer, shown in _TYPES.items()
        }
        found = await find_statements(portal, visit, sources, matched)
        statements = {layer: tuple(found[one] for one in ones) for layer, ones in by_type.items()}
    missing = list(result.missing_context_values) if result is not None else []
    fields = [*question.keys, *((key, "") for key in missing), *[("", "")] * _EMPTY_KEYS]
    return await console_page(
        portal,
        visit,
        "simulator",
        refusal=refusal,
        question=question,
        key_fields=fields[:_MOST_KEYS],
        result=result,
        lamps=lamps_of(result, statements) if result is not None else (),
        near_misses=near_misses_of(result, sources) if result is not None else (),
        missing=missing,
    )


async def _simulate(portal: Portal, visit: Visit, question: Question) -> Any:
    """The result for the one action, or a Refusal."""
    answer = await attempt(portal, visit, "SimulatePrincipalPolicy", parameters_of(question))
    return answer if isinstance(answer, Refusal) else answer.evaluation_results[0]


ROUTES = (console_route("GET", "/simulator", show, "ConsoleSimulator"),)
