"""Uploads by the form of a browser ("POST object", Amazon S3 API reference): judged as the form says, sent as a PUT.

# INVARIANT: nothing of the request but its path and its form is obeyed. Its headers and query are covered by no policy.
"""

import re
from collections.abc import Mapping
from urllib.parse import quote, urlencode
from xml.sax.saxutils import escape

import msgspec
from aiohttp import hdrs, web
from yarl import URL

from broker.errors import Refusal
from broker.gateway.address import encode_key, require_key
from broker.gateway.bodies import read_tags
from broker.gateway.body import Body, nothing_arrives, payload_length
from broker.gateway.exchange import Exchange, Gateway
from broker.gateway.forms import UploadForm, read_form
from broker.gateway.forwarding import outgoing, passed_error, require_answer
from broker.gateway.headers import is_of_form
from broker.gateway.incoming import Incoming
from broker.gateway.judging import Judgement
from broker.gateway.post_policies import (
    PostPolicy,
    read_post_policy,
    require_current,
    require_fields,
    require_length,
)
from broker.gateway.refusals import invalid_argument, not_implemented
from broker.gateway.store import read_answer
from broker.sigv4.authorization import UnverifiedAuthorization, UnverifiedRequest
from broker.sigv4.checksums import is_checksum
from broker.sigv4.payload import UNSIGNED
from broker.sigv4.signer import read_signer
from broker.sigv4.streaming import BodyCheck, incomplete_body
from broker.sigv4.timestamps import parse_time

_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_LARGEST_ANSWER = 64 << 10  # bytes
_SIGNED = ("policy", "x-amz-algorithm", "x-amz-credential", "x-amz-date", "x-amz-signature")
# Fields that become a header of another name, and those that are headers by their own name.
_ACL, _TAGS = "acl", "tagging"
_PROPERTIES = frozenset(
    {"cache-control", "content-disposition", "content-encoding", "content-type", "expires"}
)
_OF_PROOF = frozenset(
    {"x-amz-algorithm", "x-amz-credential", "x-amz-date", "x-amz-security-token", "x-amz-signature"}
)
_is_time = re.compile(r"[0-9]{8}T[0-9]{6}Z").fullmatch


async def post_object(gateway: Gateway, request: web.BaseRequest, exchange: Exchange) -> web.StreamResponse:
    """Raises Refusal, and what store and journal raise."""
    posted = exchange.incoming
    if posted.header("expect").lower() == "100-continue":
        await request.writer.write(_CONTINUE)
        request.writer.output_size = 0
    body_length = payload_length(posted, UNSIGNED)
    form = await _read(request, posted.header("content-type"))
    exchange.authorization = read_form_authorization(form.fields, exchange.unverified)
    exchange.posted_policy = form.fields.get("policy", "") if exchange.authorization is not None else ""
    length = form.file_length(body_length)
    judgement = Judgement(gateway, exchange)
    await gateway.store.transact(judgement.prove)
    if exchange.posted_policy:
        policy = read_post_policy(exchange.posted_policy)
        _require_policy(policy, form.fields, posted.bucket, length, exchange.facts.now)
    exchange.incoming = upload_of(gateway, posted, form.fields, length)
    exchange.event.request_parameters = {"bucketName": posted.bucket, "key": exchange.incoming.key}
    await gateway.store.transact(judgement)
    return await _sent(gateway, request, exchange, form, length)


async def _read(request: web.BaseRequest, content_type: str) -> UploadForm:
    try:
        return await read_form(request.content, content_type)
    except web.RequestPayloadError:
        raise incomplete_body() from None
    except TimeoutError:
        raise nothing_arrives() from None


def _require_policy(
    policy: PostPolicy, fields: Mapping[str, str], bucket: str, length: int, now: float
) -> None:
    require_current(policy, now)
    require_fields(policy, fields, bucket)
    require_length(policy, length)


async def _sent(
    gateway: Gateway, request: web.BaseRequest, exchange: Exchange, form: UploadForm, length: int
) -> web.StreamResponse:
    claims = {name: value for name, value in exchange.incoming.headers.items() if is_checksum(name)}
    body = Body(form, BodyCheck(None, UNSIGNED, length, claims))
    content = (
        await body.read(0, lambda: invalid_argument("The file is not empty.")) if body.is_empty else body
    )
    asked = outgoing(gateway, exchange, None, UNSIGNED, content)
    async with await gateway.backing.send(asked) as answer:
        await require_answer(answer, body)
        if answer.status >= 400:
            exchange.event.error_code = f"HTTP {answer.status}"
            return await passed_error(answer, exchange.facts.request_id)
        await exchange.record()
        await read_answer(answer, _LARGEST_ANSWER)
        etag = answer.headers.get(hdrs.ETAG, "")
    return success(exchange.incoming, form.fields, etag, _bucket_url(exchange))


def _bucket_url(exchange: Exchange) -> str:
    """As the client has addressed the bucket, in the path or in the host."""
    host = next(value for name, value in exchange.unverified.headers if name == "host")
    return f"{'https' if exchange.facts.secure_transport else 'http'}://{host}{exchange.unverified.path.rstrip('/')}"


def read_form_authorization(
    fields: Mapping[str, str], request: UnverifiedRequest
) -> UnverifiedAuthorization | None:
    """What the form claims of its signature; None for one that is not signed. Raises Refusal."""
    if "awsaccesskeyid" in fields or ("signature" in fields and "x-amz-signature" not in fields):
        raise Refusal(
            "InvalidRequest",
            "The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256.",
        )
    if not any(name in fields for name in (*_SIGNED, "x-amz-security-token")):
        return None
    for name in _SIGNED:
        if not fields.get(name):
            raise invalid_argument(f"Bucket POST must contain a field named '{name}'.")
    date = fields["x-amz-date"]
    if not _is_time(date):
        raise invalid_argument("X-Amz-Date must be formatted via ISO8601 Long format")
    signer = read_signer(fields["x-amz-algorithm"], fields["x-amz-credential"], "host")
    try:
        timestamp = parse_time(date)
    except ValueError:
        raise invalid_argument("X-Amz-Date must be formatted via ISO8601 Long format") from None
    # Like a presigned URL it is used later than it is signed, for seven days at most.
    return UnverifiedAuthorization(
        request,
        {},
        signer,
        fields["x-amz-signature"],
        timestamp,
        date,
        fields.get("x-amz-security-token") or None,
        presigned=True,
    )


def upload_of(gateway: Gateway, posted: Incoming, fields: Mapping[str, str], length: int) -> Incoming:
    """The PUT that the form asks for: its fields are the headers. Raises Refusal."""
    key = fields.get("key", "")
    if not key:
        raise Refusal(
            "InvalidArgument",
            "Bucket POST must contain a field named 'key'.  If it is specified, please check the order of the fields.",
            members={"ArgumentName": "key", "ArgumentValue": ""},
        )
    require_key(key, gateway.rules)
    headers = {
        name: value
        for name, value in fields.items()
        if name in _PROPERTIES or (name.startswith("x-amz-") and name not in _OF_PROOF)
    }
    for name in headers:
        if not is_of_form(name) or name == "x-amz-tagging":
            raise not_implemented(name)
    headers["content-length"] = str(length)
    if _ACL in fields:
        headers["x-amz-acl"] = fields[_ACL]
    if _TAGS in fields:
        headers["x-amz-tagging"] = urlencode(read_tags(fields[_TAGS].encode()), quote_via=quote)
    return msgspec.structs.replace(posted, method="PUT", key=key, query={}, headers=headers)


def success(incoming: Incoming, fields: Mapping[str, str], etag: str, bucket_url: str) -> web.Response:
    """As the form asks: a redirect, or 200, 201 or 204."""
    headers = {
        "ETag": etag,
        "Location": f"{bucket_url}/{encode_key(incoming.key)}",
    }
    target = _redirect(fields.get("success_action_redirect") or fields.get("redirect", ""), incoming, etag)
    if target:
        return web.Response(status=303, headers={**headers, "Location": target})
    status = fields.get("success_action_status", "")
    if status == "200":
        return web.Response(headers=headers)
    if status != "201":
        return web.Response(status=204, headers=headers)
    members = {"Location": headers["Location"], "Bucket": incoming.bucket, "Key": incoming.key, "ETag": etag}
    inner = "".join(f"<{name}>{escape(value)}</{name}>" for name, value in members.items())
    text = f'<?xml version="1.0" encoding="UTF-8"?>\n<PostResponse>{inner}</PostResponse>'
    return web.Response(status=201, body=text.encode(), headers=headers, content_type="application/xml")


def _redirect(wanted: str, incoming: Incoming, etag: str) -> str:
    """The clause: "If Amazon S3 cannot interpret the URL, it acts as if the field is not present"."""
    try:
        url = URL(wanted)
        host = url.host  # read here, where IDNA may refuse what the URL itself does not
    except ValueError:
        return ""
    if url.scheme not in ("http", "https") or not host or not wanted.isprintable():
        return ""
    return str(url.update_query({"bucket": incoming.bucket, "key": incoming.key, "etag": etag}))
