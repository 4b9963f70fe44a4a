"""The demo's identity provider: `oidc-provider-mock` of PyPI, on a socket that `broker serve --demo` has opened.

A program of its own, because it may run with another Python than the broker, which needs nothing of it:
`python -P demo_provider.py SOCKET AUTHORITY USERS`. It asks for no password, and is for a demo on one machine alone. It
ends when its standard input does, so whenever the broker ends, however that happens.
"""

import json
import os
import sys
import threading
from collections.abc import Callable, Iterable
from typing import Any

import oidc_provider_mock
import werkzeug.serving

Environment = dict[str, Any]
Application = Callable[[Environment, Any], Iterable[bytes]]


def main(descriptor: int, authority: str, users: dict[str, dict[str, Any]]) -> None:
    threading.Thread(target=_end_with_the_broker, daemon=True).start()
    application = oidc_provider_mock.app(
        require_nonce=True,
        user_claims=[oidc_provider_mock.User(sub=name, claims=claims) for name, claims in users.items()],
    )
    own = _called_by_its_name(application, authority)
    werkzeug.serving.make_server("127.0.0.1", 0, own, threaded=True, fd=descriptor).serve_forever()


def _called_by_its_name(application: Application, authority: str) -> Application:
    """The provider takes its issuer from the Host header: under another name (DNS rebinding) it is not there."""

    def answer(environment: Environment, start: Any) -> Iterable[bytes]:
        if environment.get("HTTP_HOST") != authority:
            start("421 Misdirected Request", [("Content-Type", "text/plain")])
            return [b"This provider is not called so.\n"]
        return application(environment, start)

    return answer


def _end_with_the_broker() -> None:
    sys.stdin.buffer.read()
    os._exit(0)


if __name__ == "__main__":
    # So that the library speaks plain HTTP: it listens on the loopback address alone.
    os.environ["AUTHLIB_INSECURE_TRANSPORT"] = "1"
    main(int(sys.argv[1]), sys.argv[2], json.loads(sys.argv[3]))
