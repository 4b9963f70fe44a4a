"""A route: which requests a page answers, and what has to be known of the visitor before it does."""

from collections.abc import Awaitable, Callable

import msgspec
from aiohttp import web

from broker.portal.dependencies import Portal
from broker.portal.visit import Visit

Answer = Callable[[Portal, Visit], Awaitable[web.Response]]


class Route(msgspec.Struct, frozen=True):
    """`path` is aiohttp's pattern, `name` what metrics call it. A form (POST) is believed before it gets here.

    `is_open`: whoever is not signed in may have it, too. `is_from_elsewhere`: its form is sent by pages of others, so
    nothing is believed of it, and the page has to know what proves it.
    """

    method: str
    path: str
    answer: Answer
    name: str
    is_open: bool = False
    is_from_elsewhere: bool = False
