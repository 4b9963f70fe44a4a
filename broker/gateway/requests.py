"""The way of a request to S3, in steps: read, proven, judged, passed on or answered, recorded."""

import asyncio
import logging

from aiohttp import StreamReader, hdrs, web

from broker.access.facts import RequestFacts
from broker.audit.event import Event, begin_event, claimed_identity, recordable, shortened, uuid_text
from broker.audit.journal import JournalUnavailable
from broker.errors import Refusal
from broker.gateway.bucket_cors import PREFLIGHT, answer_preflight, readable_by
from broker.gateway.exchange import Exchange, Gateway
from broker.gateway.incoming import read_incoming
from broker.gateway.operations import find_operation
from broker.gateway.performing import perform
from broker.gateway.proving import SERVICE, read_authorization
from broker.gateway.refusals import not_implemented, render_refusal, status_of
from broker.performing import known_refusal, note_refusal, note_unknown_outcome, unjournalled
from broker.sigv4.authorization import UnverifiedRequest

_READING = ("Get", "Head", "List", "Select")

_logger = logging.getLogger("broker.gateway")


async def answer(gateway: Gateway, request: web.BaseRequest) -> web.StreamResponse:
    """AnsweredBy one request, whatever is wrong with it."""
    loop = asyncio.get_running_loop()
    begun = loop.time()
    now, random = gateway.clock(), gateway.entropy(32)
    request_id = uuid_text(random[:16])
    event, facts, tls = _arrived(gateway, request, now, request_id, random[16:])
    record = _EventRecord(gateway, event)
    exchange: Exchange | None = None
    response: web.StreamResponse
    try:
        # Nothing is done before the journal holds the records of earlier requests.
        gateway.journal.catch_up()
        if request.method == hdrs.METH_OPTIONS:
            event.event_name = PREFLIGHT
            response = await answer_preflight(gateway, request)
        else:
            exchange = _read(gateway, request, event, facts, tls, record)
            exchange.readable_by = await readable_by(gateway, exchange)
            response = await perform(gateway, request, exchange)
            await record()
    except ConnectionError:
        raise  # the client is gone
    except Exception as error:  # noqa: BLE001  the outermost handler: the client always gets an answer
        response = _refused(error, request, event)
        if exchange is not None and exchange.caller is None and exchange.authorization is not None:
            event.user_identity = claimed_identity(exchange.authorization.access_key_id)
        response = await _recorded(record, request, event, response)
    if not response.prepared:
        response.headers.update(exchange.readable_by if exchange is not None else {})
        response.headers["x-amz-request-id"] = request_id
        response.headers["Server"] = "broker"
    _measure(gateway, request, response, event, loop.time() - begun)
    return response


def _measure(
    gateway: Gateway, request: web.BaseRequest, response: web.StreamResponse, event: Event, seconds: float
) -> None:
    """`seconds` until the answer was given to the connection. A client that has gone is not counted."""
    gateway.measures.count(SERVICE, event.event_name, event.error_code, seconds)
    if isinstance(request.content, StreamReader):
        gateway.measures.count_bytes("received", request.content.total_bytes)
    of_own = response.body if isinstance(response, web.Response) and isinstance(response.body, bytes) else b""
    gateway.measures.count_bytes("sent", request.writer.output_size if response.prepared else len(of_own))


def _arrived(
    gateway: Gateway, request: web.BaseRequest, now: float, request_id: str, entropy: bytes
) -> tuple[Event, RequestFacts, str]:
    """The event, the facts of the transport, and the version of TLS, empty without it."""
    peer = request.transport.get_extra_info("peername") if request.transport else None
    address = str(peer[0]) if isinstance(peer, tuple) else ""
    tls = request.transport.get_extra_info("ssl_object") if request.transport else None
    headers = request.headers
    source, secure = gateway.source_of(
        address, tls is not None, headers.getall("X-Forwarded-For", ()), headers.get("X-Forwarded-Proto", "")
    )
    user_agent = recordable(headers.get(hdrs.USER_AGENT, ""))
    event = begin_event(now, request_id, source, user_agent, entropy)
    event.event_source = "s3.amazonaws.com"
    referer = recordable(headers.get(hdrs.REFERER, ""))
    facts = RequestFacts(
        now, request_id, source, user_agent, secure, gateway.region, SERVICE, referer=referer
    )
    return event, facts, (tls.version() or "").removeprefix("TLSv") if tls is not None else ""


def _read(
    gateway: Gateway,
    request: web.BaseRequest,
    event: Event,
    facts: RequestFacts,
    tls: str,
    record: "_EventRecord",
) -> Exchange:
    path, _, query = request.raw_path.partition("?")
    headers = tuple((_text(name).lower(), _text(value)) for name, value in request.raw_headers)
    unverified = UnverifiedRequest(request.method, path, query, headers, b"")
    authorization = read_authorization(unverified, facts.now)
    incoming = read_incoming(unverified, gateway.rules)
    operation = find_operation(incoming)
    if operation.name in gateway.refused_operations:
        raise not_implemented(operation.name)
    event.event_name, event.aws_region = operation.name, facts.region
    if operation.is_data:
        event.management_event, event.event_category = False, "Data"
    event.read_only = operation.name.startswith(_READING)
    record.is_wanted = gateway.journals_data or not operation.is_data
    event.request_parameters = _parameters(incoming.bucket, incoming.key)
    return Exchange(
        facts=facts,
        event=event,
        unverified=unverified,
        authorization=authorization,
        incoming=incoming,
        operation=operation,
        tls_version=tls,
        record=record,
    )


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")


def _parameters(bucket: str, key: str) -> dict[str, str]:
    named = {"bucketName": bucket, "key": shortened(key)}
    return {name: value for name, value in named.items() if value}


async def _recorded(
    record: "_EventRecord", request: web.BaseRequest, event: Event, response: web.StreamResponse
) -> web.StreamResponse:
    """No record, no answer."""
    try:
        await record()
    except JournalUnavailable as error:
        return _refused(error, request, event)
    return response


def _refused(error: Exception, request: web.BaseRequest, event: Event) -> web.Response:
    refusal = _refusal_of(error, event)
    note_refusal(event, refusal)
    note_unknown_outcome(event, error)
    _log(event)
    resource = request.raw_path.partition("?")[0]
    status = status_of(refusal)
    body = b"" if request.method == "HEAD" else render_refusal(refusal, resource, event.request_id)
    response = web.Response(status=status, body=body, content_type="application/xml")
    if not request.content.at_eof():
        response.force_close()  # what is left of the body is not read
    return response


def _refusal_of(error: Exception, event: Event) -> Refusal:
    if isinstance(error, JournalUnavailable):
        return unjournalled(event, str(error))
    known = known_refusal(error)
    if known is not None:
        return known
    _logger.error("internal failure", exc_info=error, extra={"facts": {"request_id": event.request_id}})
    return Refusal("InternalError", "We encountered an internal error. Please try again.")


def _log(event: Event) -> None:
    if _logger.isEnabledFor(logging.INFO):
        facts = {
            "request_id": event.request_id,
            "source": event.source_ip,
            "action": f"s3:{event.event_name}",
            "code": event.error_code,
            "reason": event.error_message,
            "principal": event.user_identity.arn,
            **(event.request_parameters or {}),
        }
        _logger.info("refused", extra={"facts": facts})


class _EventRecord:
    """The record of one request, written at most once, and only where it is wanted."""

    def __init__(self, gateway: Gateway, event: Event) -> None:
        self._gateway, self._event, self._is_written = gateway, event, False
        self.is_wanted = False  # until it is known what is asked for

    async def __call__(self) -> None:
        if self.is_wanted and not self._is_written:
            self._is_written = True
            await self._gateway.journal.record(self._event)
