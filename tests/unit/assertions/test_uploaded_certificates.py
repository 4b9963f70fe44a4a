import time
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.assertions.uploaded_certificates import (
    BrokenCertificate,
    BrokenChain,
    KeyMismatch,
    check_certificate,
    check_server_certificate,
)
from tests.certificates import ENDS, Certified, rsa_key

NOW = 1_800_000_000.0  # in January 2027
ROOT = Certified("root")
MIDDLE = Certified("middle", ROOT, key=rsa_key())
SERVER = Certified("server", MIDDLE)
STRANGER = Certified("root")
LATER, PAST = datetime(2030, 1, 1, tzinfo=UTC), datetime(2025, 1, 1, tzinfo=UTC)


def test_a_certificate_with_its_key_and_chain_is_good_until_it_expires() -> None:
    for chain in (None, MIDDLE.pem, f"\n{MIDDLE.pem}\n\n{ROOT.pem}  \n"):
        facts = check_server_certificate(SERVER.pem, SERVER.private_pem, chain, NOW)
        assert facts.expires_at == int(ENDS.timestamp())
    assert facts == check_certificate(SERVER.pem.strip(), NOW)
    assert facts.digest != check_certificate(MIDDLE.pem, NOW).digest


@pytest.mark.parametrize(
    ("chain", "index"),
    [
        ((ROOT,), -1),
        ((STRANGER,), -1),
        ((SERVER, MIDDLE), -1),
        ((ROOT, MIDDLE), -1),
        ((MIDDLE, STRANGER), 0),
        ((MIDDLE, ROOT, MIDDLE), 1),
    ],
)
def test_a_chain_that_is_out_of_order_is_refused_where_it_breaks(
    chain: tuple[Certified, ...], index: int
) -> None:
    with pytest.raises(BrokenChain) as broken:
        check_server_certificate(SERVER.pem, SERVER.private_pem, "".join(one.pem for one in chain), NOW)
    assert broken.value.index == index


@pytest.mark.parametrize(
    "chain", ["text", f"text\n{MIDDLE.pem}", f"{MIDDLE.pem}text", MIDDLE.private_pem, MIDDLE.pem * 11]
)
def test_a_chain_that_is_something_else_is_refused(chain: str) -> None:
    with pytest.raises(BrokenCertificate, match="certificate chain"):
        check_server_certificate(SERVER.pem, SERVER.private_pem, chain, NOW)


@pytest.mark.parametrize(
    ("pem", "words"),
    [
        ("", "PEM"),
        ("text", "PEM"),
        (SERVER.private_pem, "PEM"),
        (SERVER.pem.replace("M", "A"), "PEM"),
        (SERVER.pem + MIDDLE.pem, "one certificate"),
        ("-----BEGIN CERTIFICATE-----" * 500, "PEM"),
        (Certified("future", begins=LATER).pem, "not valid before 2030-01-01T00:00:00Z"),
        (Certified("past", ends=PAST).pem, "expired at 2025-01-01T00:00:00Z"),
    ],
)
def test_what_is_no_current_certificate_is_refused(pem: str, words: str) -> None:
    with pytest.raises(BrokenCertificate, match=words):
        check_certificate(pem, NOW)


def test_the_key_of_another_certificate_is_refused() -> None:
    for other in (STRANGER, MIDDLE):
        with pytest.raises(KeyMismatch):
            check_server_certificate(SERVER.pem, other.private_pem, None, NOW)


def test_a_key_that_cannot_be_read_is_refused_without_being_quoted() -> None:
    for key in ("secret text", SERVER.encrypted_pem):
        with pytest.raises(BrokenCertificate, match="private key") as refused:
            check_server_certificate(SERVER.pem, key, None, NOW)
        assert key not in str(refused.value)


def test_a_long_text_is_refused_in_time_that_is_in_proportion_to_its_length() -> None:
    began = time.process_time()
    for hostile in ("-----BEGIN CERTIFICATE-----" * 70_000, "-----END CERTIFICATE-----" * 70_000):
        with pytest.raises(BrokenCertificate):
            check_server_certificate(SERVER.pem, SERVER.private_pem, hostile, NOW)
    assert time.process_time() - began < 1


@given(st.integers(0, len(SERVER.pem) - 1), st.text("AZaz09+/=-\n \x00é", min_size=1, max_size=3))
def test_a_changed_certificate_is_read_or_refused(position: int, text: str) -> None:
    changed = SERVER.pem[:position] + text + SERVER.pem[position + len(text) :]
    try:
        assert check_certificate(changed, NOW).digest
    except BrokenCertificate as refused:
        assert str(refused)
