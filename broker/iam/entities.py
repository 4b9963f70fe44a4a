"""The named entities of an account: one table with the collection, the quota and the error texts of each kind.

AWS's error messages for missing, existing and too many entities are only here.
"""

import re
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping
from contextlib import aclosing
from typing import Any, Generic, Protocol, TypeVar

import msgspec

from broker.access.aws_managed import AnyManagedPolicy, is_service_linked_policy, is_task_policy
from broker.access.gather import find_managed_policy
from broker.errors import Refusal, validation_error
from broker.iam.rows import rows_of
from broker.names.arn import PARTITION
from broker.operation import Call
from broker.paging import Page, first_key, page_of_rows
from broker.storage import store
from broker.storage.credential_records import ServerCertificate
from broker.storage.passkey_records import Passkey, is_passkey, passkey_key
from broker.storage.records import Group, InstanceProfile, ManagedPolicy, Role, User, VirtualMfaDevice
from broker.storage.store import Collection

R = TypeVar("R", User, Group, Role, ManagedPolicy, InstanceProfile, ServerCertificate)


# The path of a policy is narrower than other paths: the model's policyPathType.
_is_arn = re.compile(r"arn:([^:]*:){4}.+", re.DOTALL).fullmatch
_POLICY_ARN = re.compile(
    r"arn:(?P<partition>aws[a-z-]*):iam::([0-9]{12}|aws):policy(/[A-Za-z0-9.,+@=_-]+)+"
).fullmatch


class ListByPath(Protocol):
    """The members that all requests for lists have."""

    @property
    def path_prefix(self) -> str | None: ...
    @property
    def marker(self) -> str | None: ...
    @property
    def max_items(self) -> int | None: ...


class Entity(msgspec.Struct, Generic[R], frozen=True):
    """One row. `resource_type` is the ARN's word; `quota` a field of Quotas and `quota_name` its name on the wire."""

    collection: Collection[R]
    resource_type: str
    missing: str
    taken: str
    quota: str
    quota_name: str


USER = Entity(
    store.USERS,
    "user",
    "The user with name {} cannot be found.",
    "User with name {} already exists.",
    "users",
    "UsersPerAccount",
)
GROUP = Entity(
    store.GROUPS,
    "group",
    "The group with name {} cannot be found.",
    "Group with name {} already exists.",
    "groups",
    "GroupsPerAccount",
)
ROLE = Entity(
    store.ROLES,
    "role",
    "The role with name {} cannot be found.",
    "Role with name {} already exists.",
    "roles",
    "RolesPerAccount",
)
POLICY = Entity(
    store.POLICIES,
    "policy",
    "Policy {} was not found.",
    "A policy called {} already exists. Duplicate names are not allowed.",
    "customer_policies",
    "PoliciesPerAccount",
)
INSTANCE_PROFILE = Entity(
    store.INSTANCE_PROFILES,
    "instance-profile",
    "Instance Profile {} cannot be found.",
    "Instance Profile {} already exists.",
    "instance_profiles",
    "InstanceProfilesPerAccount",
)
SERVER_CERTIFICATE = Entity(
    store.SERVER_CERTIFICATES,
    "server-certificate",
    "The Server Certificate with name {} cannot be found.",
    "The Server Certificate with name {} already exists.",
    "server_certificates",
    "ServerCertificatesPerAccount",
)


async def get_entity(call: Call, entity: Entity[R], name: str) -> R:
    """The entity of that name in the caller's account; raises NoSuchEntity."""
    return await call.store.get(entity.collection, call.account, name, lambda _: no_such_entity(entity, name))


async def page_by_path(call: Call, entity: Entity[R], request: ListByPath) -> Page[R]:
    """The page of the account's entities under the path that the request asks for, by name."""
    return await page_of_rows(
        _rows_under(call, entity, request),
        lambda record: entity.collection.key_of(record).lower(),
        request.marker,
        request.max_items,
    )


async def _rows_under(call: Call, entity: Entity[R], request: ListByPath) -> AsyncGenerator[R, None]:
    path, behind = request.path_prefix or "/", first_key(request.marker)
    async with aclosing(rows_of(call, entity.collection, behind, request.max_items)) as rows:
        async for record in rows:
            if record.path.startswith(path):
                yield record


async def require_new(call: Call, entity: Entity[R], name: str) -> None:
    """Raises EntityAlreadyExists where the name is taken, LimitExceeded where the account is full."""
    await require_free(call, entity, name)
    await require_room_in_account(call, entity.collection, entity.quota, entity.quota_name)


async def require_free(call: Call, entity: Entity[R], name: str) -> None:
    """Raises EntityAlreadyExists where the name is taken, in whatever case."""
    if await call.store.find(entity.collection, call.account, name):
        raise Refusal("EntityAlreadyExists", entity.taken.format(name))


def require_policy_arn(arn: str) -> None:
    """Raises ValidationError for a text that is no ARN, InvalidInput for an ARN that cannot be a managed policy's."""
    if not _is_arn(arn):
        raise validation_error("Invalid ARN:  Could not be parsed!")  # the two blanks are AWS's
    found = _POLICY_ARN(arn)
    if found is None:
        raise Refusal("InvalidInput", f"ARN {arn} is not valid.")
    if found["partition"] != PARTITION:
        raise validation_error("Invalid ARN partition")


async def get_policy(call: Call, arn: str) -> AnyManagedPolicy:
    """The managed policy of that ARN, AWS's or the account's own; raises NoSuchEntity, or as `require_policy_arn`."""
    require_policy_arn(arn)
    policy = await find_managed_policy(call.store, call.account, arn)
    if policy is None:
        raise no_such_entity(POLICY, arn)
    return policy


async def find_mfa_device(call: Call, serial_number: str) -> VirtualMfaDevice | None:
    """The virtual device of that serial number, which is its ARN, in the caller's account."""
    device = await call.store.find(store.MFA_DEVICES, call.account, serial_number.partition(":mfa/")[2])
    if device is None or device.serial_number.lower() != serial_number.lower():
        return None
    return device


async def get_mfa_device(call: Call, serial_number: str) -> VirtualMfaDevice:
    """As `find_mfa_device`; raises NoSuchEntity."""
    device = await find_mfa_device(call, serial_number)
    if device is None:
        raise no_such_mfa_device(serial_number)
    return device


def no_such_mfa_device(serial_number: str) -> Refusal:
    return Refusal("NoSuchEntity", f"MFA Device with serial number {serial_number} does not exist.")


async def find_passkey(call: Call, serial_number: str) -> Passkey | None:
    """The passkey of that serial number in the caller's account."""
    if not is_passkey(serial_number):
        return None
    passkey = await call.store.find(store.PASSKEYS, call.account, passkey_key(serial_number))
    if passkey is None or passkey.serial_number.lower() != serial_number.lower():
        return None
    return passkey


async def require_boundary(call: Call, arn: str | None) -> None:
    """Raises NoSuchEntity where `arn` is set and no managed policy could be the boundary it names.

    Raises as `require_policy_arn` where it cannot be one's ARN.
    """
    if arn is None:
        return
    require_policy_arn(arn)
    is_reserved = is_task_policy(arn) or is_service_linked_policy(arn)
    if is_reserved or await find_managed_policy(call.store, call.account, arn) is None:
        raise Refusal("NoSuchEntity", f"Scope ARN: {arn} does not exist or is not attachable.")


async def counts_of(call: Call) -> Mapping[str, int]:
    """How many records the account has, by the name of the collection (`derived_records.py`); only what it has."""
    counted = await call.store.find(store.COUNTS, call.account)
    return {} if counted is None else counted.counts


async def require_room_in_account(
    call: Call, collection: Collection[Any], quota: str, quota_name: str
) -> None:
    """Raises LimitExceeded where one more record of the collection would pass `quota` (a field of Quotas)."""
    _require_below(call, (await counts_of(call)).get(collection.name, 0), quota, quota_name)


def require_room(call: Call, present: Iterable[Any], quota: str, quota_name: str) -> None:
    """Raises LimitExceeded where one more would pass `quota` (a field of Quotas)."""
    _require_below(call, sum(1 for _ in present), quota, quota_name)


def _require_below(call: Call, number: int, quota: str, quota_name: str) -> None:
    limit = getattr(call.quotas, quota)
    if number >= limit:
        raise Refusal("LimitExceeded", f"Cannot exceed quota for {quota_name}: {limit}")


async def require_renamable(call: Call, entity: Entity[R], record: R, name: str) -> None:
    """Raises EntityAlreadyExists where another entity has `name`; a change of case is allowed."""
    holder = await call.store.find(entity.collection, call.account, name)
    if holder is not None and holder != record:
        raise Refusal("EntityAlreadyExists", entity.taken.format(name))


def require_nothing_left(*left: tuple[Any, str]) -> None:
    """Raises DeleteConflict for the first of `(what is left, what must be done first)` that is not empty."""
    for remainder, remedy in left:
        if remainder:
            raise Refusal("DeleteConflict", f"Cannot delete entity, must {remedy} first.")


def no_such_entity(entity: Entity[Any], name: str) -> Refusal:
    return Refusal("NoSuchEntity", entity.missing.format(name))


def _getter(entity: Entity[R]) -> Callable[[Call, str], Awaitable[R]]:
    async def get(call: Call, name: str) -> R:
        return await get_entity(call, entity, name)

    return get


get_user = _getter(USER)
get_group = _getter(GROUP)
get_role = _getter(ROLE)
