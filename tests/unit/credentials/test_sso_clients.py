"""Registrations of clients: sealed, bound to their secrets, and gone when a key may be."""

import secrets

import pytest

from broker.credentials.sso_clients import (
    REGISTERED_FOR,
    Client,
    find_client,
    is_loopback,
    is_registered_redirect,
    prove_client,
    register,
)
from broker.errors import Refusal
from broker.sealing.key import KEY_ENTROPY
from broker.sealing.keyring import RotationSchedule, new_keyring, promote, stage

NOW = 1_800_000_000.0
KEYRING = new_keyring(NOW, secrets.token_bytes(KEY_ENTROPY))
CLIENT = Client("a client", int(NOW), ("sso:account:access",), ("http://127.0.0.1/oauth/callback",))


def test_a_client_is_known_until_its_registration_expires() -> None:
    client_id, secret = register(KEYRING, CLIENT, secrets.token_bytes(32))
    assert prove_client(KEYRING, client_id, secret, NOW + REGISTERED_FOR - 1) == CLIENT
    assert find_client(KEYRING, client_id, NOW + REGISTERED_FOR) is None
    with pytest.raises(Refusal, match="InvalidClientException"):
        prove_client(KEYRING, client_id, secret, NOW + REGISTERED_FOR)


def test_a_registration_outlives_the_key_that_sealed_it() -> None:
    schedule = RotationSchedule()
    client_id, secret = register(KEYRING, CLIENT, secrets.token_bytes(32))
    staged = stage(KEYRING, NOW, secrets.token_bytes(KEY_ENTROPY))
    rotated = promote(staged, NOW + 1, schedule.open_for)
    assert prove_client(rotated, client_id, secret, NOW + REGISTERED_FOR - 1) == CLIENT


def test_a_secret_is_of_one_client() -> None:
    client_id, _ = register(KEYRING, CLIENT, secrets.token_bytes(32))
    _, other = register(KEYRING, CLIENT, secrets.token_bytes(32))
    with pytest.raises(Refusal) as caught:
        prove_client(KEYRING, client_id, other, NOW)
    assert other not in f"{caught.value.message} {caught.value.reason}"


@pytest.mark.parametrize(
    ("uri", "is_registered"),
    [
        ("http://127.0.0.1:1/oauth/callback", True),
        ("http://127.0.0.1/oauth/callback", True),
        ("http://127.0.0.1:65535/oauth/callback", True),
        ("http://[::1]:1/oauth/callback", False),
        ("http://127.0.0.1:1/oauth", False),
        ("http://127.0.0.1:1/oauth/callback/", False),
        ("https://127.0.0.1:1/oauth/callback", False),
        ("http://127.0.0.2:1/oauth/callback", False),
        ("http://127.0.0.1:1x/oauth/callback", False),
    ],
)
def test_a_redirect_is_matched_whole_but_for_the_port(uri: str, is_registered: bool) -> None:
    assert is_registered_redirect(CLIENT, uri) is is_registered


def test_only_addresses_are_loopback() -> None:
    assert is_loopback("http://[::1]:8080")
    assert not is_loopback("http://localhost:8080/")
    assert not is_loopback("http://user@127.0.0.1/")
