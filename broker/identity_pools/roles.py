"""The roles of a pool. Who sets them gives roles away, so it needs `iam:PassRole` for each."""

from msgspec.structs import replace

from broker.access.assumable import account_of_role
from broker.access.resource import Resource
from broker.access.trust import find_role
from broker.errors import Refusal
from broker.identity_pools.providers import provider_keys
from broker.identity_pools.refusals import invalid
from broker.identity_pools.resources import named_pool
from broker.identity_pools.role_choice import AUTHENTICATED, RULES, UNAUTHENTICATED
from broker.operation import Call, Prepared, operation
from broker.protocol.shapes import cognito_identity as shapes
from broker.storage.identity_pool_records import ClaimRoles, ClaimRule, IdentityPoolRecord
from broker.storage.people_collections import IDENTITY_POOLS

SERVICE = "cognito-identity.amazonaws.com"
_RESOLUTIONS = {"AuthenticatedRole": False, "Deny": True}


@operation("cognito-identity:SetIdentityPoolRoles", prepare=named_pool)
async def set_identity_pool_roles(
    call: Call, request: shapes.SetIdentityPoolRolesInput, prepared: Prepared[IdentityPoolRecord]
) -> None:
    """What the request leaves out is gone."""
    pool = prepared.found
    unknown = set(request.roles) - {AUTHENTICATED, UNAUTHENTICATED}
    if unknown:
        raise invalid(f"Roles: {sorted(unknown)[0]} is neither {AUTHENTICATED} nor {UNAUTHENTICATED}.")
    mappings = {key: _mapping(pool, key, one) for key, one in request.role_mappings.items()}
    given = [*request.roles.values(), *(rule.role_arn for one in mappings.values() for rule in one.rules)]
    for role_arn in dict.fromkeys(given):
        await _require_pass_role(call, role_arn)
    changed = replace(pool, roles=request.roles, role_mappings=mappings)
    call.store.put(IDENTITY_POOLS, call.account, changed)


def _mapping(pool: IdentityPoolRecord, key: str, given: shapes.RoleMapping) -> ClaimRoles:
    if key not in provider_keys(pool):
        raise invalid(f"RoleMappings: {key} is no provider of the identity pool.")
    rules = given.rules_configuration.rules if given.rules_configuration is not None else ()
    if (given.type == RULES) != bool(rules):
        raise invalid("RoleMappings: a mapping has rules if, and only if, its Type is Rules.")
    if given.ambiguous_role_resolution is None:
        raise invalid("RoleMappings: a mapping says with AmbiguousRoleResolution who gets no role by it.")
    return ClaimRoles(
        kind=given.type,
        is_denied_without=_RESOLUTIONS[given.ambiguous_role_resolution],
        rules=tuple(
            ClaimRule(claim=one.claim, match_type=one.match_type, value=one.value, role_arn=one.role_arn)
            for one in rules
        ),
    )


async def _require_pass_role(call: Call, role_arn: str) -> None:
    """The role need not exist yet; it is of the pool's account."""
    try:
        account = account_of_role(role_arn)
    except Refusal:
        raise invalid(f"{role_arn} is not the ARN of a role.") from None
    if account != call.account:
        raise invalid(f"{role_arn} is not a role of account {call.account}.")
    role = await find_role(call.store, role_arn)
    tags = role.tags if role is not None else {}
    await call.require("iam:PassRole", Resource(role_arn, tags=tags, keys={"iam:PassedToService": SERVICE}))


@operation("cognito-identity:GetIdentityPoolRoles", prepare=named_pool)
async def get_identity_pool_roles(
    call: Call, request: shapes.GetIdentityPoolRolesInput, prepared: Prepared[IdentityPoolRecord]
) -> shapes.GetIdentityPoolRolesResponse:
    pool = prepared.found
    return shapes.GetIdentityPoolRolesResponse(
        identity_pool_id=pool.pool_id,
        roles=pool.roles,
        role_mappings={key: _shown(one) for key, one in pool.role_mappings.items()},
    )


def _shown(mapping: ClaimRoles) -> shapes.RoleMapping:
    rules = tuple(
        shapes.MappingRule(claim=one.claim, match_type=one.match_type, value=one.value, role_arn=one.role_arn)
        for one in mapping.rules
    )
    return shapes.RoleMapping(
        type=mapping.kind,
        ambiguous_role_resolution="Deny" if mapping.is_denied_without else "AuthenticatedRole",
        rules_configuration=shapes.RulesConfigurationType(rules=rules) if rules else None,
    )
