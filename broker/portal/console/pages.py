"""Every page of the console."""

from broker.portal.console import (
    editor,
    entering,
    federation,
    group,
    inline_policy,
    instance_profile,
    journal,
    journal_tail,
    lists,
    new_provider,
    overview,
    policy,
    provider,
    providers,
    reasons,
    role,
    sessions,
    show_as,
    simulator,
    test_sign_in,
    user,
)
from broker.portal.routes import Route

_PAGES = (
    editor,
    entering,
    federation,
    group,
    inline_policy,
    journal,
    journal_tail,
    instance_profile,
    lists,
    new_provider,
    overview,
    policy,
    provider,
    providers,
    reasons,
    role,
    sessions,
    show_as,
    simulator,
    test_sign_in,
    user,
)

ROUTES: tuple[Route, ...] = tuple(route for one in _PAGES for route in one.ROUTES)
