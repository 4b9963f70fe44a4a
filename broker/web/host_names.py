"""By which names the listeners that ask for no signature may be called: a defence against DNS rebinding.

A page in a browser may ask for anything under its own name, and read the answer. Its owner can let that name resolve
to an address of the machine that the browser runs on, or of its network: the page then reads what the broker answers
there. What the page cannot choose is the Host header, which holds its name. So these listeners answer to addresses, to
`localhost` and to names that the operator has listed. Names below `localhost` are not among them: some resolvers ask
the network for them.

The API needs no such list: a request is signed, its Host too, with a key that the page has not.
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
    return host is None or _is_one_of(host, names)


@lru_cache(maxsize=1024)
def _is_one_of(host: str, names: HostNames) -> bool:
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
