"""Pages out of templates: `templates/NAME.html` with the words of `texts/NAME.toml`, and what every page shows."""

import asyncio
import tomllib
from base64 import b64encode
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
from aiohttp import web
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from jinja2.meta import find_referenced_templates

from broker.access.people import name_of
from broker.audit.event import iso_time
from broker.errors import Refusal
from broker.portal.assets import asset_paths
from broker.portal.dependencies import Portal
from broker.portal.refusals import shown_refusal
from broker.portal.visit import CSRF_FIELD, Visit
from broker.storage.portal_records import FederatedIdentity, PortalSession

_HERE = Path(__file__).parent
_EVERY_PAGE = "frame"
# What a User-Agent says, and the name; the first that is found, for most browsers name others, too.
_BROWSERS = (("Edg/", "Edge"), ("Firefox/", "Firefox"), ("Chrome/", "Chrome"), ("Safari/", "Safari"))
_SYSTEMS = (
    ("Android", "Android"),
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Windows", "Windows"),
    ("Mac OS", "macOS"),
    ("Linux", "Linux"),
)
_UNITS = ((365 * 86400, "year"), (30 * 86400, "month"), (86400, "day"), (3600, "hour"), (60, "minute"))


class Frame(msgspec.Struct, frozen=True):
    """What every page shows, whatever it is about."""

    theme: str
    has_keys: bool
    csrf_field: str
    csrf_token: str
    person: str
    account_id: str
    provider: str
    assets: dict[str, str]
    help_text: str


def page(portal: Portal, visit: Visit, name: str, *, status: int = 200, **values: Any) -> web.Response:
    """The page `name`; `values` are what its template names beside `frame`, `text` and `words`."""
    template = _environment().get_template(f"{name}.html")
    html = template.render(
        frame=_frame(portal, visit), text=texts_of(name), words=texts_of(_EVERY_PAGE), **values
    )
    return web.Response(text=html, status=status, content_type="text/html", charset="utf-8")


async def compile_page(name: str) -> None:
    """Compile the template `name` and those that it names, in a thread, before its first use: up to 90 milliseconds."""
    if name not in _compiled():
        await asyncio.to_thread(_compile_templates, f"{name}.html")
        _compiled().add(name)


@cache
def _compiled() -> set[str]:
    return set()


def _compile_templates(file: str) -> None:
    environment = _environment()
    waiting, seen = [file], set()
    while waiting:
        one = waiting.pop()
        if one in seen:
            continue
        seen.add(one)
        environment.get_template(one)
        source = (_HERE / "templates" / one).read_text("utf-8")
        waiting += [named for named in find_referenced_templates(environment.parse(source)) if named]


def see_other(path: str) -> web.Response:
    """The answer to a form that was taken: the page to look at now. `path` is never what a request says."""
    return web.Response(status=303, headers={"Location": path})


@cache
def texts_of(name: str) -> SimpleNamespace:
    """The words of the page `name`. No dictionary: a template would take its methods (`copy`) for words."""
    return SimpleNamespace(**tomllib.loads((_HERE / "texts" / f"{name}.toml").read_text("utf-8")))


def _frame(portal: Portal, visit: Visit) -> Frame:
    session, state = visit.session, visit.state
    return Frame(
        theme=session.theme if session else "",
        has_keys=session is not None and not session.are_keys_off,
        csrf_field=CSRF_FIELD,
        csrf_token=session.csrf_token.reveal() if session else state.csrf_token if state else "",
        person=name_of(session.identity) if session else "",
        account_id=session.identity.account_id if session else "",
        provider=_provider(portal, session) if session else "",
        assets=asset_paths(),
        help_text=portal.help_text,
    )


def _provider(portal: Portal, session: PortalSession) -> str:
    identity = session.identity
    return portal.sign_ins.title_of(identity) if isinstance(identity, FederatedIdentity) else ""


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        auto_reload=False,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["iso_time"] = iso_time
    environment.filters["duration"] = shown_duration
    environment.filters["ago"] = shown_ago
    environment.filters["browser"] = shown_browser
    environment.filters["base64"] = lambda octets: b64encode(octets).decode()
    environment.filters["shown_refusal"] = shown_refusal
    environment.tests["refused"] = lambda value: isinstance(value, Refusal)
    return environment


def shown_duration(seconds: int) -> str:
    """`90 minutes`, `12 hours`: whole hours where they are whole."""
    minutes = round(seconds / 60)
    number, unit = (minutes // 60, "hour") if minutes % 60 == 0 and minutes else (minutes, "minute")
    return f"{number} {unit}{'' if number == 1 else 's'}"


def shown_ago(moment: float, now: float) -> str:
    """`5 minutes ago`, `in 3 days`; `just now` within a minute."""
    seconds = abs(now - moment)
    if seconds < 60:
        return "just now"
    size, unit = next((size, unit) for size, unit in _UNITS if seconds >= size)
    number = int(seconds // size)
    text = f"{number} {unit}{'' if number == 1 else 's'}"
    return f"{text} ago" if moment <= now else f"in {text}"


def shown_browser(user_agent: str) -> str:
    """`Firefox on Linux`; what is not known is shown as it was sent."""
    browser = next((name for part, name in _BROWSERS if part in user_agent), None)
    system = next((name for part, name in _SYSTEMS if part in user_agent), None)
    return f"{browser} on {system}" if browser and system else user_agent
