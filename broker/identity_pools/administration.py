"""The identities of a pool as its account sees them."""

from broker.access.resource import Resource
from broker.identity_pools.identities import delete_identities, find_identity, identities_in
from broker.identity_pools.pages import page_after
from broker.identity_pools.refusals import no_such_identity
from broker.identity_pools.resources import named_pool
from broker.operation import Absent, Call, Prepared, no_resource, operation
from broker.protocol.shapes import cognito_identity as shapes
from broker.storage.identity_pool_records import IdentityPoolRecord, PoolIdentity


async def named_identity(
    call: Call, request: shapes.DescribeIdentityInput
) -> Prepared[PoolIdentity] | Absent:
    identity = await find_identity(call.store, request.identity_id)
    if identity is None or identity.account_id != call.account:
        return Absent(Resource(), no_such_identity(request.identity_id))
    return Prepared(Resource(), identity)


@operation("cognito-identity:DescribeIdentity", prepare=named_identity)
async def describe_identity(
    call: Call, request: shapes.DescribeIdentityInput, prepared: Prepared[PoolIdentity]
) -> shapes.IdentityDescription:
    return _shown(prepared.found)


@operation("cognito-identity:ListIdentities", prepare=named_pool)
async def list_identities(
    call: Call, request: shapes.ListIdentitiesInput, prepared: Prepared[IdentityPoolRecord]
) -> shapes.ListIdentitiesResponse:
    pool_id = prepared.found.pool_id
    found = [
        one for one in await identities_in(call, pool_id) if not (request.hide_disabled and one.is_disabled)
    ]
    shown, next_token = page_after(
        found, lambda one: one.identity_id, request.next_token, request.max_results
    )
    return shapes.ListIdentitiesResponse(
        identity_pool_id=pool_id, identities=tuple(map(_shown, shown)), next_token=next_token
    )


@operation("cognito-identity:DeleteIdentities", prepare=no_resource)
async def delete_identities_of_account(
    call: Call, request: shapes.DeleteIdentitiesInput, prepared: Prepared[None]
) -> shapes.DeleteIdentitiesResponse:
    """Of the caller's account alone. Credentials that they have got live on until they expire."""
    refused = []
    for identity_id in dict.fromkeys(request.identity_ids_to_delete):
        identity = await find_identity(call.store, identity_id)
        if identity is None or identity.account_id != call.account:
            refused.append(shapes.UnprocessedIdentityId(identity_id=identity_id, error_code="AccessDenied"))
        else:
            await delete_identities(call, identity.pool_id, (identity,))
    return shapes.DeleteIdentitiesResponse(unprocessed_identity_ids=tuple(refused))


def _shown(identity: PoolIdentity) -> shapes.IdentityDescription:
    return shapes.IdentityDescription(
        identity_id=identity.identity_id,
        logins=tuple(identity.logins),
        creation_date=float(identity.created_at),
        last_modified_date=float(identity.modified_at),
    )
