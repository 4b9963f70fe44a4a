"""Hashes of console passwords: argon2id (RFC 9106), in the PHC string format, which carries salt and cost.

Every function takes as long as the cost says, and blocks: `credentials.passwords` runs them in threads.
"""

from base64 import b64encode

import msgspec
from argon2 import extract_parameters
from argon2.exceptions import InvalidHashError, VerificationError
from argon2.low_level import Type, hash_secret, verify_secret

from broker.names.secret import SecretKey

SALT_SIZE = 16
DIGEST_SIZE = 32
LANES = 4

# The model's passwordType. A longer text is no password, and is not hashed.
LONGEST_PASSWORD = 128


class HashCost(msgspec.Struct, frozen=True):
    """What one hash costs; the defaults are the second recommended option of RFC 9106, section 4."""

    memory_kib: int = 64 * 1024
    passes: int = 3


def hash_password(password: SecretKey, salt: bytes, cost: HashCost) -> SecretKey:
    if len(salt) != SALT_SIZE:
        raise ValueError(f"a salt has {SALT_SIZE} bytes")
    digest = hash_secret(_bytes(password), salt, cost.passes, cost.memory_kib, LANES, DIGEST_SIZE, Type.ID)
    return SecretKey(digest.decode())


def hash_of_nothing(entropy: bytes, cost: HashCost) -> SecretKey:
    """What no password has as its hash: to verify it is the same work, and fails.

    `entropy` of SALT_SIZE + DIGEST_SIZE bytes.
    """
    if len(entropy) != SALT_SIZE + DIGEST_SIZE:
        raise ValueError(f"a hash of nothing needs {SALT_SIZE + DIGEST_SIZE} bytes of entropy")
    salt, digest = (
        b64encode(part).decode().rstrip("=") for part in (entropy[:SALT_SIZE], entropy[SALT_SIZE:])
    )
    return SecretKey(f"$argon2id$v=19$m={cost.memory_kib},t={cost.passes},p={LANES}${salt}${digest}")


def is_password(password_hash: SecretKey, unverified_password: SecretKey) -> bool:
    """Whether this is the password; what is too long for one is not, after the same work."""
    candidate = _bytes(unverified_password)
    is_too_long = len(unverified_password.reveal()) > LONGEST_PASSWORD
    try:
        verify_secret(
            password_hash.reveal().encode(),
            candidate[:LONGEST_PASSWORD] if is_too_long else candidate,
            Type.ID,
        )
    except (VerificationError, InvalidHashError):
        return False
    return not is_too_long


def is_outdated(password_hash: SecretKey, cost: HashCost) -> bool:
    """Whether the hash was made at another cost than is asked for today."""
    parameters = extract_parameters(password_hash.reveal())
    return (parameters.memory_cost, parameters.time_cost, parameters.parallelism) != (
        cost.memory_kib,
        cost.passes,
        LANES,
    )


def _bytes(password: SecretKey) -> bytes:
    """No password has a surrogate, but a request may have one in its place."""
    return password.reveal().encode("utf-8", "surrogatepass")
