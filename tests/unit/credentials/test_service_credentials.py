from base64 import b64decode

import pytest

from broker.credentials.service_credentials import (
    PASSWORD_ENTROPY,
    SERVICES,
    new_service_password,
    new_service_user_name,
    password_digest,
)

ENTROPY = bytes(range(PASSWORD_ENTROPY))
NAME = "jane-at-123456789012"


def test_a_name_says_whose_it_is_and_is_taken_once() -> None:
    taken: list[str] = []
    for expected in (NAME, "jane+1-at-123456789012", "jane+2-at-123456789012"):
        assert new_service_user_name("jane", "123456789012", taken) == expected
        taken.append(expected)
    assert new_service_user_name("jane", "123456789012", taken[1:]) == NAME


@pytest.mark.parametrize("name", SERVICES)
def test_a_password_holds_all_of_its_entropy_and_an_api_key_its_name_too(name: str) -> None:
    service = SERVICES[name]
    text = new_service_password(service, NAME, ENTROPY).reveal()
    if service.key_prefix:
        alias, _, text = b64decode(text.removeprefix(service.key_prefix)).decode().partition(":")
        assert alias == NAME
    assert b64decode(text) == ENTROPY
    with pytest.raises(ValueError, match="32 bytes"):
        new_service_password(service, NAME, ENTROPY[1:])


def test_a_digest_tells_passwords_apart_and_hides_them() -> None:
    first, second = (
        new_service_password(SERVICES["codecommit.amazonaws.com"], NAME, entropy)
        for entropy in (ENTROPY, ENTROPY[::-1])
    )
    assert password_digest(first) != password_digest(second)
    assert first.reveal() not in password_digest(first).reveal()
    assert password_digest(first).reveal() not in repr(password_digest(first))
