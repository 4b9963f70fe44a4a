"""Which passwords an account takes: laws, whatever the password."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.credentials.password_rules import (
    GENERATED_ENTROPY,
    SYMBOLS,
    faults_of_password,
    generated_password,
    is_expired,
    remembered_hashes,
)
from broker.names.secret import SecretKey
from broker.storage.password_records import LoginProfile, PasswordPolicy
from broker.storage.records import Account

ACCOUNT = Account(account_id="111122223333", name="Workloads-1", alias="workloads", email="root@Example.com1")
DAY = 24 * 3600
PROFILE = LoginProfile(user_name="alice", password_hash=SecretKey("x"), created_at=0, changed_at=1000)

# What the model admits: tab, line feed, carriage return, blank to ÿ.
passwords = st.text(st.sampled_from([*"\t\n\r", *map(chr, range(0x20, 0x100))]), min_size=1, max_size=128)
policies = st.builds(
    PasswordPolicy,
    minimum_length=st.integers(6, 128),
    require_symbols=st.booleans(),
    require_numbers=st.booleans(),
    require_uppercase_characters=st.booleans(),
    require_lowercase_characters=st.booleans(),
)


def faults(policy: PasswordPolicy | None, password: str) -> list[str]:
    return list(faults_of_password(policy, ACCOUNT, password))


@given(policies, passwords)
def test_a_password_passes_exactly_where_it_has_what_the_policy_requires(
    policy: PasswordPolicy, password: str
) -> None:
    expected = (
        len(password) >= policy.minimum_length
        and (not policy.require_symbols or any(one in SYMBOLS for one in password))
        and (not policy.require_numbers or any("0" <= one <= "9" for one in password))
        and (not policy.require_uppercase_characters or any("A" <= one <= "Z" for one in password))
        and (not policy.require_lowercase_characters or any("a" <= one <= "z" for one in password))
    )
    assert (faults(policy, password) == []) is expected


@given(policies, passwords, passwords)
def test_more_characters_never_make_a_password_worse(policy: PasswordPolicy, one: str, more: str) -> None:
    assert set(faults(policy, one + more)) <= set(faults(policy, one))


@given(passwords)
def test_without_a_policy_eight_characters_of_three_types_pass(password: str) -> None:
    types = [string.ascii_uppercase, string.ascii_lowercase, string.digits, "".join(SYMBOLS)]
    classes = sum(any(one in kind for one in password) for kind in types)
    assert (faults(None, password) == []) is (len(password) >= 8 and classes >= 3)


@pytest.mark.parametrize("password", ["Workloads-1", "wORKLOADS-1", "ROOT@example.com1"])
def test_without_a_policy_the_accounts_own_names_are_no_passwords(password: str) -> None:
    assert faults(None, password) == ["Password should not be identical to the account name or email address"]
    assert faults(PasswordPolicy(), password) == []


def test_an_account_without_names_forbids_none() -> None:
    assert list(faults_of_password(None, Account(account_id="111122223333"), "Secret-123")) == []


@pytest.mark.parametrize(("age", "expired"), [(0, False), (30 * DAY - 1, False), (30 * DAY, True)])
def test_a_password_expires_by_the_age_that_the_policy_says(age: int, expired: bool) -> None:
    assert is_expired(PasswordPolicy(maximum_age=30), PROFILE, PROFILE.changed_at + age) is expired
    assert not is_expired(PasswordPolicy(), PROFILE, PROFILE.changed_at + age)
    assert not is_expired(None, PROFILE, PROFILE.changed_at + age)


def test_without_a_policy_no_password_is_remembered() -> None:
    assert remembered_hashes(None) == remembered_hashes(PasswordPolicy()) == 0
    assert remembered_hashes(PasswordPolicy(reuse_prevention=24)) == 24


@given(st.binary(min_size=GENERATED_ENTROPY, max_size=GENERATED_ENTROPY), policies)
def test_a_generated_password_passes_every_policy_that_is_no_longer(
    entropy: bytes, policy: PasswordPolicy
) -> None:
    password = generated_password(entropy).reveal()
    assert faults(None, password) == []
    assert [one for one in faults(policy, password) if "minimum length" not in one] == []


def test_generated_passwords_differ_where_their_entropy_does() -> None:
    made = {generated_password(bytes([number] * GENERATED_ENTROPY)).reveal() for number in range(32)}
    assert len(made) == 32


@pytest.mark.parametrize("policy", [None, PasswordPolicy()])
@pytest.mark.parametrize(
    ("password", "said"),
    [("Aa1-" * 33, "a maximum length of 128"), ("Secret-123-Ā", "Latin-1"), ("Secret-123\x00", "Latin-1")],
)
def test_what_no_request_of_iam_could_say_is_no_password_either(
    policy: PasswordPolicy | None, password: str, said: str
) -> None:
    (fault,) = faults(policy, password)
    assert said in fault
