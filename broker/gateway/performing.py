"""One request that has been read: judged, then passed on to the store or answered here."""

from aiohttp import web

from broker.gateway import answers, bucket_cors, bucket_policies, buckets, public_access
from broker.gateway.bodies import Deletion
from broker.gateway.body import Body, body_check
from broker.gateway.deleting import delete_objects
from broker.gateway.exchange import Exchange, Gateway
from broker.gateway.forwarding import outgoing, pass_answer, passed_error, refuse_body, require_answer
from broker.gateway.judged_bodies import LARGEST_BODY, judged_body, reads_body, too_large
from broker.gateway.judging import Judgement
from broker.gateway.operations import AnsweredBy
from broker.gateway.posting import post_object
from broker.gateway.refusals import acl_not_supported

_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_SHOW_MISSING = frozenset({"GetObject", "HeadObject", "GetObjectAttributes"})
# Their checksums are the object's, not the body's.
_OF_OBJECT = frozenset({"CompleteMultipartUpload"})


async def perform(gateway: Gateway, request: web.BaseRequest, exchange: Exchange) -> web.StreamResponse:
    """Raises Refusal, and what store and journal raise."""
    if exchange.operation.answer is AnsweredBy.FORM:
        return await post_object(gateway, request, exchange)
    judgement, operation = Judgement(gateway, exchange), exchange.operation
    if reads_body(operation):
        await gateway.store.transact(judgement.prove)
        body = await _read(request, exchange, judgement)
        judgement.body, body = judged_body(operation, body, exchange.facts.now)
        if operation.answer is not AnsweredBy.STORE:
            return await _answered(gateway, exchange, judgement, body)
        await gateway.store.transact(judgement)
        return await _passed(gateway, request, exchange, judgement, body)
    if operation.answer is not AnsweredBy.STORE:
        return await _answered(gateway, exchange, judgement, b"")
    await gateway.store.transact(judgement)
    if not operation.takes_body:
        refuse_body(exchange.incoming, judgement.form)
        return await _passed(gateway, request, exchange, judgement, None)
    return await _passed(gateway, request, exchange, judgement, await _stream(request, exchange, judgement))


async def _stream(request: web.BaseRequest, exchange: Exchange, judgement: Judgement) -> Body:
    incoming = exchange.incoming
    is_of_body = exchange.operation.name not in _OF_OBJECT
    check = body_check(judgement.verified, incoming, judgement.form, covers_headers=is_of_body)
    if incoming.header("expect").lower() == "100-continue":
        await request.writer.write(_CONTINUE)
        request.writer.output_size = 0
    return Body(request.content, check)


async def _read(request: web.BaseRequest, exchange: Exchange, judgement: Judgement) -> bytes:
    return await (await _stream(request, exchange, judgement)).read(LARGEST_BODY, too_large)


async def _passed(
    gateway: Gateway,
    request: web.BaseRequest,
    exchange: Exchange,
    judgement: Judgement,
    body: Body | bytes | None,
) -> web.StreamResponse:
    """The record is written once the store has answered, before the client reads the first byte of it."""
    if isinstance(body, Body) and body.is_empty:
        # Proven before the store sees the request: there is no last byte to hold back.
        body = await body.read(0, too_large)
    asked = outgoing(gateway, exchange, judgement.source, judgement.form, body)
    async with await gateway.backing.send(asked) as answer:
        await require_answer(answer, body if isinstance(body, Body) else None)
        if answer.status >= 400:
            if answer.status == 404 and exchange.operation.name in _SHOW_MISSING:
                await gateway.store.transact(judgement.require_list)
            exchange.event.error_code = f"HTTP {answer.status}"
            return await passed_error(answer, exchange.facts.request_id)
        await exchange.record()
        more = {"x-amz-request-id": exchange.facts.request_id, **exchange.readable_by}
        return await pass_answer(request, answer, more)


async def _answered(
    gateway: Gateway, exchange: Exchange, judgement: Judgement, body: bytes
) -> web.StreamResponse:
    match exchange.operation.name:
        case "ListBuckets":
            return await buckets.list_buckets(gateway, exchange, judgement)
        case "CreateBucket":
            return await buckets.create_bucket(gateway, exchange, judgement, body)
        case "DeleteBucket":
            return await buckets.delete_bucket(gateway, exchange, judgement)
        case "GetBucketPolicy":
            return await bucket_policies.get_bucket_policy(gateway, exchange, judgement)
        case "PutBucketPolicy":
            return await bucket_policies.put_bucket_policy(gateway, exchange, judgement, body)
        case "DeleteBucketPolicy":
            return await bucket_policies.delete_bucket_policy(gateway, exchange, judgement)
        case "GetBucketPolicyStatus":
            return await bucket_policies.get_bucket_policy_status(gateway, exchange, judgement)
        case "GetPublicAccessBlock":
            return await public_access.get_public_access_block(gateway, exchange, judgement)
        case "PutPublicAccessBlock":
            return await public_access.put_public_access_block(gateway, exchange, judgement, body)
        case "DeletePublicAccessBlock":
            return await public_access.delete_public_access_block(gateway, exchange, judgement)
        case "GetBucketCors":
            return await bucket_cors.get_bucket_cors(gateway, exchange, judgement)
        case "PutBucketCors":
            return await bucket_cors.put_bucket_cors(gateway, exchange, judgement, body)
        case "DeleteBucketCors":
            return await bucket_cors.delete_bucket_cors(gateway, exchange, judgement)
        case "DeleteObjects":
            return await _deleted(gateway, exchange, judgement, body)
    await gateway.store.transact(judgement)
    match exchange.operation.name:
        case "GetBucketLocation":
            return answers.location(gateway.region)
        case "GetBucketAcl" | "GetObjectAcl":
            return answers.access_control(exchange.owner)
        case "GetBucketOwnershipControls":
            return answers.ownership()
    raise acl_not_supported()  # PutBucketAcl and PutObjectAcl


async def _deleted(
    gateway: Gateway, exchange: Exchange, judgement: Judgement, body: bytes
) -> web.StreamResponse:
    await gateway.store.transact(judgement)

    async def judge_key(deletion: Deletion) -> None:
        await gateway.store.transact(lambda store: judgement.judge_key(store, deletion))

    return await delete_objects(gateway, exchange, judge_key, body)
