import hashlib
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.sealing.envelope import OVERHEAD, SealBroken
from broker.sealing.packing import (
    COMPRESSED_ABOVE,
    HEADER_SIZE,
    LARGEST_BODY,
    POLICY_WORDS,
    deflate,
    pack,
    unpack,
)


def deflated(body: bytes) -> bytes:
    compressor = zlib.compressobj(9, zlib.DEFLATED, -15)
    content = compressor.compress(body) + compressor.flush()
    return b"\x02" + len(content).to_bytes(3, "big") + content


@given(st.binary(max_size=2_000), st.integers(0, 4_000))
def test_what_is_packed_unpacks(body: bytes, smallest: int) -> None:
    packed = pack(body, smallest)
    assert unpack(packed) == body
    assert len(packed) >= smallest
    assert (len(packed) + OVERHEAD) % 3 == 0


@given(st.text("abc", min_size=COMPRESSED_ABOVE + 1, max_size=3_000).map(str.encode))
def test_a_long_body_is_compressed(body: bytes) -> None:
    packed = pack(body)
    assert packed[0] == 2
    assert len(packed) < len(body)
    assert unpack(packed) == body


def test_a_long_body_that_does_not_compress_stays_as_it_is() -> None:
    body = b"".join(hashlib.sha512(bytes([number])).digest() for number in range(20))
    assert pack(body)[0] == 1
    assert unpack(pack(body)) == body


def test_a_decompression_bomb_is_refused() -> None:
    bomb = deflated(bytes(50_000_000))
    assert len(bomb) < 60_000
    with pytest.raises(SealBroken, match="the seal is broken") as broken:
        unpack(bomb)
    assert "larger than" in broken.value.reason


def test_a_body_of_the_largest_size_unpacks_and_one_more_byte_is_not_packed() -> None:
    assert len(unpack(pack(bytes(LARGEST_BODY)))) == LARGEST_BODY
    with pytest.raises(ValueError, match="more than the"):
        pack(bytes(LARGEST_BODY + 1))


@pytest.mark.parametrize(
    "packed",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"\x01\x00", id="half a header"),
        pytest.param(b"\x01\x00\x00\x05abcd", id="shorter than it says"),
        pytest.param(b"\x03\x00\x00\x01a", id="a form of a newer version"),
        pytest.param(b"\x02\x00\x00\x04\xff\xff\xff\xff", id="not deflate"),
        pytest.param(deflated(b"a" * 500)[:-2], id="cut"),
        pytest.param(b"\x02\x00\x00\x04" + deflate(b"a" * 500)[:4], id="an unfinished stream"),
    ],
)
def test_what_does_not_unpack_is_a_broken_seal(packed: bytes) -> None:
    with pytest.raises(SealBroken):
        unpack(packed)


def test_the_dictionary_is_fixed_for_ever() -> None:
    assert (
        hashlib.sha256(POLICY_WORDS).hexdigest()
        == "2ff58f75ba351a89c4d623e1e8043205c3b556dd8d8d882f208f2b0e8b2d5e19"
    )
    assert HEADER_SIZE == 4
