"""The original request that a proxy asks about, as the proxy's own request describes it.

Each kind of proxy has a path of its own, so that no header means something that this proxy did not set: a client of
Traefik may send X-Original-URI, a client of nginx X-Forwarded-Uri, and each would be passed on.

| path | proxy | method and target | host |
|---|---|---|---|
| `/forward/x-original` | nginx `auth_request`, HAProxy | X-Original-Method, X-Original-URI | X-Original-Host |
| `/forward/x-forwarded` | Traefik ForwardAuth, Caddy `forward_auth` | X-Forwarded-Method, -Uri | X-Forwarded-Host |
| `/forward/envoy/…` | Envoy `ext_authz` over HTTP | those of the request, behind the prefix | Host |
"""

import re
from collections.abc import Iterable

import msgspec

X_ORIGINAL, X_FORWARDED, ENVOY = "/forward/x-original", "/forward/x-forwarded", "/forward/envoy"

Headers = tuple[tuple[str, str], ...]

_NAMES = {
    X_ORIGINAL: ("x-original-method", "x-original-uri", "x-original-host"),
    X_FORWARDED: ("x-forwarded-method", "x-forwarded-uri", "x-forwarded-host"),
}
_STRANGE = re.compile(r"[\x00-\x20#\x7f]").search
_TOKEN = re.compile(r"[A-Z]{1,32}").fullmatch
_HOST = re.compile(r"[A-Za-z0-9.-]{1,253}(:[0-9]{1,5})?|\[[0-9a-fA-F:.]+\](:[0-9]{1,5})?").fullmatch
# Set by the proxy for the broker, or of its connection with it: no part of the original request.
_PROXY_HEADERS = frozenset(
    (
        "host",
        "connection",
        "content-length",
        "transfer-encoding",
        "x-original-method",
        "x-original-uri",
        "x-original-host",
        "x-forwarded-method",
        "x-forwarded-uri",
        "x-forwarded-host",
        "x-forwarded-proto",
        "x-forwarded-for",
        "x-forwarded-port",
        "x-forwarded-server",
        "x-real-ip",
    )
)


class OriginalRequest(msgspec.Struct, frozen=True):
    """`target` is the raw path with its query, `headers` are the client's, Host among them; nothing is verified."""

    method: str
    host: str
    target: str
    headers: Headers
    body: bytes

    def __repr__(self) -> str:
        return f"OriginalRequest({self.method}, ***)"

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]

    @property
    def query(self) -> str:
        return self.target.partition("?")[2]

    def find_header(self, name: str) -> str | None:
        return next((value for known, value in self.headers if known == name), None)


def read_original(method: str, target: str, headers: Headers, body: bytes) -> OriginalRequest | None:
    """The original of a proxy's request; None for the path of none. Raises ValueError for one that is not whole."""
    path = target.partition("?")[0]
    names = _NAMES.get(path)
    if names is not None:
        method, target, host = _only(headers, names)
    elif path.startswith(f"{ENVOY}/"):
        target, (host,) = target.removeprefix(ENVOY), _only(headers, ("host",))
    else:
        return None
    if _TOKEN(method) is None:
        raise ValueError("the original method is none")
    if _HOST(host) is None:
        raise ValueError("the original host is none")
    if not target.startswith("/") or not target.isascii() or _STRANGE(target):
        raise ValueError("the original target is no path with a query")
    own = tuple([header for header in headers if header[0] not in _PROXY_HEADERS])
    return OriginalRequest(method, host, target, (("host", host), *own), body)


def _only(headers: Headers, names: tuple[str, ...]) -> list[str]:
    """The one header of each name."""
    found: dict[str, str] = {}
    for name, value in headers:
        if name in names:
            if name in found:
                raise ValueError(f"the proxy has to send {name} once, and sent it again")
            found[name] = value
    missing = [name for name in names if name not in found]
    if missing:
        raise ValueError(f"the proxy has to send {missing[0]}")
    return [found[name] for name in names]


def canonical_names(names: Iterable[str]) -> frozenset[str]:
    """Names of headers as `smuggled` compares them."""
    return frozenset(name.lower().replace("_", "-") for name in names if name)


def smuggled(headers: Headers, own: frozenset[str]) -> str | None:
    """The first header by which the client calls itself somebody, however it is spelled; None for none.

    `own` are canonical. Many servers read `X_Broker_Arn` as `X-Broker-Arn`.
    """
    return next((name for name, _ in headers if name.replace("_", "-") in own), None)
