"""Permissions boundaries of users and roles: the most that their policies may grant."""

from typing import Any

import msgspec

from broker.access.resource import Resource
from broker.iam import entities, resources
from broker.iam.entities import Entity, get_entity, require_boundary
from broker.iam.protection import RESERVED_PATHS, require_attachable, require_modifiable
from broker.iam.resources import KeysOf, no_keys
from broker.operation import Call, ResourceOf, operation
from broker.protocol.shapes import iam as shapes

KEY = "iam:PermissionsBoundary"


def bounded(
    entity: Entity[Any], field: str, keys: KeysOf = no_keys, reserved: tuple[str, ...] = ()
) -> ResourceOf:
    """The user or role that `field` names, with the boundary that it has now as iam:PermissionsBoundary.

    A key of the same name among `keys` wins, because setting a boundary is judged by the new one. `reserved` are paths
    of roles that the request may not touch: AWS answers UnmodifiableEntity, where the gate would answer AccessDenied.
    """

    async def resource(call: Call, request: Any) -> Resource:
        name = getattr(request, field)
        record = await call.store.find(entity.collection, call.account, name)
        require_modifiable(record, reserved)
        boundary = None if record is None else record.permissions_boundary
        current = {} if boundary is None else {KEY: boundary}
        return await resources.entity_resource(call, entity, name, {**current, **keys(request)})

    return resource


bounded_role = bounded(entities.ROLE, "role_name")
changed_role = bounded(entities.ROLE, "role_name", reserved=RESERVED_PATHS)
changed_user = bounded(entities.USER, "user_name")


@operation(
    "iam:PutUserPermissionsBoundary",
    resource=bounded(entities.USER, "user_name", resources.boundary_keys),
)
async def put_user_permissions_boundary(
    call: Call, request: shapes.PutUserPermissionsBoundaryRequest
) -> None:
    await _set(call, entities.USER, request.user_name, request.permissions_boundary)


@operation(
    "iam:PutRolePermissionsBoundary",
    resource=bounded(entities.ROLE, "role_name", resources.boundary_keys, RESERVED_PATHS),
)
async def put_role_permissions_boundary(
    call: Call, request: shapes.PutRolePermissionsBoundaryRequest
) -> None:
    await _set(call, entities.ROLE, request.role_name, request.permissions_boundary)


@operation("iam:DeleteUserPermissionsBoundary", resource=changed_user)
async def delete_user_permissions_boundary(
    call: Call, request: shapes.DeleteUserPermissionsBoundaryRequest
) -> None:
    await _set(call, entities.USER, request.user_name, None)


@operation("iam:DeleteRolePermissionsBoundary", resource=changed_role)
async def delete_role_permissions_boundary(
    call: Call, request: shapes.DeleteRolePermissionsBoundaryRequest
) -> None:
    await _set(call, entities.ROLE, request.role_name, None)


async def _set(call: Call, entity: Entity[Any], name: str, boundary: str | None) -> None:
    record = await get_entity(call, entity, name)
    if boundary is not None:
        require_attachable(boundary, entity.resource_type)
    await require_boundary(call, boundary)
    changed = msgspec.structs.replace(record, permissions_boundary=boundary)
    call.store.put(entity.collection, call.account, changed)
