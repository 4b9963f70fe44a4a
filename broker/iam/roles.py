"""Roles: created, read, changed, deleted; their trust policies and settings. Their tags: `tagging.py`."""

import msgspec

from broker.access.role_index import index_role, unindex_role
from broker.access.trust import shown_trust_policy
from broker.errors import Refusal
from broker.iam import entities, resources
from broker.iam.answers import boundary_shape, last_used_shape
from broker.iam.documents import require_trust_policy
from broker.iam.entities import page_by_path, require_boundary, require_new, require_nothing_left
from broker.iam.permissions_boundaries import bounded, bounded_role, changed_role
from broker.iam.protection import SINGLE_SIGN_ON_PATH, require_modifiable
from broker.iam.rows import is_named, made_in_turns
from broker.iam.tags import new_tags, tag_shapes
from broker.names import ids
from broker.operation import Call, Prepared, operation
from broker.protocol.shapes import iam as shapes
from broker.storage.derived_records import target
from broker.storage.engine import MARK_SIZE
from broker.storage.records import Role
from broker.storage.store import INSTANCE_PROFILES, ROLES, USAGE

DEFAULT_MAX_SESSION_DURATION = 3600
# The description of a service-linked role may be changed; that of a single sign-on role may not.
described_role = bounded(entities.ROLE, "role_name", reserved=(SINGLE_SIGN_ON_PATH,))


@operation("iam:CreateRole", prepare=resources.new(entities.ROLE, "role_name", resources.boundary_keys))
async def create_role(
    call: Call, request: shapes.CreateRoleRequest, prepared: Prepared[None]
) -> shapes.CreateRoleResponse:
    await require_new(call, entities.ROLE, request.role_name)
    await require_boundary(call, request.permissions_boundary)
    role = Role(
        account_id=call.account,
        role_name=request.role_name,
        role_id=call.new_id(ids.ROLE),
        path=request.path or "/",
        created_at=int(call.now),
        assume_role_policy=request.assume_role_policy_document,
        trusted_ids=await require_trust_policy(call, request.assume_role_policy_document),
        description=request.description,
        max_session_duration=request.max_session_duration or DEFAULT_MAX_SESSION_DURATION,
        tags=await new_tags(call, "iam:TagRole", prepared.resource, request),
        permissions_boundary=request.permissions_boundary,
        max_signin_session_duration=request.max_signin_session_duration,
    )
    call.store.put(ROLES, call.account, role)
    await index_role(call.store, role, call.entropy(MARK_SIZE))
    return shapes.CreateRoleResponse(role=created_role_shape(role))


@operation("iam:GetRole", prepare=bounded_role)
async def get_role(
    call: Call, request: shapes.GetRoleRequest, prepared: Prepared[Role]
) -> shapes.GetRoleResponse:
    role = prepared.found
    usage = await call.store.find(USAGE, call.account, role.role_id)
    shape = msgspec.structs.replace(await role_shape(call, role), role_last_used=last_used_shape(usage))
    return shapes.GetRoleResponse(role=shape)


@operation("iam:ListRoles", prepare=resources.listed("role"))
async def list_roles(
    call: Call, request: shapes.ListRolesRequest, prepared: Prepared[None]
) -> shapes.ListRolesResponse:
    chosen = await page_by_path(call, entities.ROLE, request)
    return shapes.ListRolesResponse(
        roles=await made_in_turns(chosen.items, lambda role: listed_role_shape(call, role)),
        is_truncated=chosen.is_truncated,
        marker=chosen.marker,
    )


@operation("iam:UpdateRole", prepare=described_role)
async def update_role(
    call: Call, request: shapes.UpdateRoleRequest, prepared: Prepared[Role]
) -> shapes.UpdateRoleResponse:
    role = prepared.found
    if (
        request.max_session_duration
        or request.max_signin_session_duration
        or request.reset_max_signin_session_duration
    ):
        require_modifiable(role)
    changed = msgspec.structs.replace(
        role,
        description=role.description if request.description is None else request.description,
        # The model says that it becomes one hour where none is given; AWS leaves it (recorded by LocalStack, 2026).
        max_session_duration=request.max_session_duration or role.max_session_duration,
        max_signin_session_duration=_changed_signin_duration(role, request),
    )
    call.store.put(ROLES, call.account, changed)
    return shapes.UpdateRoleResponse()


def _changed_signin_duration(role: Role, request: shapes.UpdateRoleRequest) -> int | None:
    """It is not changed where the request does not name it."""
    if not request.reset_max_signin_session_duration:
        return request.max_signin_session_duration or role.max_signin_session_duration
    if request.max_signin_session_duration is not None:
        raise Refusal(
            "InvalidInput",
            "MaxSigninSessionDuration cannot be given while ResetMaxSigninSessionDuration is true.",
        )
    return None


@operation("iam:UpdateRoleDescription", prepare=described_role)
async def update_role_description(
    call: Call, request: shapes.UpdateRoleDescriptionRequest, prepared: Prepared[Role]
) -> shapes.UpdateRoleDescriptionResponse:
    role = prepared.found
    changed = msgspec.structs.replace(role, description=request.description)
    call.store.put(ROLES, call.account, changed)
    shown = msgspec.structs.replace(await role_shape(call, changed), max_session_duration=None)
    return shapes.UpdateRoleDescriptionResponse(role=shown)


@operation("iam:UpdateAssumeRolePolicy", prepare=changed_role)
async def update_assume_role_policy(
    call: Call, request: shapes.UpdateAssumeRolePolicyRequest, prepared: Prepared[Role]
) -> None:
    role = prepared.found
    changed = msgspec.structs.replace(
        role,
        assume_role_policy=request.policy_document,
        trusted_ids=await require_trust_policy(call, request.policy_document),
    )
    call.store.put(ROLES, call.account, changed)
    await index_role(call.store, changed, call.entropy(MARK_SIZE), former=role)


@operation("iam:DeleteRole", prepare=changed_role)
async def delete_role(call: Call, request: shapes.DeleteRoleRequest, prepared: Prepared[Role]) -> None:
    role = prepared.found
    require_nothing_left(
        (role.attached_policies, "detach all policies"),
        (role.inline_policies, "delete policies"),
        (
            await is_named(call, target("role", role.role_name), INSTANCE_PROFILES),
            "remove roles from instance profile",
        ),
    )
    call.store.delete(ROLES, call.account, role.role_name)
    await unindex_role(call.store, role)


def created_role_shape(role: Role) -> shapes.Role:
    """A new role as CreateRole shows it: with its trust policy as it was sent, without description and durations."""
    return msgspec.structs.replace(
        _identified(role, role.assume_role_policy),
        permissions_boundary=boundary_shape(role.permissions_boundary),
        tags=tag_shapes(role.tags),
    )


async def role_shape(call: Call, role: Role) -> shapes.Role:
    """A role as GetRole shows it: tags and boundary included."""
    return msgspec.structs.replace(
        await listed_role_shape(call, role),
        permissions_boundary=boundary_shape(role.permissions_boundary),
        tags=tag_shapes(role.tags),
        source_role_template=source_shape(role),
    )


def source_shape(role: Role) -> shapes.SourceRoleTemplate | None:
    """The role template that the role was acquired from."""
    if not role.source_template_arn:
        return None
    return shapes.SourceRoleTemplate(
        template_arn=role.source_template_arn, template_minor_version=role.source_template_minor_version
    )


async def listed_role_shape(call: Call, role: Role) -> shapes.Role:
    """A role as lists show it: IAM leaves tags, boundary and last use out."""
    return msgspec.structs.replace(
        await profiled_role_shape(call, role),
        description=role.description,
        max_session_duration=role.max_session_duration,
        max_signin_session_duration=role.max_signin_session_duration,
    )


async def profiled_role_shape(call: Call, role: Role) -> shapes.Role:
    """A role as instance profiles show it: without its settings."""
    return _identified(role, await shown_trust_policy(call.store, role))


def _identified(role: Role, trust_policy: str) -> shapes.Role:
    return shapes.Role(
        path=role.path,
        role_name=role.role_name,
        role_id=role.role_id,
        arn=role.arn,
        create_date=role.created_at,
        assume_role_policy_document=trust_policy,
    )
