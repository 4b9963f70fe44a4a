"""Answers that pages of other origins may read: those of Cognito identity pools, which apps in browsers call.

Fetch Standard, "CORS protocol". A page is allowed one thing: to POST an operation without a signature, which its user's
browser adds nothing to, for the API knows no cookies. So `authorization` is no header that a page may send, credentials
are never allowed, and answers of other services stay unreadable.
"""

from msgspec.structs import replace

from broker.protocol.json_1_1 import TARGET, find_target
from broker.web.http import Handler, Request, Response, header_lines

_PATH = "/"
_READABLE = "AWSCognitoIdentityService."
# What AWS's SDKs for browsers send with an operation that is not signed.
_SENT = (
    "amz-sdk-invocation-id",
    "amz-sdk-request",
    "cache-control",
    "content-type",
    TARGET,
    "x-amz-user-agent",
)
_SECONDS = 7200  # the longest that browsers remember a preflight
_PREFLIGHT = Response(
    200,
    header_lines(
        {
            "Access-Control-Allow-Origin": "*",
            "Access-Control-Allow-Methods": "POST",
            "Access-Control-Allow-Headers": ",".join(_SENT),
            "Access-Control-Max-Age": str(_SECONDS),
            "Server": "broker",
        }
    ),
    b"",
)
_MAY_READ = header_lines(
    {
        "Access-Control-Allow-Origin": "*",
        "Access-Control-Expose-Headers": "x-amzn-ErrorType,x-amzn-RequestId",
    }
)


def open_to_pages(answer: Handler) -> Handler:
    """The handler, with what pages of other origins may do."""

    async def answer_pages(request: Request) -> Response:
        preflight = answer_preflight(request)
        return preflight or readable_by_pages(request, await answer(request))

    return answer_pages


def answer_preflight(request: Request) -> Response | None:
    """What a browser may send to `/` for a page; None where the request is no preflight of it."""
    is_preflight = (
        request.method == "OPTIONS"
        and request.path == _PATH
        and request.limit_exceeded is None
        and request.find_header("origin") is not None
        and request.find_header("access-control-request-method") == "POST"
    )
    return _PREFLIGHT if is_preflight else None


def readable_by_pages(request: Request, response: Response) -> Response:
    """The response; with leave for a page to read it, where a page asked for an operation of identity pools."""
    if request.find_header("origin") is None or request.path != _PATH:
        return response
    if not (find_target(request.headers) or "").startswith(_READABLE):
        return response
    return replace(response, header_lines=response.header_lines + _MAY_READ)
