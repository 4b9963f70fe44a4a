"""Operations: the arguments of an operation (`Call`), and its declaration (`@operation`).

An operation has two phases. `prepare` finds the resource that the gate judges, and the records that the operation
needs; it writes nothing. Then the gate decides. Then the handler acts on what was found. So the permission is for the
resource that is acted on, and no operation runs without one (`perform`). The caller is proven before the call is made.
Both phases read, and the handler writes, through `call.store`. The call is committed as a whole, and is performed again
after a conflict.
"""

from collections.abc import Awaitable, Callable, Mapping
from functools import cache
from typing import Any, Generic, TypeVar

import msgspec
from msgspec.structs import replace

from broker.access.caller import Caller
from broker.access.facts import RequestFacts
from broker.access.gate import Gate
from broker.access.resource import Resource
from broker.audit.history import EventHistory
from broker.credentials.mint import Mint
from broker.credentials.one_time_codes import OfferedCode, require_code
from broker.credentials.passwords import Passwords
from broker.errors import Refusal, not_implemented
from broker.federation.federation import Federation
from broker.names.ids import unique_id
from broker.policy.solver import CheckAnswer, CustomCheck, ParameterFault
from broker.protocol.model import MODELS_BY_PREFIX, VERSIONS, ServiceModel, load_service
from broker.protocol.redaction import is_reading
from broker.storage.store import Transaction

# Answers a check of policies by a solver; raises Refusal.
CheckPolicy = Callable[[CustomCheck], Awaitable[CheckAnswer | ParameterFault]]


class Quotas(msgspec.Struct, frozen=True):
    """IAM's default quotas ("IAM and AWS STS quotas"); all configurable."""

    users: int = 5000
    groups: int = 300
    roles: int = 1000
    customer_policies: int = 1500
    policy_versions: int = 5
    managed_policy_size: int = 6144
    instance_profiles: int = 1000
    roles_per_instance_profile: int = 1
    groups_per_user: int = 10
    attached_policies_per_user: int = 10
    attached_policies_per_group: int = 10
    attached_policies_per_role: int = 10
    access_keys_per_user: int = 2
    mfa_devices_per_user: int = 8
    virtual_mfa_devices: int = 5000
    open_id_connect_providers: int = 100
    client_ids_per_open_id_connect_provider: int = 100
    saml_providers: int = 100
    server_certificates: int = 20
    signing_certificates_per_user: int = 2
    ssh_public_keys_per_user: int = 5
    service_specific_credentials_per_user: int = 2
    tags: int = 50
    user_inline_size: int = 2048
    role_inline_size: int = 10240
    group_inline_size: int = 5120
    trust_policy_size: int = 2048
    credential_report_hours: int = 4
    clusters: int = 100
    pod_identity_associations_per_cluster: int = 5000
    organization_accounts: int = 10
    organizational_units: int = 1000
    organization_policies: int = 1000
    service_control_policies_per_target: int = 5
    resource_control_policies_per_target: int = 5
    service_control_policy_size: int = 5120
    resource_control_policy_size: int = 5120
    trust_anchors: int = 50
    certificates_per_trust_anchor: int = 2
    crls_per_trust_anchor: int = 2
    workload_profiles: int = 250
    identity_pools: int = 1000
    identities_per_pool: int = 50_000
    users_per_identity_store: int = 100_000
    groups_per_identity_store: int = 100_000
    foreign_resources: int = 1000
    foreign_resource_policy_size: int = 20480


class Call(msgspec.Struct, frozen=True, eq=False):
    """What both phases of an operation read and use; what `prepare` finds is in `Prepared`.

    `service_principals` are the operator's own services, which trust policies may name as they do AWS's.
    `portal_url` is where people sign in; "" where there is no portal. `accounts_take_names` says whether an account may
    register a name that all accounts share (a bucket's), `delivers_trails` whether trails are delivered anywhere.
    `performed` is what the operation has performed within itself, each of which leaves a record of its own.
    `history` is None where the journal is no file, `check_policy` where nothing can check policies by a solver.
    """

    caller: Caller
    facts: RequestFacts
    store: Transaction
    gate: Gate
    mint: Mint
    entropy: Callable[[int], bytes]
    quotas: Quotas
    federation: Federation
    passwords: Passwords
    service_principals: frozenset[str] = frozenset()
    portal_url: str = ""
    history: EventHistory | None = None
    accounts_take_names: bool = True
    delivers_trails: bool = False
    check_policy: CheckPolicy | None = None
    performed: "list[Performed]" = msgspec.field(default_factory=list)

    @property
    def now(self) -> float:
        """Epoch seconds, the same during the whole call."""
        return self.facts.now

    @property
    def account(self) -> str:
        """The caller's account; IAM operations act on it."""
        return self.caller.account

    def new_id(self, prefix: str) -> str:
        return unique_id(prefix, self.entropy(11))

    async def require(self, action: str, resource: Resource) -> None:
        """Ask the gate for one more permission (`iam:PassRole`, `sts:TagSession`); raises AccessDenied."""
        await self.gate.require(self.store, self.caller, self.facts, action, resource)


R = TypeVar("R")
F = TypeVar("F")
F_co = TypeVar("F_co", covariant=True)
A = TypeVar("A")


class Prepared(msgspec.Struct, Generic[F_co], frozen=True):
    """What `prepare` found: `resource` is what the gate judges, `found` what the handler acts on.

    `offered_code` is a one-time code in the request; `perform` verifies it and uses it up, before the gate.
    """

    resource: Resource
    found: F_co
    offered_code: OfferedCode | None = None


class Absent(msgspec.Struct, frozen=True):
    """What `prepare` returns where the named entity does not exist: the gate judges the request, then it is refused.

    So a caller without permission does not learn what exists.
    """

    resource: Resource
    refusal: Refusal
    offered_code: OfferedCode | None = None


# Condition keys that only the operation itself fills.
ConditionKeys = Mapping[str, str | tuple[str, ...]]

# Writes nothing; raises Refusal only where callers without permission may see it, too.
Prepare = Callable[[Call, R], Awaitable[Prepared[F] | Absent]]
Handle = Callable[[Call, R, Prepared[F]], Awaitable[A]]

# Proves a caller who did not sign, by an assertion in the request.
Prove = Callable[[Federation, Transaction, RequestFacts, Any], Awaitable[Caller]]


class Operation(msgspec.Struct, frozen=True):
    """A declared operation: the gate judges `action`; `prove` is None where callers sign.

    `is_tagging`: its requests may have tags or tag keys, which become condition keys. `is_ahead`: it only asks whether
    the operation would be allowed, and leaves a record where it is not.
    """

    service: str
    name: str
    action: str
    prepare: Prepare[Any, Any]
    handle: Handle[Any, Any, Any]
    is_tagging: bool
    prove: Prove | None = None
    is_ahead: bool = False


class Performed(msgspec.Struct, frozen=True):
    """An operation that another one has performed within itself."""

    operation: Operation
    caller: Caller
    request: Any
    answer: Any

    def __repr__(self) -> str:
        return f"Performed({self.operation.action}, ***)"  # credentials may be in the answer


_NOTHING = Prepared(Resource(), None)
# INVARIANT: only set after a one-time code was verified in this call.
_MFA_PRESENT: ConditionKeys = {"aws:MultiFactorAuthPresent": "true", "aws:MultiFactorAuthAge": "0"}

# Filled while the rooms above are imported, read-only afterwards.
OPERATIONS: dict[tuple[str, str], Operation] = {}
# What pages do and no wire protocol knows, by names of our own; filled likewise.
PAGE_OPERATIONS: dict[str, Operation] = {}


@cache
def model(service: str) -> ServiceModel:
    """The service model, read once."""
    return load_service(service)


def operation(
    action: str, *, prepare: Prepare[R, F], prove: Prove | None = None, judged_as: str = ""
) -> Callable[[Handle[R, F, A]], Handle[R, F, A]]:
    """Declare the handler of `action` ("iam:CreateUser"), and its `prepare`.

    `judged_as` is what policies call the action, where that is not the service's name.

    Raises ValueError at import for a name that no service model has, for a second handler, for a missing `prove`, and
    for a `prove` where callers sign.
    """
    prefix, _, name = action.partition(":")
    service = MODELS_BY_PREFIX.get(prefix, prefix)
    modelled = model(service).operations.get(name) if service in VERSIONS else None
    if modelled is None:
        raise ValueError(f"the model of {service} knows no operation {name}")
    if modelled.is_unsigned and prove is None:
        raise ValueError(f"{action} is not signed: it needs `prove`")
    if prove is not None and not modelled.is_unsigned:
        raise ValueError(f"{action} is signed: it cannot have `prove`")

    def declare(handle: Handle[R, F, A]) -> Handle[R, F, A]:
        if (service, name) in OPERATIONS:
            raise ValueError(f"{action} has a handler already")
        is_tagging = _is_tagging(model(service), name)
        judged = judged_as or action
        OPERATIONS[service, name] = Operation(service, name, judged, prepare, handle, is_tagging, prove)
        return handle

    return declare


def page_operation(
    name: str, action: str, *, prepare: Prepare[R, F], is_ahead: bool = False, judged_as: str = ""
) -> Callable[[Handle[R, F, A]], Handle[R, F, A]]:
    """Declare what only pages perform, as `action` of a service, whose permission it needs and whose record it leaves.

    `judged_as` is what policies call the action, where that is another name.
    No request on the wire reaches it. Raises ValueError at import for a second handler.
    """
    service, _, modelled = action.partition(":")

    def declare(handle: Handle[R, F, A]) -> Handle[R, F, A]:
        if name in PAGE_OPERATIONS:
            raise ValueError(f"{name} has a handler already")
        PAGE_OPERATIONS[name] = Operation(
            service, modelled, judged_as or action, prepare, handle, is_tagging=False, is_ahead=is_ahead
        )
        return handle

    return declare


def _is_tagging(service: ServiceModel, name: str) -> bool:
    request = service.operations[name].input
    fields = service.structs[request.shape].__struct_fields__ if request is not None else ()
    return "tags" in fields or "tag_keys" in fields


def find_operation(service: str, name: str) -> Operation:
    """The declared operation; raises Refusal NotImplemented where it is only in the model."""
    declared = OPERATIONS.get((service, name))
    if declared is None:
        raise not_implemented(
            f"The broker does not implement {service}:{name} yet. broker/README.md lists what works."
        )
    return declared


async def perform(declared: Operation, call: Call, request: Any) -> Any:
    """`prepare`, then the gate, then the handler; of those that write to the caller's account, one call at a time."""
    if declared.service == "iam" and not is_reading(declared.name):
        await call.store.take_turn(call.account)
    prepared = await prepare(declared, call, request)
    if prepared.offered_code is not None:
        # The only write before the gate. It is committed even where the call is refused: a code is used up or counted.
        await require_code(call.store, prepared.offered_code, call.now)
        prepared = replace(prepared, resource=_with_keys(prepared.resource, _MFA_PRESENT))
    await call.gate.require(call.store, call.caller, call.facts, declared.action, prepared.resource)
    if isinstance(prepared, Absent):
        raise prepared.refusal
    return await declared.handle(call, request, prepared)


async def perform_within(call: Call, caller: Caller, declared: Operation, request: Any) -> Any:
    """Another operation as a part of `call`, for `caller`: the permission is its own, and so is the record."""
    answer = await perform(declared, replace(call, caller=caller), request)
    call.performed.append(Performed(declared, caller, request, answer))
    return answer


async def prepare(declared: Operation, call: Call, request: Any) -> Prepared[Any] | Absent:
    """What the operation's `prepare` found; the condition keys of the request's tags are added to the resource."""
    prepared = await declared.prepare(call, request)
    if declared.is_tagging and (keys := request_tag_keys(request)):
        return replace(prepared, resource=_with_keys(prepared.resource, keys))
    return prepared


def request_tag_keys(request: Any) -> ConditionKeys:
    """aws:RequestTag/* and aws:TagKeys, which IAM fills for every operation with tags: a list of them, or a map.

    Of tags whose keys differ in case only, the one condition key has all values.
    """
    tags = getattr(request, "tags", ())
    tag_keys = getattr(request, "tag_keys", ())
    if not tags and not tag_keys:
        return {}
    pairs = tags.items() if isinstance(tags, Mapping) else [(tag.key, tag.value) for tag in tags]
    by_key: dict[str, tuple[str, ...]] = {}
    for key, value in pairs:
        name = f"aws:RequestTag/{key}".lower()
        by_key[name] = (*by_key.get(name, ()), value)
    keys: dict[str, str | tuple[str, ...]] = {**by_key}
    keys["aws:TagKeys"] = tuple(key for key, _ in pairs) + tuple(tag_keys)
    return keys


def _with_keys(resource: Resource, keys: ConditionKeys) -> Resource:
    return replace(resource, keys={**resource.keys, **keys})


async def no_resource(call: Call, request: Any) -> Prepared[None]:
    """The `prepare` of actions without resources: policies match them by `*` only, in the caller's account."""
    return _NOTHING
