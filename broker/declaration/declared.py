"""What may be declared, as frozen structs. UNSET means that the file does not speak of it, so it stays as it is.

A list or mapping that is given is meant whole: what it does not name is taken away. `where` is the place that an error
about the struct names; it is no key of the file.
"""

from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from broker.storage import records

WHERE = "where"


class Document(msgspec.Struct, frozen=True):
    """The JSON text of a policy, written inline, as a text, or as `file: PATH`."""

    text: str
    where: str


class Declared(msgspec.Struct, frozen=True, kw_only=True):
    """A mapping of the file."""

    where: str


class FixedKey(Declared, frozen=True, kw_only=True):
    """An access key that is brought along: its secret is in a file, or in an environment variable."""

    access_key_id: str
    secret_file: str | UnsetType = UNSET
    secret_variable: str | UnsetType = UNSET


class Group(Declared, frozen=True, kw_only=True):
    path: str | UnsetType = UNSET
    inline_policies: dict[str, Document] | UnsetType = UNSET
    attached_policies: tuple[str, ...] | UnsetType = UNSET


class User(Declared, frozen=True, kw_only=True):
    path: str | UnsetType = UNSET
    tags: dict[str, str] | UnsetType = UNSET
    permissions_boundary: str | UnsetType | None = UNSET
    groups: tuple[str, ...] | UnsetType = UNSET
    inline_policies: dict[str, Document] | UnsetType = UNSET
    attached_policies: tuple[str, ...] | UnsetType = UNSET
    # A number: as many are made and shown once. A list: exactly these are brought along.
    access_keys: int | tuple[FixedKey, ...] = 0


class Role(Declared, frozen=True, kw_only=True):
    trust_policy: Document
    path: str | UnsetType = UNSET
    description: str | UnsetType = UNSET
    max_session_duration: int | UnsetType = UNSET
    tags: dict[str, str] | UnsetType = UNSET
    permissions_boundary: str | UnsetType | None = UNSET
    inline_policies: dict[str, Document] | UnsetType = UNSET
    attached_policies: tuple[str, ...] | UnsetType = UNSET


class Policy(Declared, frozen=True, kw_only=True):
    document: Document
    path: str | UnsetType = UNSET
    description: str | UnsetType = UNSET
    tags: dict[str, str] | UnsetType = UNSET


class InstanceProfile(Declared, frozen=True, kw_only=True):
    path: str | UnsetType = UNSET
    role: str | UnsetType | None = UNSET
    tags: dict[str, str] | UnsetType = UNSET


class Account(Declared, frozen=True, kw_only=True):
    name: str | UnsetType = UNSET
    email: str | UnsetType = UNSET
    alias: str | UnsetType | None = UNSET
    policies: dict[str, Policy] = {}
    groups: dict[str, Group] = {}
    users: dict[str, User] = {}
    roles: dict[str, Role] = {}
    instance_profiles: dict[str, InstanceProfile] = {}


class OrganizationalUnit(Declared, frozen=True, kw_only=True):
    """A root, a unit or an account's place; a root has no parent."""

    parent: str | None = None
    service_control_policies: dict[str, Document] = {}
    resource_control_policies: dict[str, Document] = {}


class Organization(Declared, frozen=True, kw_only=True):
    organization_id: str
    management_account_id: str
    delegated_iam_administrator_id: str | None = None
    features: tuple[str, ...] = ()
    units: dict[str, OrganizationalUnit] = {}
    accounts: dict[str, OrganizationalUnit] = {}


def _instance_fields() -> list[tuple[str, Any, Any]]:
    """Those of the record, so that a field which the record gains can be declared at once; user data as text."""
    fields: list[tuple[str, Any, Any]] = []
    for field in msgspec.structs.fields(records.Instance):
        if field.name == "instance_id":
            continue
        kind = str | None if field.name == "user_data" else field.type
        fields.append((field.name, kind | UnsetType, UNSET))
    return fields


Instance: Any = msgspec.defstruct(
    "Instance", _instance_fields(), bases=(Declared,), frozen=True, kw_only=True, module=__name__
)


class Declaration(Declared, frozen=True, kw_only=True):
    """The whole file."""

    accounts: dict[str, Account] = {}
    instances: dict[str, Instance] = {}
    organization: Organization | UnsetType = UNSET


def is_set(value: Any) -> bool:
    return not isinstance(value, UnsetType)


def given(value: Any, otherwise: Any) -> Any:
    """`value`, or `otherwise` where the file does not speak of it."""
    return otherwise if isinstance(value, UnsetType) else value
