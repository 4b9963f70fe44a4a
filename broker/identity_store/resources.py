"""Users and groups as SCIM shows them (RFC 7643, 3.1), and back. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from broker.audit.event import iso_time
from broker.errors import Refusal
from broker.identity_store.attributes import (
    ENTERPRISE_SCHEMA,
    GROUP,
    GROUP_SCHEMA,
    USER,
    USER_SCHEMA,
    Attribute,
    accepted,
    find_part,
)
from broker.identity_store.filters import read_path
from broker.identity_store.people import LONGEST_EXTERNAL_ID, LONGEST_USER_NAME
from broker.identity_store.refusals import invalid_value
from broker.storage.identity_store_records import StoreGroup, StoreMembership, StoreUser

_USER_FIELDS = ("userName", "externalId", "active")
_ALWAYS = ("schemas", "id")


def shown_user(user: StoreUser, base: str) -> dict[str, Any]:
    """`base` is the URL of the endpoint, without a slash at its end."""
    schemas = [USER_SCHEMA]
    if ENTERPRISE_SCHEMA in user.attributes:
        schemas.append(ENTERPRISE_SCHEMA)
    shown = {"schemas": schemas, "id": user.user_id, "userName": user.user_name}
    if user.external_id:
        shown["externalId"] = user.external_id
    location = f"{base}/Users/{user.user_id}"
    meta = _meta("User", location, user.created_at, user.modified_at, user.version)
    return {**shown, **user.attributes, "active": user.is_active, "meta": meta}


def shown_group(group: StoreGroup, members: Sequence[StoreMembership] | None, base: str) -> dict[str, Any]:
    """Without `members` where these are None."""
    shown: dict[str, Any] = {
        "schemas": [GROUP_SCHEMA],
        "id": group.group_id,
        "displayName": group.display_name,
    }
    if group.external_id:
        shown["externalId"] = group.external_id
    if members is not None:
        shown["members"] = [
            {"value": one.user_id, "type": "User", "$ref": f"{base}/Users/{one.user_id}"} for one in members
        ]
    location = f"{base}/Groups/{group.group_id}"
    return {
        **shown,
        "meta": _meta("Group", location, group.created_at, group.modified_at, group.version),
    }


def _meta(kind: str, location: str, created: int, modified: int, version: int) -> dict[str, Any]:
    return {
        "resourceType": kind,
        "created": iso_time(created),
        "lastModified": iso_time(modified),
        "location": location,
        "version": etag(version),
    }


def etag(version: int) -> str:
    return f'W/"{version}"'


def described_user(given: Mapping[str, Any], user_id: str) -> StoreUser:
    """A user with the attributes of a request; raises invalidValue."""
    found = accepted(USER, given)
    user_name, external_id = found.get("userName"), found.get("externalId", "")
    if not user_name or len(user_name) > LONGEST_USER_NAME:
        raise invalid_value(f"A user has a userName of 1 to {LONGEST_USER_NAME} characters.")
    _require_external_id(external_id)
    return StoreUser(
        user_id=user_id,
        user_name=user_name,
        external_id=external_id,
        is_active=found.get("active", True),
        attributes={name: value for name, value in found.items() if name not in _USER_FIELDS},
    )


def changed_user(user: StoreUser, given: Mapping[str, Any]) -> StoreUser:
    """The user with exactly these attributes."""
    described = described_user(given, user.user_id)
    return replace(
        user,
        user_name=described.user_name,
        external_id=described.external_id,
        is_active=described.is_active,
        attributes=described.attributes,
    )


def described_group(given: Mapping[str, Any], group_id: str) -> tuple[StoreGroup, tuple[str, ...]]:
    """A group with the attributes of a request, and the ids of its members; raises invalidValue."""
    limited = {name: value for name, value in given.items() if name.lower() != "members"}
    found = accepted(GROUP, limited)
    external_id = found.get("externalId", "")
    if not found.get("displayName"):
        raise invalid_value("A group has a displayName.")
    _require_external_id(external_id)
    group = StoreGroup(group_id=group_id, display_name=found["displayName"], external_id=external_id)
    members = next((value for name, value in given.items() if name.lower() == "members"), None)
    return group, member_ids(members)


def member_ids(given: Any) -> tuple[str, ...]:
    """The users that a value of `members` names; raises invalidValue, also for a group as a member."""
    values = given if isinstance(given, list) else [] if given is None else [given]
    return tuple(dict.fromkeys(map(_member_id, values)))


def _member_id(given: Any) -> str:
    value = given.get("value") if isinstance(given, dict) else given
    if not isinstance(value, str) or not value or len(value) > LONGEST_EXTERNAL_ID:
        raise invalid_value("A member has a value, the id of a user.")
    return value


def _require_external_id(external_id: str) -> None:
    if len(external_id) > LONGEST_EXTERNAL_ID:
        raise invalid_value(f"An externalId has at most {LONGEST_EXTERNAL_ID} characters.")


def projected(
    shown: Mapping[str, Any], wanted: Sequence[str], excluded: Sequence[str], of: Attribute
) -> dict[str, Any]:
    """What a request asks to be shown (`attributes`, or `excludedAttributes`; RFC 7644, 3.9)."""
    if wanted:
        chosen = {name.lower() for one in wanted for name in _named(one, of)}
        return {name: value for name, value in shown.items() if name in _ALWAYS or name.lower() in chosen}
    hidden = {name.lower() for one in excluded for name in _named(one, of)} - {"id", "schemas"}
    return {name: value for name, value in shown.items() if name.lower() not in hidden}


def _named(text: str, of: Attribute) -> tuple[str, ...]:
    """The attributes of the resource that a name means; a part means the whole."""
    try:
        path = read_path(text, of)
    except Refusal:
        return ()
    return (path.extension or path.attribute.name,)


def is_asked_for(name: str, wanted: Sequence[str], excluded: Sequence[str], of: Attribute) -> bool:
    """Whether the attribute would be shown."""
    assert find_part(of, name) is not None
    return name in projected({name: None}, wanted, excluded, of)
