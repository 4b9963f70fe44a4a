"""The catalogue of attacks on CreateSession: each is refused, and the journal names the check that failed."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.certificate_attacks import CHANGED, ON_CERTIFICATES, ON_SIGNATURES, Attacked, new_attacked
from tests.e2e.conftest import Server
from tests.e2e.roles_anywhere import Anywhere, sent, sent_parts
from tests.e2e.scenes import records_of
from tests.workload_certificates import authority

UNTRUSTED = "Untrusted Signing Certificate"


@pytest.fixture(scope="module")
def attacked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Attacked]:
    """One server and one account for all attacks."""
    folder: Path = tmp_path_factory.mktemp("attacked")
    server = Server(folder, f"sqlite:{folder / 'broker.db'}")
    with server.running():
        root = authority()
        yield new_attacked(Anywhere.of(server, server.new_account(), root), root)


def refused(attacked: Attacked, answer: tuple[int, dict[str, Any]]) -> tuple[str, str]:
    """What the client reads and what the journal says."""
    status, said = answer
    assert status == 403, said
    (record,) = records_of(attacked.scene.server, said["request id"])
    assert record["errorCode"] == "AccessDeniedException"
    assert record["responseElements"] is None
    return said["message"], record["errorMessage"]


def test_what_the_attacks_begin_with_is_accepted(attacked: Attacked) -> None:
    """Else each of them could be refused for another reason than its own."""
    assert sent(attacked.scene.server, attacked.good)[0] == 201
    assert sent(attacked.scene.server, attacked.under(attacked.root))[0] == 201
    assert sent(attacked.scene.server, attacked.through())[0] == 201


@pytest.mark.parametrize("name", ON_CERTIFICATES)
def test_a_certificate_that_is_not_good_for_this_is_refused(attacked: Attacked, name: str) -> None:
    make, check = ON_CERTIFICATES[name]
    message, reason = refused(attacked, sent(attacked.scene.server, make(attacked)))
    assert message == UNTRUSTED
    assert reason.startswith(f"check failed: {check}: found "), reason


@pytest.mark.parametrize("name", ON_SIGNATURES)
def test_a_signature_that_does_not_prove_the_request_is_refused(attacked: Attacked, name: str) -> None:
    make, words = ON_SIGNATURES[name]
    _, reason = refused(attacked, sent(attacked.scene.server, make(attacked)))
    assert words in reason


@pytest.mark.parametrize("name", CHANGED)
def test_a_request_that_was_changed_after_it_was_signed_is_refused(attacked: Attacked, name: str) -> None:
    change, words = CHANGED[name]
    _, reason = refused(attacked, sent_parts(attacked.scene.server, *change(attacked)))
    assert words in reason
