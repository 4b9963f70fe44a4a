"""Permissions boundaries of users and roles: the most that their policies may grant."""

from typing import Any, TypeVar

import msgspec

from broker.access.resource import resource_of
from broker.iam import entities
from broker.iam.entities import Entity, no_such_entity, require_boundary
from broker.iam.protection import RESERVED_PATHS, require_attachable, require_modifiable
from broker.iam.resources import KeysOf, arn_at, boundary_keys, no_keys
from broker.operation import Absent, Call, Prepare, Prepared, operation
from broker.protocol.shapes import iam as shapes
from broker.storage.records import Role, User

KEY = "iam:PermissionsBoundary"

B = TypeVar("B", User, Role)


def bounded(
    entity: Entity[B], field: str, keys: KeysOf = no_keys, reserved: tuple[str, ...] = ()
) -> Prepare[Any, B]:
    """The user or role that `field` names, with the boundary that it has now as iam:PermissionsBoundary.

    A key of the same name among `keys` wins, because setting a boundary is judged by the new one. `reserved` are paths
    of roles that the request may not touch: AWS answers UnmodifiableEntity, where the gate would answer AccessDenied.
    """

    async def prepare(call: Call, request: Any) -> Prepared[B] | Absent:
        name = getattr(request, field)
        record = await call.store.find(entity.collection, call.account, name)
        require_modifiable(record, reserved)
        boundary = None if record is None else record.permissions_boundary
        current = {} if boundary is None else {KEY: boundary}
        arn = arn_at(call, entity, None, name)
        resource = resource_of(arn, record, {**current, **keys(request)})
        return (
            Absent(resource, no_such_entity(entity, name)) if record is None else Prepared(resource, record)
        )

    return prepare


bounded_role = bounded(entities.ROLE, "role_name")
changed_role = bounded(entities.ROLE, "role_name", reserved=RESERVED_PATHS)
changed_user = bounded(entities.USER, "user_name")


@operation(
    "iam:PutUserPermissionsBoundary",
    prepare=bounded(entities.USER, "user_name", boundary_keys),
)
async def put_user_permissions_boundary(
    call: Call, request: shapes.PutUserPermissionsBoundaryRequest, prepared: Prepared[User]
) -> None:
    await _set(call, entities.USER, prepared.found, request.permissions_boundary)


@operation(
    "iam:PutRolePermissionsBoundary",
    prepare=bounded(entities.ROLE, "role_name", boundary_keys, RESERVED_PATHS),
)
async def put_role_permissions_boundary(
    call: Call, request: shapes.PutRolePermissionsBoundaryRequest, prepared: Prepared[Role]
) -> None:
    await _set(call, entities.ROLE, prepared.found, request.permissions_boundary)


@operation("iam:DeleteUserPermissionsBoundary", prepare=changed_user)
async def delete_user_permissions_boundary(
    call: Call, request: shapes.DeleteUserPermissionsBoundaryRequest, prepared: Prepared[User]
) -> None:
    await _set(call, entities.USER, prepared.found, None)


@operation("iam:DeleteRolePermissionsBoundary", prepare=changed_role)
async def delete_role_permissions_boundary(
    call: Call, request: shapes.DeleteRolePermissionsBoundaryRequest, prepared: Prepared[Role]
) -> None:
    await _set(call, entities.ROLE, prepared.found, None)


async def _set(call: Call, entity: Entity[B], record: B, boundary: str | None) -> None:
    if boundary is not None:
        require_attachable(boundary, entity.resource_type)
    await require_boundary(call, boundary)
    changed = msgspec.structs.replace(record, permissions_boundary=boundary)
    call.store.put(entity.collection, call.account, changed)
