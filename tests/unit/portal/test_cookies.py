"""The sealed cookies: what a browser sends is ours, unchanged and of its kind, or nothing."""

import secrets
from http.cookies import SimpleCookie
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from broker.portal.cookies import SessionReference, SignInState, delete_cookie, find_cookie, set_cookie
from broker.sealing.key import KEY_ENTROPY
from broker.sealing.keyring import Keyring, new_keyring
from broker.storage.portal_records import IamUserIdentity

NOW = 1_800_000_000.0
REFERENCE = SessionReference("AIDAEXAMPLE", "00" * 16)
STATE = SignInState("11" * 16, int(NOW))


def new_ring() -> Keyring:
    return new_keyring(NOW, secrets.token_bytes(KEY_ENTROPY))


@pytest.fixture
def ring() -> Keyring:
    return new_ring()


def sent(ring: Keyring, value: Any, *, is_secure: bool = True) -> dict[str, str]:
    response = web.Response()
    set_cookie(ring, response, value, secrets.token_bytes, is_secure=is_secure)
    return {name: morsel.value for name, morsel in SimpleCookie(response.headers["Set-Cookie"]).items()}


def found(ring: Keyring, cookies: dict[str, str], kind: Any, *, is_secure: bool = True) -> Any:
    header = "; ".join(f"{name}={value}" for name, value in cookies.items())
    request = make_mocked_request("GET", "/", headers={"Cookie": header})
    return find_cookie(ring, request, kind, NOW, is_secure=is_secure)


@pytest.mark.parametrize("is_secure", [True, False])
def test_a_cookie_comes_back_as_it_was_set(ring: Keyring, is_secure: bool) -> None:
    user = IamUserIdentity(account_id="111111111111", user_name="alice", user_id="AIDAEXAMPLE", path="/a/")
    state = SignInState("11" * 16, int(NOW), "/access/1", user, True, int(NOW), "serial", 3600)
    for value in (REFERENCE, STATE, state):
        cookies = sent(ring, value, is_secure=is_secure)
        assert found(ring, cookies, type(value), is_secure=is_secure) == value


def test_a_cookie_of_the_other_kind_or_of_another_ring_is_none(ring: Keyring) -> None:
    (text,) = sent(ring, STATE).values()
    assert found(ring, {"__Host-broker-session": text}, SessionReference) is None
    (text,) = sent(ring, REFERENCE).values()
    assert found(ring, {"__Host-broker-sign-in": text}, SignInState) is None
    assert found(new_ring(), sent(ring, REFERENCE), SessionReference) is None


def test_under_tls_a_cookie_without_the_prefix_is_none(ring: Keyring) -> None:
    """Another host of the domain could have put it there."""
    assert found(ring, sent(ring, REFERENCE, is_secure=False), SessionReference) is None


def test_every_changed_character_is_noticed(ring: Keyring) -> None:
    ((name, text),) = sent(ring, REFERENCE).items()
    for place in range(len(text)):
        changed = f"{text[:place]}{'A' if text[place] != 'A' else 'B'}{text[place + 1 :]}"
        assert found(ring, {name: changed}, SessionReference) is None


@pytest.mark.parametrize("is_secure", [False, True])
def test_a_cookie_is_for_requests_of_this_site_alone_and_no_script_reads_it(
    ring: Keyring, is_secure: bool
) -> None:
    response = web.Response()
    set_cookie(ring, response, REFERENCE, secrets.token_bytes, is_secure=is_secure)
    (morsel,) = SimpleCookie(response.headers["Set-Cookie"]).values()
    assert (morsel["path"], morsel["httponly"], morsel["samesite"]) == ("/", True, "Lax")
    assert (morsel["secure"] or False, morsel["domain"], morsel["max-age"]) == (is_secure, "", "")


def test_a_deleted_cookie_has_the_attributes_that_its_prefix_demands(ring: Keyring) -> None:
    response = web.Response()
    delete_cookie(response, SessionReference, is_secure=True)
    line = response.cookies["__Host-broker-session"].OutputString()
    for attribute in ("Secure", "Path=/", "Max-Age=0", "HttpOnly"):
        assert attribute in line


def test_a_proven_password_is_good_for_ten_minutes_and_an_empty_form_for_a_day() -> None:
    user = IamUserIdentity(account_id="111111111111", user_name="alice", user_id="AIDAEXAMPLE")
    proven = SignInState("11" * 16, int(NOW), identity=user)
    assert proven.lives(NOW + 599)
    assert not proven.lives(NOW + 600)
    assert not proven.lives(NOW - 1)
    assert STATE.lives(NOW + 86_399)
    assert not STATE.lives(NOW + 86_400)
