"""Properties of entities: how each is set at creation, changed later, and removed before the entity is deleted."""

from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import msgspec
from msgspec import UNSET

from broker.access.aws_managed import all_aws_managed
from broker.declaration.attempt import Attempt, tag_list
from broker.declaration.declared import Document, value_or
from broker.declaration.differences import describe_change, describe_changes
from broker.declaration.source import DeclarationError
from broker.iam.roles import DEFAULT_MAX_SESSION_DURATION
from broker.storage.store import POLICIES

Parameters = dict[str, Any]


class NamedEntity(msgspec.Struct, frozen=True):
    """The entity that operations change. `word` is the wire's (`User`), `parameters` name the entity there."""

    account: str
    word: str
    label: str
    parameters: dict[str, str]
    where: str

    async def change(
        self,
        attempt: Attempt,
        operation: str,
        more: Parameters,
        sign: str,
        text: str,
        document: Document | None = None,
    ) -> None:
        parameters, description = {**self.parameters, **more}, f"{self.label}: {text}"
        await attempt.perform(self.account, operation, parameters, sign, description, self.where, document)


Create = Callable[[Attempt, NamedEntity, Any], Awaitable[Parameters]]
Settle = Callable[[Attempt, NamedEntity, Any, Any], Awaitable[None]]
Remove = Callable[[Attempt, NamedEntity, Any], Awaitable[None]]
Clear = Callable[[NamedEntity, Any], Iterable[tuple[str, Parameters]]]


class Property(msgspec.Struct, frozen=True):
    """`create(attempt, target, wanted)` returns parameters for the operation that creates the entity.

    `settle(attempt, target, record, wanted)` changes the record to what is wanted; `clear(target, record)` lists the
    operations, with their parameters, that must be performed before the entity can be deleted;
    `remove(attempt, target, record)` performs those which the record alone does not tell.
    """

    create: Create | None = None
    settle: Settle | None = None
    clear: Clear | None = None
    remove: Remove | None = None


def desired(attempt: Attempt, value: Any, empty: Any) -> Any:
    """`value`; where the file has none, `empty` with --prune (the property is removed), else UNSET (not changed)."""
    return empty if value is UNSET and attempt.prune else value


def require_same(target: NamedEntity, what: str, current: Any, wanted: Any) -> None:
    """Raises DeclarationError where `wanted` differs from what can only be chosen at creation."""
    if wanted is not UNSET and wanted != current:
        raise DeclarationError(
            f"{target.where}: the {what} of {target.label} is {current!r} and cannot be changed; "
            "delete it first, or declare its current value"
        )


def chosen_at_creation(field: str, parameter: str) -> Create:
    async def create(attempt: Attempt, target: NamedEntity, wanted: Any) -> Parameters:
        return {parameter: value_or(getattr(wanted, field), None)}

    return create


def fixed(field: str, parameter: str) -> Property:
    """A string that is chosen at creation and cannot be changed."""

    async def settle(attempt: Attempt, target: NamedEntity, record: Any, wanted: Any) -> None:
        require_same(target, field, getattr(record, field), getattr(wanted, field))

    return Property(chosen_at_creation(field, parameter), settle)


async def _settle_path(attempt: Attempt, target: NamedEntity, record: Any, wanted: Any) -> None:
    path = desired(attempt, wanted.path, "/")
    if path is not UNSET and path != record.path:
        description = describe_change("path", record.path, path)
        await target.change(attempt, f"Update{target.word}", {"NewPath": path}, "~", description)


async def _create_tags(attempt: Attempt, target: NamedEntity, wanted: Any) -> Parameters:
    return {"Tags": tag_list(value_or(wanted.tags, {}))}


async def _settle_tags(attempt: Attempt, target: NamedEntity, record: Any, wanted: Any) -> None:
    current, tags = record.tags, desired(attempt, wanted.tags, {})
    if tags is UNSET:
        return
    # Tag keys are case-insensitive: removals come first, else removing `Owner` would also remove a new `owner`.
    removed = [key for key in current if key not in tags]
    if removed:
        await target.change(
            attempt, f"Untag{target.word}", {"TagKeys": removed}, "-", f"tags {', '.join(removed)}"
        )
    changed = {key: text for key, text in tags.items() if current.get(key) != text}
    if changed:
        shown = ", ".join(_describe_tag(key, text, current) for key, text in changed.items())
        await target.change(attempt, f"Tag{target.word}", {"Tags": tag_list(changed)}, "~", f"tags {shown}")


def _describe_tag(key: str, text: str, current: dict[str, str]) -> str:
    return describe_change(key, current[key], text) if key in current else f"{key}={text}"


async def _create_boundary(attempt: Attempt, target: NamedEntity, wanted: Any) -> Parameters:
    reference = value_or(wanted.permissions_boundary, None)
    return {
        "PermissionsBoundary": None if reference is None else await _policy_arn(attempt, target, reference)
    }


async def _settle_boundary(attempt: Attempt, target: NamedEntity, record: Any, wanted: Any) -> None:
    current, boundary = record.permissions_boundary, desired(attempt, wanted.permissions_boundary, None)
    if boundary is UNSET:
        return
    if boundary is None:
        if current is not None:
            operation = f"Delete{target.word}PermissionsBoundary"
            await target.change(attempt, operation, {}, "-", f"permissions boundary {current}")
        return
    arn = await _policy_arn(attempt, target, boundary)
    if arn != current:
        description = (
            describe_change("permissions boundary", current, arn)
            if current
            else f"permissions boundary {arn}"
        )
        operation = f"Put{target.word}PermissionsBoundary"
        await target.change(attempt, operation, {"PermissionsBoundary": arn}, "~", description)


async def _policy_arn(attempt: Attempt, target: NamedEntity, reference: str) -> str:
    """The ARN of a managed policy; `reference` is its ARN, or its name within the account."""
    if reference.startswith("arn:"):
        return reference
    policy = await attempt.store.find(POLICIES, target.account, reference)
    if policy is not None:
        return policy.arn
    managed = next((one.arn for one in all_aws_managed() if one.policy_name == reference), None)
    hint = f"for AWS's policy write {managed}" if managed else "declare it, or write an ARN"
    raise DeclarationError(f"{target.where}: account {target.account} has no policy {reference}; {hint}")


async def _name(attempt: Attempt, target: NamedEntity, reference: str) -> str:
    return reference


def members(
    field: str,
    operations: tuple[str, str],
    parameter: str,
    noun: str,
    *,
    recorded: str = "",
    resolve: Callable[[Attempt, NamedEntity, str], Awaitable[str]] = _name,
    key: Callable[[str], str] = str.lower,
) -> Property:
    """A property that is a list of names; `operations` add and remove one, `{}` in them is the word of the entity.

    `recorded` is the record's field where its name differs from `field`. `resolve` converts a name in the file to the
    one in the record; `key` is applied before names are compared, by default case-insensitively.
    """
    add, remove = operations

    async def settle(attempt: Attempt, target: NamedEntity, record: Any, wanted: Any) -> None:
        value = desired(attempt, getattr(wanted, field), ())
        if value is UNSET:
            return
        references = (value,) if isinstance(value, str) else value or ()
        names = [await resolve(attempt, target, one) for one in references]
        current = getattr(record, recorded or field)
        for name in current:
            if key(name) not in map(key, names):
                operation = remove.format(target.word)
                await target.change(attempt, operation, {parameter: name}, "-", f"{noun} {name}")
        for name in names:
            if key(name) not in map(key, current):
                operation = add.format(target.word)
                await target.change(attempt, operation, {parameter: name}, "+", f"{noun} {name}")

    return Property(settle=settle, clear=cleared(recorded or field, remove, parameter))


def cleared(recorded: str, operation: str, parameter: str) -> Clear:
    """Removes each member of the record's field by `operation`, in which `{}` is the word of the entity."""

    def clear(target: NamedEntity, record: Any) -> Iterable[tuple[str, Parameters]]:
        return [(operation.format(target.word), {parameter: one}) for one in getattr(record, recorded)]

    return clear


async def _create_settings(attempt: Attempt, target: NamedEntity, wanted: Any) -> Parameters:
    return {
        "Description": value_or(wanted.description, None),
        "MaxSessionDuration": value_or(wanted.max_session_duration, None),
    }


async def _settle_settings(attempt: Attempt, target: NamedEntity, role: Any, wanted: Any) -> None:
    duration = desired(attempt, wanted.max_session_duration, DEFAULT_MAX_SESSION_DURATION)
    after = msgspec.structs.replace(
        role,
        max_session_duration=value_or(duration, role.max_session_duration),
        description=value_or(wanted.description, role.description),
    )
    if after != role:
        changed = {"MaxSessionDuration": after.max_session_duration, "Description": after.description}
        await target.change(attempt, "UpdateRole", changed, "~", describe_changes(role, after))


FIXED_PATH, PATH = fixed("path", "Path"), Property(chosen_at_creation("path", "Path"), _settle_path)
DESCRIPTION = fixed("description", "Description")
TAGS = Property(_create_tags, _settle_tags)
BOUNDARY = Property(_create_boundary, _settle_boundary)
ROLE_SETTINGS = Property(_create_settings, _settle_settings)
ATTACHED_POLICIES = members(
    "attached_policies",
    ("Attach{}Policy", "Detach{}Policy"),
    "PolicyArn",
    "attached policy",
    resolve=_policy_arn,
    key=str,
)
GROUPS_OF_USER = members("groups", ("AddUserToGroup", "RemoveUserFromGroup"), "GroupName", "group")
PROFILE_ROLE = members(
    "role",
    ("AddRoleToInstanceProfile", "RemoveRoleFromInstanceProfile"),
    "RoleName",
    "role",
    recorded="role_names",
)
MFA_DEVICES = Property(clear=cleared("mfa_serial_numbers", "DeactivateMFADevice", "SerialNumber"))
