"""Public access blocks of buckets ("Blocking public access to your Amazon S3 storage"): kept by the broker, and obeyed.

BlockPublicPolicy refuses a public policy when it is written, RestrictPublicBuckets limits a bucket that has one to its
own account (`broker.access.foreign_resources`). The two about ACLs are kept only: there are no ACLs.
"""

from collections.abc import Awaitable, Callable

from aiohttp import web
from msgspec.structs import replace

from broker.errors import Refusal
from broker.gateway import answers
from broker.gateway.bodies import read_public_access_block
from broker.gateway.bucket_policies import own_bucket
from broker.gateway.exchange import Exchange, Gateway
from broker.storage.resource_records import PublicAccessBlock
from broker.storage.store import FOREIGN_RESOURCES, Transaction

Judge = Callable[[Transaction], Awaitable[object]]

# What S3 gives a new bucket, since April 2023.
OF_NEW_BUCKETS = PublicAccessBlock(
    block_public_acls=True, ignore_public_acls=True, block_public_policy=True, restrict_public_buckets=True
)


async def get_public_access_block(gateway: Gateway, exchange: Exchange, judge: Judge) -> web.Response:
    async def read(store: Transaction) -> PublicAccessBlock:
        record = await own_bucket(gateway, exchange, store, judge)
        if record.public_access_block is None:
            raise Refusal(
                "NoSuchPublicAccessBlockConfiguration",
                "The public access block configuration was not found",
                members={"BucketName": exchange.incoming.bucket},
            )
        return record.public_access_block

    return answers.public_access_block(await gateway.store.transact(read))


async def put_public_access_block(
    gateway: Gateway, exchange: Exchange, judge: Judge, body: bytes
) -> web.Response:
    await _put(gateway, exchange, judge, read_public_access_block(body))
    return web.Response()


async def delete_public_access_block(gateway: Gateway, exchange: Exchange, judge: Judge) -> web.Response:
    await _put(gateway, exchange, judge, None)
    return web.Response(status=204)


async def _put(gateway: Gateway, exchange: Exchange, judge: Judge, block: PublicAccessBlock | None) -> None:
    async def write(store: Transaction) -> None:
        record = await own_bucket(gateway, exchange, store, judge)
        changed = replace(record, public_access_block=block, updated_at=int(exchange.facts.now))
        store.put(FOREIGN_RESOURCES, record.account_id, changed)

    await gateway.store.transact(write)
