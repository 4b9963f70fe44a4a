"""A person proves a console password: IAM users by name, the root user without one.

Law:
- The answer and the work are the same whether the account, the user or the password is what is wrong.
- An attempt is counted before its password is looked at, and taken back when it turns out to be right.
- That a password has expired, or has to be changed, is shown only after it was proven.
"""

import re

import msgspec

from broker.credentials.failed_attempts import (
    Counter,
    accustom,
    count_failure,
    counter,
    find_wait,
    forget,
    is_accustomed,
    network_of,
    take_back,
)
from broker.credentials.password_changes import (
    change_password,
    find_login_profile,
    find_password_policy,
    mark_of,
    put_login_profile,
)
from broker.credentials.password_rules import is_expired
from broker.credentials.passwords import Passwords, PasswordSettings
from broker.errors import Refusal, access_denied
from broker.names.arn import is_account_id
from broker.names.secret import SecretKey
from broker.storage.password_records import LoginProfile, PasswordPolicy
from broker.storage.records import Usage, User
from broker.storage.store import ACCOUNTS, USERS, Store, Transaction

_is_user_name = re.compile(r"[\w+=,.@-]{1,64}", re.ASCII).fullmatch

_INCORRECT = "Your authentication information is incorrect. Try again."
_EXPIRED = "Your password has expired. An administrator of the account has to set a new one."
_TOO_MANY = "Too many attempts. Wait a while, then try again."


class PasswordAccepted(msgspec.Struct, frozen=True):
    """Who has proven their password: `user` is None for the account's root user.

    `must_change`: before anything else a new password has to be set (`change_password_at_sign_in`).
    `password_mark` tells this password from a later one (`mark_of`). `maximum_session_seconds` is the user's
    MaxSigninSessionDuration, None where it is unset.
    """

    account_id: str
    user: User | None
    must_change: bool
    password_mark: str
    maximum_session_seconds: int | None = None


class _Claimed(msgspec.Struct, frozen=True):
    """Whom the attempt claims to be, as it was found; `fault` says what is missing, for the journal."""

    user: User | None = None
    profile: LoginProfile | None = None
    policy: PasswordPolicy | None = None
    fault: str = ""


class _Attempt(msgspec.Struct, frozen=True):
    """What an attempt at a password is counted under."""

    account_id: str
    user_name: str | None
    network: str
    of_address: Counter
    of_user: Counter

    @property
    def parts(self) -> tuple[str, ...]:
        """Account, user (none for root) and address, as they are digested."""
        return (*_parts_of(self.account_id, self.user_name), self.network)


async def check_password(
    store: Store,
    passwords: Passwords,
    account_id: str,
    user_name: str | None,
    unverified_password: SecretKey,
    address: str,
    now: float,
) -> PasswordAccepted:
    """Whose password this is; `user_name` None means the root user. None of the arguments need be proven.

    Raises Refusal: its message is for the person, its reason for the journal. Its code is
    Throttling where an attempt has to wait, or too many passwords are being checked, and otherwise AccessDenied.
    """
    accepted, _ = await _prove(store, passwords, account_id, user_name, unverified_password, address, now)
    usage = Usage(last_used_at=int(now))
    store.mark_used(account_id, accepted.user.user_id if accepted.user else account_id, usage)
    return accepted


async def change_password_at_sign_in(
    store: Store,
    passwords: Passwords,
    account_id: str,
    user_name: str | None,
    unverified_password: SecretKey,
    new_password: SecretKey,
    address: str,
    now: float,
) -> PasswordAccepted:
    """Replace a password that must be changed, after it was proven again; raises as `check_password` does.

    Raises PasswordPolicyViolation, whose message the person may read, and AccessDenied where nothing must be changed:
    other changes are iam:ChangePassword's, which asks the gate.
    """
    accepted, proven = await _prove(
        store, passwords, account_id, user_name, unverified_password, address, now
    )
    if not accepted.must_change:
        raise access_denied(_INCORRECT, reason="the password need not be changed")
    if unverified_password == new_password:
        raise Refusal("PasswordPolicyViolation", "The new password is the present one.")

    async def work(transaction: Transaction) -> LoginProfile:
        name = accepted.user.user_name if accepted.user else None
        profile = await _get_unchanged(transaction, account_id, name, proven)
        return await change_password(transaction, passwords, account_id, profile, new_password, now)

    changed = await store.transact(work)
    store.mark_used(
        account_id, accepted.user.user_id if accepted.user else account_id, Usage(last_used_at=int(now))
    )
    return msgspec.structs.replace(accepted, must_change=False, password_mark=mark_of(changed.password_hash))


async def _prove(
    store: Store,
    passwords: Passwords,
    account_id: str,
    user_name: str | None,
    unverified_password: SecretKey,
    address: str,
    now: float,
) -> tuple[PasswordAccepted, SecretKey]:
    """Who it is, and the hash of the password that is stored for them now."""
    network = network_of(address)

    async def begin(transaction: Transaction) -> tuple[_Attempt, _Claimed]:
        claimed = await _find_claimed(transaction, account_id, user_name)
        attempt = await _count(transaction, passwords.settings, account_id, user_name, network, now)
        return attempt, claimed

    attempt, claimed = await store.transact(begin)
    password_hash = claimed.profile.password_hash if claimed.profile is not None else None
    try:
        is_right = await passwords.verify(password_hash, unverified_password)
        # The second hash is made only for a proven password: its time reveals nothing new.
        is_outdated = is_right and password_hash is not None and passwords.is_outdated(password_hash)
        renewed = await passwords.hash(unverified_password) if is_outdated else password_hash
    except Refusal:
        await store.transact(lambda transaction: _take_back(transaction, attempt, now))
        raise
    if not is_right or claimed.profile is None or password_hash is None or renewed is None:
        raise access_denied(_INCORRECT, reason=claimed.fault or "the password is wrong")
    await store.transact(lambda transaction: _succeed(transaction, attempt, claimed, renewed, now))
    if is_expired(claimed.policy, claimed.profile, now) and claimed.policy and claimed.policy.hard_expiry:
        raise access_denied(_EXPIRED, reason="the password has expired, by a policy with hard expiry")
    return _accepted(account_id, claimed, claimed.profile, renewed, now), renewed


def _accepted(
    account_id: str, claimed: _Claimed, profile: LoginProfile, stored: SecretKey, now: float
) -> PasswordAccepted:
    """`stored` is the hash that is stored now."""
    must_change = profile.is_reset_required or is_expired(claimed.policy, profile, now)
    return PasswordAccepted(
        account_id, claimed.user, must_change, mark_of(stored), profile.maximum_session_seconds
    )


async def _find_claimed(store: Transaction, account_id: str, user_name: str | None) -> _Claimed:
    """Never reads in a partition that a client has made up: only where the account exists."""
    if not is_account_id(account_id) or await store.find(ACCOUNTS, "", account_id) is None:
        return _Claimed(fault="there is no such account")
    user = None
    if user_name is not None:
        user = await store.find(USERS, account_id, user_name) if _is_user_name(user_name) else None
        if user is None:
            return _Claimed(fault="there is no such user")
    name = user.user_name if user is not None else None
    profile = await find_login_profile(store, account_id, name)
    if profile is None or profile.password_hash is None:
        return _Claimed(user=user, fault=f"the {'user' if user else 'root user'} has no password")
    return _Claimed(user, profile, await find_password_policy(store, account_id, name))


async def _count(
    store: Transaction,
    settings: PasswordSettings,
    account_id: str,
    user_name: str | None,
    network: str,
    now: float,
) -> _Attempt:
    """Count the attempt as failed; raises Throttling, and counts nothing, where it comes too early."""
    parts = _parts_of(account_id, user_name)
    of_address = counter(
        settings.free_attempts_of_address, settings.longest_wait_of_address_seconds, "address", network
    )
    for_user = settings.free_attempts_of_user, settings.longest_wait_of_user_seconds
    of_user = counter(*for_user, "user", *parts)
    binding: tuple[Counter, ...] = (of_address, of_user)
    if await is_accustomed(store, *parts, network):
        of_user = counter(*for_user, "user at an accustomed address", *parts, network)
        binding = (of_user,)
    for one in binding:
        wait = await find_wait(store, one, now)
        if wait:
            reason = f"too many failed attempts of this {one.label}; the next is taken in {wait:.0f} seconds"
            raise Refusal("Throttling", _TOO_MANY, reason=reason)
    for one in (of_address, of_user):
        await count_failure(store, one, now)
    return _Attempt(account_id, user_name, network, of_address, of_user)


async def _take_back(store: Transaction, attempt: _Attempt, now: float) -> None:
    for one in (attempt.of_address, attempt.of_user):
        await take_back(store, one, now)


async def _succeed(
    store: Transaction, attempt: _Attempt, claimed: _Claimed, renewed: SecretKey, now: float
) -> None:
    """Forget the user's failures, keep those of others at this address, and a hash of today's cost.

    Raises AccessDenied where the password was changed, or taken away, while it was being proven.
    """
    assert claimed.profile is not None
    assert claimed.profile.password_hash is not None
    name = claimed.profile.user_name
    profile = await _get_unchanged(store, attempt.account_id, name, claimed.profile.password_hash)
    if profile.password_hash != renewed:
        renewed_profile = msgspec.structs.replace(profile, password_hash=renewed)
        put_login_profile(store, attempt.account_id, renewed_profile)
    await forget(store, attempt.of_user)
    await take_back(store, attempt.of_address, now)
    accustom(store, *attempt.parts, now=now)


async def _get_unchanged(
    store: Transaction, account_id: str, user_name: str | None, password_hash: SecretKey
) -> LoginProfile:
    profile = await find_login_profile(store, account_id, user_name)
    if profile is None or profile.password_hash != password_hash:
        raise access_denied(_INCORRECT, reason="the password was changed while it was being proven")
    return profile


def _parts_of(account_id: str, user_name: str | None) -> tuple[str, ...]:
    """A user's name as the store compares it; the root user has none, which is no user's name."""
    return (account_id, "" if user_name is None else f"user {user_name.lower()}")
