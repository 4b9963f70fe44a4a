"""Providers whose answers are attacks: no token is accepted, the broker goes where it may, and serves on meanwhile."""

import gzip
import json
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm
from jwt.api_jws import PyJWS

from broker.federation.fetching import LONGEST_WAIT
from tests.e2e.conftest import Account, Server
from tests.e2e.scenes import new_role, refused_by
from tests.e2e.web_identity import trust
from tests.http_host import Answer, HttpHost, json_answer, text_answer
from tests.name_server import NameServer

DISCOVERY, KEYS, AUDIENCE = "/.well-known/openid-configuration", "/keys", "sts"
SETTINGS = {"BROKER_FEDERATION_PLAIN_HTTP": "true", "BROKER_FEDERATION_PRIVATE_NETWORKS": "127.0.0.1/32"}
FORBIDDEN = "127.0.0.2"  # loopback as well, but not admitted


class Provider:
    """One whose documents are right until a test replaces them. `issuer` may name it by another host."""

    def __init__(self, host: HttpHost, issuer: str | None = None) -> None:
        self.host = host
        self.issuer = issuer or host.url
        self.key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.host.answers = {DISCOVERY: json_answer(self.discovery()), KEYS: json_answer(self.keys())}

    def discovery(self, **changes: Any) -> dict[str, Any]:
        return {"issuer": self.issuer, "jwks_uri": f"{self.issuer}{KEYS}", **changes}

    def jwk(self, key_id: str = "key") -> dict[str, Any]:
        return {**json.loads(RSAAlgorithm.to_jwk(self.key.public_key())), "kid": key_id}

    def keys(self) -> dict[str, Any]:
        return {"keys": [self.jwk()]}

    def token(self) -> str:
        claims = {
            "iss": self.issuer,
            "sub": "alice",
            "aud": AUDIENCE,
            "iat": int(time.time()),
            "exp": int(time.time()) + 300,
        }
        return PyJWS().encode(json.dumps(claims).encode(), self.key, "RS256", headers={"kid": "key"})


@dataclass(frozen=True)
class Scene:
    server: Server
    account: Account

    def assume(self, provider: Provider) -> Any:
        """Trade a token of the provider, which the account comes to know by this."""
        iam = self.server.client("iam", self.account.root)
        created = iam.create_open_id_connect_provider(
            Url=provider.issuer, ClientIDList=[AUDIENCE], ThumbprintList=["0" * 40]
        )
        name = provider.issuer.partition("://")[2].replace(":", "-")
        role = new_role(self.server, self.account, name, trust(created["OpenIDConnectProviderArn"]))
        return self.server.client("sts", None).assume_role_with_web_identity(
            RoleArn=role, RoleSessionName="session", WebIdentityToken=provider.token()
        )

    def reason(self, provider: Provider) -> str:
        """Why the provider's keys are not known, as the journal has it; the client does not read it."""
        refusal = refused_by(self.server, lambda: self.assume(provider))
        assert refusal.code == "InvalidIdentityToken"
        assert refusal.message.startswith("Couldn't retrieve verification key from your identity provider")
        check, _, reason = refusal.reason.partition(": found ")
        assert check == "check failed: provider's keys"
        return reason


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    folder: Path = tmp_path_factory.mktemp("hostile")
    server = Server(folder, f"sqlite:{folder / 'broker.db'}", environment=SETTINGS)
    with server.running():
        yield Scene(server, server.new_account())


@pytest.fixture
def provider() -> Iterator[Provider]:
    with HttpHost().running() as host:
        yield Provider(host)


@pytest.fixture
def trap(provider: Provider) -> Iterator[HttpHost]:
    """At an address that is not admitted, at the provider's port; nobody may ask it."""
    with HttpHost(FORBIDDEN, provider.host.port).running() as host:
        yield host
        assert host.asked == []


def endless(request: BaseHTTPRequestHandler) -> None:
    request.send_response(200)
    request.send_header("Content-Type", "application/json")
    request.send_header("Connection", "close")
    request.end_headers()
    while True:
        request.wfile.write(b" " * 65536)


def dripping(request: BaseHTTPRequestHandler) -> None:
    """Always one more byte, so that no wait for a single one is long."""
    request.send_response(200)
    request.send_header("Content-Length", "1000")
    request.end_headers()
    while True:
        request.wfile.write(b" ")
        time.sleep(0.1)


def silent(request: BaseHTTPRequestHandler) -> None:
    time.sleep(LONGEST_WAIT + 1)
    request.close_connection = True


def redirect(to: str) -> Answer:
    return text_answer(b"", 302, Location=to)


def test_a_provider_that_answers_as_it_should_is_believed(scene: Scene, provider: Provider) -> None:
    assert scene.assume(provider)["Audience"] == AUDIENCE
    assert provider.host.asked == [DISCOVERY, KEYS]


@pytest.mark.parametrize("path", [DISCOVERY, KEYS])
def test_an_endless_answer_is_cut_off(scene: Scene, provider: Provider, path: str) -> None:
    provider.host.answers[path] = endless
    assert scene.reason(provider).startswith(
        f"{provider.issuer}{path} answered with more than 1048576 bytes, wanted"
    )


def test_a_compressed_answer_is_not_blown_up(scene: Scene, provider: Provider) -> None:
    bomb = gzip.compress(b" " * (64 << 20))
    provider.host.answers[KEYS] = text_answer(bomb, **{"Content-Encoding": "gzip"})
    assert "1048576 bytes" in scene.reason(provider)


def test_slow_answers_are_not_waited_for_and_keep_nobody_else_waiting(
    scene: Scene, provider: Provider
) -> None:
    provider.host.answers[KEYS] = dripping
    with HttpHost().running() as host, ThreadPoolExecutor(2) as pool:
        other = Provider(host)
        host.answers[DISCOVERY] = silent
        began = time.monotonic()
        reasons = [pool.submit(scene.reason, one) for one in (provider, other)]
        while not (provider.host.asked and host.asked):
            time.sleep(0.01)
        sts = scene.server.client("sts", scene.account.root)
        asked = time.monotonic()
        sts.get_caller_identity()
        assert time.monotonic() - asked < LONGEST_WAIT / 2
        assert not any(reason.done() for reason in reasons)
        for reason in reasons:
            assert f"did not answer within {LONGEST_WAIT:g} seconds" in reason.result()
        assert time.monotonic() - began < 1.8 * LONGEST_WAIT, "not one after the other"


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("http://127.0.0.2:{port}/keys", "is at an address that may not be reached"),
        ("http://169.254.169.254/latest/meta-data/", "is at an address that may not be reached"),
        ("http://[::ffff:169.254.169.254]/", "is at an address that may not be reached"),
        ("http://[fd00:ec2::254]/", "is at an address that may not be reached"),
        ("http://0.0.0.0:{port}/keys", "is at an address that may not be reached"),
        ("http://2130706434:{port}/keys", "is not a canonical IPv4 address"),
        ("http://0x7f000002:{port}/keys", "has no address that may be reached"),
        ("file:///etc/passwd", "is not https"),
        ("gopher://127.0.0.1:{port}/", "is not https"),
        ("http://user@127.0.0.1:{port}/keys", "names no host, or a user"),
    ],
)
@pytest.mark.parametrize("by", ["redirect", "jwks_uri"])
def test_a_way_inwards_is_not_gone(
    scene: Scene, provider: Provider, trap: HttpHost, target: str, reason: str, by: str
) -> None:
    there = target.format(port=trap.port)
    if by == "redirect":
        provider.host.answers[KEYS] = redirect(there)
    else:
        provider.host.answers[DISCOVERY] = json_answer(provider.discovery(jwks_uri=there))
    assert reason in scene.reason(provider)


def test_an_endless_chain_of_redirects_ends(scene: Scene, provider: Provider) -> None:
    provider.host.answers[KEYS] = redirect(f"{provider.issuer}{KEYS}")
    assert "more than 3 redirects" in scene.reason(provider)
    assert provider.host.asked.count(KEYS) == 4


def weak(provider: Provider) -> dict[str, Any]:
    key = rsa.generate_private_key(public_exponent=65537, key_size=1024)
    return {"keys": [{**json.loads(RSAAlgorithm.to_jwk(key.public_key())), "kid": "key"}]}


def symmetric(_: Provider) -> dict[str, Any]:
    return {"keys": [{"kty": "oct", "kid": "key", "k": urlsafe_b64encode(bytes(32)).decode()}]}


def for_encryption(provider: Provider) -> dict[str, Any]:
    return {"keys": [{**provider.jwk(), "use": "enc"}]}


def private(provider: Provider) -> dict[str, Any]:
    return {"keys": [{**json.loads(RSAAlgorithm.to_jwk(provider.key)), "kid": "key"}]}


@pytest.mark.parametrize(
    ("keys", "reason"),
    [
        (lambda one: {"keys": [one.jwk(f"key{number}") for number in range(1000)]}, "1000 keys; at most 100"),
        (lambda _: {"keys": []}, "no key that can verify a signature"),
        (weak, "no key that can verify a signature"),
        (symmetric, "no key that can verify a signature"),
        (for_encryption, "no key that can verify a signature"),
        (private, "no key that can verify a signature"),
        (lambda one: [one.jwk()], "not a JSON object"),
        (lambda one: {"keys": one.jwk()}, "no list of keys"),
    ],
)
def test_keys_that_are_too_many_or_none_are_refused(
    scene: Scene, provider: Provider, keys: Callable[[Provider], Any], reason: str
) -> None:
    provider.host.answers[KEYS] = json_answer(keys(provider))
    assert reason in scene.reason(provider)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (text_answer(b"<html>Welcome</html>", **{"Content-Type": "text/html"}), "not JSON"),
        (text_answer(b'{"keys": [], "keys": []}'), "twice"),
        (text_answer(b"[" * 100_000), "nested too deeply"),
        (text_answer(b"\x89PNG\r\n"), "codec can't decode byte 0x89"),
        (text_answer(b""), "JSON"),
        (text_answer(b"{}", 500), "answered 500"),
        (text_answer(b"", 204), "answered 204"),
        (text_answer(b"", 302), "answered 302"),
    ],
)
@pytest.mark.parametrize("path", [DISCOVERY, KEYS])
def test_an_answer_of_another_type_is_refused(
    scene: Scene, provider: Provider, path: str, answer: Answer, reason: str
) -> None:
    provider.host.answers[path] = answer
    assert reason in scene.reason(provider)


def test_the_document_of_another_issuer_is_refused(scene: Scene, provider: Provider) -> None:
    other = provider.discovery(issuer="https://accounts.google.com")
    provider.host.answers[DISCOVERY] = json_answer(other)
    assert "is of the issuer 'https://accounts.google.com', not of" in scene.reason(provider)


CHANGING, MIXED, FORBIDDEN_NAME = "changing.test", "mixed.test", "forbidden.test"
STEADY = "steady.test"
ANSWERS = {
    STEADY: [["127.0.0.1"]],
    CHANGING: [["127.0.0.1"], [FORBIDDEN]],
    MIXED: [[FORBIDDEN, "127.0.0.1"]],
    FORBIDDEN_NAME: [[FORBIDDEN]],
}


class ServerOfOtherNames(Server):
    """A broker that asks the name server, in a mount namespace of its own."""

    @property
    def user(self) -> tuple[str, ...]:
        mounting = f'mount --bind {self.folder}/resolv.conf /etc/resolv.conf && exec "$@"'
        return ("unshare", "--mount", "sh", "-c", mounting, "sh")


@pytest.fixture(scope="module")
def name_server() -> Iterator[NameServer]:
    with NameServer(ANSWERS).running() as server:
        yield server


@pytest.fixture(scope="module")
def named(tmp_path_factory: pytest.TempPathFactory, name_server: NameServer) -> Iterator[Scene]:
    folder: Path = tmp_path_factory.mktemp("named")
    name_server.write_settings(folder)
    server = ServerOfOtherNames(folder, f"sqlite:{folder / 'broker.db'}", environment=SETTINGS)
    with server.running():
        yield Scene(server, server.new_account())


def called(provider: Provider, name: str) -> Provider:
    return Provider(provider.host, f"http://{name}:{provider.host.port}")


@pytest.mark.namespaces
@pytest.mark.parametrize("name", [STEADY, MIXED])
def test_a_name_leads_to_its_admitted_addresses(
    named: Scene, provider: Provider, trap: HttpHost, name: str
) -> None:
    assert named.assume(called(provider, name))["Audience"] == AUDIENCE


@pytest.mark.namespaces
def test_a_name_that_changes_its_address_leads_nowhere(
    named: Scene, name_server: NameServer, provider: Provider, trap: HttpHost
) -> None:
    """Each connection is judged by the address that it goes to; no look-up is made between the two."""
    changing = called(provider, CHANGING)
    discovery = json_answer(changing.discovery(), Connection="close")
    changing.host.answers[DISCOVERY] = discovery
    assert f"{CHANGING} has no address that may be reached" in named.reason(changing)
    assert provider.host.asked == [DISCOVERY]
    assert name_server.asked[CHANGING] == 2


@pytest.mark.namespaces
def test_a_name_of_a_forbidden_address_leads_nowhere(
    named: Scene, provider: Provider, trap: HttpHost
) -> None:
    assert "no address that may be reached" in named.reason(called(provider, FORBIDDEN_NAME))
    assert provider.host.asked == []
