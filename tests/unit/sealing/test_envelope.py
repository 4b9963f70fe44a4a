"""The law of envelopes, as properties."""

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from broker.sealing.envelope import NONCE_ENTROPY, OVERHEAD, SealBroken, key_of, open_, open_with, seal
from broker.sealing.keyring import Keyring, new_keyring, promote, stage

RING = new_keyring(1_000.0, bytes(range(40)))
OTHER_RING = new_keyring(1_000.0, bytes(range(40, 80)))
ENTROPY = bytes(range(NONCE_ENTROPY))

messages = st.binary(max_size=200)
entropies = st.binary(min_size=NONCE_ENTROPY, max_size=NONCE_ENTROPY)

# Sealed by version 1 of the envelope, with the key, entropy, context and message of this file: opens for ever.
GOLDEN = bytes.fromhex(
    "0100010203040506071f3ab12586f318ed3c3f14640711cb03f03cd9d58cfa4020263b52e639fa026fc352c0"
)


def sealed(message: bytes = b"message", context: bytes = b"context") -> bytes:
    return seal(RING.primary, message, context, ENTROPY)


@given(messages, messages, entropies)
def test_what_is_sealed_opens_again(message: bytes, context: bytes, entropy: bytes) -> None:
    envelope = seal(RING.primary, message, context, entropy)
    assert open_(RING, envelope, context) == message
    assert len(envelope) == len(message) + OVERHEAD


@given(messages, st.integers(min_value=0), st.integers(0, 7))
def test_one_flipped_bit_anywhere_refuses(message: bytes, position: int, bit: int) -> None:
    envelope = bytearray(sealed(message))
    envelope[position % len(envelope)] ^= 1 << bit
    with pytest.raises(SealBroken):
        open_(RING, bytes(envelope), b"context")


@given(messages, messages)
def test_an_envelope_opens_under_no_other_context(context: bytes, other_context: bytes) -> None:
    assume(context != other_context)
    with pytest.raises(SealBroken) as broken:
        open_(RING, sealed(b"message", context), other_context)
    assert "another context" in broken.value.reason


@given(st.integers(min_value=0, max_value=10_000))
def test_a_truncated_envelope_refuses(length: int) -> None:
    envelope = sealed()
    with pytest.raises(SealBroken):
        open_(RING, envelope[: length % len(envelope)], b"context")


def test_an_appended_byte_refuses() -> None:
    with pytest.raises(SealBroken):
        open_(RING, sealed() + b"\0", b"context")


def test_a_key_that_the_keyring_lacks_is_refused_by_name() -> None:
    with pytest.raises(SealBroken) as broken:
        open_(OTHER_RING, sealed(), b"context")
    assert RING.primary.id.hex() in broken.value.reason


def test_another_key_under_the_same_id_refuses() -> None:
    impostor = new_keyring(1_000.0, RING.primary.id + bytes(32))
    with pytest.raises(SealBroken):
        open_(impostor, sealed(), b"context")


@pytest.mark.parametrize("version", [0, 2, 255])
def test_an_unknown_version_is_refused_by_number(version: int) -> None:
    with pytest.raises(SealBroken) as broken:
        open_(RING, bytes([version]) + sealed()[1:], b"context")
    assert broken.value.reason == f"envelope version {version} is unknown"


def test_a_client_learns_nothing_from_the_text_of_the_error() -> None:
    texts = set()
    for envelope in (b"", b"\x02" + sealed()[1:], sealed() + b"x"):
        with pytest.raises(SealBroken) as broken:
            open_(RING, envelope, b"context")
        texts.add(str(broken.value))
    assert texts == {"the seal is broken"}


def test_a_staged_key_opens_but_never_seals() -> None:
    staged = stage(RING, 2_000.0, bytes(range(100, 140)))
    ahead = promote(staged, 3_000.0, open_for=60)
    assert staged.staged is not None
    with pytest.raises(ValueError, match="a staged key never seals"):
        seal(staged.staged, b"message", b"context", ENTROPY)
    assert open_(staged, seal(ahead.primary, b"message", b"context", ENTROPY), b"context") == b"message"


def test_a_retired_key_opens_but_never_seals() -> None:
    envelope = sealed()
    after = promote(stage(RING, 2_000.0, bytes(range(100, 140))), 3_000.0, open_for=60)
    retired = after.find(RING.primary.id)
    assert retired is not None
    assert open_(after, envelope, b"context") == b"message"
    with pytest.raises(ValueError, match="a retired key never seals"):
        seal(retired, b"message", b"context", ENTROPY)


def test_short_entropy_is_refused() -> None:
    with pytest.raises(ValueError, match="16 bytes of entropy"):
        seal(RING.primary, b"message", b"context", bytes(15))


@settings(max_examples=50)
@given(messages, messages, messages, messages)
def test_repeated_entropy_never_repeats_a_nonce_for_different_messages(
    message: bytes, context: bytes, other_message: bytes, other_context: bytes
) -> None:
    first, second = sealed(message, context)[9:21], sealed(other_message, other_context)[9:21]
    assert (first == second) == ((message, context) == (other_message, other_context))


def test_another_key_chooses_another_nonce_from_the_same_entropy() -> None:
    other = seal(OTHER_RING.primary, b"message", b"context", ENTROPY)
    assert sealed()[9:21] != other[9:21]


def test_fresh_entropy_seals_the_same_message_differently() -> None:
    assert sealed() != seal(RING.primary, b"message", b"context", bytes(16))


def test_an_envelope_of_version_one_still_opens() -> None:
    assert open_(RING, GOLDEN, b"context") == b"message"


def test_an_envelope_of_one_purpose_opens_for_no_other() -> None:
    envelope = seal(RING.for_purpose(b"one").primary, b"message", b"context", ENTROPY)
    assert open_(RING.for_purpose(b"one"), envelope, b"context") == b"message"
    for ring in (RING, RING.for_purpose(b"two"), RING.for_purpose(b"one").for_purpose(b"one")):
        with pytest.raises(SealBroken):
            open_(ring, envelope, b"context")


def test_key_of_names_the_key_and_open_with_proves_it() -> None:
    ring: Keyring = stage(RING, 2_000.0, bytes(range(100, 140)))
    key = key_of(ring, sealed())
    assert key.id == RING.primary.id
    assert open_with(key, sealed(), b"context") == b"message"
