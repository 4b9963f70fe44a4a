"""A route: which requests a page answers, and what has to be known of the visitor before it does."""

from collections.abc import Awaitable, Callable

import msgspec
from aiohttp import web

from broker.portal.dependencies import Portal
from broker.portal.visit import LARGEST_FORM, Visit

Answer = Callable[[Portal, Visit], Awaitable[web.StreamResponse]]


class Route(msgspec.Struct, frozen=True):
    """`path` is aiohttp's pattern, `name` what metrics call it. A form (POST) is believed before it gets here.

    `is_open`: also for visitors who are not signed in. `is_from_elsewhere`: its form is sent by pages of other hosts,
    so the page has to prove its content itself. `is_of_console`: also for sessions that only showed credentials to
    `/federation`. `is_for_programs`: no form of ours leads there, so no token is asked for. `largest_form` is in bytes.
    """

    method: str
    path: str
    answer: Answer
    name: str
    is_open: bool = False
    is_from_elsewhere: bool = False
    is_of_console: bool = False
    is_for_programs: bool = False
    largest_form: int = LARGEST_FORM
