"""The portal's cookies, all sealed: what a browser sends is either ours, unchanged, or nothing.

One refers to a stored session, another does so for one host behind a proxy alone. A third holds the state of a sign-in
in progress, for a few minutes: it is not stored, so that strangers fill nothing. A fourth holds that of a test sign-in
of the console. Under TLS their names begin with `__Host-`: no other host of the domain, and no plain connection, can
put one there (RFC 6265bis, 4.1.3.2).
"""

from collections.abc import Callable
from typing import TypeVar

import msgspec
from aiohttp import web

from broker.names.protected_hosts import is_plain
from broker.names.secret import SecretKey
from broker.sealing.envelope import SealBroken
from broker.sealing.keyring import Keyring
from broker.sealing.message import open_message, seal_message
from broker.storage.portal_records import Identity

_FORM_SECONDS = 24 * 3600  # a page with an empty form may stay open overnight
_PROVEN_SECONDS = 600  # a password that was given is not good for the next step for ever
_BEGUN_SECONDS = 900  # at a provider people look for a phone, or enrol one
_ENTROPY = 16


class SessionReference(msgspec.Struct, frozen=True, array_like=True):
    """Which stored session the browser has."""

    subject: str
    session_id: str


class HostReference(msgspec.Struct, frozen=True, array_like=True):
    """The stored session of a person who has signed in at another host; good at that host alone."""

    host: str
    subject: str
    session_id: str

    @property
    def session(self) -> SessionReference:
        return SessionReference(self.subject, self.session_id)


class BegunSignIn(msgspec.Struct, frozen=True, array_like=True):
    """A sign-in that was begun at an identity provider; the answer has to fit. `sign_in` is the name of the way in.

    `state`, `nonce` and `verifier` (RFC 6749, OpenID Connect Core, RFC 7636) are known to this browser and to us alone,
    but for what the provider is told of them.
    """

    sign_in: str
    begun_at: int
    state: str
    nonce: str = ""
    verifier: str = ""

    def lives(self, now: float) -> bool:
        return self.begun_at <= now < self.begun_at + _BEGUN_SECONDS


class SignInState(msgspec.Struct, frozen=True, array_like=True):
    """How far a browser has got. `identity` is whose password was right; `wanted` is the page that it asked for first.

    `csrf_token` is in the forms of the sign-in. `must_change` is that the password has to be changed before anything.
    `longest` is how many seconds the session may last by the user's own setting, None where there is none.
    `begun` is the newest sign-in that was begun at an identity provider. `password_mark` is of the password
    that was right (`broker.credentials.password_changes`).
    """

    csrf_token: str
    issued_at: int
    wanted: str = ""
    identity: Identity | None = None
    must_change: bool = False
    mfa_authenticated_at: int | None = None
    mfa_serial: str | None = None
    longest: int | None = None
    begun: BegunSignIn | None = None
    password_mark: str = ""

    def lives(self, now: float) -> bool:
        seconds = _FORM_SECONDS if self.identity is None else _PROVEN_SECONDS
        return self.issued_at <= now < self.issued_at + seconds


class ConsoleTestSignIn(msgspec.Struct, frozen=True, array_like=True):
    """A test sign-in that a person began in the console, with what its provider needs of the client.

    It is of the session `session_id` and of the account in which that acts. `begun.sign_in` is the provider's ARN.
    """

    session_id: str
    account_id: str
    issuer: str
    client_id: str
    client_secret: SecretKey
    begun: BegunSignIn


Kind = type[SessionReference] | type[SignInState] | type[ConsoleTestSignIn] | type[HostReference]
Sealed = TypeVar("Sealed", SessionReference, SignInState, ConsoleTestSignIn, HostReference)

_NAMES: dict[Kind, str] = {
    SessionReference: "broker-session",
    SignInState: "broker-sign-in",
    ConsoleTestSignIn: "broker-test-sign-in",
    HostReference: "broker-forward",
}
_PURPOSES: dict[Kind, bytes] = {
    SessionReference: b"portal session",
    SignInState: b"portal sign-in",
    ConsoleTestSignIn: b"console test sign-in",
    HostReference: b"forwarded host session",
}


def find_cookie(
    keyring: Keyring, request: web.Request, kind: type[Sealed], now: float, *, is_secure: bool
) -> Sealed | None:
    """What the browser's cookie of this kind holds; None where there is none that we sealed."""
    text = request.cookies.get(_name(kind, is_secure))
    return None if text is None else open_cookie(keyring, text, kind, now)


def open_cookie(keyring: Keyring, unverified_text: str, kind: type[Sealed], now: float) -> Sealed | None:
    """What the value of a cookie of this kind holds; None for one that we have not sealed."""
    try:
        return msgspec.msgpack.decode(
            open_message(keyring, _PURPOSES[kind], unverified_text, b"", now), type=kind
        )
    except (SealBroken, msgspec.DecodeError):
        return None


def set_cookie(
    keyring: Keyring,
    response: web.Response,
    value: SessionReference | SignInState | ConsoleTestSignIn,
    entropy: Callable[[int], bytes],
    *,
    is_secure: bool,
) -> None:
    response.headers.add("Set-Cookie", cookie_line(keyring, value, entropy, is_secure=is_secure))


def cookie_line(
    keyring: Keyring,
    value: SessionReference | SignInState | ConsoleTestSignIn | HostReference,
    entropy: Callable[[int], bytes],
    *,
    is_secure: bool,
) -> str:
    """What Set-Cookie says."""
    text = seal_message(
        keyring, _PURPOSES[type(value)], msgspec.msgpack.encode(value), b"", entropy(_ENTROPY)
    )
    # The text is URL-safe base64: nothing is quoted. `response.set_cookie` takes a fifth of the sign-in page.
    secure = "; Secure" if is_secure else ""
    return f"{_name(type(value), is_secure)}={text}; HttpOnly; Path=/; SameSite=Lax{secure}"


def delete_cookie(response: web.Response, kind: Kind, *, is_secure: bool) -> None:
    # A `__Host-` cookie is only overwritten by one with the same attributes.
    response.del_cookie(_name(kind, is_secure), path="/", httponly=True, secure=is_secure, samesite="Lax")


def _name(kind: Kind, is_secure: bool) -> str:
    return f"__Host-{_NAMES[kind]}" if is_secure else _NAMES[kind]


def cookie_names(*kinds: Kind) -> tuple[str, ...]:
    """The names of these kinds, of all where none is given: without TLS and with it, in this order."""
    return tuple(_name(kind, is_secure) for kind in kinds or _NAMES for is_secure in (False, True))


def host_cookie_name(name: str, host: str) -> str:
    """The name of a cookie at a host behind a proxy: with the prefix, but on this machine, where there is no TLS."""
    return name if is_plain(host) else f"__Host-{name}"


def pairs_of(cookie: str) -> list[tuple[str, str]]:
    """Names and values of a Cookie header (RFC 6265, 5.4)."""
    pairs = [part.strip().partition("=") for part in cookie.split(";")]
    return [(name.strip(), value.strip()) for name, equals, value in pairs if equals]


def only_cookie(unverified_cookie: str, name: str) -> str | None:
    """The value of the one cookie of this name; None where there is none, and where there are several."""
    found = [value for known, value in pairs_of(unverified_cookie) if known == name]
    return found[0] if len(found) == 1 else None
