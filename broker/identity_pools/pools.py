"""Identity pools: which providers an app's people come from, and whether there are guests."""

from collections.abc import Sequence

from msgspec.structs import replace

from broker.access.resource import Resource
from broker.audit.event import uuid_text
from broker.errors import Refusal, not_implemented
from broker.identity_pools.developer_tokens import LOGIN
from broker.identity_pools.identities import delete_identities, identities_in
from broker.identity_pools.pages import page_after
from broker.identity_pools.providers import LOGIN_PROVIDERS, provider_keys
from broker.identity_pools.refusals import invalid
from broker.identity_pools.resources import named_pool
from broker.identity_pools.tags import checked_tags
from broker.names.arn import iam_arn
from broker.operation import Call, Prepared, no_resource, operation
from broker.protocol.shapes import cognito_identity as shapes
from broker.storage.identity_pool_records import (
    CognitoLogin,
    IdentityPoolOwner,
    IdentityPoolRecord,
    identity_shard,
)
from broker.storage.people_collections import IDENTITY_COUNTS, IDENTITY_POOL_OWNERS, IDENTITY_POOLS
from broker.storage.store import OPEN_ID_CONNECT_PROVIDERS, TOKEN_ISSUERS


async def new_pool(call: Call, request: shapes.CreateIdentityPoolInput) -> Prepared[None]:
    return Prepared(
        Resource(f"arn:aws:cognito-identity:{call.facts.region}:{call.account}:identitypool/*"), None
    )


@operation("cognito-identity:CreateIdentityPool", prepare=new_pool)
async def create_identity_pool(
    call: Call, request: shapes.CreateIdentityPoolInput, prepared: Prepared[None]
) -> shapes.IdentityPool:
    await _require_room(call)
    pool = await _described(
        call,
        request,
        IdentityPoolRecord(
            account_id=call.account,
            region=call.facts.region,
            pool_id=f"{call.facts.region}:{uuid_text(call.entropy(16))}",
            pool_name=request.identity_pool_name,
            tags=checked_tags(call, {}, request.identity_pool_tags),
            created_at=int(call.now),
        ),
    )
    call.store.put(IDENTITY_POOL_OWNERS, "", IdentityPoolOwner(pool_id=pool.pool_id, account_id=call.account))
    call.store.put(IDENTITY_POOLS, call.account, pool)
    return shown_pool(pool)


async def _require_room(call: Call) -> None:
    pools = await _pools_here(call)
    if len(pools) >= call.quotas.identity_pools:
        raise Refusal(
            "LimitExceededException", f"An account has at most {call.quotas.identity_pools} identity pools."
        )


async def _pools_here(call: Call) -> list[IdentityPoolRecord]:
    found = await call.store.scan(IDENTITY_POOLS, call.account)
    return [pool for pool in found if pool.region == call.facts.region]


async def _described(
    call: Call, request: shapes.CreateIdentityPoolInput | shapes.IdentityPool, pool: IdentityPoolRecord
) -> IdentityPoolRecord:
    """The pool as the request describes it; raises Refusal for what is not there or cannot be done."""
    if request.allow_classic_flow:
        await _require_issuer(call)
    if request.saml_provider_arns:
        raise not_implemented(
            "SamlProviderARNs: the broker's identity pools take OpenID Connect tokens only."
        )
    unknown = sorted(set(request.supported_login_providers) - LOGIN_PROVIDERS)
    if unknown:
        known = ", ".join(sorted(LOGIN_PROVIDERS))
        raise not_implemented(f"SupportedLoginProviders: {unknown[0]} is none of {known}.")
    await _require_registered(call, request.open_id_connect_provider_arns)
    changed = replace(
        pool,
        pool_name=request.identity_pool_name,
        allow_unauthenticated=request.allow_unauthenticated_identities,
        login_providers=request.supported_login_providers,
        open_id_connect_provider_arns=request.open_id_connect_provider_arns,
        cognito_logins=tuple(map(_cognito_login, request.cognito_identity_providers)),
        developer_provider=request.developer_provider_name or pool.developer_provider,
        allow_classic_flow=bool(request.allow_classic_flow),
    )
    _require_developer_provider(pool, changed)
    return changed


async def _require_issuer(call: Call) -> None:
    """The account's issuer signs the tokens of its pools."""
    issuer = await call.store.find(TOKEN_ISSUERS, call.account)
    if issuer is None or not issuer.is_enabled:
        raise invalid(
            "AllowClassicFlow: the account issues no web identity tokens; call iam:EnableOutboundWebIdentityFederation."
        )


def _require_developer_provider(pool: IdentityPoolRecord, changed: IdentityPoolRecord) -> None:
    """It is set once, as on AWS. INVARIANT: no other provider has its name, for logins are known by it."""
    if pool.developer_provider not in ("", changed.developer_provider):
        raise invalid("DeveloperProviderName cannot be changed once it is set.")
    others = {name.rpartition("oidc-provider/")[2] for name in changed.open_id_connect_provider_arns}
    others |= {*changed.login_providers, *(one.provider_name for one in changed.cognito_logins), LOGIN}
    if changed.developer_provider in others:
        raise invalid("DeveloperProviderName is the name of another provider.")


async def _require_registered(call: Call, arns: Sequence[str]) -> None:
    """A provider of the pool is one of the pool's account."""
    start = iam_arn(call.account, "oidc-provider/")
    for arn in arns:
        name = arn.removeprefix(start)
        known = await call.store.find(OPEN_ID_CONNECT_PROVIDERS, call.account, name) if name != arn else None
        if known is None:
            raise invalid(f"{arn} is not an OpenID Connect provider of account {call.account}.")


def _cognito_login(given: shapes.CognitoIdentityProvider) -> CognitoLogin:
    if given.provider_name is None or given.client_id is None:
        raise invalid("A Cognito identity provider has a ProviderName and a ClientId.")
    if given.server_side_token_check:
        raise not_implemented("ServerSideTokenCheck: the broker has no user pools to ask.")
    return CognitoLogin(provider_name=given.provider_name, client_id=given.client_id)


@operation("cognito-identity:DescribeIdentityPool", prepare=named_pool)
async def describe_identity_pool(
    call: Call, request: shapes.DescribeIdentityPoolInput, prepared: Prepared[IdentityPoolRecord]
) -> shapes.IdentityPool:
    return shown_pool(prepared.found)


@operation("cognito-identity:UpdateIdentityPool", prepare=named_pool)
async def update_identity_pool(
    call: Call, request: shapes.IdentityPool, prepared: Prepared[IdentityPoolRecord]
) -> shapes.IdentityPool:
    """The pool is what the request says: what it leaves out is gone, but for tags. Roles of gone providers go, too."""
    pool = await _described(call, request, prepared.found)
    if request.identity_pool_tags:
        pool = replace(pool, tags=checked_tags(call, {}, request.identity_pool_tags))
    keys = set(provider_keys(pool))
    pool = replace(
        pool,
        role_mappings={key: one for key, one in pool.role_mappings.items() if key in keys},
        principal_tags={key: one for key, one in pool.principal_tags.items() if key in keys},
    )
    call.store.put(IDENTITY_POOLS, call.account, pool)
    return shown_pool(pool)


@operation("cognito-identity:DeleteIdentityPool", prepare=named_pool)
async def delete_identity_pool(
    call: Call, request: shapes.DeleteIdentityPoolInput, prepared: Prepared[IdentityPoolRecord]
) -> None:
    """With its identities. Credentials that they have got live on until they expire."""
    pool_id = prepared.found.pool_id
    call.store.delete(IDENTITY_POOLS, call.account, pool_id)
    await delete_identities(call, pool_id, await identities_in(call, pool_id))
    call.store.delete(IDENTITY_COUNTS, identity_shard(pool_id), pool_id)
    call.store.delete(IDENTITY_POOL_OWNERS, "", pool_id)


@operation("cognito-identity:ListIdentityPools", prepare=no_resource)
async def list_identity_pools(
    call: Call, request: shapes.ListIdentityPoolsInput, prepared: Prepared[None]
) -> shapes.ListIdentityPoolsResponse:
    pools = await _pools_here(call)
    found, next_token = page_after(pools, lambda pool: pool.pool_id, request.next_token, request.max_results)
    return shapes.ListIdentityPoolsResponse(
        identity_pools=tuple(
            shapes.IdentityPoolShortDescription(
                identity_pool_id=pool.pool_id, identity_pool_name=pool.pool_name
            )
            for pool in found
        ),
        next_token=next_token,
    )


def shown_pool(pool: IdentityPoolRecord) -> shapes.IdentityPool:
    return shapes.IdentityPool(
        identity_pool_id=pool.pool_id,
        identity_pool_name=pool.pool_name,
        allow_unauthenticated_identities=pool.allow_unauthenticated,
        allow_classic_flow=pool.allow_classic_flow,
        supported_login_providers=pool.login_providers,
        developer_provider_name=pool.developer_provider or None,
        open_id_connect_provider_arns=pool.open_id_connect_provider_arns,
        cognito_identity_providers=tuple(
            shapes.CognitoIdentityProvider(
                provider_name=one.provider_name, client_id=one.client_id, server_side_token_check=False
            )
            for one in pool.cognito_logins
        ),
        identity_pool_tags=pool.tags,
    )
