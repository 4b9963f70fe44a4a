"""Key sets: what a provider publishes, and what of it may verify."""

import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from hypothesis import given
from hypothesis import strategies as st
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from broker.assertions.key_sets import MOST_KEYS, parse_key_set
from tests.unit.assertions.conftest import Provider


def key_set(*entries: Any) -> bytes:
    return json.dumps({"keys": list(entries)}).encode()


def test_keys_of_every_kind_are_read(provider: Provider) -> None:
    algorithms = {key.key_id: key.algorithms for key in provider.keys}
    assert algorithms == {
        "rsa": ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
        "p256": ("ES256",),
        "p384": ("ES384",),
        "p521": ("ES512",),
        "ed": ("EdDSA",),
    }


def test_a_key_that_states_its_algorithm_verifies_no_other(provider: Provider) -> None:
    (key,) = parse_key_set(key_set({**provider.public_jwk("rsa"), "alg": "PS256"}))
    assert key.algorithms == ("PS256",)


@pytest.mark.parametrize(
    "change",
    [
        {"use": "enc"},
        {"key_ops": ["encrypt"]},
        {"kty": "oct", "k": "c2VjcmV0"},
        {"kty": "unknown"},
        {"kty": None},
        {"alg": "HS256"},
        {"alg": "none"},
        {"kid": 7},
        {"n": 7},
        {"n": "***"},
        {"e": None},
        {"d": "AQAB"},
    ],
    ids=str,
)
def test_a_key_that_cannot_verify_is_left_out(provider: Provider, change: dict[str, Any]) -> None:
    keys = parse_key_set(key_set({**provider.public_jwk("rsa"), **change}, provider.public_jwk("p256")))
    assert [key.key_id for key in keys] == ["p256"]


def test_a_weak_rsa_key_is_left_out(provider: Provider) -> None:
    weak = rsa.generate_private_key(public_exponent=65537, key_size=1024).public_key()
    entry = {**json.loads(RSAAlgorithm.to_jwk(weak)), "kid": "weak"}
    with pytest.raises(ValueError, match="no key that can verify"):
        parse_key_set(key_set(entry))


def test_a_huge_rsa_key_is_left_out(provider: Provider) -> None:
    huge = {**provider.public_jwk("rsa"), "n": "_" * 4000}
    with pytest.raises(ValueError, match="no key that can verify"):
        parse_key_set(key_set(huge))


def test_a_point_that_is_not_on_its_curve_is_left_out(provider: Provider) -> None:
    entry = provider.public_jwk("p256")
    other = json.loads(ECAlgorithm.to_jwk(ec.generate_private_key(ec.SECP256R1()).public_key()))
    with pytest.raises(ValueError, match="no key that can verify"):
        parse_key_set(key_set({**entry, "x": other["x"]}))


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"[]",
        b"{}",
        b'{"keys":{}}',
        b'{"keys":[]}',
        b'{"keys":[1,null,"a"]}',
        b"\xff",
        b'{"keys":[],"keys":[]}',
    ],
)
def test_what_is_no_set_of_keys_is_refused(text: bytes) -> None:
    with pytest.raises(ValueError):
        parse_key_set(text)


def test_a_thousand_keys_are_refused(provider: Provider) -> None:
    with pytest.raises(ValueError, match=f"at most {MOST_KEYS}"):
        parse_key_set(key_set(*[provider.public_jwk("p256")] * 1000))


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: (
            st.lists(inner)
            | st.dictionaries(
                st.sampled_from(["keys", "kty", "n", "e", "kid", "alg", "crv", "x", "y", "use", "key_ops"]),
                inner,
            )
        ),
    )
)
def test_any_json_is_a_set_of_keys_or_refused(document: Any) -> None:
    try:
        keys = parse_key_set(json.dumps(document).encode())
    except ValueError:
        return
    assert keys


@given(
    st.dictionaries(
        st.sampled_from(["kty", "n", "e", "kid", "alg", "crv", "x", "y", "use", "key_ops"]),
        st.none()
        | st.sampled_from(["RSA", "EC", "OKP", "P-256", "Ed25519", "AQAB", "sig", "RS256"])
        | st.lists(st.none())
        | st.integers(),
    )
)
def test_any_entry_beside_a_good_key_is_left_out_or_read(entry: dict[str, Any]) -> None:
    good = json.loads(ECAlgorithm.to_jwk(_GOOD))
    keys = parse_key_set(key_set(entry, {**good, "kid": "good"}))
    assert keys[-1].key_id == "good"


_GOOD = ec.generate_private_key(ec.SECP256R1()).public_key()
