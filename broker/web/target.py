"""The host and the target of a request (RFC 9112, section 3.2).

A request names its host in the Host header, once; HTTP/1.0 may leave it out. A request line may name it, too, in the
absolute form (`POST http://host/path HTTP/1.1`): it is read as the same request in the origin form. RFC 9112, 3.2.2,
lets the request line's host override the header. Here both must be the same host: the client signs the header, and a
proxy that reads the one must not see another request than a proxy that reads the other.

The asterisk form and the authority form are left unchanged; no handler has a resource under them.
"""

import re
from functools import lru_cache
from ipaddress import IPv6Address

_LONGEST_HOST = 320  # characters: a name of 253, a port, and room for the zone of an address

# RFC 3986, section 3.2.2, without user information, which RFC 9110, section 4.2.4, treats as an attack.
_HOST = re.compile(
    r"(\[[0-9A-Fa-f]*:[0-9A-Fa-f:.]*(?:%[0-9A-Za-z%._~-]+)?\]|[0-9A-Za-z._~!$&'()*+,;=%-]*)(?::([0-9]*))?",
    re.ASCII,
)
# Python takes anything for the name of a zone.
_ADDRESS = re.compile(r"[0-9A-Fa-f:.]+(?:%[0-9A-Za-z._~-]+)?", re.ASCII)
_ABSOLUTE = re.compile(rb"(https?)://([^/?#]*)([/?].*)?", re.IGNORECASE | re.DOTALL)
_DEFAULT_PORTS = {"http": "80", "https": "443"}


class UnclearHost(ValueError):
    """A request whose host is missing or can be read in two ways; the message is for the operator."""


def require_host(host: str | None, version: str) -> None:
    """Raises UnclearHost for a Host header that is missing in HTTP/1.1, or that names no host."""
    if host is None:
        if version != "1.0":
            raise UnclearHost("no Host header")
    elif split_host(host) is None:
        raise UnclearHost("a Host header that names no host")


def origin_form(target: bytes, host: str | None) -> tuple[bytes, str | None]:
    """`target` as it would be in the origin form, and the host; raises UnclearHost.

    `host` is what the Host header says, or None. Only a target in the absolute form of http or https is changed; its
    scheme proves nothing, and is used only for the default port.
    """
    if target.startswith(b"/") or not target[:5].lower().startswith(b"http"):
        return target, host
    absolute = _ABSOLUTE.fullmatch(target)
    if absolute is None:
        return target, host
    scheme, rest = absolute[1].decode().lower(), absolute[3] or b"/"
    authority = absolute[2].decode("utf-8", "surrogateescape")
    named = split_host(authority)
    if named is None or not named[0]:
        raise UnclearHost("a request line that names no host")
    if host is not None and _whole(host, scheme) != _whole(authority, scheme):
        raise UnclearHost("a request line and a Host header that name two hosts")
    return rest if rest.startswith(b"/") else b"/" + rest, authority if host is None else host


def split_host(text: str) -> tuple[str, str] | None:
    """Name or address, without brackets, and port (empty where there is none); None where `text` names no host.

    The RFC does not allow an IPv6 address without brackets, but AWS's Common Runtime sends it so.
    """
    return _split_host(text) if len(text) <= _LONGEST_HOST else None


@lru_cache(maxsize=1024)
def _split_host(text: str) -> tuple[str, str] | None:
    found = _HOST.fullmatch(text)
    if found is not None:
        return found[1].strip("[]"), found[2] or ""
    try:
        return (str(IPv6Address(text)), "") if _ADDRESS.fullmatch(text) else None
    except ValueError:
        return None


def _whole(text: str, scheme: str) -> tuple[str, str]:
    """Name in lower case and port, the scheme's own where none is named."""
    name, port = split_host(text) or ("", "")
    return name.lower(), port or _DEFAULT_PORTS[scheme]
