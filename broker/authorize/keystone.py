"""What stores ask OpenStack Keystone about a signature (`/v3/s3tokens`, `/v3/ec2tokens`), and its answer: whose it is.

Ceph's RGW and Swift's s3token send the string to sign, RustFS the parts of the request. Keys are long-term keys of
users and roots; the project is the account. Temporary keys are refused: there is no place for their session token.
"""

from base64 import b64decode, urlsafe_b64decode
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode

import msgspec

from broker.access.caller import Caller
from broker.audit.event import iso_time
from broker.errors import Refusal, validation_error
from broker.names.principal import IamUser
from broker.sigv4.authorization import UnverifiedRequest

Members = Mapping[str, Any]

_SECONDS = 300  # of a token, which says only what was true when it was asked for
_DOMAIN = {"id": "default", "name": "Default"}
_METHODS = frozenset(("GET", "HEAD", "PUT", "POST", "DELETE", "OPTIONS"))


class PresentedSignature(msgspec.Struct, frozen=True):
    """A key and what it has signed: a string to sign, or else a request as far as the store has described it."""

    access_key_id: str
    signature: str = ""
    string_to_sign: str = ""
    request: UnverifiedRequest | None = None

    def __repr__(self) -> str:
        return f"PresentedSignature({self.access_key_id}, ***)"


def read_s3_token(members: Members) -> PresentedSignature:
    """Raises ValidationError."""
    credentials = _credentials(members)
    access, token, signature = (_text(credentials, name) for name in ("access", "token", "signature"))
    try:
        decode = urlsafe_b64decode if "-" in token or "_" in token else b64decode
        string = decode(token.encode("ascii")).decode("utf-8")
    except ValueError:
        raise validation_error("credentials.token is no base64 of a string to sign.") from None
    return PresentedSignature(access, signature, string)


def read_ec2_token(members: Members) -> PresentedSignature:
    """Raises ValidationError."""
    credentials = _credentials(members)
    access, verb, path, host = (_text(credentials, name) for name in ("access", "verb", "path", "host"))
    headers = credentials.get("headers") or {}
    parameters = credentials.get("params") or {}
    if verb.upper() not in _METHODS or not path.startswith("/") or not _are_texts(headers, parameters):
        raise validation_error("credentials has a verb, a path, and texts in headers and params.")
    own = {name.lower(): value for name, value in headers.items()}
    own["host"] = host
    body_hash = credentials.get("body_hash")
    if isinstance(body_hash, str) and body_hash:
        own.setdefault("x-amz-content-sha256", body_hash)
    query = urlencode(parameters, quote_via=quote)
    return PresentedSignature(
        access,
        request=UnverifiedRequest(verb.upper(), quote(path, safe="/%"), query, tuple(own.items()), b""),
    )


def _credentials(members: Members) -> Members:
    # Older clients call the object by the name of its kind.
    found = members.get("credentials", members.get("ec2Credentials"))
    if not isinstance(found, dict):
        raise validation_error("credentials is missing, or no object.")
    return found


def _text(members: Members, name: str) -> str:
    value = members.get(name)
    if not isinstance(value, str) or not 0 < len(value) <= 8192:
        raise validation_error(f"credentials.{name} is missing, or no text.")
    return value


def _are_texts(*objects: Any) -> bool:
    return all(
        isinstance(one, dict) and all(isinstance(value, str) for value in one.values()) for one in objects
    )


def token_document(caller: Caller, now: float, roles: tuple[str, ...]) -> dict[str, Any]:
    """Keystone's token of the owner of a long-term key; raises AccessDenied for another caller."""
    principal = caller.principal
    if caller.is_temporary:
        raise Refusal("AccessDenied", "Access Denied", reason="a temporary key, without its session token")
    name = principal.name if isinstance(principal, IamUser) else "root"
    account = {"id": caller.account, "name": caller.account, "domain": _DOMAIN}
    return {
        "token": {
            "methods": ["ec2credential"],
            "issued_at": _precise(now),
            "expires_at": _precise(now + _SECONDS),
            "user": {"id": principal.user_id, "name": name, "domain": _DOMAIN},
            "project": account,
            "roles": [{"id": role, "name": role} for role in roles],
            "is_domain": False,
            "catalog": [],
        }
    }


def _precise(moment: float) -> str:
    return iso_time(int(moment)).replace("Z", ".000000Z")
