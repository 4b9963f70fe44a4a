"""The attributes of SCIM's users and groups: which there are, and what a value of each is (RFC 7643). Pure.

What a client sends is read leniently where clients are known to differ (names without case, "True" for true, one value
for a list of one) and strictly otherwise. Attributes that are not in the table are not stored, passwords above all.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from broker.identity_store.refusals import invalid_value

USER_SCHEMA = "urn:ietf:params:scim:schemas:core:2.0:User"
GROUP_SCHEMA = "urn:ietf:params:scim:schemas:core:2.0:Group"
ENTERPRISE_SCHEMA = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"

LONGEST_TEXT = 1024  # characters
MOST_VALUES = 100  # of one attribute

STRING, BOOLEAN, COMPLEX, REFERENCE = "string", "boolean", "complex", "reference"


class Attribute(msgspec.Struct, frozen=True):
    """`parts` are the sub-attributes of a complex one. `is_exact`: compared with case."""

    name: str
    type: str = STRING
    parts: "tuple[Attribute, ...]" = ()
    has_values: bool = False
    is_exact: bool = False
    is_required: bool = False
    is_unique: bool = False
    is_read_only: bool = False


def _texts(*names: str) -> tuple[Attribute, ...]:
    return tuple(Attribute(name) for name in names)


_PRIMARY = Attribute("primary", BOOLEAN)
_VALUES = (*_texts("value", "display", "type"), _PRIMARY)
_REFERENCES = (Attribute("value", REFERENCE, is_exact=True), *_texts("display", "type"), _PRIMARY)
_ADDRESS = (
    *_texts("formatted", "streetAddress", "locality", "region", "postalCode", "country", "type"),
    _PRIMARY,
)
_NAME = _texts("formatted", "familyName", "givenName", "middleName", "honorificPrefix", "honorificSuffix")

USER_ATTRIBUTES = (
    Attribute("userName", is_required=True, is_unique=True),
    Attribute("externalId", is_exact=True),
    Attribute("name", COMPLEX, _NAME),
    *_texts("displayName", "nickName"),
    Attribute("profileUrl", REFERENCE, is_exact=True),
    *_texts("title", "userType", "preferredLanguage", "locale", "timezone"),
    Attribute("active", BOOLEAN),
    Attribute("emails", COMPLEX, _VALUES, has_values=True),
    Attribute("phoneNumbers", COMPLEX, _VALUES, has_values=True),
    Attribute("ims", COMPLEX, _VALUES, has_values=True),
    Attribute("photos", COMPLEX, _REFERENCES, has_values=True),
    Attribute("addresses", COMPLEX, _ADDRESS, has_values=True),
    Attribute("entitlements", COMPLEX, _VALUES, has_values=True),
    Attribute("roles", COMPLEX, _VALUES, has_values=True),
)
_MANAGER = (Attribute("value", is_exact=True), Attribute("$ref", REFERENCE), *_texts("displayName"))
ENTERPRISE_ATTRIBUTES = (
    *_texts("employeeNumber", "costCenter", "organization", "division", "department"),
    Attribute("manager", COMPLEX, _MANAGER),
)
_MEMBER = (
    Attribute("value", is_exact=True),
    Attribute("$ref", REFERENCE, is_exact=True),
    *_texts("type", "display"),
)
GROUP_ATTRIBUTES = (
    Attribute("displayName", is_required=True, is_unique=True),
    Attribute("externalId", is_exact=True),
    Attribute("members", COMPLEX, _MEMBER, has_values=True),
)
_READ_ONLY = (
    Attribute("id", is_exact=True, is_read_only=True),
    Attribute(
        "meta",
        COMPLEX,
        (*_texts("resourceType", "created", "lastModified", "location", "version"),),
        is_read_only=True,
    ),
)

# What paths and filters may name, by resource; an extension is an attribute that is called by its URN.
USER = Attribute(
    "User",
    COMPLEX,
    (*USER_ATTRIBUTES, Attribute(ENTERPRISE_SCHEMA, COMPLEX, ENTERPRISE_ATTRIBUTES), *_READ_ONLY),
)
GROUP = Attribute("Group", COMPLEX, (*GROUP_ATTRIBUTES, *_READ_ONLY))


def find_part(of: Attribute, name: str) -> Attribute | None:
    """The sub-attribute that is called so, without case."""
    wanted = name.lower()
    return next((one for one in of.parts if one.name.lower() == wanted), None)


def accepted(of: Attribute, given: Mapping[str, Any]) -> dict[str, Any]:
    """What `given` says of a complex attribute, by the names of the table; raises invalidValue.

    What has no value is left out (RFC 7643, 2.5), and so is what nobody but us may write.
    """
    found: dict[str, Any] = {}
    for name, value in given.items():
        part = find_part(of, name)
        if part is None or part.is_read_only:
            continue
        taken = accepted_value(part, value)
        if taken is not None:
            found[part.name] = taken
    return found


def accepted_value(of: Attribute, value: Any) -> Any:
    """The value as it is stored; None where it is none."""
    if not of.has_values:
        return _single(of, value)
    values = value if isinstance(value, list) else [value]
    if len(values) > MOST_VALUES:
        raise invalid_value(f"{of.name} has more than {MOST_VALUES} values.")
    taken = [one for one in (_single(of, each) for each in values) if one is not None]
    if sum(one.get("primary") is True for one in taken) > 1:
        raise invalid_value(f"{of.name} has more than one primary value.")
    return taken or None


def _single(of: Attribute, value: Any) -> Any:
    if value is None or value == "":
        return None
    if of.type == BOOLEAN:
        return _boolean(of, value)
    if of.type == COMPLEX:
        return _complex(of, value)
    if not isinstance(value, str) or not value.isprintable() or len(value) > LONGEST_TEXT:
        raise invalid_value(f"{of.name} is not a text of at most {LONGEST_TEXT} printable characters.")
    return value


def _boolean(of: Attribute, value: Any) -> bool:
    """Entra ID sends texts ("True"), unless told otherwise."""
    if isinstance(value, str) and value.lower() in ("true", "false"):
        return value.lower() == "true"
    if not isinstance(value, bool):
        raise invalid_value(f"{of.name} is neither true nor false.")
    return value


def _complex(of: Attribute, value: Any) -> dict[str, Any] | None:
    """A text in the place of an object is its `value`: some clients send a manager, or members, so."""
    if isinstance(value, str) and find_part(of, "value") is not None:
        value = {"value": value}
    if not isinstance(value, dict):
        raise invalid_value(f"{of.name} is not an object.")
    return accepted(of, value) or None
