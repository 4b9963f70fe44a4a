"""Passkeys are asked for where browsers have them, with challenges that live for a few minutes in one browser."""

import subprocess
import sys
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request
from msgspec.structs import replace

from broker.credentials.passkeys import CHALLENGE_SECONDS
from broker.portal.ceremonies import (
    CHALLENGE_FIELD,
    begin_ceremony,
    find_ceremony,
    find_obstacle,
    host_name_of,
)
from broker.portal.visit import Visit
from tests.unit.portal.conftest import NOW, World, facts

ORIGIN = "https://access.example.com:8443"


def visit(origin: str = ORIGIN, now: float = NOW, **form: str) -> Visit:
    request: web.Request = make_mocked_request("GET", "/")
    return Visit(request, facts(now), origin, form=form)


def sent_back(sealed: str, **changed: Any) -> Visit:
    return visit(**changed, **{CHALLENGE_FIELD: sealed})


def test_a_challenge_comes_back_as_it_was_made(world: World) -> None:
    ceremony, sealed = begin_ceremony(world.portal, visit(), "session one")
    assert len(ceremony.challenge) == 32
    assert (ceremony.host_name, ceremony.origin) == ("access.example.com", ORIGIN)
    assert find_ceremony(world.portal, sent_back(sealed), "session one") == ceremony
    assert begin_ceremony(world.portal, visit(), "session one")[0].challenge != ceremony.challenge


def test_a_challenge_of_another_session_is_none(world: World) -> None:
    _, sealed = begin_ceremony(world.portal, visit(), "session one")
    for other in ("session two", "sign-in one", ""):
        assert find_ceremony(world.portal, sent_back(sealed), other) is None
    for text in ("", "x", sealed[:-4], sealed + "AAAA"):
        assert find_ceremony(world.portal, sent_back(text), "session one") is None


def test_a_challenge_lives_for_ten_minutes(world: World) -> None:
    _, sealed = begin_ceremony(world.portal, visit(), "session one")
    for after, lives in ((0, True), (CHALLENGE_SECONDS - 1, True), (CHALLENGE_SECONDS, False), (-1, False)):
        found = find_ceremony(world.portal, sent_back(sealed, now=NOW + after), "session one")
        assert (found is not None) is lives, after


def test_an_answer_is_judged_by_the_page_that_it_was_sent_to(world: World) -> None:
    _, sealed = begin_ceremony(world.portal, visit(), "session one")
    found = find_ceremony(world.portal, sent_back(sealed, origin="https://other.example.com"), "session one")
    assert found is not None
    assert (found.host_name, found.origin) == ("other.example.com", "https://other.example.com")


def test_the_settings_say_whether_the_user_has_to_be_verified(world: World) -> None:
    for chosen, must in (("required", True), ("preferred", False), ("discouraged", False)):
        portal = replace(world.portal, passkey_user_verification=chosen)
        assert begin_ceremony(portal, visit(), "")[0].must_verify_user is must


@pytest.mark.parametrize(
    "origin",
    [ORIGIN, "https://access", "http://localhost:8443", "http://portal.localhost", "https://localhost"],
)
def test_passkeys_are_used_under_a_name_with_tls_or_on_this_machine(world: World, origin: str) -> None:
    assert find_obstacle(world.portal, visit(origin)) is None
    assert host_name_of(visit(origin)) in origin


@pytest.mark.parametrize(
    ("origin", "url", "kind", "instead"),
    [
        ("http://127.0.0.1:8443", "", "address", "http://localhost:8443"),
        ("https://[::1]:8443", "", "address", "https://localhost:8443"),
        ("https://127.0.0.1", "", "address", "https://localhost"),
        ("https://192.0.2.7:8443", "", "address", ""),
        ("https://127.0.0.1:8443", "https://127.0.0.1:8443", "address", ""),
        ("http://access.example.com", "", "insecure", ""),
        ("http://localhost.example.com", "", "insecure", ""),
    ],
)
def test_where_browsers_have_none_the_page_can_say_why_and_where_instead(
    world: World, origin: str, url: str, kind: str, instead: str
) -> None:
    obstacle = find_obstacle(replace(world.portal, url=url), visit(origin))
    assert obstacle is not None
    assert (obstacle.kind, obstacle.instead) == (kind, instead)


def test_what_verifies_passkeys_is_imported_in_whole_beside_the_loop() -> None:
    """Else the rest of it would be imported while a request, and all others, wait."""
    script = (
        "import asyncio, sys\n"
        "from broker.portal.ceremonies import prepare_verification\n"
        "assert 'webauthn' not in sys.modules\n"
        "asyncio.run(prepare_verification())\n"
        "from broker.assertions.passkeys import verify_new_passkey\n"
        "before = {name for name in sys.modules if name.startswith(('webauthn', 'OpenSSL'))}\n"
        "from broker.assertions import passkeys\n"
        "try: verify_new_passkey('{}', passkeys.Ceremony(b'', 'localhost', 'https://localhost', False))\n"
        "except passkeys.PasskeyRefused: pass\n"
        "after = {name for name in sys.modules if name.startswith(('webauthn', 'OpenSSL'))}\n"
        "assert before and before == after, after - before\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)
