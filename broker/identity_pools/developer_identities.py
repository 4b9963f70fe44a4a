"""Developer authenticated identities: an app's own server, by its permissions, says which of its users an identity is.

Users of the server who turn out to be one person may be one identity: the server says so, never an app.
"""

from broker.errors import Refusal
from broker.identity_pools.developer_tokens import LOGIN, DeveloperToken, seal_developer_token
from broker.identity_pools.identities import (
    find_identity,
    forget_logins,
    link,
    new_identity,
    owners_of,
    put_logins,
)
from broker.identity_pools.linking import identity_of
from broker.identity_pools.logins import ProvenLogin, developer_login, proven_logins
from broker.identity_pools.pages import page_after
from broker.identity_pools.refusals import invalid, no_such_identity, not_authorized
from broker.identity_pools.resources import named_pool
from broker.identity_pools.subjects import merged, subjects_of, users_of, with_user, without
from broker.operation import Call, Prepared, operation
from broker.protocol.shapes import cognito_identity as shapes
from broker.storage.identity_pool_records import IdentityPoolRecord, PoolIdentity, identity_shard
from broker.storage.people_collections import POOL_IDENTITIES

DEFAULT_SECONDS = 900
_LONGEST_USER = 1024  # characters
_MOST = 60


@operation("cognito-identity:GetOpenIdTokenForDeveloperIdentity", prepare=named_pool)
async def get_open_id_token_for_developer_identity(
    call: Call,
    request: shapes.GetOpenIdTokenForDeveloperIdentityInput,
    prepared: Prepared[IdentityPoolRecord],
) -> shapes.GetOpenIdTokenForDeveloperIdentityResponse:
    """Public providers' tokens beside the user's name are proven, and linked to the same identity."""
    pool, provider = prepared.found, _required_provider(prepared.found)
    user = request.logins.get(provider, "")
    if not 0 < len(user) <= _LONGEST_USER:
        raise invalid(f"Logins has a user of {provider}, of 1 to {_LONGEST_USER} characters.")
    public = {name: token for name, token in request.logins.items() if name != provider}
    if LOGIN in public:
        raise invalid(f"Logins: {LOGIN} is no provider of the identity pool.")
    logins = (developer_login(pool, provider, user), *await proven_logins(call, pool, public))
    identity = await _identity_for(call, pool, logins, request.identity_id)
    token = DeveloperToken(
        pool_id=pool.pool_id,
        identity_id=identity.identity_id,
        provider=provider,
        user=user,
        expires_at=int(call.now) + (request.token_duration or DEFAULT_SECONDS),
        tags=request.principal_tags,
    )
    sealed = seal_developer_token(call.mint.keyring(), token, call.entropy(16))
    return shapes.GetOpenIdTokenForDeveloperIdentityResponse(identity_id=identity.identity_id, token=sealed)


def _required_provider(pool: IdentityPoolRecord) -> str:
    if not pool.developer_provider:
        raise invalid("The identity pool has no developer provider.")
    return pool.developer_provider


def _named_provider(pool: IdentityPoolRecord, name: str) -> str:
    """The developer provider, which the request names as well."""
    provider = _required_provider(pool)
    if name != provider:
        raise invalid(f"{name} is not the developer provider of the identity pool.")
    return provider


async def _identity_for(
    call: Call, pool: IdentityPoolRecord, logins: tuple[ProvenLogin, ...], identity_id: str | None
) -> PoolIdentity:
    """That of the logins, else the named one, to which the user is added, else a new one."""
    known = identity_of(await owners_of(call.store, pool, logins))
    if identity_id is not None and known not in (None, identity_id):
        message = "The user is linked to another identity."
        raise Refusal("DeveloperUserAlreadyRegisteredException", message)
    wanted = identity_id or known
    if wanted is None:
        return await new_identity(call, pool, logins)
    identity = await _required_identity(call, pool, wanted)
    if identity.is_disabled:
        raise not_authorized(f"Access to Identity '{wanted}' is forbidden.")
    return _linked(call, identity, logins)


def _linked(call: Call, identity: PoolIdentity, logins: tuple[ProvenLogin, ...]) -> PoolIdentity:
    """The identity with the logins, of which the first is the user."""
    user = logins[0]
    changed = with_user(identity, user.provider, user.subject, int(call.now))
    if changed != identity:
        call.store.put(POOL_IDENTITIES, identity_shard(identity.pool_id), changed)
        put_logins(call, changed, [(user.provider, user.subject)])
    return link(call, changed, logins)


async def _required_identity(call: Call, pool: IdentityPoolRecord, identity_id: str) -> PoolIdentity:
    """One of another pool does not exist here."""
    identity = await find_identity(call.store, identity_id)
    if identity is None or identity.pool_id != pool.pool_id:
        raise no_such_identity(identity_id)
    return identity


@operation("cognito-identity:LookupDeveloperIdentity", prepare=named_pool)
async def lookup_developer_identity(
    call: Call, request: shapes.LookupDeveloperIdentityInput, prepared: Prepared[IdentityPoolRecord]
) -> shapes.LookupDeveloperIdentityResponse:
    """By the identity, or by the user, who may be one of several; by both, where they belong together."""
    pool, provider = prepared.found, _required_provider(prepared.found)
    user = request.developer_user_identifier
    if user is None and request.identity_id is None:
        raise invalid("The request has an IdentityId or a DeveloperUserIdentifier.")
    owner = None if user is None else await _owner(call, pool, provider, user)
    if request.identity_id is not None and user is not None and owner != request.identity_id:
        raise Refusal("ResourceConflictException", "The user is not of this identity.")
    identity = await _required_identity(call, pool, request.identity_id or owner or "")
    is_given = request.identity_id is not None and user is not None
    users = (str(user),) if is_given else users_of(identity, provider)
    shown, next_token = page_after(users, str, request.next_token, request.max_results or _MOST)
    return shapes.LookupDeveloperIdentityResponse(
        identity_id=identity.identity_id, developer_user_identifier_list=tuple(shown), next_token=next_token
    )


async def _owner(call: Call, pool: IdentityPoolRecord, provider: str, user: str) -> str:
    """The identity of the user; raises ResourceNotFoundException."""
    (owner,) = await owners_of(call.store, pool, (developer_login(pool, provider, user),))
    if owner is None:
        raise Refusal("ResourceNotFoundException", "The user has no identity in the identity pool.")
    return owner


@operation("cognito-identity:UnlinkDeveloperIdentity", prepare=named_pool)
async def unlink_developer_identity(
    call: Call, request: shapes.UnlinkDeveloperIdentityInput, prepared: Prepared[IdentityPoolRecord]
) -> None:
    """An identity without its last login is nobody's. Tokens of the user that were given out prove nothing more."""
    pool, provider = prepared.found, _named_provider(prepared.found, request.developer_provider_name)
    owner = await _owner(call, pool, provider, request.developer_user_identifier)
    if owner != request.identity_id:
        raise Refusal("ResourceConflictException", "The user is not of this identity.")
    identity = await _required_identity(call, pool, owner)
    removed = [(provider, request.developer_user_identifier)]
    forget_logins(call, identity, removed)
    changed = without(identity, removed, int(call.now))
    call.store.put(POOL_IDENTITIES, identity_shard(pool.pool_id), changed)


@operation("cognito-identity:MergeDeveloperIdentities", prepare=named_pool)
async def merge_developer_identities(
    call: Call, request: shapes.MergeDeveloperIdentitiesInput, prepared: Prepared[IdentityPoolRecord]
) -> shapes.MergeDeveloperIdentitiesResponse:
    """The source's identity is nobody's afterwards; credentials that it has got live on until they expire.

    Users who are one identity already stay it: who repeats a request whose answer was lost gets the same answer.
    """
    pool, provider = prepared.found, _named_provider(prepared.found, request.developer_provider_name)
    if request.source_user_identifier == request.destination_user_identifier:
        raise invalid("SourceUserIdentifier and DestinationUserIdentifier are the same user.")
    source_id = await _owner(call, pool, provider, request.source_user_identifier)
    destination_id = await _owner(call, pool, provider, request.destination_user_identifier)
    if source_id != destination_id:
        source = await _required_identity(call, pool, source_id)
        destination = await _required_identity(call, pool, destination_id)
        after = merged(source, destination, provider, int(call.now))
        put_logins(call, destination, subjects_of(source))
        for changed in after:
            call.store.put(POOL_IDENTITIES, identity_shard(pool.pool_id), changed)
    return shapes.MergeDeveloperIdentitiesResponse(identity_id=destination_id)
