"""The kinds of entities and their properties: the one table that create, settle and prune use."""

from typing import Any

import msgspec

from broker.declaration.attempt import Attempt
from broker.declaration.declared import DeclaredAccount
from broker.declaration.documents import DOCUMENT, INLINE_POLICIES, TRUST_POLICY
from broker.declaration.keys import ACCESS_KEYS_OF_USER
from broker.declaration.passwords import CONSOLE_PASSWORD
from broker.declaration.properties import (
    ATTACHED_POLICIES,
    BOUNDARY,
    DESCRIPTION,
    FIXED_PATH,
    GROUPS_OF_USER,
    MFA_DEVICES,
    PATH,
    PROFILE_ROLE,
    ROLE_SETTINGS,
    TAGS,
    NamedEntity,
    Property,
    require_same,
)
from broker.declaration.service_credentials import SERVICE_CREDENTIALS
from broker.iam.protection import RESERVED_PATHS
from broker.storage.records import ManagedPolicy
from broker.storage.store import GROUPS, INSTANCE_PROFILES, POLICIES, ROLES, USERS, Collection


class Kind(msgspec.Struct, frozen=True):
    """A row. `word` is the wire's (`User`), `field` the one of `DeclaredAccount`.

    `properties` are settled as soon as the entity exists, `later` once every entity exists that they may name.
    `document` is the field whose location an error of the create operation names, where the document is malformed.
    Entities below `reserved_paths` are not pruned.
    """

    word: str
    noun: str
    collection: Collection[Any]
    field: str
    properties: tuple[Property, ...]
    later: tuple[Property, ...] = ()
    document: str = ""
    reserved_paths: tuple[str, ...] = ()


POLICY = Kind(
    "Policy", "policy", POLICIES, "policies", (FIXED_PATH, DESCRIPTION, DOCUMENT, TAGS), document="document"
)
GROUP = Kind("Group", "group", GROUPS, "groups", (PATH,), (INLINE_POLICIES, ATTACHED_POLICIES))
USER = Kind(
    "User",
    "user",
    USERS,
    "users",
    (PATH, BOUNDARY, TAGS),
    (
        GROUPS_OF_USER,
        INLINE_POLICIES,
        ATTACHED_POLICIES,
        ACCESS_KEYS_OF_USER,
        MFA_DEVICES,
        CONSOLE_PASSWORD,
        SERVICE_CREDENTIALS,
    ),
)
ROLE = Kind(
    "Role",
    "role",
    ROLES,
    "roles",
    (FIXED_PATH, TRUST_POLICY, ROLE_SETTINGS, BOUNDARY, TAGS),
    (INLINE_POLICIES, ATTACHED_POLICIES),
    document="trust_policy",
    reserved_paths=RESERVED_PATHS,
)
INSTANCE_PROFILE = Kind(
    "InstanceProfile",
    "instance profile",
    INSTANCE_PROFILES,
    "instance_profiles",
    (FIXED_PATH, TAGS, PROFILE_ROLE),
)


def _target(kind: Kind, account: str, name: str, where: str, record: Any = None) -> NamedEntity:
    """Operations name an existing managed policy by its ARN, everything else by its name."""
    parameters = {f"{kind.word}Name": name}
    if isinstance(record, ManagedPolicy):
        parameters = {"PolicyArn": record.arn}
    return NamedEntity(account, kind.word, f"{kind.noun} {name}", parameters, where)


async def create_missing(attempt: Attempt, kind: Kind, account: str, name: str, wanted: Any) -> None:
    """Create the entity unless it exists."""
    attempt.means.advance()
    if await attempt.store.find(kind.collection, account, name) is not None:
        return
    target = _target(kind, account, name, wanted.where)
    parameters: dict[str, Any] = dict(target.parameters)
    for one in kind.properties:
        if one.create is not None:
            parameters |= await one.create(attempt, target, wanted)
    document = getattr(wanted, kind.document) if kind.document else None
    operation = f"Create{kind.word}"
    await attempt.perform(account, operation, parameters, "+", target.label, target.where, document)


async def settle(
    attempt: Attempt, kind: Kind, properties: tuple[Property, ...], account: str, name: str, wanted: Any
) -> None:
    """Change these properties of an existing entity to what is declared."""
    record = await attempt.store.find(kind.collection, account, name)
    assert record is not None, f"{kind.noun} {name} is created before it is settled"
    target = _target(kind, account, name, wanted.where, record)
    require_same(target, "name", kind.collection.key_of(record), name)
    for one in properties:
        if one.settle is not None:
            await one.settle(attempt, target, record, wanted)


async def settle_all(attempt: Attempt, kind: Kind, account: str, wanted: DeclaredAccount) -> None:
    """Create what is missing of a kind, and settle it at once."""
    for name, entity in getattr(wanted, kind.field).items():
        await create_missing(attempt, kind, account, name, entity)
        await settle(attempt, kind, kind.properties, account, name, entity)


async def settle_later(attempt: Attempt, kind: Kind, account: str, wanted: DeclaredAccount) -> None:
    for name, entity in getattr(wanted, kind.field).items():
        await settle(attempt, kind, kind.later, account, name, entity)


async def prune(attempt: Attempt, kind: Kind, account: str, wanted: DeclaredAccount) -> None:
    """Delete the account's entities of a kind that the file does not name; shown as one change each."""
    named = {name.lower() for name in getattr(wanted, kind.field)}
    for record in await attempt.store.scan(kind.collection, account):
        name = kind.collection.key_of(record)
        if name.lower() in named or record.path.startswith(kind.reserved_paths):
            continue
        target = _target(kind, account, name, wanted.where, record)
        for one in (*kind.properties, *kind.later):
            if one.remove is not None:
                await one.remove(attempt, target, record)
            for operation, more in one.clear(target, record) if one.clear is not None else ():
                parameters = {**target.parameters, **more}
                await attempt.perform(account, operation, parameters, "-", "", target.where)
        operation = f"Delete{kind.word}"
        await attempt.perform(account, operation, target.parameters, "-", target.label, target.where)
