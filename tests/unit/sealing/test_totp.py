import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.sealing.qr import qr_png
from broker.sealing.totp import (
    SEED_SIZE,
    base32_seed,
    enrolment_uri,
    matching_consecutive_step,
    matching_step,
    new_seed,
    totp,
)

RFC_SEED = b"12345678901234567890"  # RFC 6238, appendix B, whose eight digits end in our six
NOW = 1_111_111_111.0

seeds = st.binary(min_size=SEED_SIZE, max_size=SEED_SIZE)
moments = st.floats(min_value=0, max_value=4e9)


@pytest.mark.parametrize(
    ("seconds", "code"),
    [
        (59, "287082"),
        (1111111109, "081804"),
        (1111111111, "050471"),
        (1234567890, "005924"),
        (2000000000, "279037"),
        (20000000000, "353130"),
    ],
)
def test_the_vectors_of_the_rfc(seconds: int, code: str) -> None:
    assert totp(RFC_SEED, seconds // 30) == code
    assert matching_step(RFC_SEED, code, seconds) == seconds // 30


@given(seeds, moments)
def test_a_code_matches_the_step_it_was_made_for(seed: bytes, now: float) -> None:
    step = int(now // 30)
    found = matching_step(seed, totp(seed, step), now)
    assert found is not None
    assert totp(seed, found) == totp(seed, step)
    assert abs(found - step) <= 1


@pytest.mark.parametrize("drift", [-1, 0, 1])
def test_a_clock_one_step_off_is_accepted(drift: int) -> None:
    step = int(NOW // 30) + drift
    assert matching_step(RFC_SEED, totp(RFC_SEED, step), NOW) == step


@pytest.mark.parametrize("drift", [-20, -2, 2, 20])
def test_a_code_from_further_away_is_refused(drift: int) -> None:
    assert matching_step(RFC_SEED, totp(RFC_SEED, int(NOW // 30) + drift), NOW) is None


@pytest.mark.parametrize("code", ["", "50471", "0050471", "050471 ", "٠٥٠٤٧١", "\udc80", "abcdef"])
def test_what_is_not_the_six_digits_is_refused(code: str) -> None:
    assert matching_step(RFC_SEED, code, NOW) is None


def test_a_wider_window_accepts_more() -> None:
    step = int(NOW // 30) - 5
    assert matching_step(RFC_SEED, totp(RFC_SEED, step), NOW, window=5) == step


def test_the_first_step_of_all_has_no_step_before_it() -> None:
    assert matching_step(RFC_SEED, totp(RFC_SEED, 0), 0.0) == 0


def test_two_consecutive_codes_match_at_the_second() -> None:
    step = int(NOW // 30)
    first, second, third = (totp(RFC_SEED, step + offset) for offset in (-1, 0, 1))
    assert matching_consecutive_step(RFC_SEED, first, second, NOW) == step
    assert matching_consecutive_step(RFC_SEED, second, third, NOW) == step + 1
    assert matching_consecutive_step(RFC_SEED, second, first, NOW) is None
    assert matching_consecutive_step(RFC_SEED, first, third, NOW) is None
    assert matching_consecutive_step(RFC_SEED, first, first, NOW) is None


def test_a_seed_is_sixty_four_characters_of_base32() -> None:
    seed = new_seed(bytes(range(64)))
    text = base32_seed(seed)
    assert len(text) == 64
    assert set(text) <= set(string.ascii_uppercase + "234567")
    with pytest.raises(ValueError, match="40 bytes"):
        new_seed(bytes(39))


def test_the_enrolment_uri_escapes_the_names() -> None:
    uri = enrolment_uri(RFC_SEED, "ada/phone", "ada@example")
    assert uri == f"otpauth://totp/ada%2Fphone@ada%40example?secret={base32_seed(RFC_SEED)}"


def test_the_qr_picture_is_a_png_that_differs_with_its_text() -> None:
    picture = qr_png(enrolment_uri(RFC_SEED, "phone", "123456789012"))
    assert picture.startswith(b"\x89PNG\r\n\x1a\n")
    assert picture.endswith(b"IEND\xaeB`\x82")
    assert picture == qr_png(enrolment_uri(RFC_SEED, "phone", "123456789012"))
    assert picture != qr_png(enrolment_uri(RFC_SEED, "phone", "123456789013"))
