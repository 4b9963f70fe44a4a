"""The lists of users, groups, roles, policies and instance profiles, narrowed by what is typed, a page at a time."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
from aiohttp import web

from broker.errors import Refusal
from broker.names.arn import AWS_ACCOUNT, parse_arn
from broker.portal.console.frame import console_page, console_route
from broker.portal.console.operations import attempt
from broker.portal.dependencies import Portal
from broker.portal.visit import Visit

_MOST_SHOWN = 100  # entities on one page
_MOST_SEARCHED = 5000
_READ_AT_ONCE = 1000
_LONGEST_SEARCH = 128
_SCOPES = {"": "Local", "aws": "AWS"}


class ListedEntity(msgspec.Struct, frozen=True):
    """A row; `path` is where its page is, below that of the account. `cells` are by the name of their column."""

    name: str
    path: str
    cells: Mapping[str, Any]


class EntityList(msgspec.Struct, frozen=True):
    """How a list is read: the operation, the answer's member, and what the page shows of one entity."""

    operation: str
    member: str
    columns: tuple[str, ...]
    row: Callable[[Any], ListedEntity]


def _user(user: Any) -> ListedEntity:
    cells = {"path": user.path, "created": user.create_date, "password_used": user.password_last_used}
    return ListedEntity(user.user_name, f"users/{user.user_name}", cells)


def _group(group: Any) -> ListedEntity:
    cells = {"path": group.path, "created": group.create_date}
    return ListedEntity(group.group_name, f"groups/{group.group_name}", cells)


def _role(role: Any) -> ListedEntity:
    cells = {
        "description": role.description or "",
        "path": role.path,
        "session": role.max_session_duration,
        "created": role.create_date,
    }
    return ListedEntity(role.role_name, f"roles/{role.role_name}", cells)


def _policy(policy: Any) -> ListedEntity:
    owner = parse_arn(policy.arn).account
    cells = {
        "path": policy.path,
        "attached": policy.attachment_count or 0,
        "updated": policy.update_date or policy.create_date,
    }
    return ListedEntity(policy.policy_name, policy_path(policy.arn, owner), cells)


def _profile(profile: Any) -> ListedEntity:
    roles = ", ".join(role.role_name for role in profile.roles)
    cells = {"path": profile.path, "role": roles, "created": profile.create_date}
    return ListedEntity(profile.instance_profile_name, f"profiles/{profile.instance_profile_name}", cells)


def policy_path(arn: str, owner: str) -> str:
    """Where the page of a managed policy is, below that of the account: its owner, then its path and name."""
    return f"policies/{owner}/{parse_arn(arn).resource.removeprefix('policy/')}"


LISTS = {
    "users": EntityList("ListUsers", "users", ("path", "created", "password_used"), _user),
    "groups": EntityList("ListGroups", "groups", ("path", "created"), _group),
    "roles": EntityList("ListRoles", "roles", ("description", "path", "session", "created"), _role),
    "policies": EntityList("ListPolicies", "policies", ("path", "attached", "updated"), _policy),
    "profiles": EntityList(
        "ListInstanceProfiles", "instance_profiles", ("role", "path", "created"), _profile
    ),
}


async def show(portal: Portal, visit: Visit) -> web.Response:
    kind, query = visit.request.match_info["kind"], visit.request.query
    search = query.get("search", "")[:_LONGEST_SEARCH].strip()
    scope = query.get("scope", "") if kind == "policies" else ""
    parameters = {"Scope": _SCOPES.get(scope, "Local")} if kind == "policies" else {}
    if search:
        found, marker = await search_entities(portal, visit, LISTS[kind], parameters, search), None
    else:
        page = {**parameters, "MaxItems": str(_MOST_SHOWN), **_marker(query.get("marker", ""))}
        found, marker = await _page(portal, visit, LISTS[kind], page)
    refusal = found if isinstance(found, Refusal) else None
    rows = () if isinstance(found, Refusal) else found
    return await console_page(
        portal,
        visit,
        "list",
        refusal=refusal,
        kind=kind,
        columns=LISTS[kind].columns,
        rows=rows[:_MOST_SHOWN],
        not_shown=max(0, len(rows) - _MOST_SHOWN),
        marker=marker,
        search=search,
        scope=scope if scope == AWS_ACCOUNT else "",
    )


async def _page(
    portal: Portal, visit: Visit, kind: EntityList, parameters: Mapping[str, str]
) -> tuple[Sequence[ListedEntity] | Refusal, str | None]:
    """The rows of one page of the operation's answer, and the marker of the next."""
    answer = await attempt(portal, visit, kind.operation, parameters)
    if isinstance(answer, Refusal):
        return answer, None
    return [kind.row(one) for one in getattr(answer, kind.member)], answer.marker


async def search_entities(
    portal: Portal, visit: Visit, kind: EntityList, parameters: Mapping[str, str], search: str
) -> Sequence[ListedEntity] | Refusal:
    """Those in whose row every word of `search` occurs, of the first _MOST_SEARCHED."""
    words, marker, looked_at = search.lower().split(), "", 0
    matching: list[ListedEntity] = []
    while looked_at < _MOST_SEARCHED:
        page = {**parameters, "MaxItems": str(_READ_AT_ONCE), **_marker(marker)}
        rows, following = await _page(portal, visit, kind, page)
        if isinstance(rows, Refusal):
            return rows
        looked_at += len(rows)
        matching += [row for row in rows if is_found(row, words)]
        if following is None:
            break
        marker = following
    return matching


def is_found(row: ListedEntity, words: Sequence[str]) -> bool:
    text = f"{row.name} {row.cells['path']} {row.cells.get('description', '')} {row.cells.get('role', '')}".lower()
    return all(word in text for word in words)


def _marker(marker: str) -> dict[str, str]:
    return {"Marker": marker} if marker else {}


ROUTES = (console_route("GET", r"/{kind:users|groups|roles|policies|profiles}", show, "ConsoleList"),)
