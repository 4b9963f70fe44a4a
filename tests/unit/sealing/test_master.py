import base64

import pytest

from broker.sealing.envelope import SealBroken
from broker.sealing.keyring import new_keyring
from broker.sealing.master import (
    is_sealed_by_current,
    new_master_key_text,
    open_keyring,
    parse_master_key,
    seal_keyring,
)

SECRET = bytes(range(200, 232))
OTHER = bytes(range(100, 132))
TEXT = base64.b64encode(SECRET).decode()
OTHER_TEXT = base64.b64encode(OTHER).decode()
RING = new_keyring(1_000.0, bytes(range(40)))
ENTROPY = bytes(range(16))

# RING sealed under SECRET, unnamed, by version 1: opens for ever.
GOLDEN = bytes.fromhex(
    "01fc036c881b2e078ce06519e4e13f1f04c19e73eb4c1b42cef6b356692869e3d6c6e255f5fb98da8006b2d393"
    "5692b1c3604fa8660c60249a08fc49d0ac0fe76ca68994c2cd24ee0950421ed02a465c6b286cf952135087ab17"
    "aecc8711d1a85da18734aedb37dd06380d3f2d2d1f8d5c336657ac9a025bc7"
)


@pytest.mark.parametrize(
    "spelling",
    [
        pytest.param(TEXT, id="base64"),
        pytest.param(f" {TEXT}\n", id="base64 with white space around"),
        pytest.param(TEXT.rstrip("="), id="base64 without padding"),
        pytest.param(base64.urlsafe_b64encode(SECRET).decode(), id="url-safe base64"),
        pytest.param(SECRET.hex(), id="hex"),
        pytest.param(SECRET.hex().upper(), id="upper-case hex"),
        pytest.param(SECRET, id="32 raw bytes"),
        pytest.param(f"{TEXT}\n".encode(), id="base64 read from a file"),
    ],
)
def test_every_spelling_of_a_master_key_is_the_same_key(spelling: str | bytes) -> None:
    assert parse_master_key(spelling) == parse_master_key(TEXT)


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        pytest.param("", "must be 32 bytes", id="nothing"),
        pytest.param(SECRET[:16].hex(), "must be 32 bytes", id="16 bytes in hex"),
        pytest.param(
            base64.b64encode(bytes(range(48))).decode(), "neither base64 nor hex", id="64 characters, not hex"
        ),
        pytest.param("correct horse battery staple", "neither base64 nor hex", id="a pass phrase"),
        pytest.param(b"a pass phrase of 32 characters!!", "neither base64 nor hex", id="32 bytes of ASCII"),
        pytest.param("clé", "neither base64 nor hex", id="not ASCII"),
        pytest.param("00" * 32, "repeats itself", id="zeros"),
        pytest.param("0123456789abcdef" * 4, "repeats itself", id="a pattern"),
    ],
)
def test_what_is_no_master_key_is_refused_with_a_sentence_that_does_not_quote_it(
    wrong: str | bytes, sentence: str
) -> None:
    with pytest.raises(ValueError, match=sentence) as refused:
        parse_master_key(wrong)
    shown = wrong if isinstance(wrong, str) else wrong.decode()
    assert not shown or shown not in str(refused.value)


def test_a_new_master_key_is_read_back() -> None:
    text = new_master_key_text(SECRET)
    assert parse_master_key(text) == parse_master_key(SECRET)
    with pytest.raises(ValueError, match="32 bytes of entropy"):
        new_master_key_text(SECRET[:31])


def test_a_keyring_sealed_by_the_master_opens_again() -> None:
    master = parse_master_key(TEXT)
    assert open_keyring(master, seal_keyring(master, RING, ENTROPY)) == RING


def test_a_keyring_sealed_by_version_one_still_opens() -> None:
    assert open_keyring(parse_master_key(TEXT), GOLDEN) == RING


def test_another_master_does_not_open_it() -> None:
    with pytest.raises(SealBroken):
        open_keyring(parse_master_key(OTHER_TEXT), GOLDEN)


def test_one_keyring_cannot_be_replaced_by_another() -> None:
    master = parse_master_key(TEXT)
    sealed = seal_keyring(master, RING, ENTROPY, "sessions")
    assert open_keyring(master, sealed, "sessions") == RING
    with pytest.raises(SealBroken):
        open_keyring(master, sealed, "storage")


def test_after_a_rotation_the_previous_master_opens_and_the_current_one_seals() -> None:
    rotated = parse_master_key(OTHER_TEXT, [TEXT])
    assert open_keyring(rotated, GOLDEN) == RING
    assert not is_sealed_by_current(rotated, GOLDEN)
    sealed = seal_keyring(rotated, RING, ENTROPY)
    assert is_sealed_by_current(rotated, sealed)
    assert open_keyring(parse_master_key(OTHER_TEXT), sealed) == RING


def test_the_current_master_may_be_named_among_the_previous_ones() -> None:
    assert parse_master_key(TEXT, [TEXT]) == parse_master_key(TEXT)


def test_the_repr_of_a_master_key_has_its_id_and_no_secret() -> None:
    master = parse_master_key(TEXT)
    assert len(master.id) == 16
    for secret in (TEXT, SECRET.hex(), repr(SECRET)[2:-1]):
        assert secret not in repr(master)
        assert secret not in master.id
