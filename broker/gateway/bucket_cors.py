"""Cross-origin rules of buckets: kept by the broker, and obeyed, whatever the store knows of them."""

from collections.abc import Awaitable, Callable

from aiohttp import hdrs, web
from msgspec.structs import replace

from broker.errors import Refusal
from broker.gateway import answers
from broker.gateway.address import read_address
from broker.gateway.bucket_policies import bucket_record
from broker.gateway.cross_origin import Rules, answer_headers, preflight_headers, read_preflight
from broker.gateway.cross_origin_rules import read_cross_origin_rules
from broker.gateway.deciding import bucket_arn
from broker.gateway.exchange import Exchange, Gateway
from broker.storage.resource_records import CrossOriginRule
from broker.storage.store import FOREIGN_RESOURCES, Transaction

Judge = Callable[[Transaction], Awaitable[object]]

PREFLIGHT = "PreflightRequest"


async def get_bucket_cors(gateway: Gateway, exchange: Exchange, judge: Judge) -> web.Response:
    async def read(store: Transaction) -> tuple[CrossOriginRule, ...]:
        await judge(store)
        return (await bucket_record(gateway, exchange, store)).cross_origin_rules

    rules = await gateway.store.transact(read)
    if not rules:
        raise Refusal(
            "NoSuchCORSConfiguration",
            "The CORS configuration does not exist",
            members={"BucketName": exchange.incoming.bucket},
        )
    return answers.cross_origin_rules(rules)


async def put_bucket_cors(gateway: Gateway, exchange: Exchange, judge: Judge, body: bytes) -> web.Response:
    await _put(gateway, exchange, judge, read_cross_origin_rules(body))
    return web.Response()


async def delete_bucket_cors(gateway: Gateway, exchange: Exchange, judge: Judge) -> web.Response:
    await _put(gateway, exchange, judge, ())
    return web.Response(status=204)


async def _put(
    gateway: Gateway, exchange: Exchange, judge: Judge, rules: tuple[CrossOriginRule, ...]
) -> None:
    async def write(store: Transaction) -> None:
        await judge(store)
        record = await bucket_record(gateway, exchange, store)
        changed = replace(record, cross_origin_rules=rules, updated_at=int(exchange.facts.now))
        store.put(FOREIGN_RESOURCES, record.account_id, changed)

    await gateway.store.transact(write)


async def answer_preflight(gateway: Gateway, request: web.BaseRequest) -> web.Response:
    """What a browser may send for a page. It proves nothing and needs no signature: it says what the rules say.

    Raises Refusal BadRequest, and AccessForbidden also for a bucket that does not exist.
    """
    headers = request.headers
    asked = read_preflight(
        headers.get(hdrs.ORIGIN),
        headers.get(hdrs.ACCESS_CONTROL_REQUEST_METHOD),
        headers.get(hdrs.ACCESS_CONTROL_REQUEST_HEADERS, ""),
    )
    path = request.raw_path.partition("?")[0]
    address = read_address(headers.get(hdrs.HOST, ""), path, gateway.rules)
    rules = await _rules_of(gateway, address.bucket)
    return web.Response(headers=preflight_headers(rules, asked, "OBJECT" if address.key else "BUCKET"))


async def readable_by(gateway: Gateway, exchange: Exchange) -> dict[str, str]:
    """The headers that let the page which has sent the request read its answer; none where no page has."""
    incoming = exchange.incoming
    origin = incoming.header("origin")
    if not origin or not incoming.bucket:
        return {}
    return answer_headers(await _rules_of(gateway, incoming.bucket), origin, incoming.method)


async def _rules_of(gateway: Gateway, bucket: str) -> Rules:
    async def read(store: Transaction) -> Rules:
        arn = bucket_arn(bucket)
        owned = await gateway.gate.foreign_resources.find(store, arn) if bucket else None
        record = None if owned is None else await store.find(FOREIGN_RESOURCES, owned.account, arn)
        return () if record is None else record.cross_origin_rules

    return await gateway.store.transact(read)
