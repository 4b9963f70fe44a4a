"""Past requests of a principal, judged again: with its policies as they are, and with one document replaced.

Not an operation of AWS; it needs the permission of SimulatePrincipalPolicy on the principal. Everything but the
record's own keys is of today: policies, tags, memberships. What the record does not hold is unknown, never missing.
"""

import asyncio
from collections.abc import Callable, Iterable
from typing import Any

from msgspec.structs import replace

from broker.access.caller import Caller, Keys
from broker.access.conditions import principal_keys
from broker.access.gather import Gatherer
from broker.access.past_requests import PastRequest, ReplayAnswer, Replayed, ReplayRequest
from broker.access.simulation import kind_of_resource_policy
from broker.names.arn import is_account_id, parse_arn
from broker.operation import Call, Prepared, page_operation
from broker.policy import (
    AccessRequest,
    Context,
    Extremes,
    Layers,
    PolicyKind,
    PolicySet,
    is_always_allowed,
    supports_resources,
)
from broker.simulator.costs import affordable_cost
from broker.simulator.exclusions import without
from broker.simulator.inputs import EVERYTHING, compiled_policies
from broker.simulator.simulation import delegates_to, policy_of_role
from broker.simulator.subjects import found_source
from broker.storage.store import GROUPS, INSTANCE_PROFILES, ROLES, USERS, Collection

_COLLECTIONS: dict[str, Collection[Any]] = {
    "AWS::IAM::User": USERS,
    "AWS::IAM::Group": GROUPS,
    "AWS::IAM::Role": ROLES,
    "AWS::IAM::InstanceProfile": INSTANCE_PROFILES,
}
# Of the session that called, not of the one that is simulated: only the record knows them.
_OF_SESSION = ("aws:userid", "aws:tokenissuetime", "aws:multifactorauthpresent", "aws:multifactorauthage")
# Keys that are known to be missing where the principal or its account does not have them.
_WHOLLY_KNOWN = frozenset(
    {
        "aws:principalaccount",
        "aws:principalarn",
        "aws:principalorgid",
        "aws:principalorgpaths",
        "aws:principaltype",
        "aws:resourceaccount",
        "aws:resourceorgid",
        "aws:resourceorgpaths",
        "aws:username",
    }
)
_PRINCIPAL_TAG = "aws:principaltag/"
_UNCERTAIN, _ALWAYS = Replayed(None, None), Replayed(True, True)


@page_operation("ReplayRequests", "iam:SimulatePrincipalPolicy", prepare=found_source("policy_source_arn"))
async def replay_requests(call: Call, request: ReplayRequest, prepared: Prepared[Caller]) -> ReplayAnswer:
    caller = prepared.found
    layers, organization_keys = await Gatherer(call.gate.library).gather(call.store, caller, call.account)
    added = await compiled_policies(request.policy_input_list)
    remaining = without(layers, request.policy_exclusion_list)
    other = replace(remaining, identity=PolicySet.union(remaining.identity, added))
    for one in (layers, other):
        affordable_cost({}, (EVERYTHING,), (one.identity, one.boundary, *one.scps, *one.rcps))
    replay = _Replay(call, caller, organization_keys, (layers, other))
    return ReplayAnswer(tuple([await replay.judge(one) for one in request.past]))


class _Replay:
    """One principal's requests; what was compiled for one is used for those of which the same keys are known."""

    def __init__(
        self, call: Call, caller: Caller, organization_keys: Keys, layers: tuple[Layers, Layers]
    ) -> None:
        self._call, self._caller, self._layers = call, caller, layers
        self._keys = {**principal_keys(caller, call.now), **organization_keys}
        for key in _OF_SESSION:
            self._keys.pop(key, None)
        self._extremes: dict[tuple[object, ...], tuple[Extremes, Extremes]] = {}
        self._delegated = delegates_to(call.account)

    async def judge(self, past: PastRequest) -> Replayed:
        if is_always_allowed(self._caller.principal, past.action):
            return _ALWAYS
        resources = await self._resources(past)
        answers = {await self._judge_on(past, resource) for resource in resources}
        # Which of several the gate was asked about is not recorded.
        return answers.pop() if len(answers) == 1 else _UNCERTAIN

    async def _judge_on(self, past: PastRequest, resource: str) -> Replayed:
        # A decision on thousands of statements blocks the event loop: serve other requests in between.
        await asyncio.sleep(0)
        account = self._call.account
        if _owner(resource, account) != account:
            return _UNCERTAIN  # whose policies for that resource are not known here
        policy = self._delegated
        if kind_of_resource_policy(past.action) is PolicyKind.TRUST and ":role/" in resource:
            policy = await policy_of_role(self._call, resource)
        keys = {**self._keys, **past.keys, "aws:resourceaccount": (account,)}
        asked = AccessRequest(
            self._caller.principal, past.action, resource, account, Context.of_lowered(keys)
        )
        before, after = self._of(policy, keys, past.absent)
        return Replayed(before.is_allowed(asked), after.is_allowed(asked))

    def _of(self, policy: PolicySet, keys: Keys, absent: frozenset[str]) -> tuple[Extremes, Extremes]:
        # Which keys are known makes the extremes, not their values.
        known = (policy, frozenset(keys), absent)
        found = self._extremes.get(known)
        if found is None:
            is_known = self._knowing(keys, absent)
            before, after = (Extremes(replace(one, resource=policy), is_known) for one in self._layers)
            found = self._extremes[known] = (before, after)
        return found

    def _knowing(self, keys: Iterable[str], absent: frozenset[str]) -> Callable[[str], bool]:
        known = frozenset((*keys, *absent, *_WHOLLY_KNOWN))
        has_own_tags = self._caller.user is not None  # a session of a role may have tags of its own
        return lambda key: key in known or (has_own_tags and key.startswith(_PRINCIPAL_TAG))

    async def _resources(self, past: PastRequest) -> list[str]:
        """The ARNs; empty where they are not known."""
        if not supports_resources(past.action):
            return [EVERYTHING]
        found = [await self._arn_of(kind, name) for kind, name in past.resources]
        return [] if None in found else [arn for arn in found if arn is not None]

    async def _arn_of(self, kind: str, name: str) -> str | None:
        """None for a name of which the ARN is not known any more: its path is in the entity alone."""
        if name.startswith("arn:"):
            return name
        collection = _COLLECTIONS.get(kind)
        record = (
            await self._call.store.find(collection, self._call.account, name)
            if collection is not None
            else None
        )
        return getattr(record, "arn", None)


def _owner(resource: str, account: str) -> str:
    """That of the ARN; the account itself for one that names none, such as a bucket's."""
    try:
        owner = parse_arn(resource).account
    except ValueError:
        return account
    return owner if is_account_id(owner) else account
