"""Hashes of passwords: argon2id, in the form that every other implementation reads."""

import secrets

import argon2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.names.secret import SecretKey
from broker.sealing.passwords import (
    DIGEST_SIZE,
    LONGEST_PASSWORD,
    SALT_SIZE,
    HashCost,
    hash_of_nothing,
    hash_password,
    is_outdated,
    is_password,
)

CHEAP = HashCost(memory_kib=32, passes=1)
SALT = bytes(range(SALT_SIZE))


def test_the_default_cost_is_the_second_recommendation_of_rfc_9106() -> None:
    hashed = hash_password(SecretKey("Secret-123"), SALT, HashCost())
    assert argon2.extract_parameters(hashed.reveal()) == argon2.profiles.RFC_9106_LOW_MEMORY


def test_another_implementation_of_the_caller_verifies_the_hash() -> None:
    hashed = hash_password(SecretKey("Grüße 1"), SALT, CHEAP)
    assert argon2.PasswordHasher().verify(hashed.reveal(), "Grüße 1")


@settings(max_examples=60, deadline=None)
@given(st.text(min_size=1, max_size=LONGEST_PASSWORD), st.text(max_size=200))
def test_only_the_password_itself_is_the_password(password: str, other: str) -> None:
    hashed = hash_password(SecretKey(password), secrets.token_bytes(SALT_SIZE), CHEAP)
    assert is_password(hashed, SecretKey(password))
    assert is_password(hashed, SecretKey(other)) is (password == other)


def test_what_is_longer_than_any_password_is_none_whatever_it_begins_with() -> None:
    longest = "a" * LONGEST_PASSWORD
    hashed = hash_password(SecretKey(longest), SALT, CHEAP)
    assert is_password(hashed, SecretKey(longest))
    assert not is_password(hashed, SecretKey(longest + "a"))


@pytest.mark.parametrize("unverified", ["", "\x00", "\ud800", "x" * 100_000])
def test_whatever_is_sent_for_a_password_is_judged(unverified: str) -> None:
    hashed = hash_password(SecretKey("Secret-123"), SALT, CHEAP)
    assert not is_password(hashed, SecretKey(unverified))


def test_the_hash_of_nothing_is_verified_at_the_same_cost_and_is_no_passwords() -> None:
    nothing = hash_of_nothing(secrets.token_bytes(SALT_SIZE + DIGEST_SIZE), CHEAP)
    real = hash_password(SecretKey("Secret-123"), SALT, CHEAP)
    assert argon2.extract_parameters(nothing.reveal()) == argon2.extract_parameters(real.reveal())
    assert not is_password(nothing, SecretKey("Secret-123"))


def test_a_hash_of_another_cost_is_outdated() -> None:
    hashed = hash_password(SecretKey("Secret-123"), SALT, CHEAP)
    assert not is_outdated(hashed, CHEAP)
    assert is_outdated(hashed, HashCost(memory_kib=64, passes=1))
    assert is_outdated(hashed, HashCost(memory_kib=32, passes=2))


def test_a_hash_does_not_print_itself() -> None:
    hashed = hash_password(SecretKey("Secret-123"), SALT, CHEAP)
    assert "argon2" not in repr(hashed) + str(hashed)
