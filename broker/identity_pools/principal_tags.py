"""Attributes for access control: which claims of a provider's tokens become session tags."""

from collections.abc import Sequence
from typing import Any

from msgspec.structs import replace

from broker.identity_pools.claims import claim_text
from broker.identity_pools.logins import ProvenLogin
from broker.identity_pools.providers import provider_keys
from broker.identity_pools.refusals import invalid, not_authorized
from broker.identity_pools.resources import named_pool
from broker.operation import Call, Prepared, operation
from broker.protocol.shapes import cognito_identity as shapes
from broker.storage.identity_pool_records import ClaimTags, IdentityPoolRecord
from broker.storage.people_collections import IDENTITY_POOLS

# "Using default mappings" of the developer guide: tag -> claim.
DEFAULTS = {"client": "aud", "username": "sub"}


def session_tags(pool: IdentityPoolRecord, logins: Sequence[ProvenLogin]) -> dict[str, str]:
    """The tags that the claims of the logins give; a claim that is absent or no single value gives none.

    Raises NotAuthorizedException where two logins give one tag different values.
    """
    tags: dict[str, str] = {}
    for one in logins:
        for tag, value in (*_tags_of(pool.principal_tags.get(one.key), one), *one.tags.items()):
            if tags.setdefault(tag, value) != value:
                message = "Access denied: the logins give different values of a principal tag."
                raise not_authorized(message, f"tag {tag} is {tags[tag]!r} and {value!r}")
    return tags


def _tags_of(mapping: ClaimTags | None, login: ProvenLogin) -> list[tuple[str, str]]:
    if mapping is None:
        return []
    wanted = DEFAULTS if mapping.use_defaults else mapping.claims
    found = [
        (tag, claim_text({**login.claims, "aud": login.audience}, claim)) for tag, claim in wanted.items()
    ]
    return [(tag, value) for tag, value in found if value]


@operation("cognito-identity:SetPrincipalTagAttributeMap", prepare=named_pool)
async def set_principal_tag_attribute_map(
    call: Call, request: shapes.SetPrincipalTagAttributeMapInput, prepared: Prepared[IdentityPoolRecord]
) -> shapes.SetPrincipalTagAttributeMapResponse:
    """With neither defaults nor tags, the provider's tokens give no tags any more."""
    pool, provider = prepared.found, _required_provider(prepared.found, request)
    if request.use_defaults and request.principal_tags:
        raise invalid("PrincipalTags and UseDefaults exclude each other.")
    mapping = ClaimTags(use_defaults=bool(request.use_defaults), claims=request.principal_tags)
    tags = {**pool.principal_tags, provider: mapping}
    call.store.put(IDENTITY_POOLS, call.account, replace(pool, principal_tags=tags))
    return shapes.SetPrincipalTagAttributeMapResponse(**_shown(pool, provider, mapping))


@operation("cognito-identity:GetPrincipalTagAttributeMap", prepare=named_pool)
async def get_principal_tag_attribute_map(
    call: Call, request: shapes.GetPrincipalTagAttributeMapInput, prepared: Prepared[IdentityPoolRecord]
) -> shapes.GetPrincipalTagAttributeMapResponse:
    pool, provider = prepared.found, _required_provider(prepared.found, request)
    mapping = pool.principal_tags.get(provider, ClaimTags())
    return shapes.GetPrincipalTagAttributeMapResponse(**_shown(pool, provider, mapping))


def _required_provider(pool: IdentityPoolRecord, request: Any) -> str:
    provider = str(request.identity_provider_name)
    if provider not in provider_keys(pool):
        raise invalid(f"{provider} is no provider of the identity pool.")
    return provider


def _shown(pool: IdentityPoolRecord, provider: str, mapping: ClaimTags) -> dict[str, Any]:
    return {
        "identity_pool_id": pool.pool_id,
        "identity_provider_name": provider,
        "use_defaults": mapping.use_defaults,
        "principal_tags": DEFAULTS if mapping.use_defaults else mapping.claims,
    }
