"""The host names by which the listeners without signatures may be called: a defence against DNS rebinding.

A page in a browser may request any path of its own host name and read the response. Its owner can let that name
resolve to an address of the browser's machine or network; the page then reads what the broker answers there. The page
cannot choose the Host header, which holds its name. So these listeners answer only to addresses, to `localhost` and to
names that the operator has listed. Names below `localhost` are not accepted: some resolvers ask the network for them.

The API needs no such list: its requests, Host included, are signed with a key that the page does not have.
"""

from collections.abc import Sequence
from functools import lru_cache
from ipaddress import ip_address

from broker.web.http import Request
from broker.web.target import split_host

HostNames = frozenset[str]

_ALWAYS = "localhost"


def parse_host_names(texts: Sequence[str]) -> HostNames:
    return frozenset(map(_normalised, texts))


def is_called_by(request: Request, names: HostNames) -> bool:
    """Whether the request names its host by an address, by one of `names`, or not at all (HTTP/1.0)."""
    host = request.find_header("host")
    return host is None or is_host_name(host, names)


@lru_cache(maxsize=1024)
def is_host_name(host: str, names: HostNames) -> bool:
    """The same of a Host header; also of one that was never checked."""
    name, _ = split_host(host) or ("", "")
    known = _normalised(name)
    return known == _ALWAYS or known in names or _is_address(name)


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


def _normalised(name: str) -> str:
    """In lower case, without the dot that ends an absolute name."""
    return name.lower().removesuffix(".")
