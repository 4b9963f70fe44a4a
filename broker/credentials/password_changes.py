"""A new password for a login profile: it obeys the account's rules and is none of those that may not be used again."""

from hashlib import sha256

import msgspec

from broker.credentials.password_rules import faults_of_password, remembered_hashes
from broker.credentials.passwords import Passwords
from broker.credentials.portal_sessions import end_sessions_with_password
from broker.errors import Refusal
from broker.names.secret import SecretKey
from broker.storage.password_records import LoginProfile, PasswordPolicy
from broker.storage.records import Account
from broker.storage.store import ACCOUNTS, LOGIN_PROFILES, PASSWORD_POLICY, ROOT_LOGIN_PROFILE, Transaction


class NewPassword(msgspec.Struct, frozen=True):
    """A password that was made for a user, to be shown once."""

    account: str
    user: str
    password: SecretKey


async def find_login_profile(store: Transaction, account: str, user_name: str | None) -> LoginProfile | None:
    """The profile of a user, or of the root user for None."""
    if user_name is None:
        return await store.find(ROOT_LOGIN_PROFILE, account)
    return await store.find(LOGIN_PROFILES, account, user_name)


def mark_of(password_hash: SecretKey | None) -> str:
    """What tells one password of a profile from the next, for each hash has a salt of its own; "" without one."""
    return "" if password_hash is None else sha256(password_hash.reveal().encode()).hexdigest()[:16]


def put_login_profile(store: Transaction, account: str, profile: LoginProfile) -> None:
    store.put(ROOT_LOGIN_PROFILE if profile.user_name is None else LOGIN_PROFILES, account, profile)


async def find_password_policy(
    store: Transaction, account: str, user_name: str | None
) -> PasswordPolicy | None:
    """The account's policy, which does not concern its root user."""
    return None if user_name is None else await store.find(PASSWORD_POLICY, account)


async def change_password(
    store: Transaction,
    passwords: Passwords,
    account: str,
    profile: LoginProfile,
    password: SecretKey,
    now: float,
    *,
    is_reset_required: bool = False,
    keeping: str = "",
) -> LoginProfile:
    """The profile with the new password, as it is put; raises PasswordPolicyViolation for one that the rules forbid.

    The caller has been authorised before. What was begun with the earlier password ends, but for the session whose
    access key id is `keeping`.
    """
    policy = await find_password_policy(store, account, profile.user_name)
    await _require_fit(store, account, policy, password)
    earlier = (profile.password_hash, *profile.earlier_hashes)
    used = tuple(one for one in earlier if one is not None)[: remembered_hashes(policy)]
    if used and await passwords.is_among(used, password):
        raise _violation("Policy constraint violation with password reuse prevention during password change.")
    changed = msgspec.structs.replace(
        profile,
        password_hash=await passwords.hash(password),
        changed_at=int(now),
        is_reset_required=is_reset_required,
        # The new one is the first of those that may not be reused.
        earlier_hashes=used[: max(remembered_hashes(policy) - 1, 0)],
    )
    put_login_profile(store, account, changed)
    await end_sessions_with_password(store, account, profile.user_name, keeping)
    return changed


async def require_change(store: Transaction, account: str, profile: LoginProfile, keeping: str = "") -> None:
    """Put the profile, whose password has to be changed at the next sign-in: all that was begun with it ends now."""
    put_login_profile(store, account, msgspec.structs.replace(profile, is_reset_required=True))
    await end_sessions_with_password(store, account, profile.user_name, keeping)


async def delete_login_profile(
    store: Transaction, account: str, user_name: str | None, keeping: str = ""
) -> None:
    """Take the password away, and end what was begun with it."""
    if user_name is None:
        store.delete(ROOT_LOGIN_PROFILE, account)
    else:
        store.delete(LOGIN_PROFILES, account, user_name)
    await end_sessions_with_password(store, account, user_name, keeping)


async def _require_fit(
    store: Transaction, account: str, policy: PasswordPolicy | None, password: SecretKey
) -> None:
    record = await store.find(ACCOUNTS, "", account) or Account(account_id=account)
    for fault in faults_of_password(policy, record, password.reveal()):
        raise _violation(fault)


def _violation(message: str) -> Refusal:
    return Refusal("PasswordPolicyViolation", message)
