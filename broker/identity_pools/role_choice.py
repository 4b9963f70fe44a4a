"""Which role an identity gets: of the pool, by claims of its tokens, or by rules over them. Pure.

Developer guide, "Using role-based access control". Where a mapping gives no role, or several without saying which, it
is ambiguous: the mapping says whether the identity gets the role of everyone authenticated or none. Where mappings of
several logins give different roles, the identity gets none.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from broker.errors import Refusal
from broker.identity_pools.claims import claim_text, claim_texts
from broker.identity_pools.logins import ProvenLogin
from broker.identity_pools.refusals import misconfigured, not_authorized
from broker.storage.identity_pool_records import ClaimRoles, ClaimRule, IdentityPoolRecord

AUTHENTICATED, UNAUTHENTICATED = "authenticated", "unauthenticated"
TOKEN, RULES = "Token", "Rules"
_ROLES, _PREFERRED = "cognito:roles", "cognito:preferred_role"


def chosen_role(pool: IdentityPoolRecord, logins: Sequence[ProvenLogin], custom_role_arn: str | None) -> str:
    """The ARN of the role; raises Refusal where there is none."""
    mapped = [(one, pool.role_mappings[one.key]) for one in logins if one.key in pool.role_mappings]
    if not mapped:
        role_arn = _pools_role(pool, AUTHENTICATED if logins else UNAUTHENTICATED)
        if custom_role_arn not in (None, role_arn):
            raise _denied(f"no role mapping gives {custom_role_arn}")
        return role_arn
    roles = {_mapped_role(pool, one, mapping, custom_role_arn) for one, mapping in mapped}
    if len(roles) > 1:
        raise _denied(f"the mappings of the logins give different roles: {', '.join(sorted(roles))}")
    return roles.pop()


def _mapped_role(
    pool: IdentityPoolRecord, login: ProvenLogin, mapping: ClaimRoles, custom_role_arn: str | None
) -> str:
    role_arn = _role_by_claims(login.claims, mapping, custom_role_arn)
    if role_arn is not None:
        return role_arn
    if custom_role_arn is not None:
        raise _denied(f"the claims of the token of {login.provider} do not give {custom_role_arn}")
    if mapping.is_denied_without:
        raise _denied(f"the claims of the token of {login.provider} give no role, or more than one")
    return _pools_role(pool, AUTHENTICATED)


def _role_by_claims(
    claims: Mapping[str, Any], mapping: ClaimRoles, custom_role_arn: str | None
) -> str | None:
    """The one role that the claims give; None where they give none or do not say which."""
    if mapping.kind == RULES:
        offered = tuple(rule.role_arn for rule in mapping.rules if matches(rule, claims))
        preferred = offered[0] if offered else None
    else:
        offered = claim_texts(claims, _ROLES)
        preferred = claim_text(claims, _PREFERRED) or (offered[0] if len(set(offered)) == 1 else None)
    wanted = preferred if custom_role_arn is None else custom_role_arn
    return wanted if wanted in offered else None


def matches(rule: ClaimRule, claims: Mapping[str, Any]) -> bool:
    """A claim that is absent matches nothing, not even NotEqual: what a token does not say gives no role.

    Of a claim with several values, one that is equal is contained, and no other comparison is true.
    """
    if type(claims.get(rule.claim)) is list:
        return rule.match_type == "Contains" and rule.value in claim_texts(claims, rule.claim)
    value = claim_text(claims, rule.claim)
    if value is None:
        return False
    if rule.match_type == "Equals":
        return value == rule.value
    if rule.match_type == "NotEqual":
        return value != rule.value
    return value.startswith(rule.value) if rule.match_type == "StartsWith" else rule.value in value


def _pools_role(pool: IdentityPoolRecord, kind: str) -> str:
    role_arn = pool.roles.get(kind)
    if role_arn is None:
        raise misconfigured(f"pool {pool.pool_id} has no role for the {kind}")
    return role_arn


def _denied(reason: str) -> Refusal:
    return not_authorized(
        "Access denied: no role can be given by the role mapping of the identity pool.", reason
    )
