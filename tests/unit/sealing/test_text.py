import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.sealing.envelope import SealBroken
from broker.sealing.text import decode_text, encode_text

envelopes = st.binary(max_size=300).map(lambda some: some[: len(some) // 3 * 3])


@given(envelopes)
def test_text_gives_the_envelope_back(envelope: bytes) -> None:
    text = encode_text(envelope)
    assert decode_text(text, 400) == envelope
    assert all(character.isalnum() or character in "-_" for character in text)


@given(st.text("AQgw-_+/=\n é", max_size=12))
def test_an_envelope_has_one_spelling_only(unverified_text: str) -> None:
    try:
        envelope = decode_text(unverified_text, 400)
    except SealBroken:
        return
    assert encode_text(envelope) == unverified_text


@pytest.mark.parametrize("text", ["AAA", "AAA=", "AA==", "AA+A", "AA/A", "AAA\n", "AAAé", "AA A", "A\0AA"])
def test_what_is_no_text_of_an_envelope_is_refused(text: str) -> None:
    with pytest.raises(SealBroken):
        decode_text(text, 400)


def test_a_text_that_is_too_long_is_refused_before_it_is_read() -> None:
    with pytest.raises(SealBroken) as broken:
        decode_text("é" * 404, 400)
    assert broken.value.reason == "404 characters are more than the 400 allowed"
