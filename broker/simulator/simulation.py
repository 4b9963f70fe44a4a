"""The simulator: decisions of the policy engine on simulated requests (IAM API reference, Simulate…Policy).

The layers are gathered by the gate's code, as for a request. Differences from AWS:
- a trust policy in ResourcePolicy is evaluated for `sts:AssumeRole…` (AWS ignores it); without ResourcePolicy,
  SimulatePrincipalPolicy evaluates the trust policy of a role in this account;
- resource control policies are evaluated, as for a request;
- across accounts nothing is allowed without a resource policy, as for a request.
Keys of a real request (aws:SourceIp, aws:CurrentTime ...) have no value unless ContextEntries has one; they are listed
in MissingContextValues.
"""

import asyncio
import json
from collections.abc import Iterable, Iterator, Mapping

import msgspec

from broker.access.caller import Caller, Keys
from broker.access.gather import Gatherer
from broker.access.simulation import find_trust_policy, kind_of_resource_policy
from broker.errors import Refusal
from broker.operation import Call, Prepared, no_resource, operation
from broker.paging import DEFAULT_MAX_ITEMS, Page, page
from broker.policy import (
    NO_POLICIES,
    AccessRequest,
    Context,
    Decision,
    Layers,
    PolicyKind,
    PolicySet,
    Source,
    SourceKind,
    compile_policies,
    decide,
    parse_policy,
)
from broker.protocol.shapes import iam as shapes
from broker.simulator.answers import Finding, cached_keys_of, evaluation_result, finding
from broker.simulator.context import entered_keys
from broker.simulator.costs import (
    MOST_OF_ACTION,
    MOST_OF_PAGE,
    affordable_cost,
    require_comparable,
)
from broker.simulator.exclusions import without, without_resource_controls
from broker.simulator.inputs import (
    MOST_DECISIONS,
    MOST_SHOWN,
    MOST_SHOWN_AT_ONCE,
    compiled_controls,
    compiled_policies,
    compiled_resource_policy,
    find_compiled_boundary,
    owner_in,
    owners_of,
    require_actions,
    require_scenario,
    resources_in,
)
from broker.simulator.near_misses import near_misses
from broker.simulator.subjects import (
    SimulatedCaller,
    found_source,
    get_subject,
    invalid_input,
    unknown_caller,
    unknown_user,
)

Request = shapes.SimulateCustomPolicyRequest | shapes.SimulatePrincipalPolicyRequest


class Simulation(msgspec.Struct, frozen=True):
    """Everything except the action: `layers` by owner of the resource, `owners` by resource, in the request's order.

    `delegated` is the policy that is used for resources of the subject's account whose policy is unknown.
    """

    subject: SimulatedCaller
    layers: Mapping[str, Layers]
    owners: Mapping[str, str]
    resources: tuple[str, ...]
    entered: Keys
    delegated: PolicySet
    knows_roles: bool


@operation("iam:SimulateCustomPolicy", prepare=no_resource)
async def simulate_custom_policy(
    call: Call, request: shapes.SimulateCustomPolicyRequest, prepared: Prepared[None]
) -> shapes.SimulatePolicyResponse:
    if request.caller_arn is None and request.resource_policy is not None:
        raise invalid_input("Invalid caller - Caller cannot be null or empty.")
    arn = request.caller_arn
    subject = unknown_user(call.account, call.now) if arn is None else unknown_caller(arn, call.now)
    layers = Layers(
        await compiled_policies(request.policy_input_list),
        boundary=find_compiled_boundary(request.permissions_boundary_policy_input_list),
        scps=await compiled_controls(request.ordered_organization_policy_input_list),
    )
    resources, owners = _resources(request, subject)
    by_owner = dict.fromkeys(owners.values(), layers)
    return await _simulated(call, request, _simulation(request, subject, by_owner, owners, resources))


@operation("iam:SimulatePrincipalPolicy", prepare=found_source("policy_source_arn"))
async def simulate_principal_policy(
    call: Call, request: shapes.SimulatePrincipalPolicyRequest, prepared: Prepared[Caller]
) -> shapes.SimulatePolicyResponse:
    source = prepared.found
    subject = await get_subject(call, source, request.policy_source_arn, request.caller_arn)
    resources, owners = _resources(request, subject)
    by_owner = await _gathered(call, source, set(owners.values()), request)
    return await _simulated(call, request, _simulation(request, subject, by_owner, owners, resources))


def _resources(request: Request, subject: SimulatedCaller) -> tuple[tuple[str, ...], dict[str, str]]:
    """The resources in the request, and the owner of each."""
    resources = resources_in(request.resource_arns, has_policy=request.resource_policy is not None)
    require_scenario(request.resource_handling_option, resources)
    return resources, owners_of(resources, owner_in(request.resource_owner), subject.account)


def _simulation(
    request: Request,
    subject: SimulatedCaller,
    layers: Mapping[str, Layers],
    owners: Mapping[str, str],
    resources: tuple[str, ...],
) -> Simulation:
    return Simulation(
        subject,
        layers,
        owners,
        resources,
        entered_keys(request.context_entries),
        delegates_to(subject.account),
        knows_roles=isinstance(request, shapes.SimulatePrincipalPolicyRequest),
    )


async def _gathered(
    call: Call, source: Caller, owners: Iterable[str], request: shapes.SimulatePrincipalPolicyRequest
) -> dict[str, Layers]:
    """The gate's layers by owner of the resource, without excluded policies and with added ones."""
    gatherer = Gatherer(call.gate.library)
    added = await compiled_policies(request.policy_input_list)
    boundary = find_compiled_boundary(request.permissions_boundary_policy_input_list)
    own = without(await gatherer.layers_of(call.store, source, call.account), request.policy_exclusion_list)
    own = msgspec.structs.replace(
        own,
        identity=PolicySet.union(own.identity, added),
        boundary=boundary if boundary is not None else own.boundary,
    )
    by_owner = {}
    for owner in owners:
        theirs = without_resource_controls(
            await gatherer.layers_of(call.store, source, owner), request.policy_exclusion_list
        )
        by_owner[owner] = msgspec.structs.replace(
            own,
            rcps=theirs.rcps,
            is_resource_in_management_account=theirs.is_resource_in_management_account,
        )
    return by_owner


async def _simulated(call: Call, request: Request, simulation: Simulation) -> shapes.SimulatePolicyResponse:
    require_actions(request.action_names)
    policies = _resource_policies(request)
    chosen = _page(request, _most_actions(simulation, policies, request.max_items or DEFAULT_MAX_ITEMS))
    keys_of = cached_keys_of()
    results: list[shapes.EvaluationResult] = []
    shown = 0
    for _, action in chosen.items:
        findings: list[Finding] = []
        before = shown
        for resource in simulation.resources:
            decision = await _decision(call, simulation, policies, action, resource)
            await asyncio.sleep(0)
            found = finding(decision, keys_of)
            if _shows_near_misses(request):
                found = msgspec.structs.replace(found, near_misses=near_misses(decision))
            findings.append(found)
            shown += len(findings[-1].statements) + len(findings[-1].missing_keys)
            if shown - before > MOST_SHOWN_AT_ONCE:
                raise invalid_input(f"{action}: more statements match than can be shown in one answer.")
            # A decision on thousands of statements blocks the event loop: serve other requests in between.
            await asyncio.sleep(0)
        results.append(evaluation_result(action, findings))
        if shown > MOST_SHOWN:
            chosen = _page(request, len(results))
            break
    return shapes.SimulatePolicyResponse(
        evaluation_results=tuple(results), is_truncated=chosen.is_truncated, marker=chosen.marker
    )


def _shows_near_misses(request: Request) -> bool:
    """Only where they are asked for: the answer is AWS's otherwise."""
    return isinstance(request, shapes.SimulatePrincipalPolicyRequest) and request.show_near_misses is True


def _most_actions(simulation: Simulation, policies: Mapping[PolicyKind, PolicySet], max_items: int) -> int:
    """How many actions a page has: fewer than MaxItems where these would cost too much.

    Raises InvalidInput where a single action costs too much.
    """
    require_comparable(simulation.entered, _policy_sets(simulation, policies))
    cost = affordable_cost(simulation.entered, simulation.resources, _policy_sets(simulation, policies))
    resources = len(simulation.resources)
    if cost * resources > MOST_OF_ACTION:
        most = int(MOST_OF_ACTION / cost)
        raise invalid_input(
            f"ResourceArns: with these policies at most {most} resources can be simulated at once."
        )
    return min(max_items, max(1, min(MOST_DECISIONS, int(MOST_OF_PAGE / cost)) // resources))


def _page(request: Request, most: int) -> Page[tuple[int, str]]:
    """The next actions, `most` at the most, in the request's order."""
    try:
        return page(enumerate(request.action_names), lambda one: f"{one[0]:06}", request.marker, most)
    except Refusal:
        raise invalid_input("Invalid marker for pagination.") from None


def _resource_policies(request: Request) -> dict[PolicyKind, PolicySet]:
    """ResourcePolicy, parsed as each kind of policy that the actions need."""
    text = request.resource_policy
    if text is None:
        return {}
    kinds = {kind_of_resource_policy(action) for action in request.action_names}
    return {kind: compiled_resource_policy(text, kind) for kind in kinds}


def _policy_sets(
    simulation: Simulation, policies: Mapping[PolicyKind, PolicySet]
) -> Iterator[PolicySet | None]:
    """Every set of policies that a decision may evaluate."""
    yield from policies.values()
    for layers in simulation.layers.values():
        yield from (layers.identity, layers.boundary, *layers.scps, *layers.rcps)


async def _decision(
    call: Call,
    simulation: Simulation,
    policies: Mapping[PolicyKind, PolicySet],
    action: str,
    resource: str,
) -> Decision:
    subject, owner = simulation.subject, simulation.owners[resource]
    policy = policies.get(kind_of_resource_policy(action))
    if policy is None:
        policy = await _known_policy(call, simulation, action, resource, owner)
    layers = msgspec.structs.replace(simulation.layers[owner], resource=policy)
    context = Context.of_lowered({**subject.keys, "aws:resourceaccount": (owner,), **simulation.entered})
    return decide(AccessRequest(subject.principal, action, resource, owner, context), layers)


async def _known_policy(
    call: Call, simulation: Simulation, action: str, resource: str, owner: str
) -> PolicySet:
    """The resource's policy, where the request has none.

    For a role of this account, its trust policy; a role that does not exist trusts no one. For a resource of another
    service that this account has registered, its policy. For other resources, as in AWS's simulator, a policy that
    delegates the decision to the resource's account.
    """
    is_role = kind_of_resource_policy(action) is PolicyKind.TRUST and ":role/" in resource
    if simulation.knows_roles and is_role and owner == call.account:
        return await policy_of_role(call, resource)
    if simulation.knows_roles and owner == call.account:
        owned = await call.gate.foreign_resources.find(call.store, resource)
        if owned is not None and owned.account == owner and owned.policy is not None:
            return owned.policy
    return simulation.delegated if owner == simulation.subject.account else NO_POLICIES


async def policy_of_role(call: Call, arn: str) -> PolicySet:
    """Its trust policy; a role that does not exist trusts no one."""
    found = await find_trust_policy(call.store, call.gate.library, arn)
    return found if found is not None else NO_POLICIES


def delegates_to(account: str) -> PolicySet:
    """A resource policy that delegates the decision to the identity policies of `account`."""
    statement = {"Effect": "Allow", "Principal": {"AWS": account}, "Action": "*"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    source = Source(SourceKind.NONE, "unknown resource policy")
    return compile_policies([(source, parse_policy(document, PolicyKind.RESOURCE))])
