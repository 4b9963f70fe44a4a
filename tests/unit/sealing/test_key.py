import copy
import pickle

import pytest

from broker.sealing.key import KEY_ENTROPY, KeyMaterial, derive_key, new_key, purpose_key

ENTROPY = bytes(range(KEY_ENTROPY))
KEY = new_key(1_000.0, ENTROPY)


def test_no_repr_of_a_key_holds_its_secret() -> None:
    secret = KEY.material.reveal()
    for shown in (repr(KEY), str(KEY), repr(KEY.material), f"{KEY}"):
        assert secret.hex() not in shown
        assert repr(secret)[2:-1] not in shown
        assert "***" in shown


def test_key_material_is_never_pickled_or_copied_by_accident() -> None:
    with pytest.raises(TypeError):
        pickle.dumps(KEY.material)
    with pytest.raises(TypeError):
        copy.copy(KEY.material)


def test_purposes_have_keys_of_their_own() -> None:
    derived = {derive_key(KEY, purpose) for purpose in (b"", b"one", b"two")}
    assert len(derived) == 3
    assert KEY.material.reveal() not in derived
    assert derive_key(KEY, b"one") == derive_key(new_key(2_000.0, ENTROPY), b"one")
    assert len(derive_key(KEY, b"one", 64)) == 64


def test_a_purpose_key_keeps_id_state_and_times() -> None:
    key = purpose_key(KEY, b"one")
    assert (key.id, key.state, key.created_at, key.opens_until) == (
        KEY.id,
        KEY.state,
        KEY.created_at,
        KEY.opens_until,
    )
    assert key.material != KEY.material


def test_the_derivation_of_a_key_is_fixed() -> None:
    """If it changed, no existing token and no existing record would open."""
    assert (
        derive_key(KEY, b"purpose").hex()
        == "9befa79eb82945906f7d85f94accff354d6c2cbaeaccd0c938f82bf3089f3431"
    )
    assert (
        KEY.material.authenticate(b"message").hex()
        == "40dab7bcb4d3d22a8db27e7d028e7e102f1c1ff811c5f6533f4951d49a0beb1e"
    )


def test_too_little_entropy_makes_no_key() -> None:
    with pytest.raises(ValueError, match="40 bytes"):
        new_key(1_000.0, bytes(39))
    with pytest.raises(ValueError, match="32 bytes"):
        KeyMaterial(bytes(16))
