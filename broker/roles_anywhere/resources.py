"""Trust anchors, profiles, revocation lists and subjects: named by id, ARN or alias, in the caller's region."""

import re
from collections.abc import Callable
from typing import Any

import msgspec

from broker.access.resource import resource_of
from broker.audit.event import uuid_text
from broker.names.arn import roles_anywhere_arn
from broker.operation import Absent, Call, Prepare, Prepared
from broker.paging import page
from broker.roles_anywhere.refusals import invalid, not_found
from broker.storage.collection import Collection
from broker.storage.store import (
    REVOCATION_LISTS,
    TRUST_ANCHORS,
    WORKLOAD_PROFILES,
    WORKLOAD_SUBJECTS,
    Transaction,
)

SERVICE_PRINCIPAL = "rolesanywhere.amazonaws.com"

_RESERVED_ALIAS = "aws/"
_DEFAULT_PAGE, _LARGEST_PAGE = 50, 1000

_is_id = re.compile(r"[a-f0-9]{8}-(?:[a-z0-9]{4}-){3}[a-z0-9]{12}", re.ASCII).fullmatch


class RegionalKind(msgspec.Struct, frozen=True):
    """A kind of resource: `word` is part of ARNs, `title` of refusals."""

    collection: Collection[Any]
    word: str
    title: str


TRUST_ANCHOR = RegionalKind(TRUST_ANCHORS, "trust-anchor", "trust anchor")
PROFILE = RegionalKind(WORKLOAD_PROFILES, "profile", "profile")
REVOCATION_LIST = RegionalKind(REVOCATION_LISTS, "crl", "certificate revocation list")
SUBJECT = RegionalKind(WORKLOAD_SUBJECTS, "subject", "subject")
KINDS = (TRUST_ANCHOR, PROFILE, REVOCATION_LIST, SUBJECT)


def new_uuid(call: Call) -> str:
    return uuid_text(call.entropy(16))


def arn_of(call: Call, kind: RegionalKind, resource_id: str) -> str:
    return roles_anywhere_arn(call.facts.region, call.account, f"{kind.word}/{resource_id}")


def alias_arn(kind: RegionalKind, record: Any) -> str | None:
    if not record.alias:
        return None
    return roles_anywhere_arn(record.region, record.account_id, f"alias/{kind.word}/{record.alias}")


async def in_region(call: Call, kind: RegionalKind) -> list[Any]:
    """The records of the caller's account and region."""
    records = await call.store.scan(kind.collection, call.account)
    return [one for one in records if one.region == call.facts.region]


async def find_record(call: Call, kind: RegionalKind, identifier: str) -> Any:
    """By id, by ARN or by the ARN of an alias; None where there is none in the caller's account and region."""
    prefix = roles_anywhere_arn(call.facts.region, call.account, "")
    alias = identifier.removeprefix(f"{prefix}alias/{kind.word}/")
    if alias != identifier:
        return next((one for one in await in_region(call, kind) if one.alias == alias), None)
    resource_id = identifier.removeprefix(f"{prefix}{kind.word}/")
    return await find_by_id(call.store, kind, call.account, call.facts.region, resource_id)


async def find_by_id(
    store: Transaction, kind: RegionalKind, account: str, region: str, resource_id: str
) -> Any:
    if not _is_id(resource_id):
        return None
    found = await store.find(kind.collection, account, resource_id)
    return found if found is not None and found.region == region else None


def found(kind: RegionalKind, field: str) -> Prepare[Any, Any]:
    """The `prepare` of operations on the resource that the request's `field` names."""

    async def prepare(call: Call, request: Any) -> Prepared[Any] | Absent:
        identifier = getattr(request, field)
        record = await find_record(call, kind, identifier)
        if record is None:
            asked_for = identifier if identifier.startswith("arn:") else arn_of(call, kind, identifier)
            return Absent(resource_of(asked_for, None), not_found(f"the {kind.title}"))
        return Prepared(resource_of(record.arn, record), record)

    return prepare


def switched(call: Call, kind: RegionalKind, record: Any, *, enabled: bool) -> Any:
    """The record, written as enabled or disabled."""
    after = msgspec.structs.replace(record, enabled=enabled, updated_at=int(call.now))
    call.store.put(kind.collection, call.account, after)
    return after


async def require_room(call: Call, kind: RegionalKind, quota: int) -> None:
    if len(await in_region(call, kind)) >= quota:
        raise invalid(f"The account has {quota} resources of the kind {kind.title}: no more are allowed.")


async def new_alias(call: Call, kind: RegionalKind, name: str | None, own_id: str = "") -> str:
    """A checked alias, "" where none is asked for; raises ValidationException."""
    if not name:
        return ""
    if name.lower().startswith(_RESERVED_ALIAS):
        raise invalid(f"Alias names that begin with {_RESERVED_ALIAS} are reserved.")
    if any(one.alias == name and one.id != own_id for one in await in_region(call, kind)):
        raise invalid(f"Another {kind.title} has the alias {name}.")
    return name


async def changed_alias(call: Call, kind: RegionalKind, record: Any, name: str | None) -> str:
    """The alias after an update: None keeps it, "" removes it."""
    return record.alias if name is None else await new_alias(call, kind, name, record.id)


def previous_alias(before: Any, after: Any) -> str | None:
    """The alias before an update that has changed it."""
    return before.alias if before.alias and before.alias != after.alias else None


def page_of(
    records: list[Any], token: str | None, size: int | None, key: Callable[[Any], str] = lambda one: one.id
) -> tuple[tuple[Any, ...], str | None]:
    """Raises ValidationException."""
    most = _DEFAULT_PAGE if size is None else size
    if not 1 <= most <= _LARGEST_PAGE:
        raise invalid(f"pageSize is from 1 to {_LARGEST_PAGE}.")
    chosen = page(records, key, token, most)
    return chosen.items, chosen.marker
