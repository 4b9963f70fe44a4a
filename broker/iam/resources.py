"""What an operation acts on, as the gate sees it: ARN and tags, looked up by a field of the request.

An entity that is not there has the ARN that it would have, and a refusal calls one that is there by the same: the name
as the request spells it, and no path. So whoever may not ask learns nothing of what exists.
The resource types per action: Service Authorization Reference, "Actions, resources, and condition keys for IAM".
"""

from collections.abc import Callable
from typing import Any

from broker.access.resource import Resource
from broker.errors import validation_error
from broker.iam import entities
from broker.iam.entities import Entity
from broker.names.arn import iam_arn
from broker.names.principal import Root, User
from broker.operation import Call, ResourceOf

Keys = dict[str, str | tuple[str, ...]]
KeysOf = Callable[[Any], Keys]


def no_keys(request: Any) -> Keys:
    return {}


def boundary_keys(request: Any) -> Keys:
    """iam:PermissionsBoundary, where the request sets one."""
    return {"iam:PermissionsBoundary": request.permissions_boundary} if request.permissions_boundary else {}


def named(entity: Entity[Any], field: str, keys: KeysOf = no_keys) -> ResourceOf:
    """The entity that `field` of the request names, with the condition keys that `keys` reads from the request."""

    async def resource(call: Call, request: Any) -> Resource:
        return await entity_resource(call, entity, getattr(request, field), keys(request))

    return resource


def new(entity: Entity[Any], field: str, keys: KeysOf = no_keys) -> ResourceOf:
    """The entity that the request is about to create, at the path that it asks for."""

    async def resource(call: Call, request: Any) -> Resource:
        arn = arn_at(call, entity, getattr(request, "path", None), getattr(request, field))
        return Resource(arn, keys=keys(request))

    return resource


async def entity_resource(
    call: Call, entity: Entity[Any], name: str, keys: Keys | None = None, path: str | None = None
) -> Resource:
    """The entity called `name` in the caller's account; at `path` where there is none."""
    record = await call.store.find(entity.collection, call.account, name)
    asked_for = arn_at(call, entity, path, name)
    if record is None:
        return Resource(asked_for, keys=keys or {})
    return Resource(record.arn, tags=getattr(record, "tags", {}), keys=keys or {}, asked_for=asked_for)


def arn_at(call: Call, entity: Entity[Any], path: str | None, name: str) -> str:
    return iam_arn(call.account, f"{entity.resource_type}{path or '/'}{name}")


def listed(resource_type: str) -> ResourceOf:
    """The path that a list asks for, as AWS names it in its refusals: `arn:aws:iam::ID:user/prefix/`.

    No resource type stands in the Service Authorization Reference for lists, and `Resource: "*"` matches as well.
    """

    async def resource(call: Call, request: Any) -> Resource:
        return Resource(iam_arn(call.account, resource_type + (getattr(request, "path_prefix", None) or "/")))

    return resource


async def policy_resource(call: Call, request: Any) -> Resource:
    """The managed policy whose ARN the request carries; tags only where it is the account's own."""
    arn = request.policy_arn
    record = await call.store.find(entities.POLICY.collection, call.account, arn.rpartition("/")[2])
    return Resource(arn) if record is None or record.arn != arn else Resource(arn, tags=record.tags)


def implied_user_name(call: Call, user_name: str | None) -> str | None:
    """The user that a request means: named, or else the caller; None is the root user.

    Raises ValidationError where nobody is named and the caller is no user.
    """
    if user_name is not None:
        return user_name
    principal = call.caller.principal
    if isinstance(principal, Root):
        return None
    if isinstance(principal, User):
        return principal.name
    raise validation_error("Must specify userName when calling with non-User credentials")


async def user_or_caller(call: Call, request: Any) -> Resource:
    """The user named in the request, or else whoever signed it."""
    name = implied_user_name(call, request.user_name)
    if name is None:
        return Resource(Root(call.account).arn)
    return await entity_resource(call, entities.USER, name)


async def mfa_resource(call: Call, request: Any) -> Resource:
    """The MFA device whose serial number the request carries: a virtual device's is its ARN."""
    device = await entities.find_mfa_device(call, request.serial_number)
    if device is None:
        return Resource(request.serial_number)
    return Resource(device.serial_number, tags=device.tags, asked_for=request.serial_number)


async def new_mfa_resource(call: Call, request: Any) -> Resource:
    return Resource(iam_arn(call.account, f"mfa{request.path or '/'}{request.virtual_mfa_device_name}"))


user_resource = named(entities.USER, "user_name")
group_resource = named(entities.GROUP, "group_name")
role_resource = named(entities.ROLE, "role_name")
instance_profile_resource = named(entities.INSTANCE_PROFILE, "instance_profile_name")
