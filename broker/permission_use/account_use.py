"""What of an account may be unused, and what of it is: gathered from the records, then decided by plain functions."""

from collections.abc import Iterable, Iterator

import msgspec

from broker.permission_use.unused_permissions import (
    EntityPermissions,
    gather_permissions,
    seen_services,
    unused_services,
)
from broker.storage.analyzer_records import UnusedService
from broker.storage.records import AccessKey, Role, Usage, User
from broker.storage.store import ACCESS_KEYS, LOGIN_PROFILES, ROLES, USAGE, USERS, Transaction

# Roles that services and single sign-on make are theirs to use or to delete.
PATHS_OF_SERVICES = ("/aws-service-role/", "/aws-reserved/")


class AccountUse(msgspec.Struct, frozen=True):
    """Passwords are the moments at which they were made, by users in lower case; usage has the marks by id."""

    roles: tuple[Role, ...]
    users: tuple[User, ...]
    keys: tuple[AccessKey, ...]
    passwords: dict[str, int]
    usage: dict[str, Usage]
    permissions: EntityPermissions


class UnusedPermissions(msgspec.Struct, frozen=True):
    """What a user or role did not use, by service."""

    entity: User | Role
    services: tuple[UnusedService, ...]


async def gather_use(store: Transaction, account: str, since: float) -> AccountUse:
    """Permissions are of those users and roles alone that were used since: of others, none is found."""
    roles, users = await store.scan(ROLES, account), await store.scan(USERS, account)
    keys = await store.scan(ACCESS_KEYS, account)
    profiles = await store.scan(LOGIN_PROFILES, account)
    ids = [
        *(one.role_id for one in roles),
        *(one.user_id for one in users),
        *(one.access_key_id for one in keys),
    ]
    marks = await store.find_all(USAGE, account, ids)
    usage = {key: mark for key, mark in zip(ids, marks, strict=True) if mark is not None}
    return AccountUse(
        tuple(roles),
        tuple(users),
        tuple(keys),
        {(one.user_name or "").lower(): one.created_at for one in profiles},
        usage,
        await gather_permissions(store, account, list(_used(roles, users, keys, usage, since))),
    )


def _used(
    roles: Iterable[Role],
    users: Iterable[User],
    keys: Iterable[AccessKey],
    usage: dict[str, Usage],
    since: float,
) -> Iterator[Role | User]:
    recent = {key for key, mark in usage.items() if mark.last_used_at >= since}
    names = {(key.user_name or "").lower() for key in keys if key.access_key_id in recent}
    yield from (role for role in roles if role.role_id in recent)
    yield from (user for user in users if user.user_id in recent or user.user_name.lower() in names)


def is_unused(use: AccountUse, key: str, made_at: int, since: float) -> bool:
    """Whether what has this id was neither made nor used since."""
    return made_at < since and (key not in use.usage or use.usage[key].last_used_at < since)


def unused_permissions(use: AccountUse, since: float) -> Iterator[UnusedPermissions]:
    """Of users and roles that are older, and not of services."""
    services = seen_services(use.permissions)
    entities: tuple[Role | User, ...] = (*use.roles, *use.users)
    for entity in entities:
        if entity.path.startswith(PATHS_OF_SERVICES) or entity.created_at >= since:
            continue
        unused = unused_services(entity, use.permissions, services, since)
        if unused:
            yield UnusedPermissions(entity, unused)
