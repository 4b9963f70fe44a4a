"""The demo's second way to sign in: a real OpenID Connect provider beside the broker, on the loopback address.

It is a program of PyPI (`demo_provider`), installed by `scripts/serve` in an environment of its own, or by
`pip install broker[demo]` in the broker's. Where it is not installed, the demo is without it.
"""

import json
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import msgspec

from broker.config import Settings
from broker.federation.openid_connect import OpenIdConnectSignIn
from broker.names.secret import SecretKey

# What config/demo.yaml calls it. Where the port is taken, the kernel chooses another.
USUAL_AUTHORITY = "127.0.0.1:9400"
CLIENT, LABEL = "broker-demo", "Example Corp (demo)"
PEOPLE: Mapping[str, Mapping[str, Any]] = {
    "erin": {"email": "erin@example.com", "groups": ["analysts"]},
    "frank": {"email": "frank@example.com", "groups": ["analysts", "stewards"]},
}

_PACKAGE, _ENVIRONMENT = "oidc_provider_mock", Path(".venv-demo/bin/python")
_BACKLOG, _END_SECONDS = 16, 5
_LOOPBACK = "127.0.0.0/8"


def find_python() -> str:
    """The Python that has the provider's package; "" where none has."""
    if find_spec(_PACKAGE) is not None:
        return sys.executable
    beside_the_code = Path(__file__).parents[2] / _ENVIRONMENT
    return str(beside_the_code) if beside_the_code.exists() else ""


@contextmanager
def demo_provider() -> Iterator[str]:
    """The running provider's host and port; "" where it is not installed."""
    python = find_python()
    if not python:
        yield ""
        return
    # Connections wait in the socket's queue until the provider has started.
    with _listening() as listener:
        host, port = listener.getsockname()
        authority = f"{host}:{port}"
        program = Path(__file__).with_name("demo_provider.py")
        descriptor = listener.fileno()
        process = subprocess.Popen(  # noqa: S603  a program of ours, with nothing of a user's
            [python, "-P", program, str(descriptor), authority, json.dumps(PEOPLE)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=[descriptor],
            start_new_session=True,  # Ctrl-C is the broker's: the provider ends after it
        )
    try:
        yield authority
    finally:
        _end(process)


def _listening() -> socket.socket:
    host, _, port = USUAL_AUTHORITY.partition(":")
    try:
        return socket.create_server((host, int(port)), backlog=_BACKLOG)
    except OSError:
        return socket.create_server((host, 0), backlog=_BACKLOG)


def _end(process: "subprocess.Popen[bytes]") -> None:
    assert process.stdin is not None
    process.stdin.close()
    try:
        process.wait(_END_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def with_provider(settings: Settings, authority: str) -> Settings:
    """`settings` in which people may sign in at the demo's provider, and its plain HTTP is admitted on this machine."""
    if not authority:
        return settings
    entry = OpenIdConnectSignIn(
        name="demo",
        label=LABEL,
        issuer=f"http://{authority}",
        client_id=CLIENT,
        client_secret=SecretKey("the demo's provider takes any"),
    )
    ways = (*(one for one in settings.portal.openid_connect if one.name != entry.name), entry)
    federation = msgspec.structs.replace(
        settings.federation,
        plain_http=True,
        private_networks=(*settings.federation.private_networks, _LOOPBACK),
    )
    portal = msgspec.structs.replace(settings.portal, openid_connect=ways)
    return msgspec.structs.replace(settings, portal=portal, federation=federation)
