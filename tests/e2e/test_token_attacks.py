"""The catalogue of attacks on web identity tokens: each is refused, and the journal names the check that failed."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.conftest import REACHES_LOOPBACK, Server
from tests.e2e.scenes import refused_by
from tests.e2e.token_attacks import ATTACKS, OVERSIZED, Attacker
from tests.e2e.web_identity import Scene, new_scene
from tests.http_host import HttpHost
from tests.identity_providers.openid_provider import OpenIdProvider

CODES = ("InvalidIdentityToken", "ExpiredTokenException")


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory, openid_provider: OpenIdProvider) -> Iterator[Scene]:
    """One server and one account for all attacks, whose every token has been refused since it was made."""
    folder: Path = tmp_path_factory.mktemp("attacked")
    server = Server(folder, f"sqlite:{folder / 'broker.db'}", environment=REACHES_LOOPBACK)
    with server.running():
        yield new_scene(server, server.new_account(), openid_provider)


@pytest.fixture(scope="module")
def attacker(scene: Scene) -> Iterator[Attacker]:
    with HttpHost().running() as trap:
        yield Attacker(scene.provider, scene.token(), trap.url)
        assert trap.asked == [], "the broker asked where a token told it to"


def test_what_the_attacks_begin_with_is_accepted(scene: Scene, attacker: Attacker) -> None:
    """Else each of them could be refused for another reason than its own."""
    assert scene.assume(attacker.token)
    assert scene.assume(attacker.by_the_provider())
    assert scene.assume(attacker.by_the_provider(alg="ES256"))


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_is_refused_and_the_journal_names_the_check(
    scene: Scene, attacker: Attacker, name: str
) -> None:
    make, check = ATTACKS[name]
    token = make(attacker)
    refusal = refused_by(scene.server, lambda: scene.assume(token))
    assert refusal.code in CODES
    assert refusal.reason.startswith(f"check failed: {check}: found ")
    assert refusal.reason not in refusal.message
    assert token not in refusal.written


def test_an_oversized_token_is_refused_unread(scene: Scene, attacker: Attacker) -> None:
    token = OVERSIZED(attacker)
    refusal = refused_by(scene.server, lambda: scene.assume(token))
    assert refusal.code == "ValidationError"
    assert "'webIdentityToken' failed to satisfy constraint: Member must have length less" in refusal.reason
    assert token not in refusal.written


def test_after_all_attacks_a_true_token_is_accepted(scene: Scene, attacker: Attacker) -> None:
    assert scene.assume(attacker.token)
