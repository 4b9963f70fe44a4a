"""What requests of `identitystore` name: users, groups and members of a store, by id or by ARN. Nothing is shared."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from broker.errors import Refusal
from broker.identity_store.errors import invalid, resource_not_found
from broker.identity_store.people import People
from broker.operation import Call
from broker.protocol.shapes import identitystore as shapes
from broker.storage.identity_store_records import (
    IdentityStoreRecord,
    StoreGroup,
    StoreMembership,
    StoreUser,
)

USER, GROUP, MEMBERSHIP = "USER", "GROUP", "GROUP_MEMBERSHIP"


def people_arn(kind: str, resource_id: str) -> str:
    """`kind` is user, group or membership."""
    return f"arn:aws:identitystore:::{kind}/{resource_id}"


def user_reference(record: IdentityStoreRecord, user: StoreUser) -> dict[str, str]:
    """What names a user in every answer, by the names of our shapes."""
    return {
        "identity_store_id": record.store_id,
        "user_id": user.user_id,
        "user_arn": people_arn("user", user.user_id),
        "revision": str(user.version),
    }


def group_reference(record: IdentityStoreRecord, group: StoreGroup) -> dict[str, str]:
    return {
        "identity_store_id": record.store_id,
        "group_id": group.group_id,
        "group_arn": people_arn("group", group.group_id),
        "revision": str(group.version),
    }


def bare_id(given: str) -> str:
    return given.rpartition("/")[2].lower()


async def named_user(people: People, given: str) -> StoreUser:
    user = await people.find_user(bare_id(given))
    if user is None:
        raise resource_not_found(USER, "USER not found.")
    return user


async def named_group(people: People, given: str) -> StoreGroup:
    group = await people.find_group(bare_id(given))
    if group is None:
        raise resource_not_found(GROUP, "GROUP not found.")
    return group


async def named_membership(people: People, given: str) -> StoreMembership:
    found = await people.find_membership_by_id(bare_id(given))
    if found is None:
        raise resource_not_found(MEMBERSHIP, "GROUP_MEMBERSHIP not found.")
    return found


def member_of(given: shapes.MemberId) -> str:
    if given.user_id is None:
        raise invalid("MemberId has a UserId.")
    return bare_id(given.user_id)


def people_in(call: Call, record: IdentityStoreRecord) -> People:
    return People(
        call.store,
        record.shard,
        int(call.now),
        call.quotas.users_per_identity_store,
        call.quotas.groups_per_identity_store,
    )


def issuer_of(record: IdentityStoreRecord) -> str:
    """The issuer of external ids: the provider that pushes them."""
    return record.provider


def external_ids(record: IdentityStoreRecord, external_id: str) -> tuple[shapes.ExternalId, ...]:
    return (shapes.ExternalId(issuer=issuer_of(record), id=external_id),) if external_id else ()


def require_own_issuer(record: IdentityStoreRecord, given: shapes.ExternalId) -> str:
    """The external id, where the provider of the store is its issuer; else nobody has it."""
    if given.issuer != issuer_of(record):
        raise invalid(f"The issuer of an external id of this identity store is {issuer_of(record)}.")
    return given.id


def text_of(value: Any, name: str) -> str:
    """A document that has to be a text."""
    if not isinstance(value, str) or not value or len(value) > 1024:
        raise invalid(f"{name} is a text.")
    return value


@contextmanager
def service_refusals() -> Iterator[None]:
    """What SCIM does, too, is refused in the words of `identitystore`."""
    try:
        yield
    except Refusal as refusal:
        raise _as_service_refusal(refusal) from None


def _as_service_refusal(refusal: Refusal) -> Refusal:
    code = {
        "uniqueness": "ConflictException",
        "PreconditionFailed": "ConflictException",
        "QuotaExceeded": "ServiceQuotaExceededException",
        "NotFound": "ResourceNotFoundException",
    }.get(refusal.code)
    if code is not None:
        reasons = {
            "uniqueness": "UNIQUENESS_CONSTRAINT_VIOLATION",
            "PreconditionFailed": "CONCURRENT_MODIFICATION",
        }
        members = {"Reason": reasons[refusal.code]} if refusal.code in reasons else {}
        return Refusal(code, refusal.message, reason=refusal.reason, members=members)
    return invalid(refusal.message) if refusal.status == 400 else refusal
