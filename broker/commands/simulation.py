"""Evaluates the options of `broker policy simulate`: builds access requests and decides them."""

import argparse
from collections.abc import Iterable
from pathlib import Path

import msgspec

from broker.access.caller import Caller, root_caller, user_caller
from broker.access.conditions import RequestContext
from broker.access.facts import RequestFacts
from broker.access.foreign_resources import find_owner
from broker.access.gather import Gatherer
from broker.access.resource import Resource
from broker.access.simulation import (
    SESSION_NAME,
    find_trust_policy,
    kind_of_resource_policy,
    owner_of,
    role_caller,
)
from broker.app import Broker, clock
from broker.commands.refusing import WrongUse, malformed, read_text
from broker.names.arn import Arn, parse_arn
from broker.names.principal import IamUser
from broker.policy import (
    NO_POLICIES,
    AccessRequest,
    Decision,
    Layers,
    MalformedPolicy,
    PolicyKind,
    PolicySet,
    Source,
    SourceKind,
    compile_policies,
    decide,
    parse_policy,
)
from broker.storage.store import ROLES, USERS, Transaction

_ACCOUNT = "123456789012"


async def decide_all(chosen: argparse.Namespace, broker: Broker | None) -> list[Decision]:
    """A decision for each action on each resource. Raises WrongUse for invalid options."""
    _require_whole_actions(chosen.action)
    store = broker.store.transaction() if broker is not None else None
    caller = await _caller(store, chosen.principal) if store is not None else _simulated_user()
    decisions = []
    for text in chosen.resource or ["*"]:
        known = None if store is None else await find_owner(store, text)
        account = owner_of(text, chosen.resource_account or known, caller.account)
        own = (
            await Gatherer(broker.gate.library).layers_of(store, caller, account)
            if broker and store
            else None
        )
        layers = _with_files(own or Layers(NO_POLICIES), chosen)
        for action in chosen.action:
            asked = await _with_resource(layers, chosen, broker, action, text)
            resource = Resource(text, account, keys=_context(chosen.context))
            facts = RequestFacts(clock(), "", "", secure_transport=True)
            context = RequestContext(caller, facts, resource)
            decisions.append(decide(AccessRequest(caller.principal, action, text, account, context), asked))
    return decisions


def _require_whole_actions(actions: Iterable[str]) -> None:
    """An action without its service would match nothing and look denied."""
    for action in actions:
        service, colon, name = action.partition(":")
        if not (service and colon and name):
            raise WrongUse(f"--action: {action!r} names no service; write it as in s3:GetObject")


def _simulated_user() -> Caller:
    return Caller(principal=IamUser(_ACCOUNT, "simulated", "AIDASIMULATEDUSER0000"), account=_ACCOUNT)


async def _caller(store: Transaction, text: str) -> Caller:
    """The caller that would act under this ARN; raises WrongUse where there is none."""
    try:
        arn = parse_arn(text)
    except ValueError:
        raise WrongUse(f"--principal: {text} is no ARN") from None
    kind, _, rest = arn.resource.partition("/")
    if arn.service == "iam" and arn.resource == "root":
        return root_caller(arn.account)
    if arn.service == "iam" and kind == "user":
        user = await store.find(USERS, arn.account, rest.rpartition("/")[2])
        if user is not None and user.arn == text:
            return user_caller(user)
    caller = await _role_session(store, arn, text)
    if caller is None:
        raise WrongUse(
            f"--principal: the store has no {text}; write the ARN of a user, a role, a role session or root"
        )
    return caller


async def _role_session(store: Transaction, arn: Arn, text: str) -> Caller | None:
    kind, _, rest = arn.resource.partition("/")
    name, session = rest.rpartition("/")[2], SESSION_NAME
    if (arn.service, kind) == ("sts", "assumed-role"):
        name, _, session = rest.partition("/")
    elif (arn.service, kind) != ("iam", "role"):
        return None
    role = await store.find(ROLES, arn.account, name)
    if role is None or (arn.service == "iam" and role.arn != text):
        return None
    return role_caller(role, clock(), session)


def _with_files(layers: Layers, chosen: argparse.Namespace) -> Layers:
    """`layers`, with the policies that the options name."""
    changes: dict[str, object] = {}
    if chosen.policy:
        added = _compiled(chosen.policy, PolicyKind.IDENTITY, SourceKind.INLINE)
        changes["identity"] = PolicySet.union(layers.identity, added)
    if chosen.boundary:
        changes["boundary"] = _compiled([chosen.boundary], PolicyKind.BOUNDARY, SourceKind.BOUNDARY)
    if chosen.session:
        changes["session"] = _compiled([chosen.session], PolicyKind.SESSION, SourceKind.SESSION)
    if chosen.scp:
        levels = tuple(_compiled([file], PolicyKind.SCP, SourceKind.SCP) for file in chosen.scp)
        changes["scps"] = layers.scps + levels
    if chosen.rcp:
        levels = tuple(_compiled([file], PolicyKind.RCP, SourceKind.RCP) for file in chosen.rcp)
        changes["rcps"] = layers.rcps + levels
    return msgspec.structs.replace(layers, **changes)


async def _with_resource(
    layers: Layers, chosen: argparse.Namespace, broker: Broker | None, action: str, resource: str
) -> Layers:
    """`layers`, with the resource's policy: from a file, or from the store."""
    kind = kind_of_resource_policy(action)
    if chosen.resource_policy:
        policy = _compiled([chosen.resource_policy], kind, SourceKind.RESOURCE)
        return msgspec.structs.replace(layers, resource=policy)
    if broker is not None and kind is PolicyKind.RESOURCE:
        owned = await broker.gate.foreign_resources.find(broker.store.transaction(), resource)
        return layers if owned is None else msgspec.structs.replace(layers, resource=owned.policy)
    if broker is None or kind is not PolicyKind.TRUST or ":role/" not in resource:
        return layers
    trust = await find_trust_policy(broker.store.transaction(), broker.gate.library, resource)
    if trust is None:
        raise WrongUse(f"--resource: there is no role {resource} in the store")
    return msgspec.structs.replace(layers, resource=trust)


def _compiled(files: Iterable[Path], kind: PolicyKind, source_kind: SourceKind) -> PolicySet:
    policies = []
    for file in files:
        try:
            policies.append((Source(source_kind, file.name), parse_policy(read_text(file), kind)))
        except MalformedPolicy as error:
            raise WrongUse(f"{file}: {malformed(error)}") from None
    return compile_policies(policies)


def _context(pairs: Iterable[str]) -> dict[str, tuple[str, ...]]:
    keys: dict[str, tuple[str, ...]] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key:
            raise WrongUse(f"--context: {pair!r} is not KEY=VALUE")
        keys[key] = (*keys.get(key, ()), value)
    return keys
