"""Groups, as SCIM's clients create, read and change them (RFC 7644, 3). Their members are users of the store."""

from collections.abc import Sequence
from typing import Any

from msgspec.structs import replace

from broker.identity_store.attributes import GROUP
from broker.identity_store.filters import Filter, matches, named_by
from broker.identity_store.membership_changes import (
    MEMBERS,
    MembersAdded,
    MembershipChange,
    MembersMatchedRemoved,
    MembersRemoved,
    split_operations,
)
from broker.identity_store.patching import patched, read_operations
from broker.identity_store.people import People, require_version
from broker.identity_store.resources import described_group, is_asked_for, projected, shown_group
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
from broker.storage.identity_store_records import StoreGroup

_MOST_MEMBERS_OF_PAGE = 10_000
_MOST_NOTED = 100


async def create_group(request: ScimRequest) -> ScimAnswer:
    described, members = described_group(request.body, request.new_id())
    group = await request.people.create_group(described)
    await request.people.add_members(group.group_id, members, request.new_id)
    answer = await _group(request, group, 201)
    return replace(answer, noted={**answer.noted, "addedMembers": list(members)[:_MOST_NOTED]})


async def _group(request: ScimRequest, group: StoreGroup, status: int = 200) -> ScimAnswer:
    shown = await _shown_group(request, group)
    location = str(shown["meta"]["location"]) if status == 201 else ""
    body = projected(shown, request.listed("attributes"), request.listed("excludedAttributes"), GROUP)
    return ScimAnswer(
        status, body, group.version, location, {"groupId": group.group_id, **noted_attributes(request, GROUP)}
    )


async def _shown_group(request: ScimRequest, group: StoreGroup) -> dict[str, Any]:
    members = None
    if is_asked_for(MEMBERS, request.listed("attributes"), request.listed("excludedAttributes"), GROUP):
        members = await request.people.memberships_of(records.GROUP, group.group_id)
    return shown_group(group, members, request.base)


async def get_group(request: ScimRequest) -> ScimAnswer:
    return await _group(request, await request.people.get_group(request.name))


async def put_group(request: ScimRequest) -> ScimAnswer:
    group = await request.people.get_group(request.name)
    require_version(request.if_match, group.version)
    described, members = described_group(request.body, group.group_id)
    changed = replace(group, display_name=described.display_name, external_id=described.external_id)
    added, removed = await _replace_members(request, group.group_id, members)
    made = await _changed_group(request, group, changed, are_members_changed=bool(added or removed))
    answer = await _group(request, made)
    return replace(answer, noted={**answer.noted, **_members_noted(added, removed)})


async def _changed_group(
    request: ScimRequest, group: StoreGroup, changed: StoreGroup, *, are_members_changed: bool
) -> StoreGroup:
    made = await request.people.change_group(group, changed)
    if made is group and are_members_changed:
        made = await request.people.touch_group(group)
    return made


async def patch_group(request: ScimRequest) -> ScimAnswer:
    """204: a group may have thousands of members. With `attributes` the answer has to have a body."""
    people, group = request.people, await request.people.get_group(request.name)
    require_version(request.if_match, group.version)
    own, changes = split_operations(read_operations(request.body))
    shown = shown_group(group, None, request.base)
    described, _ = described_group(patched(shown, own, GROUP), group.group_id)
    added: list[str] = []
    removed: list[str] = []
    for change in changes:
        more, fewer = await _change_members(request, group.group_id, change)
        added += more
        removed += fewer
    changed = replace(group, display_name=described.display_name, external_id=described.external_id)
    made = await _changed_group(request, group, changed, are_members_changed=bool(added or removed))
    noted = {"groupId": group.group_id, **_members_noted(added, removed)}
    if "attributes" in request.query:
        return replace(await _group(replace(request, people=people), made), noted=noted)
    return ScimAnswer(204, version=made.version, noted=noted)


def _members_noted(added: Sequence[str], removed: Sequence[str]) -> dict[str, Any]:
    noted = {"addedMembers": list(added)[:_MOST_NOTED], "removedMembers": list(removed)[:_MOST_NOTED]}
    return {name: ids for name, ids in noted.items() if ids}


async def _change_members(
    request: ScimRequest, group_id: str, change: MembershipChange
) -> tuple[list[str], list[str]]:
    """Who was added, and who was removed."""
    if isinstance(change, MembersAdded):
        return await request.people.add_members(group_id, change.user_ids, request.new_id), []
    if isinstance(change, MembersRemoved):
        return [], await request.people.remove_members(group_id, change.user_ids)
    if isinstance(change, MembersMatchedRemoved):
        present = await request.people.memberships_of(records.GROUP, group_id)
        chosen = [one.user_id for one in present if matches(change.filter, {"value": one.user_id})]
        return [], await request.people.remove_members(group_id, chosen)
    return await _replace_members(request, group_id, change.user_ids)


async def _replace_members(
    request: ScimRequest, group_id: str, user_ids: Sequence[str]
) -> tuple[list[str], list[str]]:
    present = {one.user_id for one in await request.people.memberships_of(records.GROUP, group_id)}
    gone = sorted(present - set(user_ids))
    await request.people.remove_members(group_id, gone)
    return await request.people.add_members(group_id, user_ids, request.new_id), gone


async def delete_group(request: ScimRequest) -> ScimAnswer:
    group = await request.people.get_group(request.name)
    require_version(request.if_match, group.version)
    await request.people.delete_group(group)
    return ScimAnswer(204, noted={"groupId": group.group_id})


async def list_groups(request: ScimRequest) -> ScimAnswer:
    """A page ends where it has many members: itemsPerPage says how many groups it has."""
    asked = asked_page(request, GROUP)
    groups, total = await _chosen_groups(request, asked)
    shown: list[dict[str, Any]] = []
    members = 0
    for one in groups:
        if members > _MOST_MEMBERS_OF_PAGE:
            break
        whole = await _shown_group(request, one)
        members += len(whole.get(MEMBERS, ()))
        shown.append(
            projected(whole, request.listed("attributes"), request.listed("excludedAttributes"), GROUP)
        )
    return listed_page(shown, asked, total, noted_filter(asked))


async def _chosen_groups(request: ScimRequest, asked: AskedPage) -> tuple[list[StoreGroup], int]:
    people = request.people
    if asked.filter is None:
        found = await people.groups(asked.end)
        return found[asked.start - 1 : asked.end], (await people.counts()).groups
    chosen = []
    for one in await _candidate_groups(people, asked.filter):
        members = await people.memberships_of(records.GROUP, one.group_id)
        if matches(asked.filter, shown_group(one, members, request.base)):
            chosen.append(one)
    return chosen[asked.start - 1 : asked.end], len(chosen)


async def _candidate_groups(people: People, asked: Filter) -> list[StoreGroup]:
    match named_by(asked):
        case ("displayName", text):
            named = await people.find_named(records.group_name_key(text))
        case ("externalId", text):
            named = await people.find_named(records.external_id_key(records.GROUP, text))
        case ("id", text):
            named = text
        case _:
            return await people.groups()
    found = None if named is None else await people.find_group(named)
    return [] if found is None else [found]
