"""The stylesheet, the script and the icon: under names that change with their content, so that browsers keep them."""

from functools import cache
from hashlib import sha256
from pathlib import Path

from aiohttp import web

from broker.portal.dependencies import Portal
from broker.portal.routes import Route
from broker.portal.visit import Visit

_TYPES = {
    "portal.css": "text/css",
    "portal.js": "text/javascript",
    "passkeys.js": "text/javascript",
    "journal.js": "text/javascript",
    "icon.svg": "image/svg+xml",
}
_FOLDER = Path(__file__).parent / "assets"


@cache
def _content(name: str) -> bytes:
    return (_FOLDER / name).read_bytes()


@cache
def asset_paths() -> dict[str, str]:
    """By file name, what pages link to."""
    return {name: f"/assets/{sha256(_content(name)).hexdigest()[:16]}/{name}" for name in _TYPES}


async def asset(portal: Portal, visit: Visit) -> web.Response:
    name = visit.request.match_info["name"]
    if asset_paths().get(name) != visit.request.path:
        raise web.HTTPNotFound
    return web.Response(
        body=_content(name),
        content_type=_TYPES[name],
        charset="utf-8",
        headers={"Cache-Control": "public, max-age=31536000, immutable"},
    )


ROUTES = (Route("GET", "/assets/{version}/{name}", asset, "Asset", is_open=True),)
