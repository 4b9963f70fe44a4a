"""Who of a provider's people is admitted: where the provider has an identity store, the active users in it alone.

The law:

1. A provider without an identity store admits whom it vouches for. With one, it admits only people who are exactly one
   active user of the store.
2. What is not proven matches nobody: a claim that is absent, empty or several values; an e-mail address that the
   provider has not verified.
3. A session of a role remembers which users it was given to, and ends with the next request once one of them is
   inactive or gone, for good: who is active again begins a new one. Sessions that are assumed with it end likewise.
4. Groups of a store give nothing.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from broker.access.caller import Caller
from broker.assertions.checks import Checks
from broker.errors import Refusal, access_denied
from broker.names.arn import parse_arn
from broker.sealing.claims import AssumedRoleClaims, ScopedClaims, SessionClaims
from broker.storage.identity_store_records import (
    EXTERNAL_ID,
    USER,
    IdentityStoreRecord,
    StoreUser,
    external_id_key,
    user_name_key,
)
from broker.storage.people_collections import (
    IDENTITY_STORES,
    PROVIDER_IDENTITY_STORES,
    STORE_NAMES,
    STORE_USERS,
)
from broker.storage.store import Transaction

CHECK = "identity store"
_EMAIL, _EMAIL_VERIFIED = "email", "email_verified"


class ProvenPerson(msgspec.Struct, frozen=True):
    """A person as a provider vouches for them: its own identifier, and what else it says, by its names.

    INVARIANT: all of it is proven.
    """

    subject: str
    claims: Mapping[str, Any]


async def find_store_of(store: Transaction, account: str, provider: str) -> IdentityStoreRecord | None:
    """The identity store of a provider, which `account`'s trust policies call so; None where it has none."""
    named = await store.find(PROVIDER_IDENTITY_STORES, account, provider)
    return None if named is None else await store.find(IDENTITY_STORES, account, named.store_id)


async def admitted(
    store: Transaction, account: str, provider: str, person: ProvenPerson, checks: Checks
) -> tuple[str, ...]:
    """The references of the users that the person is, for sessions; () where the provider has no identity store.

    Raises CheckFailed where it has one that does not admit the person.
    """
    identity_store = await find_store_of(store, account, provider)
    if identity_store is None:
        return ()
    return (await admitted_by(store, identity_store, person, checks),)


async def admitted_by(
    store: Transaction, identity_store: IdentityStoreRecord, person: ProvenPerson, checks: Checks
) -> str:
    """The reference of the user of the store that the person is; raises CheckFailed where that is no active one."""
    value = matched_value(identity_store, person)
    user = None if value is None else await _find_matched(store, identity_store, value)
    checks.require(
        CHECK,
        user is not None and user.is_active,
        found=_found(identity_store, value, user),
        wanted=f"an active user of {identity_store.arn}",
    )
    assert user is not None, "it was required"
    return _reference(identity_store, user)


async def require_admitted(store: Transaction, arn: str, person: ProvenPerson, since: int) -> None:
    """Raises AccessDenied unless the person is a user of the store with this ARN, active since `since` or before.

    "" means no store.
    """
    if not arn:
        return
    checks, parsed = Checks(), parse_arn(arn)
    identity_store = await store.find(IDENTITY_STORES, parsed.account, parsed.resource.rpartition("/")[2])
    if identity_store is None:
        raise _out(f"check failed: {CHECK}: there is no {arn}")
    value = matched_value(identity_store, person)
    user = None if value is None else await _find_matched(store, identity_store, value)
    if user is None or not user.is_active:
        failed = checks.fail(CHECK, found=_found(identity_store, value, user), wanted="an active user")
        raise _out(f"check failed: {failed}")
    if since < user.active_since:
        raise _out(f"check failed: {CHECK}: user {user.user_id} was not active in between")


def _out(reason: str) -> Refusal:
    return access_denied("You are not admitted here any more.", reason=reason)


def matched_value(identity_store: IdentityStoreRecord, person: ProvenPerson) -> str | None:
    """What names the person in the store; None where the provider does not say it, or has not verified it. Pure."""
    claim = identity_store.claim
    if not claim:
        return person.subject or None
    if claim == _EMAIL and person.claims.get(_EMAIL_VERIFIED, True) not in (True, "true"):
        return None
    value = person.claims.get(claim)
    if isinstance(value, tuple | list):
        value = value[0] if len(value) == 1 else None
    return value if isinstance(value, str) and value else None


async def _find_matched(
    store: Transaction, identity_store: IdentityStoreRecord, value: str
) -> StoreUser | None:
    key = external_id_key(USER, value) if identity_store.matched_by == EXTERNAL_ID else user_name_key(value)
    shard = identity_store.shard
    named = await store.find(STORE_NAMES, shard, key)
    return None if named is None else await store.find(STORE_USERS, shard, named.resource_id)


def _found(identity_store: IdentityStoreRecord, value: str | None, user: StoreUser | None) -> str:
    if value is None:
        return f"no proven {identity_store.claim or 'identifier'}"
    if user is None:
        return f"no user whose {identity_store.matched_by} is {value!r}"
    return f"user {user.user_id}, who is not active"


def _reference(identity_store: IdentityStoreRecord, user: StoreUser) -> str:
    return f"{identity_store.shard}/{user.user_id}"


def store_users_of(claims: SessionClaims | None) -> tuple[str, ...]:
    """The references of the users to whom a session was given."""
    original = claims.original if isinstance(claims, ScopedClaims) else claims
    return original.store_users if isinstance(original, AssumedRoleClaims) else ()


async def why_not_admitted(store: Transaction, claims: AssumedRoleClaims) -> str:
    """The reason for the journal where a user of the session is not active any more, else ""."""
    if reason := await why_inactive(store, claims.store_users, claims.issued_at):
        return reason
    if claims.federated_provider is None:
        return ""
    identity_store = await find_store_of(store, claims.account, claims.federated_provider)
    if identity_store is None:
        return ""
    if any(one.startswith(f"{identity_store.shard}/") for one in claims.store_users):
        return ""
    return f"the session began before {claims.federated_provider} had the identity store {identity_store.arn}"


async def why_inactive(store: Transaction, references: Sequence[str], issued_at: int) -> str:
    """The reason where a user is not active, or has not been all the time since `issued_at`; else ""."""
    for reference in references:
        shard, _, user_id = reference.rpartition("/")
        user = await store.find(STORE_USERS, shard, user_id)
        if user is None or not user.is_active:
            state = "was deleted" if user is None else "is not active"
            return f"user {user_id} of the identity store {shard}, whose session it is, {state}"
        if issued_at < user.active_since:
            return f"user {user_id} of the identity store {shard}, whose session it is, was not active in between"
    return ""


async def with_store_users(
    store: Transaction, caller: Caller, person: ProvenPerson, checks: Checks
) -> Caller:
    """The subject of a provider, before it takes a role, as the user of the provider's store; raises CheckFailed."""
    asserted, provider = caller.asserted, caller.federated_provider
    assert asserted is not None and provider is not None, "the proof of a provider's person made the caller"
    users = await admitted(store, asserted.account, provider, person, checks)
    if not users:
        return caller
    return caller.given_to(users)
