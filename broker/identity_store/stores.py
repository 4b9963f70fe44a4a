"""Identity stores of an account, and their bearer tokens.

AWS has one store for an organization and makes it in its console. Here a store is of one provider of an account, whose
people it decides about: to make one, or to delete it, changes who can get into the account.
"""

from typing import Any

from broker.access.resource import Resource
from broker.errors import Refusal
from broker.identity_store.errors import invalid, no_such_store, resource_not_found
from broker.identity_store.naming import people_in
from broker.identity_store.pages import page_after
from broker.identity_store.tokens import (
    ID_SIZE,
    MOST_TOKENS,
    SECRET_SIZE,
    digest_of,
    token_text,
)
from broker.names.identity_store import identity_store_arn
from broker.operation import Absent, Call, Prepared, no_resource, operation
from broker.protocol.shapes import identitystore as shapes
from broker.storage.identity_store_records import (
    EXTERNAL_ID,
    IdentityStoreRecord,
    ProviderIdentityStore,
    StoreToken,
)
from broker.storage.people_collections import IDENTITY_STORES, PROVIDER_IDENTITY_STORES, STORE_TOKENS
from broker.storage.store import OPEN_ID_CONNECT_PROVIDERS, SAML_PROVIDERS, USAGE

_DAY = 24 * 3600
_DEFAULT_DAYS = 365
_MOST_SHOWN = 100


async def named_store(call: Call, request: Any) -> Prepared[IdentityStoreRecord] | Absent:
    """By its id, or its ARN. What another account has does not exist here."""
    store_id = request.identity_store_id.rpartition("/")[2]
    arn = identity_store_arn(call.account, store_id)
    record = await call.store.find(IDENTITY_STORES, call.account, store_id)
    if record is None or request.identity_store_id not in (store_id, arn):
        return Absent(Resource(arn), no_such_store(store_id))
    return Prepared(Resource(record.arn), record)


async def new_store(call: Call, request: Any) -> Prepared[None]:
    return Prepared(Resource(identity_store_arn(call.account, "*")), None)


@operation("identitystore:CreateIdentityStore", prepare=new_store)
async def create_identity_store(
    call: Call, request: shapes.CreateIdentityStoreRequest, prepared: Prepared[None]
) -> shapes.CreateIdentityStoreResponse:
    """From now on the provider admits nobody but the store's active users, of whom there are none yet."""
    await _require_provider(call, request.provider)
    if await call.store.find(PROVIDER_IDENTITY_STORES, call.account, request.provider) is not None:
        raise Refusal("ConflictException", f"{request.provider} has an identity store already.")
    record = IdentityStoreRecord(
        account_id=call.account,
        store_id=f"d-{call.entropy(5).hex()}",
        provider=request.provider,
        matched_by=request.match_by or EXTERNAL_ID,
        claim=request.claim or "",
        created_at=int(call.now),
    )
    call.store.put(IDENTITY_STORES, call.account, record)
    named = ProviderIdentityStore(provider=record.provider, store_id=record.store_id)
    call.store.put(PROVIDER_IDENTITY_STORES, call.account, named)
    return shapes.CreateIdentityStoreResponse(
        identity_store_id=record.store_id,
        identity_store_arn=record.arn,
        provider=record.provider,
        match_by=record.matched_by,
        claim=record.claim or None,
    )


async def _require_provider(call: Call, provider: str) -> None:
    """A provider of the account, by its ARN; or the LDAP directory, by its name in trust policies."""
    directory = call.federation.directory
    if directory is not None and provider == directory.rules.provider:
        return
    prefix, _, name = provider.partition("-provider/")
    found: Any = None
    if prefix == f"arn:aws:iam::{call.account}:oidc":
        found = await call.store.find(OPEN_ID_CONNECT_PROVIDERS, call.account, name)
    elif prefix == f"arn:aws:iam::{call.account}:saml":
        found = await call.store.find(SAML_PROVIDERS, call.account, name)
    if found is None or found.arn != provider:
        raise invalid(
            f"Provider: {provider} is no OpenID Connect or SAML provider of account {call.account}, nor the LDAP "
            "directory."
        )


@operation("identitystore:DeleteIdentityStore", prepare=named_store)
async def delete_identity_store(
    call: Call, request: shapes.DeleteIdentityStoreRequest, prepared: Prepared[IdentityStoreRecord]
) -> shapes.DeleteIdentityStoreResponse:
    """Its people and tokens are deleted, its sessions end; and the provider admits whom it vouches for again."""
    record = prepared.found
    for token in await _tokens(call, record):
        call.store.delete(STORE_TOKENS, call.account, f"{token.store_id}/{token.token_id}")
    await people_in(call, record).purge()
    call.store.delete(PROVIDER_IDENTITY_STORES, call.account, record.provider)
    call.store.delete(IDENTITY_STORES, call.account, record.store_id)
    return shapes.DeleteIdentityStoreResponse()


@operation("identitystore:DescribeIdentityStore", prepare=named_store)
async def describe_identity_store(
    call: Call, request: shapes.DescribeIdentityStoreRequest, prepared: Prepared[IdentityStoreRecord]
) -> shapes.DescribeIdentityStoreResponse:
    record = prepared.found
    return shapes.DescribeIdentityStoreResponse(
        identity_store_id=record.store_id,
        identity_store_arn=record.arn,
        provider=record.provider,
        match_by=record.matched_by,
        claim=record.claim or None,
    )


@operation("identitystore:ListIdentityStores", prepare=no_resource)
async def list_identity_stores(
    call: Call, request: shapes.ListIdentityStoresRequest, prepared: Prepared[None]
) -> shapes.ListIdentityStoresResponse:
    found = await call.store.scan(IDENTITY_STORES, call.account)
    shown, next_token = page_after(
        found, lambda one: one.store_id, request.next_token, request.max_results or _MOST_SHOWN
    )
    return shapes.ListIdentityStoresResponse(
        identity_stores=tuple(
            shapes.IdentityStore(
                identity_store_id=one.store_id,
                identity_store_arn=one.arn,
                provider=one.provider,
                match_by=one.matched_by,
                claim=one.claim or None,
            )
            for one in shown
        ),
        next_token=next_token,
    )


@operation("identitystore:CreateBearerToken", prepare=named_store)
async def create_bearer_token(
    call: Call, request: shapes.CreateBearerTokenRequest, prepared: Prepared[IdentityStoreRecord]
) -> shapes.CreateBearerTokenResponse:
    """The token is in this answer and nowhere else."""
    record = prepared.found
    if len(await _tokens(call, record)) >= MOST_TOKENS:
        raise Refusal(
            "ServiceQuotaExceededException",
            f"An identity store has at most {MOST_TOKENS} bearer tokens, expired ones included: delete one first.",
        )
    token_id, secret = call.entropy(ID_SIZE).hex(), call.entropy(SECRET_SIZE)
    token = StoreToken(
        store_id=record.store_id,
        token_id=token_id,
        digest=digest_of(secret.hex()),
        created_at=int(call.now),
        expires_at=int(call.now) + (request.valid_days or _DEFAULT_DAYS) * _DAY,
        created_by=call.caller.principal.arn,
    )
    call.store.put(STORE_TOKENS, call.account, token)
    return shapes.CreateBearerTokenResponse(
        identity_store_id=record.store_id,
        token_id=token_id,
        bearer_token=token_text(call.account, record.store_id, token_id, secret),
        expires_at=float(token.expires_at),
    )


@operation("identitystore:ListBearerTokens", prepare=named_store)
async def list_bearer_tokens(
    call: Call, request: shapes.ListBearerTokensRequest, prepared: Prepared[IdentityStoreRecord]
) -> shapes.ListBearerTokensResponse:
    shown = []
    for token in await _tokens(call, prepared.found):
        usage = await call.store.find(USAGE, call.account, token.token_id)
        shown.append(
            shapes.BearerTokenDetails(
                token_id=token.token_id,
                created_at=float(token.created_at),
                created_by=token.created_by,
                expires_at=float(token.expires_at),
                last_used_at=None if usage is None else float(usage.last_used_at),
            )
        )
    return shapes.ListBearerTokensResponse(bearer_tokens=tuple(shown))


@operation("identitystore:DeleteBearerToken", prepare=named_store)
async def delete_bearer_token(
    call: Call, request: shapes.DeleteBearerTokenRequest, prepared: Prepared[IdentityStoreRecord]
) -> shapes.DeleteBearerTokenResponse:
    """The next request with it is refused."""
    key = f"{prepared.found.store_id}/{request.token_id}"
    if await call.store.find(STORE_TOKENS, call.account, key) is None:
        raise resource_not_found("IDENTITY_STORE", f"BearerToken {request.token_id} not found.")
    call.store.delete(STORE_TOKENS, call.account, key)
    return shapes.DeleteBearerTokenResponse()


async def _tokens(call: Call, record: IdentityStoreRecord) -> list[StoreToken]:
    return await call.store.scan(STORE_TOKENS, call.account, f"{record.store_id}/")
