"""Unique ids and access key ids, made from entropy that is an argument.

Prefixes: IAM User Guide, "IAM identifiers", section "Unique identifiers". An access key id holds its account, as AWS's
do: sixteen base32 characters are eighty bits, of which the first is a marker and the next forty are the account number.
So GetAccessKeyInfo needs no look-up, and the account of a key is known before the store is read.
"""

import re
from base64 import b32encode
from functools import lru_cache

USER, ROLE, GROUP, POLICY, INSTANCE_PROFILE = "AIDA", "AROA", "AGPA", "ANPA", "AIPA"
SERVER_CERTIFICATE, SSH_PUBLIC_KEY, SERVICE_SPECIFIC_CREDENTIAL = "ASCA", "APKA", "ACCA"
ROLE_TEMPLATE_VERSION = "ARTV"  # ours: AWS's prefix is not known to us
LONG_TERM_KEY, TEMPORARY_KEY = "AKIA", "ASIA"

# Base32 (RFC 4648, section 6). Two characters are ten bits: eight look-ups read a key id.
_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
_PAIR_VALUES = {
    first + second: 32 * high + low
    for high, first in enumerate(_ALPHABET)
    for low, second in enumerate(_ALPHABET)
}

# From a random byte to a character, all equally likely; the first bit of the ninth belongs to the account.
_CHARACTERS = (_ALPHABET * 8).encode()
_NINTH = (_ALPHABET[:16] * 16, _ALPHABET[16:] * 16)

_MARKER = 1 << 79
_ACCOUNT_SHIFT = 39
_ACCOUNT_MASK = (1 << 40) - 1

UNIQUE_ID_ENTROPY = 11
CERTIFICATE_ID_ENTROPY = 20
ACCESS_KEY_ID_ENTROPY = 8

_KEY_ID = re.compile(r"[A-Za-z0-9_]{16,128}").fullmatch


def unique_id(prefix: str, entropy: bytes) -> str:
    """`prefix` and seventeen base32 characters, from at least eleven bytes of entropy."""
    if len(entropy) < UNIQUE_ID_ENTROPY:
        raise ValueError("a unique id needs eleven bytes of entropy")
    return prefix + b32encode(entropy[:UNIQUE_ID_ENTROPY]).decode()[:17]


def certificate_id(entropy: bytes) -> str:
    """The id of a signing certificate: thirty-two base32 characters, from twenty bytes of entropy."""
    if len(entropy) != CERTIFICATE_ID_ENTROPY:
        raise ValueError(f"the id of a certificate needs {CERTIFICATE_ID_ENTROPY} bytes of entropy")
    return b32encode(entropy).decode()


def access_key_id(prefix: str, account: str, entropy: bytes) -> str:
    """An access key id of `account` (twelve digits), from at least eight bytes of entropy."""
    if len(entropy) < ACCESS_KEY_ID_ENTROPY:
        raise ValueError("an access key id needs eight bytes of entropy")
    account_part, ninth = _account_part(account)
    return f"{prefix}{account_part}{ninth[entropy[0]]}{entropy[1:8].translate(_CHARACTERS).decode()}"


@lru_cache(maxsize=4096)
def _account_part(account: str) -> tuple[str, str]:
    """The eight characters that every key id of `account` has, and the 256 among which a byte chooses the ninth."""
    number = _MARKER | int(account) << _ACCOUNT_SHIFT
    characters = b32encode((number >> 40).to_bytes(5, "big")).decode()
    return characters, _NINTH[number >> _ACCOUNT_SHIFT & 1]


def is_key_id(text: str) -> bool:
    """Whether an access key could have this id, ours or imported: `accessKeyIdType` of the models."""
    return _KEY_ID(text) is not None


def account_of_access_key_id(key_id: str) -> str | None:
    """The account that `key_id` belongs to, or None where the id carries none."""
    if len(key_id) != 20:
        return None
    number = 0
    try:
        for start in range(4, 20, 2):
            number = number << 10 | _PAIR_VALUES[key_id[start : start + 2]]
    except KeyError:
        return None
    account = number >> _ACCOUNT_SHIFT & _ACCOUNT_MASK
    return f"{account:012d}" if number & _MARKER and account < 10**12 else None
