"""Role templates, which `broker apply` declares, and roles that are made of them.

On AWS templates are of its services. Here they are of accounts: `arn:aws:iam::ACCOUNT:role-template/NAME`. Who
acquires a role needs `iam:AcquireRole`, and each permission that making the role by hand needs, with
`iam:RoleTemplateARN`. So a template gives nobody more than they may, and a policy can say of which templates a user may
make roles.
"""

import msgspec
from msgspec.structs import replace

from broker.access.resource import Resource
from broker.errors import Refusal
from broker.iam.resources import Keys
from broker.iam.roles import created_role_shape, source_shape
from broker.iam.template_values import filled_document, filled_text, require_values
from broker.names.arn import iam_arn
from broker.operation import (
    Absent,
    Call,
    ConditionKeys,
    Prepared,
    find_operation,
    model,
    operation,
    prepare,
)
from broker.protocol.request import read_request
from broker.protocol.shapes import iam as shapes
from broker.storage.store import ROLE_TEMPLATES, ROLES
from broker.storage.template_records import RoleTemplate, RoleTemplateVersion

TEMPLATE_KEY = "iam:RoleTemplateARN"

# An operation of IAM and the parameters of its request, as a form has them.
Step = tuple[str, dict[str, str]]


class Chosen(msgspec.Struct, frozen=True):
    """A template and one of its versions."""

    template: RoleTemplate
    version: RoleTemplateVersion


async def _chosen(call: Call, arn: str, minor_version: int | None) -> Chosen:
    """Raises NoSuchEntity where the caller's account has no such template or version."""
    name = arn.removeprefix(iam_arn(call.account, "role-template/"))
    template = await call.store.find(ROLE_TEMPLATES, call.account, name)
    if template is None or template.arn != arn:
        raise Refusal("NoSuchEntity", f"Role template {arn} cannot be found.")
    for version in reversed(template.versions):
        if minor_version in (None, version.minor_version):
            return Chosen(template, version)
    raise Refusal("NoSuchEntity", f"Role template {arn} has no minor version {minor_version}.")


def _keys(arn: str) -> Keys:
    return {TEMPLATE_KEY: arn}


async def found_version(
    call: Call, request: shapes.GetRoleTemplateVersionRequest
) -> Prepared[Chosen] | Absent:
    resource = Resource(request.template_arn, keys=_keys(request.template_arn))
    try:
        return Prepared(resource, await _chosen(call, request.template_arn, request.minor_version))
    except Refusal as refusal:
        return Absent(resource, refusal)


@operation("iam:GetRoleTemplateVersion", prepare=found_version)
async def get_role_template_version(
    call: Call, request: shapes.GetRoleTemplateVersionRequest, prepared: Prepared[Chosen]
) -> shapes.GetRoleTemplateVersionResponse:
    template, version = prepared.found.template, prepared.found.version
    shown = shapes.RoleTemplateVersion(
        template_arn=template.arn,
        template_name=template.template_name,
        template_version_id=version.version_id,
        description=template.description,
        major_version=1,
        default_minor_version=template.versions[-1].minor_version,
        enabled=template.is_enabled,
        minor_version=version.minor_version,
        role_name_pattern=version.role_name,
        role_path_pattern=version.role_path,
        role_description_pattern=version.role_description,
        assume_role_policy_document_template=version.trust_policy,
        inline_policy_templates=tuple(
            shapes.InlinePolicy(policy_name=name, policy_document=document)
            for name, document in version.inline_policies.items()
        ),
        managed_policy_arns=version.attached_policies,
        permission_boundary_arn=version.permissions_boundary,
        parameters_definition=tuple(
            shapes.ParameterDefinition(
                name=parameter.name,
                type=parameter.type,
                description=parameter.description,
                is_required=parameter.is_required,
                default_value=parameter.default_value,
            )
            for parameter in version.parameters
        ),
        role_tags_template=tuple(
            shapes.TagTemplate(key=key, value=value) for key, value in version.tags.items()
        ),
        max_session_duration=version.max_session_duration,
        version_enabled=template.is_enabled,
        create_timestamp=version.created_at,
        update_timestamp=version.created_at,
    )
    return shapes.GetRoleTemplateVersionResponse(role_template_version=shown)


class Acquired(msgspec.Struct, frozen=True):
    """What makes the role: CreateRole first, then what is put into it."""

    chosen: Chosen
    steps: tuple[Step, ...]


async def acquired_role(call: Call, request: shapes.AcquireRoleRequest) -> Prepared[Acquired] | Absent:
    """The role that would be made; the template itself where the request makes none."""
    keys = _keys(request.template_arn)
    try:
        chosen = await _chosen(call, request.template_arn, request.template_minor_version)
        steps = _steps(chosen, request)
    except Refusal as refusal:
        return Absent(Resource(request.template_arn, keys=keys), refusal)
    form = steps[0][1]
    if "PermissionsBoundary" in form:
        keys["iam:PermissionsBoundary"] = form["PermissionsBoundary"]
    arn = iam_arn(call.account, f"role{form['Path']}{form['RoleName']}")
    return Prepared(Resource(arn, keys=keys), Acquired(chosen, steps))


@operation("iam:AcquireRole", prepare=acquired_role)
async def acquire_role(
    call: Call, request: shapes.AcquireRoleRequest, prepared: Prepared[Acquired]
) -> shapes.AcquireRoleResponse:
    chosen = prepared.found.chosen
    if not chosen.template.is_enabled:
        raise Refusal("RoleTemplateDisabled", f"Role template {chosen.template.arn} is disabled.")
    for step in prepared.found.steps:
        await _perform(call, step, prepared.resource.keys)
    name = prepared.found.steps[0][1]["RoleName"]
    role = await call.store.find(ROLES, call.account, name)
    assert role is not None, "the first step creates it"
    sourced = replace(
        role,
        source_template_arn=chosen.template.arn,
        source_template_minor_version=chosen.version.minor_version,
    )
    call.store.put(ROLES, call.account, sourced)
    shown = replace(created_role_shape(sourced), source_role_template=source_shape(sourced))
    return shapes.AcquireRoleResponse(role=shown)


async def _perform(call: Call, step: Step, keys: ConditionKeys) -> None:
    """The step with its own permission, for the same caller, judged with the condition keys of this operation."""
    declared = find_operation("iam", step[0])
    request = read_request(model("iam"), *step)
    prepared = await prepare(declared, call, request)
    resource = replace(prepared.resource, keys={**prepared.resource.keys, **keys})
    await call.gate.require(call.store, call.caller, call.facts, declared.action, resource)
    if isinstance(prepared, Absent):
        raise prepared.refusal
    await declared.handle(call, request, replace(prepared, resource=resource))


def _steps(chosen: Chosen, request: shapes.AcquireRoleRequest) -> tuple[Step, ...]:
    """Raises InvalidInput for values that the template does not take."""
    version = chosen.version
    supplied = {name: entry.values for name, entry in request.replacement_values.items()}
    values = require_values(version, supplied)
    name = filled_text(version.role_name, values)
    create = {
        "RoleName": name,
        "Path": filled_text(version.role_path, values),
        "AssumeRolePolicyDocument": filled_document(version.trust_policy, values),
        "MaxSessionDuration": str(version.max_session_duration),
    }
    if version.role_description is not None:
        create["Description"] = filled_text(version.role_description, values)
    if version.permissions_boundary is not None:
        create["PermissionsBoundary"] = version.permissions_boundary
    for number, (key, value) in enumerate(version.tags.items(), 1):
        create[f"Tags.member.{number}.Key"] = filled_text(key, values)
        create[f"Tags.member.{number}.Value"] = filled_text(value, values)
    attached = [{"RoleName": name, "PolicyArn": arn} for arn in version.attached_policies]
    inline = [
        {
            "RoleName": name,
            "PolicyName": policy,
            "PolicyDocument": filled_document(document, values),
        }
        for policy, document in version.inline_policies.items()
    ]
    return (
        ("CreateRole", create),
        *(("AttachRolePolicy", form) for form in attached),
        *(("PutRolePolicy", form) for form in inline),
    )
