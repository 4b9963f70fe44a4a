"""Users, as SCIM's clients create, read and change them (RFC 7644, 3)."""

import asyncio
from typing import Any

from broker.identity_store.attributes import USER
from broker.identity_store.filters import Filter, matches, named_by
from broker.identity_store.patching import patched, read_operations
from broker.identity_store.people import People, require_version
from broker.identity_store.resources import changed_user, described_user, projected, shown_user
from broker.identity_store.scim_requests import (
    AskedPage,
    ScimAnswer,
    ScimRequest,
    asked_page,
    listed_page,
    noted_attributes,
    noted_filter,
)
from broker.storage import identity_store_records as records
from broker.storage.identity_store_records import StoreUser

_MATCHED_AT_ONCE = 500


async def create_user(request: ScimRequest) -> ScimAnswer:
    user = await request.people.create_user(described_user(request.body, request.new_id()))
    return _user(request, user, 201)


def _user(request: ScimRequest, user: StoreUser, status: int = 200, **noted: Any) -> ScimAnswer:
    shown = shown_user(user, request.base)
    body = projected(shown, request.listed("attributes"), request.listed("excludedAttributes"), USER)
    location = str(shown["meta"]["location"]) if status == 201 else ""
    about = {"userId": user.user_id, "active": user.is_active, **noted_attributes(request, USER), **noted}
    return ScimAnswer(status, body, user.version, location, about)


async def get_user(request: ScimRequest) -> ScimAnswer:
    return _user(request, await request.people.get_user(request.name))


async def put_user(request: ScimRequest) -> ScimAnswer:
    """Whether a user is active stays as it is where the request does not say it."""
    user = await request.people.get_user(request.name)
    require_version(request.if_match, user.version)
    given = {"active": user.is_active, **{_spelled(name): value for name, value in request.body.items()}}
    return _user(request, await request.people.change_user(user, changed_user(user, given)))


def _spelled(name: str) -> str:
    return "active" if name.lower() == "active" else name


async def patch_user(request: ScimRequest) -> ScimAnswer:
    user = await request.people.get_user(request.name)
    require_version(request.if_match, user.version)
    operations = read_operations(request.body)
    shown = shown_user(user, request.base)
    changed = patched(shown, operations, USER)
    made = await request.people.change_user(user, changed_user(user, changed))
    names = sorted(name for name in {*shown, *changed} - {"meta"} if shown.get(name) != changed.get(name))
    return _user(request, made, attributes=names)


async def delete_user(request: ScimRequest) -> ScimAnswer:
    user = await request.people.get_user(request.name)
    require_version(request.if_match, user.version)
    await request.people.delete_user(user)
    return ScimAnswer(204, noted={"userId": user.user_id})


async def list_users(request: ScimRequest) -> ScimAnswer:
    asked = asked_page(request, USER)
    users, total = await _chosen_users(request, asked)
    shown = [
        projected(
            shown_user(one, request.base),
            request.listed("attributes"),
            request.listed("excludedAttributes"),
            USER,
        )
        for one in users
    ]
    return listed_page(shown, asked, total, noted_filter(asked))


async def _chosen_users(request: ScimRequest, asked: AskedPage) -> tuple[list[StoreUser], int]:
    """The users of the page, and how many there are in all."""
    people = request.people
    if asked.filter is None:
        found = await people.users(asked.end)
        return found[asked.start - 1 : asked.end], (await people.counts()).users
    found = await _candidate_users(people, asked.filter)
    chosen: list[StoreUser] = []
    for number, one in enumerate(found, 1):
        if matches(asked.filter, shown_user(one, request.base)):
            chosen.append(one)
        if number % _MATCHED_AT_ONCE == 0:
            await asyncio.sleep(0)  # let the event loop serve requests
    return chosen[asked.start - 1 : asked.end], len(chosen)


async def _candidate_users(people: People, asked: Filter) -> list[StoreUser]:
    """The one that the filter names, where it names one; else all."""
    match named_by(asked):
        case ("userName", text):
            named = await people.find_named(records.user_name_key(text))
        case ("externalId", text):
            named = await people.find_named(records.external_id_key(records.USER, text))
        case ("id", text):
            named = text
        case _:
            return await people.users()
    found = None if named is None else await people.find_user(named)
    return [] if found is None else [found]
