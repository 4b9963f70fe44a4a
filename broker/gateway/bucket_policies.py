"""Bucket policies: validated as S3 does, kept by the broker, never sent to the store."""

from collections.abc import Awaitable, Callable

from aiohttp import web

from broker.access.foreign_resources import is_public_policy, put_resource_policy
from broker.access.trust import named_policy
from broker.errors import Refusal
from broker.gateway import answers
from broker.gateway.deciding import bucket_arn, find_bucket
from broker.gateway.exchange import Exchange, Gateway
from broker.gateway.refusals import no_such_bucket
from broker.policy import MalformedPolicy, PolicyKind, is_public, parse_policy, require_bucket_policy
from broker.storage.resource_records import ForeignResource
from broker.storage.store import FOREIGN_RESOURCES, Transaction

Judge = Callable[[Transaction], Awaitable[object]]


async def get_bucket_policy(gateway: Gateway, exchange: Exchange, judge: Judge) -> web.Response:
    async def read(store: Transaction) -> str:
        record = await own_bucket(gateway, exchange, store, judge)
        return await named_policy(store, _policy_of(record), record.trusted_ids)

    text = await gateway.store.transact(read)
    return web.Response(body=text.encode(), content_type="application/json")


async def put_bucket_policy(gateway: Gateway, exchange: Exchange, judge: Judge, body: bytes) -> web.Response:
    text = _checked(body, exchange.incoming.bucket)
    await _put(gateway, exchange, judge, text)
    return web.Response(status=204)


async def delete_bucket_policy(gateway: Gateway, exchange: Exchange, judge: Judge) -> web.Response:
    await _put(gateway, exchange, judge, None)
    return web.Response(status=204)


async def get_bucket_policy_status(gateway: Gateway, exchange: Exchange, judge: Judge) -> web.Response:
    async def read(store: Transaction) -> str:
        return _policy_of(await own_bucket(gateway, exchange, store, judge))

    policy = parse_policy(await gateway.store.transact(read), PolicyKind.RESOURCE)
    return answers.policy_status(is_public=is_public(policy))


async def _put(gateway: Gateway, exchange: Exchange, judge: Judge, text: str | None) -> None:
    async def write(store: Transaction) -> None:
        record = await own_bucket(gateway, exchange, store, judge)
        block = record.public_access_block
        if text is not None and block is not None and block.block_public_policy and is_public_policy(text):
            raise Refusal(
                "AccessDenied",
                "Access Denied because public policies are prevented by the BlockPublicPolicy setting in S3 Block "
                "Public Access.",
            )
        most = gateway.quotas.foreign_resource_policy_size
        try:
            await put_resource_policy(
                store, record, text, int(exchange.facts.now), most, gateway.service_principals
            )
        except Refusal as refusal:
            if refusal.code not in ("MalformedPolicyDocument", "LimitExceeded"):
                raise
            raise malformed(refusal.message, refusal.reason) from None

    await gateway.store.transact(write)


async def own_bucket(
    gateway: Gateway, exchange: Exchange, store: Transaction, judge: Judge
) -> ForeignResource:
    """The clause: an identity of another account "receives a 405 Method Not Allowed error", though it be allowed."""
    await judge(store)
    record = await bucket_record(gateway, exchange, store)
    if record.account_id != exchange.account:
        raise Refusal("MethodNotAllowed", "The specified method is not allowed against this resource.")
    return record


async def bucket_record(gateway: Gateway, exchange: Exchange, store: Transaction) -> ForeignResource:
    """Raises Refusal NoSuchBucket."""
    name = exchange.incoming.bucket
    owned = await find_bucket(gateway.gate, store, name)
    record = await store.find(FOREIGN_RESOURCES, owned.account, bucket_arn(name))
    if record is None:
        raise no_such_bucket(name)
    return record


def _policy_of(record: ForeignResource) -> str:
    if record.policy is None:
        raise Refusal(
            "NoSuchBucketPolicy",
            "The bucket policy does not exist",
            members={"BucketName": answers.name_of(record)},
        )
    return record.policy


def _checked(body: bytes, bucket: str) -> str:
    """The text of a policy for this bucket; raises Refusal MalformedPolicy with S3's sentences."""
    try:
        text = body.decode()
        require_bucket_policy(parse_policy(text, PolicyKind.RESOURCE), bucket_arn(bucket))
    except UnicodeDecodeError:
        raise malformed("Policies must be valid JSON and the first byte must be '{'") from None
    except MalformedPolicy as error:
        raise malformed(error.message, error.fault) from None
    return text


def malformed(message: str, reason: str = "") -> Refusal:
    return Refusal("MalformedPolicy", message, reason=reason)
