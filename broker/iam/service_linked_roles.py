"""Service-linked roles: a service of AWS defines their name, path, trust policy and permissions.

No service of AWS works for an account of the broker, so nothing uses such a role that AWS would check before it is
deleted: it is deleted at once, and its deletion task has succeeded.
"""

import json
from uuid import UUID

from broker.access.resource import Resource
from broker.errors import Refusal
from broker.iam import entities
from broker.iam.entities import ROLE, no_such_entity, require_room_in_account
from broker.iam.linked_services import PATH, LinkedService, find_linked_service
from broker.iam.resources import found_role
from broker.iam.roles import created_role_shape
from broker.names import ids
from broker.names.arn import iam_arn
from broker.operation import Absent, Call, Prepared, operation
from broker.protocol.shapes import iam as shapes
from broker.storage.records import Role
from broker.storage.store import ROLES, SERVICE_LINKED_ROLE_DELETIONS
from broker.storage.task_records import ServiceLinkedRoleDeletion

LONGEST_NAME = 64
# AWS does not say how long a task can be asked for.
TASK_DAYS = 7


async def _new_role(
    call: Call, request: shapes.CreateServiceLinkedRoleRequest
) -> Prepared[LinkedService] | Absent:
    name = request.aws_service_name
    service = find_linked_service(name)
    role_name = "" if service is None else service.role_named(request.custom_suffix)
    arn = iam_arn(call.account, f"role{PATH}{name}/{role_name}")
    resource = Resource(arn, keys={"iam:AWSServiceName": name})
    if service is None:
        return Absent(resource, _invalid_input(f"The service {name} has no service-linked role."))
    return Prepared(resource, service)


@operation("iam:CreateServiceLinkedRole", prepare=_new_role)
async def create_service_linked_role(
    call: Call, request: shapes.CreateServiceLinkedRoleRequest, prepared: Prepared[LinkedService]
) -> shapes.CreateServiceLinkedRoleResponse:
    service = prepared.found
    if request.custom_suffix is not None and not service.takes_suffix:
        raise _invalid_input(f"Custom suffix is not allowed for {service.service}")
    name = service.role_named(request.custom_suffix)
    if len(name) > LONGEST_NAME:
        raise _invalid_input(f"The role name {name} is longer than {LONGEST_NAME} characters.")
    if await call.store.find(ROLES, call.account, name) is not None:
        raise _invalid_input(
            f"Service role name {name} has been taken in this account, please try a different suffix."
        )
    await require_room_in_account(call, ROLES, ROLE.quota, ROLE.quota_name)
    role = Role(
        account_id=call.account,
        role_name=name,
        role_id=call.new_id(ids.ROLE),
        path=f"{PATH}{service.service}/",
        created_at=int(call.now),
        assume_role_policy=_trust_policy(service.service),
        description=request.description,
        attached_policies=(service.policy_arn,),
    )
    call.store.put(ROLES, call.account, role)
    return shapes.CreateServiceLinkedRoleResponse(role=created_role_shape(role))


@operation("iam:DeleteServiceLinkedRole", prepare=found_role)
async def delete_service_linked_role(
    call: Call, request: shapes.DeleteServiceLinkedRoleRequest, prepared: Prepared[Role]
) -> shapes.DeleteServiceLinkedRoleResponse:
    role = prepared.found
    if not role.path.startswith(PATH):
        # The model has no other error for a role of the account's own.
        raise no_such_entity(entities.ROLE, request.role_name)
    task_id = f"task{role.path}{role.role_name}/{UUID(bytes=call.entropy(16), version=4)}"
    task = ServiceLinkedRoleDeletion(submitted_at=int(call.now))
    call.store.delete(ROLES, call.account, role.role_name)
    expires_at = call.now + TASK_DAYS * 86_400
    call.store.put(SERVICE_LINKED_ROLE_DELETIONS, call.account, task, key=task_id, expires_at=expires_at)
    return shapes.DeleteServiceLinkedRoleResponse(deletion_task_id=task_id)


async def _found_task(
    call: Call, request: shapes.GetServiceLinkedRoleDeletionStatusRequest
) -> Prepared[ServiceLinkedRoleDeletion] | Absent:
    task_id = request.deletion_task_id
    kind, _, rest = task_id.partition("/")
    path, _, _ = rest.rpartition("/")
    if kind != "task" or not f"/{path}".startswith(PATH):
        raise _invalid_input(f"The deletion task id {task_id} is not valid.")
    resource = Resource(iam_arn(call.account, f"role/{path}"))
    task = await call.store.find(SERVICE_LINKED_ROLE_DELETIONS, call.account, task_id)
    if task is None:
        return Absent(
            resource, Refusal("NoSuchEntity", f"The deletion task with id {task_id} cannot be found.")
        )
    return Prepared(resource, task)


@operation("iam:GetServiceLinkedRoleDeletionStatus", prepare=_found_task)
async def get_service_linked_role_deletion_status(
    call: Call,
    request: shapes.GetServiceLinkedRoleDeletionStatusRequest,
    prepared: Prepared[ServiceLinkedRoleDeletion],
) -> shapes.GetServiceLinkedRoleDeletionStatusResponse:
    return shapes.GetServiceLinkedRoleDeletionStatusResponse(status="SUCCEEDED")


def _trust_policy(service: str) -> str:
    statement = {"Action": ["sts:AssumeRole"], "Effect": "Allow", "Principal": {"Service": [service]}}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def _invalid_input(message: str) -> Refusal:
    return Refusal("InvalidInput", message)
