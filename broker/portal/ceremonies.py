"""Ceremonies of passkeys (WebAuthn): where they can take place, and challenges that are good for one browser.

A challenge is not stored: it is sealed, with the moment it was made, for the session or the sign-in that it belongs to,
and travels through the page. An answer to it uses it up (`broker.credentials.passkeys`).
"""

import asyncio
from ipaddress import IPv4Address, IPv6Address, ip_address
from urllib.parse import urlsplit

import msgspec

from broker.assertions.passkeys import CHALLENGE_SIZE, Ceremony, import_library
from broker.credentials.passkeys import CHALLENGE_SECONDS
from broker.portal.dependencies import Portal
from broker.portal.visit import Visit
from broker.sealing.envelope import SealBroken
from broker.sealing.message import open_message, seal_message

CHALLENGE_FIELD, ANSWER_FIELD = "challenge", "passkey"
REQUIRED = "required"
_PURPOSE = b"portal passkey"
_ENTROPY = 16


class _Challenge(msgspec.Struct, frozen=True, array_like=True):
    octets: bytes
    issued_at: int


class Obstacle(msgspec.Struct, frozen=True):
    """Why browsers make and use no passkeys on this page; `instead` is where they do, "" where that is not known."""

    kind: str
    host: str
    instead: str = ""


def find_obstacle(portal: Portal, visit: Visit) -> Obstacle | None:
    """A passkey is for a host name, not for an address, and for TLS; `localhost` is the exception that needs none."""
    parts = urlsplit(visit.origin)
    host = parts.hostname or ""
    address = _address_of(host)
    if address is not None:
        port = f":{parts.port}" if parts.port else ""
        is_other_name = address.is_loopback and not portal.url
        return Obstacle("address", host, f"{parts.scheme}://localhost{port}" if is_other_name else "")
    if not visit.is_secure and host != "localhost" and not host.endswith(".localhost"):
        return Obstacle("insecure", host)
    return None


def host_name_of(visit: Visit) -> str:
    """The relying party's id: the passkeys of this name are good here."""
    return urlsplit(visit.origin).hostname or ""


def begin_ceremony(portal: Portal, visit: Visit, bound_to: str) -> tuple[Ceremony, str]:
    """A new challenge for the session or sign-in `bound_to`, and its seal, which the page's form sends back."""
    challenge = _Challenge(portal.tools.entropy(CHALLENGE_SIZE), int(visit.facts.now))
    sealed = seal_message(
        portal.tools.mint.keyring(),
        _PURPOSE,
        msgspec.msgpack.encode(challenge),
        bound_to.encode(),
        portal.tools.entropy(_ENTROPY),
    )
    return _ceremony(portal, visit, challenge), sealed


async def prepare_verification() -> None:
    """Before an answer is verified: the first time, what does it is imported while others are served."""
    await asyncio.to_thread(import_library)


def find_ceremony(portal: Portal, visit: Visit, bound_to: str) -> Ceremony | None:
    """That of the form that was sent; None where its challenge is of another session, of other pages, or too old."""
    keyring, now = portal.tools.mint.keyring(), visit.facts.now
    unverified = visit.form.get(CHALLENGE_FIELD, "")
    try:
        message = open_message(keyring, _PURPOSE, unverified, bound_to.encode(), now)
        challenge = msgspec.msgpack.decode(message, type=_Challenge)
    except (SealBroken, msgspec.DecodeError):
        return None
    if not challenge.issued_at <= now < challenge.issued_at + CHALLENGE_SECONDS:
        return None
    return _ceremony(portal, visit, challenge)


def _ceremony(portal: Portal, visit: Visit, challenge: _Challenge) -> Ceremony:
    must_verify = portal.passkey_user_verification == REQUIRED
    return Ceremony(challenge.octets, host_name_of(visit), visit.origin, must_verify)


def _address_of(host: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(host)
    except ValueError:
        return None
