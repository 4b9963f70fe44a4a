"""`GET /authorize` and `/v1/authorize` at the API's address, where the AWS CLI sends a browser: the portal has both.

The CLI keeps scheme and host of the endpoint of `sso-oidc` or `signin` and appends the path. Nothing is read here: the
portal has the same query, and judges it.
"""

import re

from broker.web.dependencies import Dependencies
from broker.web.http import Request, Response, header_lines

_PATHS = frozenset({"/authorize", "/v1/authorize"})
_is_query = re.compile(r"[!-~]*", re.ASCII).fullmatch
_TEXT = header_lines(
    {"Content-Type": "text/plain; charset=utf-8", "Cache-Control": "no-store", "Server": "broker"}
)


def redirect_to_portal(dependencies: Dependencies, request: Request) -> Response | None:
    """None for every other request, so that the API answers it."""
    if (
        request.path not in _PATHS
        or request.method not in ("GET", "HEAD")
        or request.limit_exceeded is not None
    ):
        return None
    if not dependencies.portal_url or not _is_query(request.query):
        return Response(
            404, _TEXT, b"there is no portal\n" if not dependencies.portal_url else b"no such page\n"
        )
    location = f"{dependencies.portal_url}{request.path}?{request.query}"
    lines = header_lines({"Location": location, "Cache-Control": "no-store", "Server": "broker"})
    return Response(302, lines, b"")
