"""The users of an identity store, as `identitystore` reads and writes them: SCIM's attributes, by AWS's names."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from broker.identity_store.attributes import USER as USER_ATTRIBUTE
from broker.identity_store.errors import invalid, resource_not_found
from broker.identity_store.naming import (
    USER,
    external_ids,
    named_user,
    people_arn,
    people_in,
    require_own_issuer,
    service_refusals,
    text_of,
    user_reference,
)
from broker.identity_store.pages import key_before_page, page_after
from broker.identity_store.patching import PatchOperation, patched
from broker.identity_store.people import require_version
from broker.identity_store.resources import changed_user, described_user, shown_user
from broker.identity_store.scim import random_id
from broker.identity_store.stores import named_store
from broker.operation import Call, Prepared, operation
from broker.protocol.shapes import identitystore as shapes
from broker.storage import identity_store_records as records
from broker.storage.identity_store_records import IdentityStoreRecord, StoreUser

_MOST = 100
_ENABLED, _DISABLED = "ENABLED", "DISABLED"
# Members of a user that are texts, and those that are lists of values.
_TEXTS = (
    "display_name",
    "nick_name",
    "profile_url",
    "user_type",
    "title",
    "preferred_language",
    "locale",
    "timezone",
)
_LISTS: Mapping[str, type[msgspec.Struct]] = {
    "emails": shapes.Email,
    "addresses": shapes.Address,
    "phone_numbers": shapes.PhoneNumber,
    "photos": shapes.Photo,
    "roles": shapes.Role,
}


def _scim_name(field: str) -> str:
    first, *others = field.split("_")
    return first + "".join(part.capitalize() for part in others)


def _values(given: msgspec.Struct) -> dict[str, Any]:
    found = {_scim_name(name): getattr(given, name) for name in given.__struct_fields__}
    return {name: value for name, value in found.items() if value is not None}


def _struct(kind: type[msgspec.Struct], given: Mapping[str, Any]) -> Any:
    known = {name: given.get(_scim_name(name)) for name in kind.__struct_fields__}
    return kind(**{name: value for name, value in known.items() if value is not None})


def _shown(record: IdentityStoreRecord, user: StoreUser) -> dict[str, Any]:
    """What a user is in every answer, by the names of our shapes."""
    attributes = user.attributes
    name = attributes.get("name")
    return {
        **user_reference(record, user),
        "user_name": user.user_name,
        "external_ids": external_ids(record, user.external_id),
        "name": None if name is None else _struct(shapes.Name, name),
        "user_status": _ENABLED if user.is_active else _DISABLED,
        "created_at": float(user.created_at),
        "updated_at": float(user.modified_at),
        **{field: attributes.get(_scim_name(field)) for field in _TEXTS},
        **{
            field: tuple(
                _struct(kind, one) for one in attributes.get(_scim_name(field), ()) if _is_whole(kind, one)
            )
            for field, kind in _LISTS.items()
        },
    }


def _is_whole(kind: type[msgspec.Struct], given: Mapping[str, Any]) -> bool:
    """A photo of AWS has a value."""
    return kind is not shapes.Photo or "value" in given


@operation("identitystore:DescribeUser", prepare=named_store)
async def describe_user(
    call: Call, request: shapes.DescribeUserRequest, prepared: Prepared[IdentityStoreRecord]
) -> shapes.DescribeUserResponse:
    _refuse_extensions(request.extensions)
    user = await named_user(people_in(call, prepared.found), request.user_id)
    return shapes.DescribeUserResponse(**_shown(prepared.found, user))


def _refuse_extensions(extensions: Sequence[str] | Mapping[str, Any]) -> None:
    if extensions:
        raise invalid("Extensions: the identity store has none of AWS's.")


@operation("identitystore:ListUsers", prepare=named_store)
async def list_users_of_store(
    call: Call, request: shapes.ListUsersRequest, prepared: Prepared[IdentityStoreRecord]
) -> shapes.ListUsersResponse:
    """The filter is by user name, as AWS's is."""
    _refuse_extensions(request.extensions)
    people, most = people_in(call, prepared.found), request.max_results or _MOST
    if request.filters:
        (asked,) = request.filters
        if asked.attribute_path != "UserName":
            raise invalid("A filter of users has the AttributePath UserName.")
        named = await people.find_named(records.user_name_key(asked.attribute_value))
        found = await people.find_user(named) if named is not None else None
        users = [found] if found is not None else []
    else:
        users = await people.users(most + 1, key_before_page(request.next_token))
    shown, next_token = page_after(users, lambda one: one.user_id, request.next_token, most)
    return shapes.ListUsersResponse(
        users=tuple(shapes.User(**_shown(prepared.found, one)) for one in shown), next_token=next_token
    )


@operation("identitystore:GetUserId", prepare=named_store)
async def get_user_id(
    call: Call, request: shapes.GetUserIdRequest, prepared: Prepared[IdentityStoreRecord]
) -> shapes.GetUserIdResponse:
    """By external id, user name, or the value of an e-mail address that one user has alone."""
    people, given = people_in(call, prepared.found), request.alternate_identifier
    if given.external_id is not None:
        key = records.external_id_key(records.USER, require_own_issuer(prepared.found, given.external_id))
        found = await people.find_named(key)
    elif given.unique_attribute is not None and given.unique_attribute.attribute_path.lower() == "username":
        text = text_of(given.unique_attribute.attribute_value, "AttributeValue")
        found = await people.find_named(records.user_name_key(text))
    elif given.unique_attribute is not None and given.unique_attribute.attribute_path == "emails.value":
        text = text_of(given.unique_attribute.attribute_value, "AttributeValue").casefold()
        users = [one for one in await people.users() if text in _addresses(one)]
        found = users[0].user_id if len(users) == 1 else None
    else:
        raise invalid("AlternateIdentifier is an ExternalId, or a UniqueAttribute: userName or emails.value.")
    if found is None:
        raise resource_not_found(USER, "USER not found.")
    return shapes.GetUserIdResponse(
        identity_store_id=prepared.found.store_id, user_id=found, user_arn=people_arn("user", found)
    )


def _addresses(user: StoreUser) -> list[str]:
    return [str(one.get("value", "")).casefold() for one in user.attributes.get("emails", ())]


@operation("identitystore:CreateUser", prepare=named_store)
async def create_user_in_store(
    call: Call, request: shapes.CreateUserRequest, prepared: Prepared[IdentityStoreRecord]
) -> shapes.CreateUserResponse:
    _refuse_extensions(request.extensions)
    if request.website is not None or request.birthdate is not None:
        raise invalid("Website and Birthdate are not kept by the identity store.")
    with service_refusals():
        described = described_user(_given(request), random_id(call.entropy))
        user = await people_in(call, prepared.found).create_user(described)
    return shapes.CreateUserResponse(**user_reference(prepared.found, user))


def _given(request: shapes.CreateUserRequest) -> dict[str, Any]:
    return {
        "userName": request.user_name,
        "name": None if request.name is None else _values(request.name),
        "displayName": request.display_name,
        "nickName": request.nick_name,
        "profileUrl": request.profile_url,
        "userType": request.user_type,
        "title": request.title,
        "preferredLanguage": request.preferred_language,
        "locale": request.locale,
        "timezone": request.timezone,
        "emails": list(map(_values, request.emails)),
        "addresses": list(map(_values, request.addresses)),
        "phoneNumbers": list(map(_values, request.phone_numbers)),
        "photos": list(map(_values, request.photos)),
        "roles": list(map(_values, request.roles)),
    }


@operation("identitystore:UpdateUser", prepare=named_store)
async def update_user_in_store(
    call: Call, request: shapes.UpdateUserRequest, prepared: Prepared[IdentityStoreRecord]
) -> shapes.UpdateUserResponse:
    """Each operation replaces what its path names, or removes it where there is no value."""
    people = people_in(call, prepared.found)
    user = await named_user(people, request.user_id)
    with service_refusals():
        require_version(request.revision, user.version)
        changes = [_replacing(one) for one in request.operations]
        changed = changed_user(user, patched(shown_user(user, ""), changes, USER_ATTRIBUTE))
        made = await people.change_user(user, changed)
    return shapes.UpdateUserResponse(**user_reference(prepared.found, made))


def _replacing(asked: shapes.AttributeOperation) -> PatchOperation:
    path = asked.attribute_path
    if path.lower() in ("userstatus", "active"):
        raise invalid("Whether a user is active is the provider's to say.")
    if asked.attribute_value is None:
        return PatchOperation("remove", path)
    return PatchOperation("replace", path, asked.attribute_value, has_value=True)


@operation("identitystore:DeleteUser", prepare=named_store)
async def delete_user_of_store(
    call: Call, request: shapes.DeleteUserRequest, prepared: Prepared[IdentityStoreRecord]
) -> shapes.DeleteUserResponse:
    people = people_in(call, prepared.found)
    user = await named_user(people, request.user_id)
    with service_refusals():
        require_version(request.revision, user.version)
    await people.delete_user(user)
    return shapes.DeleteUserResponse()
