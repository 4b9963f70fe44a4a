"""Which pool an operation is about: of a signed request, one of the caller's account in the request's region."""

from typing import Any

from broker.access.caller import Asserted, Caller
from broker.access.facts import RequestFacts
from broker.access.resource import Resource
from broker.assertions.requested_session import RequestedSession
from broker.federation.federation import Federation
from broker.identity_pools.identities import find_identity, find_pool
from broker.identity_pools.refusals import no_such_pool
from broker.names.principal import Anonymous
from broker.operation import Absent, Call, Prepared
from broker.storage.identity_pool_records import IdentityPoolRecord, identity_pool_arn
from broker.storage.people_collections import IDENTITY_POOLS
from broker.storage.store import Transaction


async def own_pool(call: Call, pool_id: str) -> IdentityPoolRecord | None:
    pool = await call.store.find(IDENTITY_POOLS, call.account, pool_id)
    return pool if pool is not None and pool.region == call.facts.region else None


async def named_pool(call: Call, request: Any) -> Prepared[IdentityPoolRecord] | Absent:
    """What another account has does not exist here."""
    pool_id = request.identity_pool_id
    pool = await own_pool(call, pool_id)
    if pool is None:
        arn = identity_pool_arn(call.facts.region, call.account, pool_id)
        return Absent(Resource(arn), no_such_pool(pool_id))
    return Prepared(Resource(pool.arn, tags=pool.tags), pool)


async def app_of_pool(
    federation: Federation, store: Transaction, facts: RequestFacts, request: Any
) -> Caller:
    """Who names a pool has proven nothing by that; the account of the pool keeps the record."""
    pool = await find_pool(store, request.identity_pool_id)
    return _app(None if pool is None else pool.account_id)


async def app_of_identity(
    federation: Federation, store: Transaction, facts: RequestFacts, request: Any
) -> Caller:
    """The same, by an identity."""
    identity = await find_identity(store, request.identity_id)
    return _app(None if identity is None else identity.account_id)


def _app(account: str | None) -> Caller:
    if account is None:
        return Caller(principal=Anonymous(), account="")
    nothing = Asserted(
        account=account, issuer="", subject="", audience="", attributes=RequestedSession(), session_keys={}
    )
    return Caller(principal=Anonymous(), account="", asserted=nothing)
