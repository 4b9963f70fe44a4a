"""Operations: what a handler is given (`Call`), and what it must declare (`@operation`).

A handler is a coroutine function from a call and a typed request to a typed result. Around it stand the steps that
no operation may forget: the caller was proven before the call existed, and the gate judges between the declared
resource and the handler (`perform`). The handler reads and writes through `call.store`; whoever performs the call
commits, and performs it anew where the commit meets a conflict.
"""

from collections.abc import Awaitable, Callable
from functools import cache
from typing import Any

import msgspec

from broker.access.caller import Caller
from broker.access.facts import RequestFacts
from broker.access.gate import Gate
from broker.access.resource import Resource
from broker.credentials.mint import Mint
from broker.errors import not_implemented
from broker.names.ids import unique_id
from broker.protocol.model import ServiceModel, load_service
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
    tags: int = 50
    user_inline_size: int = 2048
    role_inline_size: int = 10240
    group_inline_size: int = 5120
    trust_policy_size: int = 2048


class Call(msgspec.Struct, eq=False):
    """One performance of one operation: facts and tools, nothing that handlers hand to each other.

    `judged` is the resource that the gate has passed, with everything that was found for it: a handler that needs the
    same records acts on those, not on what it would find a second time. None until then.
    """

    caller: Caller
    facts: RequestFacts
    store: Transaction
    gate: Gate
    mint: Mint
    entropy: Callable[[int], bytes]
    quotas: Quotas
    judged: Resource | None = None

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


ResourceOf = Callable[[Call, Any], Awaitable[Resource]]
Handler = Callable[[Call, Any], Awaitable[Any]]

# The proof of a caller who did not sign: an assertion in the request, which the flow itself judges.
Prove = Callable[[Transaction, RequestFacts, Any], Awaitable[Caller]]


class Operation(msgspec.Struct, frozen=True):
    """A declared operation: `action` is what the gate is asked about, `prove` is None where callers sign.

    `is_tagging`: its requests may carry tags or tag keys, which conditions then read.
    """

    service: str
    name: str
    action: str
    resource: ResourceOf
    handler: Handler
    is_tagging: bool
    prove: Prove | None = None


_NO_RESOURCE = Resource()

# Filled while the rooms above are imported, read-only afterwards.
OPERATIONS: dict[tuple[str, str], Operation] = {}


@cache
def model(service: str) -> ServiceModel:
    """The service model, read once."""
    return load_service(service)


def operation(
    action: str, *, resource: ResourceOf, prove: Prove | None = None
) -> Callable[[Handler], Handler]:
    """Declare the handler of `action` ("iam:CreateUser") and the resource that it acts on.

    Raises ValueError at import for a name that the service model lacks, for a second owner, and for a `prove` that is
    missing, or that callers who sign do not need.
    """
    service, _, name = action.partition(":")
    modelled = model(service).operations.get(name)
    if modelled is None:
        raise ValueError(f"the model of {service} knows no operation {name}")
    if modelled.is_unsigned and prove is None:
        raise ValueError(f"nobody signs {action}: it has to prove its caller itself")
    if prove is not None and not modelled.is_unsigned:
        raise ValueError(f"callers sign {action}: their signature is the proof")

    def declare(handler: Handler) -> Handler:
        if (service, name) in OPERATIONS:
            raise ValueError(f"{action} has an owner already")
        is_tagging = _is_tagging(model(service), name)
        OPERATIONS[service, name] = Operation(service, name, action, resource, handler, is_tagging, prove)
        return handler

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
    """Judge, then handle: the resource is declared by the operation, the gate decides, the handler acts."""
    resource = await declared.resource(call, request)
    if declared.is_tagging:
        resource = with_request_tags(resource, request)
    await call.gate.require(call.store, call.caller, call.facts, declared.action, resource)
    call.judged = resource
    return await declared.handler(call, request)


def with_request_tags(resource: Resource, request: Any) -> Resource:
    """Add aws:RequestTag/* and aws:TagKeys, which IAM fills for every operation that carries tags."""
    tags = getattr(request, "tags", ())
    tag_keys = getattr(request, "tag_keys", ())
    if not tags and not tag_keys:
        return resource
    keys: dict[str, str | tuple[str, ...]] = {f"aws:RequestTag/{tag.key}": tag.value for tag in tags}
    keys["aws:TagKeys"] = tuple(tag.key for tag in tags) + tuple(tag_keys)
    return msgspec.structs.replace(resource, keys={**resource.keys, **keys})


async def no_resource(call: Call, request: Any) -> Resource:
    """For actions that support no resource: they match only `*`, in the caller's account."""
    return _NO_RESOURCE
