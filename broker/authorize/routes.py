"""The table of `[[authorize.routes]]`: which action on which resource a request behind a proxy is.

A route has a host, methods and a path of segments: a text, `{name}` for one segment, or `{name...}` at the end for the
rest. What is captured, `{method}` and `{host}` may stand in the resource part of the ARN and in the values of condition
keys. Routes are tried in their order; a request that none matches is denied. All of it is checked when settings load.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache

import msgspec

from broker.authorize.context_keys import Keys, require_may_be_stated
from broker.authorize.paths import path_segments
from broker.authorize.questions import read_action
from broker.errors import Refusal
from broker.names.arn import parse_arn

_HOST = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?(:[0-9]{1,5})?").fullmatch
_METHOD = re.compile(r"[A-Z]{1,16}").fullmatch
_CAPTURE = re.compile(r"\{([a-z_]+)(\.\.\.)?\}").fullmatch
_PLACE = re.compile(r"\{([^{}]*)\}")
_GIVEN = ("method", "host")
_ROLE = re.compile(r"arn:aws:iam::[0-9]{12}:role/[^*?\s]+").fullmatch

Captured = Mapping[str, str]


class ForwardRoute(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One table. No `methods`: any. `signing_names` are the services that signatures may be for; none: any.

    `unsigned_payload` also takes signatures that do not cover the body. `role_arn` is the role that tokens of OpenID
    Connect providers take.
    """

    host: str
    path: str
    action: str
    resource: str
    methods: tuple[str, ...] = ()
    keys: dict[str, str] = {}
    signing_names: tuple[str, ...] = ()
    unsigned_payload: bool = False
    role_arn: str = ""


class Mapped(msgspec.Struct, frozen=True):
    """What a request is: the route that matched, the ARN of its resource, its condition keys in lower case."""

    route: ForwardRoute
    number: int
    resource: str
    keys: Keys

    @property
    def action(self) -> str:
        return self.route.action


def find_route(routes: Sequence[ForwardRoute], method: str, host: str, path: str) -> Mapped | None:
    """The first route that matches; None for none. Raises ValueError for a path that has more than one reading."""
    segments = path_segments(path)
    for number, route in enumerate(routes, 1):
        if not _is_host(route.host, host) or (route.methods and method not in route.methods):
            continue
        captured = _captured(_template(route.path), segments)
        if captured is not None:
            return _mapped(route, number, {**captured, "method": method, "host": host})
    return None


def _is_host(wanted: str, host: str) -> bool:
    """Compared without case; a route without a port takes any."""
    lowered = host.lower()
    return lowered == wanted or (":" not in wanted and lowered.partition(":")[0] == wanted)


@lru_cache(maxsize=1024)
def _template(path: str) -> tuple[str, ...]:
    return tuple(path[1:].split("/"))


@lru_cache(maxsize=1024)
def _capture_in(part: str) -> re.Match[str] | None:
    """Of a segment of a template, never of a path."""
    return _CAPTURE(part)


def _captured(template: tuple[str, ...], segments: tuple[str, ...]) -> dict[str, str] | None:
    """What the places of the template stand for; None where the path is not of its form."""
    captured: dict[str, str] = {}
    for at, part in enumerate(template):
        found = _capture_in(part)
        if found is not None and found[2]:
            captured[found[1]] = "/".join(segments[at:])
            return captured if len(segments) > at else None
        if at >= len(segments) or (found is None and part != segments[at]):
            return None
        if found is not None:
            if not segments[at]:
                return None
            captured[found[1]] = segments[at]
    return captured if len(segments) == len(template) else None


def _mapped(route: ForwardRoute, number: int, captured: Captured) -> Mapped:
    keys: Keys = {key.lower(): (_filled(value, captured),) for key, value in route.keys.items()}
    return Mapped(route, number, _filled(route.resource, captured), keys)


def _filled(template: str, captured: Captured) -> str:
    literals, names = _pieces(template)
    filled = [literals[0]]
    for name, literal in zip(names, literals[1:], strict=True):
        filled += (captured[name], literal)
    return "".join(filled)


@lru_cache(maxsize=1024)
def _pieces(template: str) -> tuple[list[str], list[str]]:
    """What stands around the places, and the names of the places: one fewer."""
    pieces = _PLACE.split(template)
    return pieces[::2], pieces[1::2]


def faults_of_routes(routes: Sequence[ForwardRoute]) -> Iterator[str]:
    """What makes a table impossible, as messages that begin with the number of the route."""
    seen: dict[tuple[str, tuple[str, ...]], set[str]] = {}
    for number, route in enumerate(routes, 1):
        yield from (f"route {number}: {fault}" for fault in _faults_of_route(route))
        methods = seen.setdefault((route.host, _shape_of(route.path)), set())
        if "" in methods or methods & set(route.methods or [""]):
            yield f"route {number}: an earlier one takes all that it would: {route.host} {route.path}"
        methods |= set(route.methods or [""])


def _shape_of(path: str) -> tuple[str, ...]:
    """A path without the names of its captures, so that two of the same form are seen to be so."""
    return tuple(
        "{...}" if part.endswith("...}") else "{}" if part.startswith("{") else part
        for part in _template(path)
    )


def _faults_of_route(route: ForwardRoute) -> Iterator[str]:
    if _HOST(route.host) is None:
        yield f"host {route.host!r} is no host name in small letters, with or without a port"
    for method in route.methods:
        if _METHOD(method) is None:
            yield f"method {method!r} is not one in capitals"
    yield from _faults_of_path(route.path)
    try:
        read_action({"name": route.action})
    except Refusal as refusal:
        yield refusal.message.replace("action.name", f"action {route.action!r}")
    yield from _faults_of_resource(route)
    for key in route.keys:
        try:
            require_may_be_stated(key)
        except Refusal as refusal:
            yield refusal.message
    if route.role_arn and _ROLE(route.role_arn) is None:
        yield f"role_arn {route.role_arn!r} is not the ARN of a role"
    known = {*_captures(route.path), *_GIVEN}
    for text in (route.resource, *route.keys.values()):
        for found in _PLACE.finditer(text):
            if found[1] not in known:
                yield f"{{{found[1]}}} is neither in the path nor one of method and host"


def _captures(path: str) -> list[str]:
    found = [_CAPTURE(part) for part in _template(path)]
    return [one[1] for one in found if one is not None]


def _faults_of_path(path: str) -> Iterator[str]:
    parts = _template(path)
    captures = _captures(path)
    literal = "/".join("x" if _CAPTURE(part) else part for part in parts)
    try:
        path_segments(f"/{literal}" if path.startswith("/") else path)
    except ValueError as error:
        yield f"path {path!r}: {error}"
    if "%" in path:
        yield f"path {path!r}: write characters as they are, not encoded"
    if len(set(captures)) != len(captures) or set(captures) & set(_GIVEN):
        yield f"path {path!r}: each name stands once, and {' and '.join(_GIVEN)} have a meaning already"
    if any(part.endswith("...}") for part in parts[:-1]):
        yield f"path {path!r}: what takes the rest is the last segment"


def _faults_of_resource(route: ForwardRoute) -> Iterator[str]:
    try:
        arn = parse_arn(route.resource)
    except ValueError as error:
        yield f"resource: {error}"
        return
    before = route.resource[: len(route.resource) - len(arn.resource)]
    if "{" in before:
        yield "resource: only its last part may depend on the request, so that its owner does not"
    if "*" in route.resource or "?" in route.resource:
        yield "resource: an ARN of one resource has no wildcard"
