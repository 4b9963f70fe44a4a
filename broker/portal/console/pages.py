"""Every page of the console."""

from broker.portal.console import (
    editor,
    entering,
    federation,
    group,
    inline_policy,
    instance_profile,
    lists,
    overview,
    policy,
    providers,
    reasons,
    role,
    sessions,
    simulator,
    user,
)
from broker.portal.routes import Route

_PAGES = (
    editor,
    entering,
    federation,
    group,
    inline_policy,
    instance_profile,
    lists,
    overview,
    policy,
    providers,
    reasons,
    role,
    sessions,
    simulator,
    user,
)

ROUTES: tuple[Route, ...] = tuple(route for one in _PAGES for route in one.ROUTES)
