"""DeleteObjects: each key is decided by itself, and only those that are allowed reach the store."""

from base64 import b64encode
from collections.abc import Awaitable, Callable
from hashlib import md5

from aiohttp import web
from lxml import etree

from broker.assertions.xml_documents import read_document
from broker.errors import Refusal
from broker.gateway import answers
from broker.gateway.address import require_key
from broker.gateway.bodies import NAMESPACE, Deletion, read_deletions, write_deletions
from broker.gateway.exchange import Exchange, Gateway
from broker.gateway.forwarding import passed_error, require_answer
from broker.gateway.headers import forwarded_headers
from broker.gateway.refusals import store_failed
from broker.gateway.store import Outgoing, read_answer
from broker.sigv4.verify import UNSIGNED_PAYLOAD

LARGEST_BODY = 2 << 20  # bytes: a thousand keys of a thousand bytes, and their tags
_LARGEST_ANSWER = 4 << 20

JudgeKey = Callable[[Deletion], Awaitable[None]]


async def delete_objects(
    gateway: Gateway, exchange: Exchange, judge_key: JudgeKey, body: bytes
) -> web.StreamResponse:
    """`judge_key` raises Refusal for a key that the caller may not delete."""
    wanted = read_deletions(body)
    allowed, denied = [], []
    for one in wanted.objects:
        try:
            require_key(one.key, gateway.rules)
            await judge_key(one)
        except Refusal as refusal:
            if refusal.code not in ("AccessDenied", "KeyTooLongError", "InvalidURI"):
                raise
            denied.append(answers.denied_deletion(one, refusal.code, refusal.message))
        else:
            allowed.append(one)
    if not allowed:
        return answers.xml("DeleteResult", "".join(denied))
    return await _forward(gateway, exchange, tuple(allowed), denied, is_quiet=wanted.is_quiet)


async def _forward(
    gateway: Gateway, exchange: Exchange, allowed: tuple[Deletion, ...], denied: list[str], *, is_quiet: bool
) -> web.StreamResponse:
    body = write_deletions(allowed, is_quiet=is_quiet)
    headers = {
        **forwarded_headers(exchange.incoming, exchange.operation),
        "content-type": "application/xml",
        "content-md5": b64encode(md5(body, usedforsecurity=False).digest()).decode(),
        "content-length": str(len(body)),
    }
    request = Outgoing(
        "POST", exchange.incoming.bucket, "", [("delete", "")], headers, body, UNSIGNED_PAYLOAD
    )
    async with await gateway.backing.send(request) as answer:
        await require_answer(answer, None)
        if answer.status >= 300:
            return await passed_error(answer, exchange.facts.request_id)
        text = await read_answer(answer, _LARGEST_ANSWER)
    return web.Response(body=_merged(text, denied), content_type="application/xml")


def _merged(answer: bytes, denied: list[str]) -> bytes:
    """The store's answer, and an Error for each key that it was not asked to delete."""
    try:
        root = read_document(answer, ignore_comments=True)
        errors = etree.fromstring(f'<Errors xmlns="{NAMESPACE}">{"".join(denied)}</Errors>')
    except ValueError as error:
        raise store_failed(f"the answer to DeleteObjects is no XML: {error}") from None
    root.extend(list(errors))
    return bytes(etree.tostring(root, xml_declaration=True, encoding="UTF-8"))
