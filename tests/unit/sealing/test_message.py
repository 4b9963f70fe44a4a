import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.sealing.envelope import OVERHEAD, SealBroken
from broker.sealing.keyring import new_keyring, promote, stage
from broker.sealing.message import LARGEST_MESSAGE, open_fixed, open_message, seal_fixed, seal_message

NOW = 1_000.0
RING = new_keyring(NOW, bytes(range(40)))
ENTROPY = bytes(range(16))
IMDS, AUTHORIZATION = b"metadata session", b"authorization message"


@given(st.binary(max_size=1_000), st.binary(max_size=30))
def test_a_sealed_message_opens_under_its_context(message: bytes, context: bytes) -> None:
    text = seal_message(RING, IMDS, message, context, ENTROPY)
    assert open_message(RING, IMDS, text, context, NOW) == message


def test_the_token_of_one_instance_opens_on_no_other() -> None:
    text = seal_message(RING, IMDS, b"until 2000", b"i-0aaa", ENTROPY)
    with pytest.raises(SealBroken):
        open_message(RING, IMDS, text, b"i-0bbb", NOW)


def test_a_message_of_one_purpose_opens_for_no_other() -> None:
    text = seal_message(RING, IMDS, b"until 2000", b"", ENTROPY)
    with pytest.raises(SealBroken):
        open_message(RING, AUTHORIZATION, text, b"", NOW)


@given(st.integers(min_value=0), st.sampled_from("AZaz09-_"))
def test_a_changed_character_refuses(position: int, character: str) -> None:
    text = seal_message(RING, IMDS, b"until 2000", b"i-0aaa", ENTROPY)
    position %= len(text)
    changed = text[:position] + character + text[position + 1 :]
    if changed == text:
        return
    with pytest.raises(SealBroken):
        open_message(RING, IMDS, changed, b"i-0aaa", NOW)


def test_a_retired_key_opens_messages_until_its_time() -> None:
    text = seal_message(RING, IMDS, b"until 2000", b"", ENTROPY)
    after = promote(stage(RING, NOW, bytes(range(100, 140))), NOW, open_for=60)
    assert open_message(after, IMDS, text, b"", NOW + 59) == b"until 2000"
    with pytest.raises(SealBroken) as broken:
        open_message(after, IMDS, text, b"", NOW + 60)
    assert "expired at 1060" in broken.value.reason


@given(st.binary(max_size=64))
def test_a_message_of_a_fixed_size_is_sealed_as_it_is_or_not_at_all(message: bytes) -> None:
    if (OVERHEAD + len(message)) % 3:
        with pytest.raises(ValueError, match="multiple of three"):
            seal_fixed(RING, IMDS, message, b"i-0aaa", ENTROPY)
        return
    text = seal_fixed(RING, IMDS, message, b"i-0aaa", ENTROPY)
    assert len(text) == (OVERHEAD + len(message)) // 3 * 4
    assert open_fixed(RING, IMDS, text, b"i-0aaa", NOW) == message
    for purpose, context in ((IMDS, b"i-0bbb"), (AUTHORIZATION, b"i-0aaa")):
        with pytest.raises(SealBroken):
            open_fixed(RING, purpose, text, context, NOW)


def test_a_long_message_is_compressed_and_a_longer_one_refused() -> None:
    message = b'{"allowed":false,"matchedStatements":{"items":[]}}' * 100
    assert len(seal_message(RING, AUTHORIZATION, message, b"", ENTROPY)) < 1_000
    with pytest.raises(ValueError, match="over the"):
        seal_message(RING, AUTHORIZATION, _incompressible(LARGEST_MESSAGE), b"", ENTROPY)


def _incompressible(size: int) -> bytes:
    return b"".join(
        (number * 2654435761 % 2**61).to_bytes(8, "big")[2:] for number in range(1, size // 6 + 1)
    )


def test_a_message_sealed_by_version_one_still_opens() -> None:
    golden = "AQABAgMEBQYHQyDPOWQjcE2tAfv2QbL4NryDYu7s-RxOI7c1mq80R-FN6TRwy95endqX"
    assert open_message(RING, IMDS, golden, b"i-0aaa", NOW) == b"until 2000"
