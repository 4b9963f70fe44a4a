"""Which roles and which session tags the people of a declared identity pool get."""

from collections.abc import Mapping

from broker.declaration.attempt import Attempt, Regional
from broker.declaration.declared import (
    DeclaredIdentityPool,
    DeclaredPrincipalTags,
    DeclaredRoleMapping,
    value_or,
)
from broker.declaration.properties import desired
from broker.declaration.source import DeclarationError
from broker.identity_pools.providers import provider_keys
from broker.names.arn import iam_arn
from broker.storage.identity_pool_records import ClaimRoles, ClaimRule, ClaimTags, IdentityPoolRecord
from broker.storage.store import ROLES

DENY, AUTHENTICATED_ROLE = "Deny", "AuthenticatedRole"
_NO_TAGS = ClaimTags()


async def settle_roles(
    attempt: Attempt, at: Regional, name: str, pool: IdentityPoolRecord, wanted: DeclaredIdentityPool
) -> None:
    roles, mappings = pool.roles, pool.role_mappings
    if isinstance(declared := desired(attempt, wanted.roles, {}), dict):
        roles = {kind: await _role_arn(attempt, at, one, wanted.where) for kind, one in declared.items()}
    if isinstance(declared := desired(attempt, wanted.role_mappings, {}), dict):
        mappings = {
            provider_key(pool, key): await _mapping(attempt, at, one) for key, one in declared.items()
        }
    if (roles, mappings) == (pool.roles, pool.role_mappings):
        return
    members = {
        "IdentityPoolId": pool.pool_id,
        "Roles": roles,
        "RoleMappings": {key: _shown(one) for key, one in mappings.items()},
    }
    text = f"identity pool {name}: roles"
    await attempt.perform_json(at, "SetIdentityPoolRoles", members, "~", text, wanted.where)


async def _mapping(attempt: Attempt, at: Regional, wanted: DeclaredRoleMapping) -> ClaimRoles:
    if wanted.ambiguous_role_resolution not in (DENY, AUTHENTICATED_ROLE):
        raise DeclarationError(f"{wanted.where}: ambiguous_role_resolution is {DENY} or {AUTHENTICATED_ROLE}")
    rules = [
        ClaimRule(
            claim=one.claim,
            match_type=one.match_type,
            value=one.value,
            role_arn=await _role_arn(attempt, at, one.role, one.where),
        )
        for one in wanted.rules
    ]
    is_denied = wanted.ambiguous_role_resolution == DENY
    return ClaimRoles(kind=wanted.type, is_denied_without=is_denied, rules=tuple(rules))


def _shown(mapping: ClaimRoles) -> dict[str, object]:
    """As the wire has it."""
    shown: dict[str, object] = {
        "Type": mapping.kind,
        "AmbiguousRoleResolution": DENY if mapping.is_denied_without else AUTHENTICATED_ROLE,
    }
    if mapping.rules:
        rules = [
            {"Claim": one.claim, "MatchType": one.match_type, "Value": one.value, "RoleARN": one.role_arn}
            for one in mapping.rules
        ]
        shown["RulesConfiguration"] = {"Rules": rules}
    return shown


async def _role_arn(attempt: Attempt, at: Regional, text: str, where: str) -> str:
    """Of a role's name or ARN. Raises DeclarationError for a name that no role has."""
    if text.startswith("arn:"):
        return text
    role = await attempt.store.find(ROLES, at.account, text)
    if role is None:
        raise DeclarationError(f"{where}: the account has no role {text!r}")
    return role.arn


def provider_key(pool: IdentityPoolRecord, text: str) -> str:
    """The key of a provider of the pool, which may be a name for an ARN."""
    arn = iam_arn(pool.account_id, f"oidc-provider/{text}")
    keys = set(provider_keys(pool))
    return arn if text not in keys and arn in keys else text


async def settle_principal_tags(
    attempt: Attempt, at: Regional, name: str, pool: IdentityPoolRecord, wanted: DeclaredIdentityPool
) -> None:
    declared = desired(attempt, wanted.principal_tags, {})
    if not isinstance(declared, dict):
        return
    tags = {provider_key(pool, key): _tags(one) for key, one in declared.items()}
    before = present_tags(pool)
    for key in dict.fromkeys((*before, *tags)):
        after = tags.get(key, _NO_TAGS)
        if before.get(key, _NO_TAGS) != after:
            members = {"IdentityPoolId": pool.pool_id, "IdentityProviderName": key}
            given = {"UseDefaults": after.use_defaults, "PrincipalTags": after.claims}
            text = f"identity pool {name}: principal tags of {key}"
            await attempt.perform_json(
                at, "SetPrincipalTagAttributeMap", {**members, **given}, "~", text, wanted.where
            )


def _tags(wanted: DeclaredPrincipalTags) -> ClaimTags:
    return ClaimTags(use_defaults=wanted.use_defaults, claims=value_or(wanted.claims, {}))


def present_tags(pool: IdentityPoolRecord) -> Mapping[str, ClaimTags]:
    """Without providers whose tokens give no tags."""
    return {key: one for key, one in pool.principal_tags.items() if one != _NO_TAGS}
