import re
import secrets

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from broker.metadata.session_tokens import (
    LONGEST_LIFE,
    TOKEN_ENTROPY,
    open_token,
    parse_life,
    seal_token,
)
from broker.sealing.envelope import SealBroken
from broker.sealing.key import KEY_ENTROPY
from broker.sealing.keyring import new_keyring, promote, stage
from tests.unit.metadata.conftest import NOW, instance

RING = new_keyring(NOW, secrets.token_bytes(KEY_ENTROPY))
HERE, THERE = instance(), instance(instance_id="i-there")


def sealed(life: int = 60) -> str:
    return seal_token(RING, HERE, now=NOW, life=life, entropy=secrets.token_bytes(TOKEN_ENTROPY))


@given(st.integers(1, LONGEST_LIFE))
def test_a_token_says_its_end(life: int):
    assert open_token(RING, HERE, sealed(life), NOW + life - 0.5) == NOW + life


@given(st.integers(1, LONGEST_LIFE), st.floats(0, 1e9))
def test_a_token_never_opens_from_its_end_on(life: int, later: float):
    with pytest.raises(SealBroken):
        open_token(RING, HERE, sealed(life), NOW + life + later)


def test_no_two_tokens_are_the_same():
    assert len({sealed() for _ in range(100)}) == 100


@pytest.mark.parametrize("now", [0.0, NOW, 2.0**40 - LONGEST_LIFE - 1])
def test_a_token_is_as_long_as_ec2s_and_fits_the_64_characters_of_awss_common_runtime(now: float):
    longest = instance(instance_id="i-" + "f" * 4096, account_id="9" * 12)
    for machine in (HERE, longest):
        entropy = secrets.token_bytes(TOKEN_ENTROPY)
        token = seal_token(RING, machine, now=now, life=LONGEST_LIFE, entropy=entropy)
        assert len(token) == 56
        assert open_token(RING, machine, token, now) == int(now) + LONGEST_LIFE


def test_a_token_of_the_version_before_opens_until_its_end():
    """Sealed by that version: after an upgrade, machines go on with the tokens that they have."""
    old = "AQABAgMEBQYHse2PxAABkjeGsOHuxJpSzPdOM82dBpXG3g2MvlhaVVICV_s4fpZ0nsRn"
    ring = new_keyring(NOW, bytes(range(KEY_ENTROPY)))
    assert open_token(ring, HERE, old, NOW + LONGEST_LIFE - 1) == NOW + LONGEST_LIFE
    for machine, now in ((HERE, NOW + LONGEST_LIFE), (THERE, NOW)):
        with pytest.raises(SealBroken):
            open_token(ring, machine, old, now)


def test_a_token_opens_for_its_own_machine_only():
    token = sealed()
    for other in (THERE, instance(account_id="999999999999")):
        with pytest.raises(SealBroken):
            open_token(RING, other, token, NOW)


def test_a_token_opens_after_its_key_has_retired_and_never_with_other_keys():
    token = sealed()
    staged = stage(RING, NOW, secrets.token_bytes(KEY_ENTROPY))
    assert open_token(promote(staged, NOW, 3600), HERE, token, NOW)
    with pytest.raises(SealBroken):
        open_token(new_keyring(NOW, secrets.token_bytes(KEY_ENTROPY)), HERE, token, NOW)


@settings(max_examples=50)
@given(st.text())
def test_what_is_no_token_does_not_open(text: str):
    with pytest.raises(SealBroken):
        open_token(RING, HERE, text, NOW)


@given(st.integers(-5, 2 * LONGEST_LIFE))
@example(0)
@example(1)
@example(LONGEST_LIFE)
@example(LONGEST_LIFE + 1)
def test_a_life_is_a_number_of_seconds_in_range(seconds: int):
    assert parse_life(str(seconds)) == (seconds if 1 <= seconds <= LONGEST_LIFE else None)


@given(st.text() | st.text(alphabet="12_.+-٣²e "))
@example("1" * 5000)
def test_what_is_no_plain_number_is_no_life(text: str):
    assume(re.fullmatch(r"\s*[0-9]{1,10}\s*", text) is None)
    assert parse_life(text) is None
