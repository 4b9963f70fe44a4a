"""The endpoints of SCIM 2.0 (RFC 7644, 3.2), each a row of `OPERATIONS` by method and path."""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from msgspec.structs import replace

from broker.audit.event import uuid_text
from broker.errors import Refusal
from broker.identity_store.discovery import resource_types, schemas, service_provider_config
from broker.identity_store.refusals import not_found
from broker.identity_store.resources import etag
from broker.identity_store.scim_groups import (
    create_group,
    delete_group,
    get_group,
    list_groups,
    patch_group,
    put_group,
)
from broker.identity_store.scim_requests import Answer, AskedPage, ScimAnswer, ScimRequest, listed_page
from broker.identity_store.scim_users import (
    create_user,
    delete_user,
    get_user,
    list_users,
    patch_user,
    put_user,
)


class ScimOperation(msgspec.Struct, frozen=True):
    """`event_name` is CloudTrail's."""

    event_name: str
    answer: Answer
    is_read_only: bool = False


def random_id(entropy: Callable[[int], bytes]) -> str:
    return uuid_text(entropy(16))


def _searching(answer: Answer) -> Answer:
    """POST …/.search: the parameters of a list, in the body (RFC 7644, 3.4.3)."""

    async def search(request: ScimRequest) -> ScimAnswer:
        query = {}
        for name, value in request.body.items():
            listed = ",".join(map(str, value)) if isinstance(value, list) else str(value)
            query[name] = listed
        return await answer(replace(request, query=query, body={}))

    return search


async def _config(request: ScimRequest) -> ScimAnswer:
    return ScimAnswer(200, service_provider_config(request.base))


def _described(found: Callable[[str], list[dict[str, Any]]], kind: str) -> tuple[Answer, Answer]:
    """A list of documents, and one of them by its id."""

    async def all_of(request: ScimRequest) -> ScimAnswer:
        shown = found(request.base)
        return listed_page(shown, AskedPage(1, len(shown), None), len(shown), {})

    async def one_of(request: ScimRequest) -> ScimAnswer:
        for one in found(request.base):
            if one["id"].lower() == request.name.lower():
                return ScimAnswer(200, one)
        raise not_found(kind, request.name[:256])

    return all_of, one_of


async def _not_there(request: ScimRequest) -> ScimAnswer:
    raise Refusal("NotImplemented", "The service does not have this endpoint.", status=501)


_all_types, _one_type = _described(resource_types, "ResourceType")
_all_schemas, _one_schema = _described(schemas, "Schema")

# By method and path; the last part of a path that is a name is "*".
OPERATIONS: Mapping[tuple[str, str], ScimOperation] = {
    ("POST", "/Users"): ScimOperation("CreateUser", create_user),
    ("GET", "/Users"): ScimOperation("ListUsers", list_users, is_read_only=True),
    ("POST", "/Users/.search"): ScimOperation("ListUsers", _searching(list_users), is_read_only=True),
    ("GET", "/Users/*"): ScimOperation("GetUser", get_user, is_read_only=True),
    ("PUT", "/Users/*"): ScimOperation("PutUser", put_user),
    ("PATCH", "/Users/*"): ScimOperation("PatchUser", patch_user),
    ("DELETE", "/Users/*"): ScimOperation("DeleteUser", delete_user),
    ("POST", "/Groups"): ScimOperation("CreateGroup", create_group),
    ("GET", "/Groups"): ScimOperation("ListGroups", list_groups, is_read_only=True),
    ("POST", "/Groups/.search"): ScimOperation("ListGroups", _searching(list_groups), is_read_only=True),
    ("GET", "/Groups/*"): ScimOperation("GetGroup", get_group, is_read_only=True),
    ("PUT", "/Groups/*"): ScimOperation("PutGroup", put_group),
    ("PATCH", "/Groups/*"): ScimOperation("PatchGroup", patch_group),
    ("DELETE", "/Groups/*"): ScimOperation("DeleteGroup", delete_group),
    ("GET", "/ServiceProviderConfig"): ScimOperation("GetServiceProviderConfig", _config, is_read_only=True),
    ("GET", "/ResourceTypes"): ScimOperation("ListResourceTypes", _all_types, is_read_only=True),
    ("GET", "/ResourceTypes/*"): ScimOperation("GetResourceType", _one_type, is_read_only=True),
    ("GET", "/Schemas"): ScimOperation("ListSchemas", _all_schemas, is_read_only=True),
    ("GET", "/Schemas/*"): ScimOperation("GetSchema", _one_schema, is_read_only=True),
    ("POST", "/Bulk"): ScimOperation("Bulk", _not_there),
    ("GET", "/Me"): ScimOperation("GetMe", _not_there, is_read_only=True),
}


def find_scim_operation(method: str, path: str) -> tuple[ScimOperation | None, str, bool]:
    """The operation, the name at the end of its path, and whether the path exists for any method."""
    head, _, name = path.rpartition("/")
    for pattern, found in ((path, ""), (f"{head}/*", name)):
        operation = OPERATIONS.get((method, pattern))
        if operation is not None:
            return operation, found, True
    patterns = {pattern for _, pattern in OPERATIONS}
    return None, name, path in patterns or (bool(head) and bool(name) and f"{head}/*" in patterns)


def headers_of(answer: ScimAnswer) -> dict[str, str]:
    headers = {"ETag": etag(answer.version)} if answer.version else {}
    return {**headers, "Location": answer.location} if answer.location else headers
