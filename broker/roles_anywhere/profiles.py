"""Profiles: which roles workloads may take, for how long, and within which session policies."""

from typing import Any

from msgspec.structs import replace

from broker.access.aws_managed import is_task_policy
from broker.access.gather import find_managed_policy
from broker.access.resource import Resource
from broker.names.arn import parse_arn
from broker.operation import Call, Prepared, no_resource, operation
from broker.policy import MalformedPolicy, PolicyKind, parse_policy
from broker.protocol.shapes import rolesanywhere as shapes
from broker.roles_anywhere.refusals import invalid
from broker.roles_anywhere.resources import (
    PROFILE,
    SERVICE_PRINCIPAL,
    alias_arn,
    changed_alias,
    found,
    in_region,
    new_alias,
    new_uuid,
    page_of,
    previous_alias,
    require_room,
    switched,
)
from broker.roles_anywhere.tags import merged_tags
from broker.storage.store import WORKLOAD_PROFILES
from broker.storage.workload_records import WorkloadProfile

_DEFAULT_DURATION = 3600  # seconds
_LONGEST_POLICY = 2048  # characters, as for AssumeRole
_DISABLED = "DISABLED"

# "Default mapping behavior" (Certificate attribute mapping), in the order in which GetProfile shows them.
DEFAULT_MAPPINGS: dict[str, tuple[str, ...]] = {
    "x509Issuer": ("*",),
    "x509SAN": ("DNS", "URI", "Name/*"),
    "x509Subject": ("*",),
}

_named = found(PROFILE, "profile_id")


def profile_shape(profile: WorkloadProfile, before: WorkloadProfile | None = None) -> shapes.ProfileDetail:
    return shapes.ProfileDetail(
        profile_id=profile.id,
        profile_arn=profile.arn,
        name=profile.name,
        require_instance_properties=profile.requires_instance_properties,
        enabled=profile.enabled,
        created_by=profile.account_id,
        session_policy=profile.session_policy,
        role_arns=profile.role_arns,
        managed_policy_arns=profile.managed_policy_arns,
        created_at=profile.created_at,
        updated_at=profile.updated_at,
        duration_seconds=profile.duration_seconds,
        accept_role_session_name=profile.accepts_session_name,
        attribute_mappings=tuple(
            shapes.AttributeMapping(
                certificate_field=field,
                mapping_rules=tuple(shapes.MappingRule(specifier=one) for one in specifiers),
            )
            for field, specifiers in sorted(profile.attribute_mappings.items())
        ),
        alias_name=profile.alias or None,
        alias_arn=alias_arn(PROFILE, profile),
        previous_alias_name=None if before is None else previous_alias(before, profile),
    )


def put_profile(call: Call, profile: WorkloadProfile) -> None:
    call.store.put(WORKLOAD_PROFILES, call.account, profile)


def _answer(profile: WorkloadProfile, before: WorkloadProfile | None = None) -> shapes.ProfileDetailResponse:
    return shapes.ProfileDetailResponse(profile=profile_shape(profile, before))


@operation("rolesanywhere:CreateProfile", prepare=no_resource)
async def create_profile(
    call: Call, request: shapes.CreateProfileRequest, prepared: Prepared[None]
) -> shapes.ProfileDetailResponse:
    _refuse_propagation(request.tip_configuration)
    await _require_roles(call, request.role_arns)
    _require_policy(request.session_policy)
    await _require_managed(call, request.managed_policy_arns)
    await require_room(call, PROFILE, call.quotas.workload_profiles)
    profile = WorkloadProfile(
        account_id=call.account,
        region=call.facts.region,
        id=new_uuid(call),
        name=request.name,
        enabled=bool(request.enabled),
        created_at=int(call.now),
        updated_at=int(call.now),
        tags=merged_tags(call, {}, request.tags),
        alias=await new_alias(call, PROFILE, request.alias_name),
        role_arns=tuple(dict.fromkeys(request.role_arns)),
        duration_seconds=request.duration_seconds or _DEFAULT_DURATION,
        session_policy=request.session_policy,
        managed_policy_arns=request.managed_policy_arns,
        requires_instance_properties=bool(request.require_instance_properties),
        accepts_session_name=bool(request.accept_role_session_name),
        attribute_mappings=DEFAULT_MAPPINGS,
    )
    put_profile(call, profile)
    return _answer(profile)


def _refuse_propagation(configuration: shapes.TipConfiguration | None) -> None:
    if configuration is not None and configuration.status != _DISABLED:
        raise invalid("Trusted identity propagation is not supported: its status has to be DISABLED.")


async def _require_roles(call: Call, role_arns: tuple[str, ...]) -> None:
    """The service takes on roles of the profile's own account alone; a caller that passes them needs the permission."""
    for role_arn in role_arns:
        if parse_arn(role_arn).account != call.account:
            raise invalid(f"{role_arn} is not a role of the account {call.account}.")
        resource = Resource(role_arn, call.account, keys={"iam:PassedToService": SERVICE_PRINCIPAL})
        await call.require("iam:PassRole", resource)


def _require_policy(policy: str | None) -> None:
    if policy is None:
        return
    if len(policy) > _LONGEST_POLICY:
        raise invalid(f"A session policy has at most {_LONGEST_POLICY} characters.")
    try:
        parse_policy(policy, PolicyKind.SESSION)
    except MalformedPolicy as error:
        raise invalid(f"The session policy is malformed: {error.message}") from None


async def _require_managed(call: Call, arns: tuple[str, ...]) -> None:
    for arn in arns:
        if is_task_policy(arn) or await find_managed_policy(call.store, call.account, arn) is None:
            raise invalid(f"The policy {arn} does not exist or is not attachable.")


@operation("rolesanywhere:GetProfile", prepare=_named)
async def get_profile(
    call: Call, request: shapes.ScalarProfileRequest, prepared: Prepared[WorkloadProfile]
) -> shapes.ProfileDetailResponse:
    return _answer(prepared.found)


@operation("rolesanywhere:ListProfiles", prepare=no_resource)
async def list_profiles(
    call: Call, request: shapes.ListRequest, prepared: Prepared[None]
) -> shapes.ListProfilesResponse:
    chosen, token = page_of(await in_region(call, PROFILE), request.next_token, request.page_size)
    return shapes.ListProfilesResponse(profiles=tuple(map(profile_shape, chosen)), next_token=token)


@operation("rolesanywhere:UpdateProfile", prepare=_named)
async def update_profile(
    call: Call, request: shapes.UpdateProfileRequest, prepared: Prepared[WorkloadProfile]
) -> shapes.ProfileDetailResponse:
    """What the request does not have is not changed; an empty list empties it."""
    before = prepared.found
    _refuse_propagation(request.tip_configuration)
    _require_policy(request.session_policy)
    changes: dict[str, Any] = {
        "name": request.name,
        "session_policy": request.session_policy,
        "duration_seconds": request.duration_seconds,
        "accepts_session_name": request.accept_role_session_name,
        "role_arns": request.role_arns,
        "managed_policy_arns": request.managed_policy_arns,
        "alias": await changed_alias(call, PROFILE, before, request.alias_name),
    }
    if request.role_arns is not None:
        await _require_roles(call, request.role_arns)
    if request.managed_policy_arns is not None:
        await _require_managed(call, request.managed_policy_arns)
    given = {field: value for field, value in changes.items() if value is not None}
    after = replace(before, updated_at=int(call.now), **given)
    put_profile(call, after)
    return _answer(after, before)


@operation("rolesanywhere:DeleteProfile", prepare=_named)
async def delete_profile(
    call: Call, request: shapes.ScalarProfileRequest, prepared: Prepared[WorkloadProfile]
) -> shapes.ProfileDetailResponse:
    call.store.delete(WORKLOAD_PROFILES, call.account, prepared.found.id)
    return _answer(prepared.found)


@operation("rolesanywhere:EnableProfile", prepare=_named)
async def enable_profile(
    call: Call, request: shapes.ScalarProfileRequest, prepared: Prepared[WorkloadProfile]
) -> shapes.ProfileDetailResponse:
    return _answer(switched(call, PROFILE, prepared.found, enabled=True))


@operation("rolesanywhere:DisableProfile", prepare=_named)
async def disable_profile(
    call: Call, request: shapes.ScalarProfileRequest, prepared: Prepared[WorkloadProfile]
) -> shapes.ProfileDetailResponse:
    return _answer(switched(call, PROFILE, prepared.found, enabled=False))
