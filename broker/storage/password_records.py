"""Records of console passwords: their hashes, an account's rules for them, failed attempts.

As all records: frozen, append-only with defaults, times in whole epoch seconds.
"""

from broker.names.secret import SecretKey
from broker.storage.records import Record


class LoginProfile(Record, frozen=True, kw_only=True):
    """That a user signs in with a password; `user_name` None means the account's root user.

    `password_hash` None: there is no password yet (root, after CreateLoginProfile by a session of AssumeRoot).
    `earlier_hashes` are those that may not be used again, the newest first. `maximum_session_seconds` None: unset.
    """

    user_name: str | None
    password_hash: SecretKey | None
    created_at: int
    changed_at: int
    is_reset_required: bool = False
    earlier_hashes: tuple[SecretKey, ...] = ()
    maximum_session_seconds: int | None = None


class PasswordPolicy(Record, frozen=True, kw_only=True):
    """An account's own rules, with IAM's defaults; an age in days, and 0 where nothing expires or may not be reused."""

    minimum_length: int = 6
    require_symbols: bool = False
    require_numbers: bool = False
    require_uppercase_characters: bool = False
    require_lowercase_characters: bool = False
    allow_users_to_change_password: bool = False
    maximum_age: int = 0
    reuse_prevention: int = 0
    hard_expiry: bool | None = None  # None where it was never said: then answers are without it


class FailedAttempts(Record, frozen=True, kw_only=True):
    """How many attempts at passwords failed under one key, and when the last was made; expiring."""

    failures: int
    last_at: float


class AccustomedAddress(Record, frozen=True, kw_only=True):
    """That a user signed in from an address; kept under the digest of both, expiring."""

    signed_in_at: int
