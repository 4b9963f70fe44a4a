"""What is refused of a pod's token before the broker is asked: nothing here proves a token, which only the broker can.

A token that is answered from the cache is byte for byte one that the broker has accepted. Whether it has expired since
then is read here.
"""

from hashlib import sha256
from typing import Any, NamedTuple

from broker.assertions.checks import CheckFailed, Checks
from broker.assertions.unverified_token import read_token
from broker.names.principal import POD_IDENTITY

LEEWAY = 60  # seconds that the clock of the cluster may differ


class PodTokenRefused(Exception):
    """The token cannot be a good one; `status` is that of the answer."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class CheckedToken(NamedTuple):
    """The digest of a token, by which its credentials are cached, and when it expires (epoch seconds)."""

    digest: bytes
    expires_at: float


def check_token(unverified_token: str, node: str, now: float) -> CheckedToken:
    """Raises PodTokenRefused.

    `node` is the agent's own, "" where it is not known.
    """
    if not unverified_token:
        raise PodTokenRefused(400, "Service account token cannot be empty")
    try:
        claims = read_token(unverified_token, Checks()).claims
    except CheckFailed:
        raise PodTokenRefused(400, "Service account token cannot be parsed") from None
    expires_at, not_before = _time(claims, "exp"), _time(claims, "nbf", 0)
    if now >= expires_at or now + LEEWAY < not_before:
        raise PodTokenRefused(400, "Service account token has expired, or is not valid yet")
    audience = claims.get("aud")
    if POD_IDENTITY not in (audience if type(audience) is list else [audience]):
        raise PodTokenRefused(400, "Service account token is for another audience")
    stated = _node_of(claims)
    if node and stated and stated != node:
        raise PodTokenRefused(403, "Service account token is of a pod on another node")
    return CheckedToken(sha256(unverified_token.encode()).digest(), expires_at)


def _time(claims: dict[str, Any], name: str, default: float | None = None) -> float:
    value: Any = claims.get(name, default)
    if type(value) not in (int, float):
        raise PodTokenRefused(400, "Service account token has no time of expiry")
    return float(value)


def _node_of(claims: dict[str, Any]) -> str:
    bound = claims.get("kubernetes.io")
    node = bound.get("node") if type(bound) is dict else None
    name = node.get("name") if type(node) is dict else None
    return name if type(name) is str else ""
