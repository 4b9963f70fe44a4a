"""Buckets as the broker knows them: whose they are. Created and deleted in the store and on record together.

Law: a name is on record before the bucket is made in the store, and until after it is gone there. So a bucket in the
store that is on record is its account's alone, and one that is not on record is nobody's: it is never taken over, and
only the operator gives it to an account (`broker apply`).

Requests for one bucket may overlap, as a client's own retry does with what it repeats. So a record is taken away only
by the request that has made it or has deleted the bucket, where no other one has asked the store for the bucket since
(`creation_id`); and only where the store's answer leaves no doubt that the bucket is not there.
"""

from collections.abc import Awaitable, Callable

from aiohttp import web
from msgspec.structs import replace

from broker.access.foreign_resources import deregister_resource, find_owner, register_resource
from broker.errors import Refusal
from broker.gateway import answers
from broker.gateway.bodies import read_location
from broker.gateway.deciding import bucket_arn, find_bucket
from broker.gateway.exchange import Exchange, Gateway
from broker.gateway.forwarding import error_of, passed_error, require_answer
from broker.gateway.headers import refuse_acls
from broker.gateway.public_access import OF_NEW_BUCKETS
from broker.gateway.refusals import invalid_argument, store_failed
from broker.gateway.store import Outgoing
from broker.storage.resource_records import ForeignResource
from broker.storage.store import FOREIGN_RESOURCES, Transaction

_MOST_BUCKETS = 10_000
_PREFIX = bucket_arn("")

Judge = Callable[[Transaction], Awaitable[object]]


async def list_buckets(gateway: Gateway, exchange: Exchange, judge: Judge) -> web.Response:
    """Of the caller's account, from the records."""
    query = exchange.incoming.query
    most = _number(query.get("max-buckets", str(_MOST_BUCKETS)))
    prefix, after = query.get("prefix", ""), query.get("continuation-token", "")

    async def read(store: Transaction) -> list[ForeignResource]:
        await judge(store)
        start = f"{_PREFIX}{after}" if after else None
        return await store.scan(
            FOREIGN_RESOURCES, exchange.account, f"{_PREFIX}{prefix}", after=start, limit=most + 1
        )

    found = await gateway.store.transact(read)
    more = answers.name_of(found[most - 1]) if len(found) > most else ""
    return answers.bucket_list(exchange.account, found[:most], prefix, more)


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 5 and 1 <= int(text) <= _MOST_BUCKETS):
        raise invalid_argument("max-buckets must be a number from 1 to 10000.")
    return int(text)


async def create_bucket(gateway: Gateway, exchange: Exchange, judge: Judge, body: bytes) -> web.Response:
    """Raises Refusal BucketAlreadyExists, BucketAlreadyOwnedByYou, LimitExceeded."""
    incoming, name = exchange.incoming, exchange.incoming.bucket
    refuse_acls(incoming)
    if incoming.header("x-amz-object-ownership") not in ("", "BucketOwnerEnforced"):
        raise invalid_argument("Objects belong to the owner of their bucket: BucketOwnerEnforced.")
    _require_location(gateway, read_location(body))

    async def take_name(store: Transaction) -> bool:
        """Whether the account had it before."""
        await judge(store)
        owner = await find_owner(store, bucket_arn(name))
        if owner not in (None, exchange.account):
            raise already_exists(name)
        return owner is not None

    was_ours = await gateway.store.transact(take_name)
    if await _is_in_store(gateway, name):
        raise already_owned(name) if was_ours else already_exists(name)
    is_new = await gateway.store.transact(lambda store: _register(gateway, exchange, store))
    lock = incoming.header("x-amz-bucket-object-lock-enabled")
    headers = {"x-amz-bucket-object-lock-enabled": lock} if lock else {}
    async with await gateway.backing.send(Outgoing("PUT", name, headers=headers, body=b"")) as answer:
        await require_answer(answer, None)
        if answer.status >= 300:
            if is_new and _is_surely_not_made(answer.status):
                await _deregister(gateway, exchange, exchange.facts.request_id)
            return await passed_error(answer, exchange.facts.request_id)
    await gateway.store.transact(lambda store: _register_again(gateway, exchange, store))
    return web.Response(headers={"Location": f"/{name}"})


def _is_surely_not_made(status: int) -> bool:
    """After a conflict the bucket may be there, by a repetition of the same request; after a failure it may be, too."""
    return 400 <= status < 500 and status != 409


def _require_location(gateway: Gateway, constraint: str) -> None:
    if constraint not in ("", gateway.region):
        raise Refusal(
            "IllegalLocationConstraintException",
            f"The {constraint[:64]} location constraint is incompatible for the region specific endpoint this request "
            "was sent to.",
        )


async def _register(gateway: Gateway, exchange: Exchange, store: Transaction) -> bool:
    """Put the name on record, with this request as the last one that asks for the bucket; whether it was not before."""
    arn = bucket_arn(exchange.incoming.bucket)
    found = await store.find(FOREIGN_RESOURCES, exchange.account, arn)
    try:
        record = await register_resource(
            store, exchange.account, arn, int(exchange.facts.now), gateway.quotas.foreign_resources
        )
    except Refusal as refusal:
        if refusal.code == "LimitExceeded":
            raise Refusal(
                "TooManyBuckets", "You have attempted to create more buckets than allowed"
            ) from None
        raise already_exists(exchange.incoming.bucket) from None
    if found is None:
        record = replace(record, public_access_block=OF_NEW_BUCKETS)
    store.put(FOREIGN_RESOURCES, exchange.account, replace(record, creation_id=exchange.facts.request_id))
    return found is None


async def _register_again(gateway: Gateway, exchange: Exchange, store: Transaction) -> None:
    """Where a DeleteBucket that found no bucket yet has taken the record away meanwhile."""
    if await store.find(FOREIGN_RESOURCES, exchange.account, bucket_arn(exchange.incoming.bucket)) is None:
        await _register(gateway, exchange, store)


async def _deregister(gateway: Gateway, exchange: Exchange, creation_id: str) -> None:
    """Unless another request has asked the store for the bucket since that of `creation_id`."""

    async def forget(store: Transaction) -> None:
        record = await store.find(
            FOREIGN_RESOURCES, exchange.owner or exchange.account, bucket_arn(exchange.incoming.bucket)
        )
        if record is not None and record.creation_id == creation_id:
            await deregister_resource(store, record)

    await gateway.store.transact(forget)


async def delete_bucket(gateway: Gateway, exchange: Exchange, judge: Judge) -> web.StreamResponse:
    """The record goes, with its policy, once the store has no such bucket any more."""
    name = exchange.incoming.bucket

    async def find(store: Transaction) -> tuple[str, str]:
        await judge(store)
        owner = (await find_bucket(gateway.gate, store, name)).account
        record = await store.find(FOREIGN_RESOURCES, owner, bucket_arn(name))
        return owner, record.creation_id if record is not None else ""

    exchange.owner, creation_id = await gateway.store.transact(find)
    async with await gateway.backing.send(Outgoing("DELETE", name)) as answer:
        await require_answer(answer, None)
        if answer.status >= 300 and answer.status != 404:
            return await passed_error(answer, exchange.facts.request_id)
        if answer.status == 404 and (await error_of(answer))[0] not in ("NoSuchBucket", ""):
            raise store_failed("the store answers 404 to DeleteBucket, but not that there is no such bucket")
    await _deregister(gateway, exchange, creation_id)
    return web.Response(status=204)


async def _is_in_store(gateway: Gateway, name: str) -> bool:
    """Raises Refusal where the store does not say."""
    async with await gateway.backing.send(Outgoing("HEAD", name)) as answer:
        await require_answer(answer, None)
        if answer.status == 404:
            return False
        if answer.status in (200, 403):
            return True
    raise store_failed(f"the store answers {answer.status} to HeadBucket")


def already_exists(name: str) -> Refusal:
    return Refusal(
        "BucketAlreadyExists",
        "The requested bucket name is not available. The bucket namespace is shared by all users of the system. "
        "Please select a different name and try again.",
        members={"BucketName": name},
    )


def already_owned(name: str) -> Refusal:
    return Refusal(
        "BucketAlreadyOwnedByYou",
        "Your previous request to create the named bucket succeeded and you already own it.",
        members={"BucketName": name},
    )
