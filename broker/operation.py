"""Operations: what an operation is given (`Call`), and what it must declare (`@operation`).

An operation has two phases. `prepare` finds what the request is about: the resource that the gate judges, and whatever
the operation needs of it; it writes nothing. Then the gate decides. Then the handler acts on what was found. So the
permission is for what is acted on, and no operation can forget to ask (`perform`). The caller was proven before the
call existed. Both phases read, and the handler writes, through `call.store`; it is committed around the call, which is
performed once more where the commit meets a conflict.
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
from broker.credentials.mint import Mint
from broker.credentials.one_time_codes import OfferedCode, require_code
from broker.credentials.passwords import Passwords
from broker.errors import Refusal, not_implemented
from broker.federation.federation import Federation
from broker.names.ids import unique_id
from broker.protocol.model import VERSIONS, ServiceModel, load_service
from broker.storage.store import Transaction


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
    tags: int = 50
    user_inline_size: int = 2048
    role_inline_size: int = 10240
    group_inline_size: int = 5120
    trust_policy_size: int = 2048


class Call(msgspec.Struct, frozen=True, eq=False):
    """One performance of one operation: facts and tools, nothing that prepare and handle hand to each other.

    `service_principals` are services of the operator's own, which new trust policies may name beside AWS's.
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

    @property
    def now(self) -> float:
        """Epoch seconds, the same for all of the call."""
        return self.facts.now

    @property
    def account(self) -> str:
        """The caller's account, which IAM operations work in."""
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
    """What `prepare` found: `resource` is what the gate judges, `found` what the handler then acts on.

    `offered_code` is a one-time code that the request offers; `perform` uses it up, before the gate.
    """

    resource: Resource
    found: F_co
    offered_code: OfferedCode | None = None


class Absent(msgspec.Struct, frozen=True):
    """What `prepare` answers where the request names what is not there: judged alike, and refused behind the gate.

    So a caller who may not ask learns nothing of what exists.
    """

    resource: Resource
    refusal: Refusal
    offered_code: OfferedCode | None = None


# Condition keys that only the operation itself fills.
ConditionKeys = Mapping[str, str | tuple[str, ...]]

# Finds what a request is about and writes nothing; raises Refusal only for what may be told to callers who may not ask.
Prepare = Callable[[Call, R], Awaitable[Prepared[F] | Absent]]
Handle = Callable[[Call, R, Prepared[F]], Awaitable[A]]

# The proof of a caller who did not sign: an assertion in the request, which the flow itself judges.
Prove = Callable[[Federation, Transaction, RequestFacts, Any], Awaitable[Caller]]


class Operation(msgspec.Struct, frozen=True):
    """A declared operation: `action` is what the gate is asked about, `prove` is None where callers sign.

    `is_tagging`: its requests may carry tags or tag keys, which conditions then read.
    """

    service: str
    name: str
    action: str
    prepare: Prepare[Any, Any]
    handle: Handle[Any, Any, Any]
    is_tagging: bool
    prove: Prove | None = None


_NOTHING = Prepared(Resource(), None)
# INVARIANT: only a code that was used up a moment ago sets these.
_MFA_PRESENT: ConditionKeys = {"aws:MultiFactorAuthPresent": "true", "aws:MultiFactorAuthAge": "0"}

# Filled while the rooms above are imported, read-only afterwards.
OPERATIONS: dict[tuple[str, str], Operation] = {}


@cache
def model(service: str) -> ServiceModel:
    """The service model, read once."""
    return load_service(service)


def operation(
    action: str, *, prepare: Prepare[R, F], prove: Prove | None = None
) -> Callable[[Handle[R, F, A]], Handle[R, F, A]]:
    """Declare the handler of `action` ("iam:CreateUser"), and what finds the resource that it acts on.

    Raises ValueError at import for a name that no service model has, for a second owner, and for a `prove` that is
    missing, or that callers who sign do not need.
    """
    service, _, name = action.partition(":")
    modelled = model(service).operations.get(name) if service in VERSIONS else None
    if modelled is None:
        raise ValueError(f"the model of {service} knows no operation {name}")
    if modelled.is_unsigned and prove is None:
        raise ValueError(f"nobody signs {action}: it has to prove its caller itself")
    if prove is not None and not modelled.is_unsigned:
        raise ValueError(f"callers sign {action}: their signature is the proof")

    def declare(handle: Handle[R, F, A]) -> Handle[R, F, A]:
        if (service, name) in OPERATIONS:
            raise ValueError(f"{action} has an owner already")
        is_tagging = _is_tagging(model(service), name)
        OPERATIONS[service, name] = Operation(service, name, action, prepare, handle, is_tagging, prove)
        return handle

    return declare


def _is_tagging(service: ServiceModel, name: str) -> bool:
    taken = service.operations[name].input
    fields = service.structs[taken.shape].__struct_fields__ if taken is not None else ()
    return "tags" in fields or "tag_keys" in fields


def find_operation(service: str, name: str) -> Operation:
    """The declared operation; raises Refusal NotImplemented for one that only the model knows."""
    declared = OPERATIONS.get((service, name))
    if declared is None:
        raise not_implemented(
            f"The broker does not implement {service}:{name} yet. The README's table lists what works."
        )
    return declared


async def perform(declared: Operation, call: Call, request: Any) -> Any:
    """Prepare, judge, handle: the operation finds its resource, the gate decides, the operation acts."""
    prepared = await prepare(declared, call, request)
    if prepared.offered_code is not None:
        # The only effect before the gate. It stays where the call is refused: the code is used up, a wrong one counted.
        await require_code(call.store, prepared.offered_code, call.now)
        prepared = replace(prepared, resource=_with_keys(prepared.resource, _MFA_PRESENT))
    await call.gate.require(call.store, call.caller, call.facts, declared.action, prepared.resource)
    if isinstance(prepared, Absent):
        raise prepared.refusal
    return await declared.handle(call, request, prepared)


async def prepare(declared: Operation, call: Call, request: Any) -> Prepared[Any] | Absent:
    """What the operation found, its resource with the condition keys of tags where requests carry them."""
    prepared = await declared.prepare(call, request)
    if declared.is_tagging and (keys := request_tag_keys(request)):
        return replace(prepared, resource=_with_keys(prepared.resource, keys))
    return prepared


def request_tag_keys(request: Any) -> ConditionKeys:
    """aws:RequestTag/* and aws:TagKeys, which IAM fills for every operation that carries tags."""
    tags = getattr(request, "tags", ())
    tag_keys = getattr(request, "tag_keys", ())
    if not tags and not tag_keys:
        return {}
    keys: dict[str, str | tuple[str, ...]] = {f"aws:RequestTag/{tag.key}": tag.value for tag in tags}
    keys["aws:TagKeys"] = tuple(tag.key for tag in tags) + tuple(tag_keys)
    return keys


def _with_keys(resource: Resource, keys: ConditionKeys) -> Resource:
    return replace(resource, keys={**resource.keys, **keys})


async def no_resource(call: Call, request: Any) -> Prepared[None]:
    """For actions that support no resource: they match only `*`, in the caller's account."""
    return _NOTHING
