"""`oidc-provider` of npm: an OpenID provider, run by Node."""

import json
import secrets
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from urllib.request import urlopen

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from tests.identity_providers.browser import Browser, Page
from tests.identity_providers.processes import ROOT, Process, require_installed, require_program
from tests.ports import free_port

LIBRARY = ROOT / ".tools" / "oidc-provider" / "node_modules" / "oidc-provider" / "lib" / "index.js"
SERVER = Path(__file__).with_suffix(".mjs")


@dataclass(frozen=True)
class Client:
    """An application that the provider knows. `algorithm` is that of its ID tokens, `claims` are in its own tokens."""

    client_id: str
    algorithm: str = "RS256"
    redirect_uri: str = "http://127.0.0.1:9/signed-in"
    claims: Mapping[str, Any] = field(default_factory=dict)
    logout_uri: str = ""
    secret: str = field(default_factory=secrets.token_urlsafe, repr=False)

    @property
    def registration(self) -> dict[str, Any]:
        return {
            "client_id": self.client_id,
            "client_secret": self.secret,
            "grant_types": ["authorization_code", "client_credentials"],
            "redirect_uris": [self.redirect_uri],
            "post_logout_redirect_uris": [self.logout_uri] if self.logout_uri else [],
            "application_type": "native",  # may be redirected to the loopback address
            "id_token_signed_response_alg": self.algorithm,
        }

    @property
    def authorization(self) -> str:
        return "Basic " + b64encode(f"{self.client_id}:{self.secret}".encode()).decode()


@dataclass(frozen=True)
class Resource:
    """What access tokens are for, as JWTs of this audience, signed with this algorithm (RFC 8707)."""

    audience: str
    algorithm: str = "RS256"


class OpenIdProvider:
    """The provider; `users` are claims by name (any password is right), `resources` are found by their URI."""

    def __init__(
        self,
        folder: Path,
        clients: list[Client],
        users: Mapping[str, Mapping[str, Any]],
        resources: Mapping[str, Resource],
    ) -> None:
        self.clients = {client.client_id: client for client in clients}
        self.users = users
        self.resources = resources
        self.port = free_port()
        self.issuer = f"http://127.0.0.1:{self.port}"
        self.keys = new_keys()
        self._settings = folder / "settings.json"
        node, library = require_program("node"), require_installed(LIBRARY, "oidc-provider")
        self._process = Process([node, SERVER, library, self._settings], folder / "log")

    @contextmanager
    def running(self) -> Iterator["OpenIdProvider"]:
        self.start()
        try:
            yield self
        finally:
            self._process.stop()

    def start(self) -> None:
        self._settings.write_text(json.dumps(self._configuration()))
        self._process.start(self._is_ready)

    def rotate_keys(self) -> None:
        """From now on it signs with other keys, and publishes no others."""
        self._process.stop()
        self.keys = new_keys()
        self.start()

    def _configuration(self) -> dict[str, Any]:
        return {
            "issuer": self.issuer,
            "port": self.port,
            "clients": [client.registration for client in self.clients.values()],
            "users": self.users,
            "machines": {client.client_id: client.claims for client in self.clients.values()},
            "claims": sorted({name for claims in self.users.values() for name in claims}),
            "resources": {
                uri: {"audience": resource.audience, "algorithm": resource.algorithm}
                for uri, resource in self.resources.items()
            },
            "jwks": {"keys": self.keys},
        }

    def _is_ready(self) -> bool:
        with urlopen(f"{self.issuer}/.well-known/openid-configuration", timeout=5) as answer:
            return bool(json.load(answer)["issuer"] == self.issuer)

    def machine_token(self, client_id: str, resource: str) -> str:
        """An access token of the client itself, for `resource` (RFC 6749, 4.4)."""
        answer = self._ask_token(client_id, grant_type="client_credentials", resource=resource)
        return str(answer["access_token"])

    def sign_in(self, user: str, client_id: str, **parameters: str) -> dict[str, Any]:
        """What the token endpoint answers when `user` has signed in to the client (code flow with PKCE)."""
        verifier = secrets.token_urlsafe(48)
        page = self.authorize(Browser(), user, client_id, verifier, **parameters)
        assert "code" in page.query, page
        return self._ask_token(
            client_id,
            grant_type="authorization_code",
            code=page.query["code"],
            redirect_uri=self.clients[client_id].redirect_uri,
            code_verifier=verifier,
            **{name: value for name, value in parameters.items() if name == "resource"},
        )

    def authorize(
        self, browser: Browser, user: str, client_id: str, verifier: str, **parameters: str
    ) -> Page:
        """The redirect to the client, after `user` has signed in and consented."""
        challenge = urlsafe_b64encode(sha256(verifier.encode()).digest()).rstrip(b"=").decode()
        page = browser.get(
            f"{self.issuer}/auth",
            client_id=client_id,
            response_type="code",
            redirect_uri=self.clients[client_id].redirect_uri,
            **{"scope": "openid", "state": "the-state", **parameters},
            code_challenge=challenge,
            code_challenge_method="S256",
        )
        page = browser.submit(page.form("login"), login=user, password="any")
        return browser.submit(page.form("prompt"))

    def _ask_token(self, client_id: str, **parameters: str) -> dict[str, Any]:
        page = Browser().post(
            f"{self.issuer}/token",
            urlencode(parameters),
            **{
                "Authorization": self.clients[client_id].authorization,
                "Content-Type": "application/x-www-form-urlencoded",
            },
        )
        assert page.status == 200, page
        answer: dict[str, Any] = json.loads(page.text)
        return answer


def new_keys() -> list[dict[str, Any]]:
    """Private JWKs: one for RS256 and one for ES256, whose ids no key had before."""
    rsa_key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    curve_key = ec.generate_private_key(ec.SECP256R1())
    return [_jwk(RSAAlgorithm.to_jwk(rsa_key), "RS256"), _jwk(ECAlgorithm.to_jwk(curve_key), "ES256")]


def _jwk(text: str, algorithm: str) -> dict[str, Any]:
    jwk = json.loads(text)
    jwk.pop("key_ops", None)  # oidc-provider would not publish it as a key that verifies
    return {**jwk, "kid": secrets.token_hex(4), "use": "sig", "alg": algorithm}
