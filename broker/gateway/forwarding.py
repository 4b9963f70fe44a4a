"""A request that is allowed, as the store gets it; and the store's answer, as the client gets it."""

import logging
from collections.abc import Mapping
from http import HTTPStatus

from aiohttp import ClientError, ClientResponse, hdrs, web
from lxml import etree

from broker.assertions.xml_documents import read_document
from broker.gateway.body import Body, announced_trailers, payload_length
from broker.gateway.exchange import Exchange, Gateway
from broker.gateway.framing import CLAIM, Framed, framed_length
from broker.gateway.headers import answered_headers, forwarded_headers
from broker.gateway.incoming import Incoming
from broker.gateway.permissions import CopySource, write_source
from broker.gateway.refusals import invalid_argument, store_failed
from broker.gateway.store import Outgoing, read_answer
from broker.sigv4.payload import UNSIGNED, PayloadForm
from broker.sigv4.verify import UNSIGNED_PAYLOAD

_LARGEST_ERROR = 64 << 10  # bytes of a store's error that are read
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
# The store refuses the gateway's own credentials: no fault of the client's.
OF_GATEWAY = frozenset(
    {
        "AuthorizationHeaderMalformed",
        "ExpiredToken",
        "InvalidAccessKeyId",
        "InvalidToken",
        "RequestTimeTooSkewed",
        "SignatureDoesNotMatch",
        "XAmzContentSHA256Mismatch",
    }
)
# For stores that answer with the code alone.
_SENTENCES = {
    "NoSuchBucket": "The specified bucket does not exist",
    "NoSuchKey": "The specified key does not exist.",
    "NoSuchUpload": "The specified upload does not exist. The upload ID may be invalid, or the upload may have been "
    "aborted or completed.",
}
_OURS = frozenset({"x-id"})

_logger = logging.getLogger("broker.gateway")


def outgoing(
    gateway: Gateway,
    exchange: Exchange,
    source: CopySource | None,
    form: PayloadForm,
    body: Body | bytes | None,
) -> Outgoing:
    """`body` is None where the operation has none; as bytes it has been read, and written again."""
    incoming = exchange.incoming
    headers = forwarded_headers(incoming, exchange.operation)
    if source is not None:
        headers["x-amz-copy-source"] = write_source(source)
    query = [(name, value) for name, value in incoming.query.items() if name not in _OURS]
    request = Outgoing(incoming.method, incoming.bucket, incoming.key, query, headers)
    if isinstance(body, Body):
        return _with_stream(gateway, incoming, request, headers, form, body)
    if body is not None:
        return _replaced(
            request, headers, {"content-length": str(len(body))}, body, form.sha256 or UNSIGNED_PAYLOAD
        )
    return request


def _with_stream(
    gateway: Gateway,
    incoming: Incoming,
    request: Outgoing,
    headers: Mapping[str, str],
    form: PayloadForm,
    body: Body,
) -> Outgoing:
    length, trailers = payload_length(incoming, form), announced_trailers(incoming)
    if not (trailers and gateway.forwards_trailers):
        kept = {name: value for name, value in headers.items() if not _is_of_trailer(name, trailers)}
        return _replaced(
            request, kept, {"content-length": str(length)}, body, form.sha256 or UNSIGNED_PAYLOAD
        )
    encoding = headers.get("content-encoding", "")
    framed = {
        "content-length": str(framed_length(length, trailers)),
        "content-encoding": f"aws-chunked,{encoding}" if encoding else "aws-chunked",
        "x-amz-decoded-content-length": str(length),
        "x-amz-trailer": ",".join(trailers),
    }
    return _replaced(request, headers, framed, Framed(body), CLAIM)


def _is_of_trailer(name: str, trailers: tuple[str, ...]) -> bool:
    """Whether a header announces the checksum that is not passed on."""
    return bool(trailers) and name == "x-amz-sdk-checksum-algorithm"


def _replaced(
    request: Outgoing,
    headers: Mapping[str, str],
    more: Mapping[str, str],
    body: "Body | Framed | bytes",
    payload: str,
) -> Outgoing:
    return Outgoing(
        request.method, request.bucket, request.key, request.query, {**headers, **more}, body, payload
    )


async def require_answer(answer: ClientResponse, body: Body | None) -> None:
    """Raises Refusal where the store's answer is none for the client: a redirect, or what it has against the gateway.

    # INVARIANT: no success is passed on of a body that is not proven.
    """
    if answer.status in _REDIRECTS:
        raise store_failed(f"the store redirects to {answer.headers.get('location', '')[:256]!r}")
    if answer.status < 300 and body is not None and not body.is_proven:
        raise body.failure or store_failed("the store answered before it had the whole body")


async def error_of(answer: ClientResponse) -> tuple[str, bytes]:
    """Code and bytes of the store's error; the code is empty where it cannot be read."""
    text = await read_answer(answer, _LARGEST_ERROR)
    try:
        code = read_document(text, ignore_comments=True).findtext("{*}Code") if text else ""
    except ValueError:
        return "", text
    return code or "", text


async def passed_error(answer: ClientResponse, request_id: str) -> web.Response:
    """The store's error for the client: its code and sentence, and nothing of the store. Raises Refusal."""
    code, text = await error_of(answer)
    if code in OF_GATEWAY:
        raise store_failed(f"the store refuses the gateway: {code}")
    headers = [
        (name, value)
        for name, value in answered_headers(answer.headers.items())
        if name.lower() != "content-length"
    ]
    if not code:
        if answer.status >= 500 or answer.method != "HEAD":
            _logger.warning("the store answers %d without an error that can be read", answer.status)
        return web.Response(status=answer.status, headers=headers)
    root = read_document(text, ignore_comments=True)
    for name in ("HostId", "RequestId", "Region"):
        for element in root.findall(f"{{*}}{name}"):
            root.remove(element)
    if root.find("{*}Message") is None:
        etree.SubElement(root, "Message").text = _SENTENCES.get(code, code)
    etree.SubElement(root, "RequestId").text = request_id
    body = etree.tostring(root, xml_declaration=True, encoding="UTF-8")
    headers = [(name, value) for name, value in headers if name.lower() != "content-type"]
    return web.Response(status=answer.status, body=body, headers=headers, content_type="application/xml")


async def pass_answer(
    request: web.BaseRequest, answer: ClientResponse, more: Mapping[str, str]
) -> web.StreamResponse:
    """The store's answer with `more` headers, piece by piece: the next is read when the client has taken the last."""
    # Some stores (rclone's) answer a range with 200. A part that is asked for by its number has a checksum of its own.
    has_range = hdrs.CONTENT_RANGE in answer.headers and answer.status == HTTPStatus.OK
    response = web.StreamResponse(status=HTTPStatus.PARTIAL_CONTENT if has_range else answer.status)
    is_partial = hdrs.CONTENT_RANGE in answer.headers and hdrs.RANGE in request.headers
    for name, value in answered_headers(answer.headers.items(), is_partial=is_partial):
        response.headers.add(name, value)
    response.headers.update(more)
    response.headers["Server"] = "broker"
    await response.prepare(request)
    while piece := await _next_piece(answer, request):
        await response.write(piece)
    await response.write_eof()
    return response


async def _next_piece(answer: ClientResponse, request: web.BaseRequest) -> bytes:
    """Empty at the end. Where the store breaks off, so does this: only a broken connection tells the client."""
    try:
        return await answer.content.readany()
    except (ClientError, TimeoutError) as error:
        if request.transport is not None:
            request.transport.abort()
        raise store_failed(f"the store broke off its answer: {error!r}") from None


def refuse_body(incoming: Incoming, form: PayloadForm) -> None:
    """Raises Refusal where an operation without a body is sent one: nothing is to be left unread in a connection."""
    if (form is not UNSIGNED and form.is_chunked) or payload_length(incoming, form):
        raise invalid_argument("This operation takes no body.")
