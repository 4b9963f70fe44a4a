import string
import tracemalloc
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.credentials.access_keys import ACCESS_KEY_ENTROPY, new_access_key_pair
from broker.names.ids import ACCESS_KEY_ID_ENTROPY, LONG_TERM_KEY, access_key_id, account_of_access_key_id

accounts = st.integers(0, 10**12 - 1).map(lambda number: f"{number:012d}")
entropies = st.binary(min_size=ACCESS_KEY_ENTROPY, max_size=ACCESS_KEY_ENTROPY)


@given(accounts, entropies)
def test_a_new_pair_has_the_form_of_aws_and_encodes_its_account(account: str, entropy: bytes) -> None:
    pair = new_access_key_pair(account, entropy)
    assert pair.access_key_id.startswith("AKIA")
    assert len(pair.access_key_id) == 20
    assert account_of_access_key_id(pair.access_key_id) == account
    assert len(pair.secret.reveal()) == 40
    assert set(pair.secret.reveal()) <= set(string.ascii_letters + string.digits + "+/")


def test_id_and_secret_come_from_different_entropy() -> None:
    pair = new_access_key_pair("123456789012", bytes(range(ACCESS_KEY_ENTROPY)))
    other_id = new_access_key_pair("123456789012", b"\xff" * 5 + bytes(range(5, ACCESS_KEY_ENTROPY)))
    assert pair.secret == other_id.secret
    assert pair.access_key_id != other_id.access_key_id


def test_a_pair_never_shows_its_secret() -> None:
    pair = new_access_key_pair("123456789012", bytes(range(ACCESS_KEY_ENTROPY)))
    assert pair.secret.reveal() not in repr(pair)


def test_too_little_entropy_makes_no_pair() -> None:
    with pytest.raises(ValueError, match="38 bytes"):
        new_access_key_pair("123456789012", bytes(37))


def test_every_character_of_a_key_id_is_as_likely_as_any_other() -> None:
    """The ninth has one bit of the account, so it has sixteen of the thirty-two values."""
    key_ids = [
        access_key_id(LONG_TERM_KEY, "123456789012", bytes([byte] * ACCESS_KEY_ID_ENTROPY))
        for byte in range(256)
    ]
    assert len({key_id[:12] for key_id in key_ids}) == 1
    assert sorted(Counter(key_id[12] for key_id in key_ids).values()) == [16] * 16
    for index in range(13, 20):
        assert sorted(Counter(key_id[index] for key_id in key_ids).values()) == [8] * 32


def test_too_little_entropy_makes_no_key_id() -> None:
    with pytest.raises(ValueError, match="eight bytes"):
        access_key_id(LONG_TERM_KEY, "123456789012", bytes(ACCESS_KEY_ID_ENTROPY - 1))


def test_a_malformed_access_key_id_is_not_cached_at_any_length():
    tracemalloc.start()
    try:
        for number in range(4096):
            assert account_of_access_key_id(f"AKIA{number:08000d}") is None
        assert tracemalloc.get_traced_memory()[0] < 1 << 20
    finally:
        tracemalloc.stop()
