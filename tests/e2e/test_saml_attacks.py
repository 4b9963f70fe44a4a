"""The catalogue of attacks on SAML responses: each is refused, and the journal names the check that failed."""

import time
from base64 import b64decode
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from lxml import etree

from tests.e2e.conftest import REACHES_LOOPBACK, Server
from tests.e2e.saml import Scene, new_scene
from tests.e2e.saml_attacks import ATTACKS, Attacker, ProviderKey, encoded, moment
from tests.e2e.scenes import refused_by
from tests.identity_providers.certificates import KeyPair
from tests.identity_providers.saml import SamlProvider, ServiceProvider
from tests.saml_wrappings import WRAPPINGS, Caught

CODES = ("InvalidIdentityToken", "ExpiredTokenException")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One for all attacks."""
    folder: Path = tmp_path_factory.mktemp("attacked")
    server = Server(folder, f"sqlite:{folder / 'broker.db'}", environment=REACHES_LOOPBACK)
    with server.running():
        yield server


@pytest.fixture(scope="module")
def scene(server: Server, saml_provider: SamlProvider) -> Scene:
    return new_scene(server, server.new_account(), saml_provider)


@pytest.fixture(scope="module")
def attacker(scene: Scene) -> Attacker:
    def caught(consumer: ServiceProvider) -> Any:
        return etree.fromstring(b64decode(scene.sign_in(consumer)))

    return Attacker(
        Caught(
            caught(ServiceProvider()), caught(ServiceProvider(signs_response=True, signs_assertion=False))
        ),
        ProviderKey(scene.provider.key_file.read_text()),
        KeyPair("a stranger"),
    )


def require_refused(scene: Scene, document: Any, check: str) -> None:
    assertion = encoded(document)
    refusal = refused_by(scene.server, lambda: scene.assume(assertion))
    assert refusal.code in CODES
    assert refusal.reason.startswith(f"check failed: {check}: found ")
    assert refusal.reason not in refusal.message
    assert assertion not in refusal.written


def test_what_the_provider_is_made_to_sign_is_accepted(scene: Scene, attacker: Attacker) -> None:
    """Else each attack could be refused for another reason than its own."""
    again = attacker.caught.bare
    again.set("ID", "_signed-again")
    assert scene.assume(encoded(attacker.signed(again)))


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_is_refused_and_the_journal_names_the_check(
    scene: Scene, attacker: Attacker, name: str
) -> None:
    make, check = ATTACKS[name]
    require_refused(scene, make(attacker), check)


@pytest.mark.parametrize("wrapped", WRAPPINGS, ids=lambda wrapped: wrapped.__name__)
def test_a_wrapped_signature_proves_nothing(
    scene: Scene, attacker: Attacker, wrapped: Callable[[Caught], Any]
) -> None:
    require_refused(scene, wrapped(attacker.caught), WRAPPINGS[wrapped])


def test_after_all_attacks_the_true_responses_are_accepted_once(scene: Scene, attacker: Attacker) -> None:
    """In whatever form: what is counted is the assertion, not the text that it came in."""
    for document in (attacker.caught.assertion_signed, attacker.caught.response_signed):
        assert scene.assume(encoded(document))
        require_refused(scene, document, "single use")
        require_refused(scene, etree.tostring(document) + b"\n", "single use")


def test_a_response_of_another_provider_is_refused(scene: Scene, attacker: Attacker) -> None:
    """The account knows both; the metadata of the second have the first one's name, and another key."""
    metadata = scene.provider.metadata()
    for line in certificates(metadata):
        metadata = metadata.replace(line, attacker.stranger.base64)
    scene.server.client("iam", scene.account.root).create_saml_provider(
        Name="other", SAMLMetadataDocument=metadata
    )
    assertion = scene.sign_in()
    other = scene.provider_arn.replace("/idp", "/other")
    refusal = refused_by(scene.server, lambda: scene.assume(assertion, PrincipalArn=other))
    assert refusal.reason.startswith("check failed: signature: found ")


def certificates(metadata: str) -> list[str]:
    """The certificates in the metadata, as they are written."""
    root = etree.fromstring(metadata.encode())
    return [element.text for element in root.iter("{http://www.w3.org/2000/09/xmldsig#}X509Certificate")]


def test_metadata_that_have_expired_prove_nothing(scene: Scene) -> None:
    """IAM takes none that have expired already: these do so while they are stored."""
    root = etree.fromstring(scene.provider.metadata().encode())
    root.set("validUntil", moment(seconds=2))
    scene.server.client("iam", scene.account.root).update_saml_provider(
        SAMLProviderArn=scene.provider_arn, SAMLMetadataDocument=etree.tostring(root, encoding="unicode")
    )
    document = b64decode(scene.sign_in())
    while moment() <= root.get("validUntil"):
        time.sleep(0.1)
    require_refused(scene, document, "metadata validity")
