"""Which passwords an account takes, and for how long: its password policy, or IAM's own rules where it has none.

Pure. The rules: IAM User Guide, "Set an account password policy for IAM users".
"""

import re
from collections.abc import Iterator

from broker.names.secret import SecretKey
from broker.sealing.passwords import LONGEST_PASSWORD
from broker.storage.password_records import LoginProfile, PasswordPolicy
from broker.storage.records import Account

SYMBOLS = frozenset("!@#$%^&*()_+-=[]{}|'")
_DEFAULT_LENGTH = 8
_DEFAULT_CLASSES = 3
_DAY = 24 * 3600

# The model's passwordType: what requests of IAM keep already, and passwords that come another way keep by this.
_is_typed = re.compile(r"[\t\n\r\x20-\xff]*").fullmatch

_UPPERCASE = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
_LOWERCASE = frozenset("abcdefghijklmnopqrstuvwxyz")
_NUMBERS = frozenset("0123456789")


# Twenty characters of a hundred bits. No 0 and O, 1, l and I: a person types them from a screen.
_TYPED = "abcdefghijkmnpqrstuvwxyz23456789"
GENERATED_ENTROPY = 20


def generated_password(entropy: bytes) -> SecretKey:
    """A password to be typed once, from GENERATED_ENTROPY bytes: it has every type that a policy can require.

    What is the same in all of them adds nothing to what has to be guessed, and takes nothing away.
    """
    if len(entropy) != GENERATED_ENTROPY:
        raise ValueError(f"a generated password needs {GENERATED_ENTROPY} bytes of entropy")
    letters = "".join(_TYPED[byte % len(_TYPED)] for byte in entropy)
    groups = [letters[start : start + 5] for start in range(0, len(letters), 5)]
    return SecretKey(f"{'-'.join(groups)}-Aa1")


def faults_of_password(policy: PasswordPolicy | None, account: Account, password: str) -> Iterator[str]:
    """What the account's rules have against the password, in IAM's sentences; of the default rules all, without one."""
    if len(password) > LONGEST_PASSWORD:
        yield f"Password should have a maximum length of {LONGEST_PASSWORD}"
    if not _is_typed(password):
        yield "Password should have characters of Basic Latin and Latin-1 Supplement only"
    if policy is None:
        yield from _faults_by_default(account, password)
    else:
        yield from _faults_by_policy(policy, password)


def _faults_by_policy(policy: PasswordPolicy, password: str) -> Iterator[str]:
    letters = frozenset(password)
    if len(password) < policy.minimum_length:
        yield f"Password should have a minimum length of {policy.minimum_length}"
    if policy.require_uppercase_characters and not letters & _UPPERCASE:
        yield "Password should have at least one uppercase letter"
    if policy.require_lowercase_characters and not letters & _LOWERCASE:
        yield "Password should have at least one lowercase letter"
    if policy.require_numbers and not letters & _NUMBERS:
        yield "Password should have at least one number"
    if policy.require_symbols and not letters & SYMBOLS:
        yield "Password should have at least one symbol"


def _faults_by_default(account: Account, password: str) -> Iterator[str]:
    letters = frozenset(password)
    if len(password) < _DEFAULT_LENGTH:
        yield f"Password should have a minimum length of {_DEFAULT_LENGTH}"
    classes = sum(bool(letters & one) for one in (_UPPERCASE, _LOWERCASE, _NUMBERS, SYMBOLS))
    if classes < _DEFAULT_CLASSES:
        yield (
            f"Password should have characters of at least {_DEFAULT_CLASSES} of the types uppercase letters, "
            "lowercase letters, numbers and symbols"
        )
    if password.lower() in {name.lower() for name in (account.name, account.alias, account.email) if name}:
        yield "Password should not be identical to the account name or email address"


def is_expired(policy: PasswordPolicy | None, profile: LoginProfile, now: float) -> bool:
    """Whether the password is older than the policy lets it be."""
    if policy is None or not policy.maximum_age:
        return False
    return now >= profile.changed_at + policy.maximum_age * _DAY


def remembered_hashes(policy: PasswordPolicy | None) -> int:
    """How many passwords, the present one included, may not be used again."""
    return policy.reuse_prevention if policy is not None else 0
