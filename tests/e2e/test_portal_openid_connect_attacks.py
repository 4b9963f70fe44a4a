"""What attackers try at a sign-in with an OpenID provider, each refused; the journal names the check."""

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm
from jwt.api_jws import PyJWS

from tests.e2e.portal import Answer, Client
from tests.e2e.portal_federation import CLIENT, NAME, Scene, openid_scene
from tests.e2e.scenes import records
from tests.http_host import HttpHost, json_answer, text_answer
from tests.identity_providers.browser import Browser

DISCOVERY = "/.well-known/openid-configuration"
HONEST, EVIL = "honest", "evil"


class Provider:
    """One that says what a test wants."""

    def __init__(self, host: HttpHost) -> None:
        self.host = host
        self.issuer = host.url
        self.key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        jwk = {**json.loads(RSAAlgorithm.to_jwk(self.key.public_key())), "kid": "key"}
        self.host.answers = {
            DISCOVERY: json_answer(self.discovery()),
            "/keys": json_answer({"keys": [jwk]}),
        }

    def discovery(self, **changes: Any) -> dict[str, Any]:
        return {
            "issuer": self.issuer,
            "jwks_uri": f"{self.issuer}/keys",
            "authorization_endpoint": f"{self.issuer}/auth",
            "token_endpoint": f"{self.issuer}/token",
            **changes,
        }

    def entry(self, name: str) -> dict[str, Any]:
        return {"name": name, "issuer": self.issuer, "client_id": CLIENT, "client_secret": "s3cret:&"}

    def token(self, own_nonce: str, **changes: Any) -> str:
        claims = {
            "iss": self.issuer,
            "sub": "alice",
            "aud": CLIENT,
            "iat": int(time.time()),
            "exp": int(time.time()) + 300,
            "nonce": own_nonce,
            **changes,
        }
        present = {name: value for name, value in claims.items() if value is not None}
        return PyJWS().encode(json.dumps(present).encode(), self.key, "RS256", headers={"kid": "key"})

    def give(self, token: str) -> None:
        self.host.answers["/token"] = json_answer({"id_token": token, "token_type": "Bearer"})


@dataclass
class World:
    scene: Scene
    honest: Provider
    evil: Provider

    def failure(self) -> str:
        """Why the newest sign-in failed."""
        failed = [
            one
            for one in records(self.scene.server)
            if one["responseElements"] == {"ConsoleLogin": "Failure"}
        ]
        return str(failed[-1]["errorMessage"])


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with HttpHost().running() as first, HttpHost().running() as second:
        honest, evil = Provider(first), Provider(second)
        folder = tmp_path_factory.mktemp("portal")
        with openid_scene(folder, honest.entry(HONEST), evil.entry(EVIL)) as scene:
            yield World(scene, honest, evil)


def begin(client: Client, name: str) -> dict[str, str]:
    """What the browser is to tell the provider."""
    answer = client.get(f"/sign-in/with/{name}")
    assert answer.status == 303, answer.body
    query = parse_qs(urlsplit(answer.header("Location")).query)
    return {key: values[0] for key, values in query.items()}


def answer_at(client: Client, name: str, **query: str) -> Answer:
    return client.get(f"/sign-in/with/{name}/answer?{urlencode(query)}")


def is_signed_in(client: Client) -> bool:
    return client.get("/access").status == 200


def test_an_honest_answer_signs_in_and_the_client_proves_itself(world: World) -> None:
    client = Client(world.scene.server)
    asked = begin(client, HONEST)
    assert asked["response_type"] == "code"
    assert asked["code_challenge_method"] == "S256"
    assert asked["redirect_uri"] == f"{world.scene.origin}/sign-in/with/{HONEST}/answer"
    world.honest.give(world.honest.token(asked["nonce"]))
    answer = answer_at(client, HONEST, code="c", state=asked["state"])
    assert (answer.status, answer.header("Location")) == (303, "/access")
    assert is_signed_in(client)
    sent = parse_qs(world.honest.host.posted[-1])
    assert sent["grant_type"] == ["authorization_code"]
    assert len(sent["code_verifier"][0]) == 64
    assert "client_secret" not in sent, "it is in the Authorization header"


def test_an_answer_is_good_once_even_with_the_cookie_of_before(world: World) -> None:
    client = Client(world.scene.server)
    asked = begin(client, HONEST)
    before = dict(client.cookies)
    world.honest.give(world.honest.token(asked["nonce"]))
    assert answer_at(client, HONEST, code="c", state=asked["state"]).status == 303
    assert answer_at(client, HONEST, code="c", state=asked["state"]).status == 403
    thief = Client(world.scene.server, before)
    answer = answer_at(thief, HONEST, code="c", state=asked["state"])
    assert answer.status == 403
    assert "was used already" in answer.body
    assert not is_signed_in(thief)


def test_an_answer_is_good_only_in_the_browser_that_asked(world: World) -> None:
    """Else a page could sign its visitors in as its owner (login CSRF)."""
    attacker, victim = Client(world.scene.server), Client(world.scene.server)
    asked = begin(attacker, HONEST)
    world.honest.give(world.honest.token(asked["nonce"]))
    assert answer_at(victim, HONEST, code="c", state=asked["state"]).status == 403
    assert world.failure().startswith("check failed: sign-in")
    begin(victim, HONEST)
    assert answer_at(victim, HONEST, code="c", state=asked["state"]).status == 403
    assert world.failure().startswith("check failed: state")
    assert not is_signed_in(victim)


@pytest.mark.parametrize("state", ["", "0" * 64, "é"])
def test_an_answer_with_another_state_is_refused(world: World, state: str) -> None:
    client = Client(world.scene.server)
    asked = begin(client, HONEST)
    world.honest.give(world.honest.token(asked["nonce"]))
    assert answer_at(client, HONEST, code="c", state=state).status == 403
    assert world.failure().startswith("check failed: state")
    # Nor is there a second try.
    assert answer_at(client, HONEST, code="c", state=asked["state"]).status == 403


def test_providers_cannot_be_mixed_up(world: World) -> None:
    """The browser was sent to the one, and the answer comes for the other (RFC 9700, 4.4)."""
    client = Client(world.scene.server)
    asked = begin(client, EVIL)
    asked_before = len(world.honest.host.posted)
    assert answer_at(client, HONEST, code="of honest", state=asked["state"]).status == 403
    assert world.failure().startswith("check failed: sign-in")
    asked = begin(client, EVIL)
    answer = answer_at(client, EVIL, code="of honest", state=asked["state"], iss=world.honest.issuer)
    assert answer.status == 403
    assert world.failure().startswith("check failed: issuer of the answer")
    assert "of honest" not in "".join(world.evil.host.posted), "the code of another is not handed over"
    assert len(world.honest.host.posted) == asked_before


def test_a_provider_that_promises_to_name_itself_has_to(world: World) -> None:
    client = Client(world.scene.server)
    asked = begin(client, NAME)
    assert answer_at(client, NAME, code="c", state=asked["state"]).status == 403
    assert world.failure() == (
        f"check failed: issuer of the answer: found None, wanted {world.scene.provider.issuer}"
    )


def test_a_code_that_another_browser_got_is_refused_by_the_real_provider(world: World) -> None:
    """Code injection: the victim's browser is given the attacker's code, in place of its own (PKCE)."""
    provider = world.scene.provider
    attacker, victim = Client(world.scene.server), Client(world.scene.server)
    asked = begin(attacker, NAME)
    browser = Browser()
    page = browser.get(f"{provider.issuer}/auth", **asked)
    page = browser.submit(page.form("login"), login="alice", password="any")
    page = browser.submit(page.form("prompt"))
    own = begin(victim, NAME)
    query = {**page.query, "state": own["state"]}
    assert answer_at(victim, NAME, **query).status == 403
    assert "invalid_grant" in world.failure()
    assert not is_signed_in(victim)
    assert answer_at(attacker, NAME, **page.query).status == 303, "it is the attacker's own"


@pytest.mark.parametrize(
    ("changes", "check"),
    [
        ({"nonce": None}, "nonce"),
        ({"nonce": "another"}, "nonce"),
        ({"nonce": 7}, "nonce"),
        ({"nonce": ["x"]}, "nonce"),
        ({"aud": "another-client"}, "audience"),
        ({"aud": ["another-client"], "azp": CLIENT}, "audience"),
        ({"aud": [CLIENT, "another-client"], "azp": "another-client"}, "audience"),
        ({"iss": "https://accounts.google.com"}, "issuer"),
        ({"exp": 1}, "expiry"),
        ({"iat": 4_000_000_000}, "issued at"),
        ({"sub": ""}, "subject"),
        ({"sub": None}, "subject"),
    ],
)
def test_a_token_that_is_not_for_this_sign_in_is_refused(
    world: World, changes: dict[str, Any], check: str
) -> None:
    client = Client(world.scene.server)
    asked = begin(client, HONEST)
    world.honest.give(world.honest.token(asked["nonce"], **changes))
    assert answer_at(client, HONEST, code="c", state=asked["state"]).status == 403
    assert world.failure().startswith(f"check failed: {check}: "), world.failure()
    assert not is_signed_in(client)


def test_a_token_that_another_key_signed_is_refused(world: World) -> None:
    client = Client(world.scene.server)
    asked = begin(client, HONEST)
    forged = world.evil.token(asked["nonce"], iss=world.honest.issuer)
    world.honest.give(forged)
    assert answer_at(client, HONEST, code="c", state=asked["state"]).status == 403
    assert world.failure().startswith("check failed: signature")


@pytest.mark.parametrize(
    ("body", "status", "reason"),
    [
        (b"{}", 200, "no id_token"),
        (b'{"id_token": 7}', 200, "no id_token"),
        (b'{"id_token": "a.b"}', 200, "parts"),
        (b'{"error": "invalid_grant"}', 400, "invalid_grant"),
        (b'{"error": "<script>\\n"}', 400, "no error code"),
        (b"<html>", 200, "the token endpoint answered 200"),
        (b"{" * 100_000, 200, "the token endpoint answered 200"),
        (b" " * (2 << 20), 200, "answered with more than"),
        (b"", 307, "answered 307"),
    ],
)
def test_an_answer_of_the_token_endpoint_that_is_none_is_refused(
    world: World, body: bytes, status: int, reason: str
) -> None:
    client = Client(world.scene.server)
    asked = begin(client, HONEST)
    world.honest.host.answers["/token"] = text_answer(body, status, Location=f"{world.evil.issuer}/token")
    before = len(world.evil.host.posted)
    assert answer_at(client, HONEST, code="c", state=asked["state"]).status == 403
    assert reason in world.failure()
    assert len(world.evil.host.posted) == before, "secrets go where they were meant to go"


@pytest.mark.parametrize(
    "query",
    [
        "code=a&code=b&state={state}",
        "code=a&state={state}&state={state}",
        "code=&state={state}",
        "state={state}",
        "code=" + "a" * 4097 + "&state={state}",
        "error=access_denied&state={state}",
        "error=%3Cscript%3E&code=a&state={state}",
    ],
)
def test_an_answer_that_says_a_thing_twice_or_not_at_all_is_refused(world: World, query: str) -> None:
    client = Client(world.scene.server)
    asked = begin(client, HONEST)
    world.honest.give(world.honest.token(asked["nonce"]))
    answer = client.get(f"/sign-in/with/{HONEST}/answer?{query.format(state=asked['state'])}")
    assert answer.status in (400, 403)
    assert "<script>" not in answer.body
    assert not is_signed_in(client)


def test_no_parameter_leads_to_another_site(world: World) -> None:
    far = "https://evil.example/"
    client = Client(world.scene.server)
    for name in ("next", "redirect_uri", "post_logout_redirect_uri", "RelayState", "returnTo", "iss"):
        went = client.get(f"/sign-in/with/{HONEST}?{urlencode({name: far})}").header("Location")
        assert went.startswith(f"{world.honest.issuer}/auth?")
        assert "evil.example" not in went
    asked = begin(client, HONEST)
    world.honest.give(world.honest.token(asked["nonce"]))
    answer = answer_at(client, HONEST, code="c", state=asked["state"], redirect_uri=far, next=far)
    assert answer.header("Location") == "/access"


def test_a_way_to_sign_in_that_is_not_there_is_not_found(world: World) -> None:
    client = Client(world.scene.server)
    for name in ("nobody", "-", "company%2F..", "https:", "HONEST"):
        assert client.get(f"/sign-in/with/{name}").status == 404, name
        assert client.get(f"/sign-in/with/{name}/answer?code=c").status == 404, name


def test_secrets_of_a_sign_in_are_written_nowhere(world: World) -> None:
    client = Client(world.scene.server)
    asked = begin(client, HONEST)
    token = world.honest.token("another")
    world.honest.give(token)
    answer_at(client, HONEST, code="the-secret-code", state=asked["state"])
    server = world.scene.server
    written = "".join(file.read_text() for file in server.folder.glob("audit.jsonl*")) + server.log
    assert "check failed: nonce" in written
    for secret in (token, "the-secret-code", asked["state"], asked["nonce"], "s3cret"):
        assert secret not in written


def test_a_person_without_permissions_cannot_act_as_anybody(world: World) -> None:
    """Forms of the pages for users do nothing for people of providers."""
    client = Client(world.scene.server)
    asked = begin(client, HONEST)
    world.honest.give(world.honest.token(asked["nonce"]))
    answer_at(client, HONEST, code="c", state=asked["state"])
    token = client.get("/access").token
    account = world.scene.first.account_id
    assert client.post(f"/access/{account}/reader", {"csrf_token": token}).status == 404
    assert client.get(f"/access/{account}/reader").status == 404
