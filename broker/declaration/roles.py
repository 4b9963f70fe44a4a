"""Roles: in two passes, for trust policies may name roles that the same file declares, each other included."""

import json
from collections.abc import Iterator

import msgspec

from broker.access.trust import named_trust_policy
from broker.declaration import declared
from broker.declaration.attempt import Attempt, tag_list
from broker.declaration.declared import Declaration, given
from broker.declaration.differences import told_changes
from broker.declaration.entities import boundary_arn
from broker.declaration.holders import (
    is_same_document,
    meant,
    named_subject,
    require_same,
    settle_boundary,
    settle_tags,
)
from broker.iam.roles import DEFAULT_MAX_SESSION_DURATION
from broker.names.arn import iam_arn, sts_arn
from broker.storage.store import ROLES

_TRUSTS_NOBODY = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Deny", "Principal": "*", "Action": "sts:AssumeRole"}],
    }
)


async def settle_roles(attempt: Attempt, declaration: Declaration) -> None:
    """Make what is missing, then settle all. A role made before those it trusts trusts nobody until they are there."""
    to_come = await _missing_arns(attempt, declaration)
    waiting: set[tuple[str, str]] = set()
    for account, name, wanted in _roles(declaration):
        if await attempt.store.find(ROLES, account, name) is None:
            must_wait = any(arn in wanted.trust_policy.text for arn in to_come)
            await _create(attempt, account, name, wanted, must_wait)
            waiting.update({(account, name)} if must_wait else ())
    for account, name, wanted in _roles(declaration):
        await _settle(attempt, account, name, wanted, (account, name) in waiting)


def _roles(declaration: Declaration) -> Iterator[tuple[str, str, declared.Role]]:
    for account, members in declaration.accounts.items():
        for name, wanted in members.roles.items():
            yield account, name, wanted


async def _missing_arns(attempt: Attempt, declaration: Declaration) -> list[str]:
    """How the roles that do not exist yet, and their sessions, would be named in a trust policy."""
    arns = []
    for account, name, wanted in _roles(declaration):
        if await attempt.store.find(ROLES, account, name) is None:
            arns.append(iam_arn(account, f"role{given(wanted.path, '/')}{name}"))
            arns.append(sts_arn(account, f"assumed-role/{name}/"))
    return arns


async def _create(attempt: Attempt, account: str, name: str, wanted: declared.Role, must_wait: bool) -> None:
    parameters = {
        "RoleName": name,
        "Path": given(wanted.path, None),
        "AssumeRolePolicyDocument": _TRUSTS_NOBODY if must_wait else wanted.trust_policy.text,
        "Description": given(wanted.description, None),
        "MaxSessionDuration": given(wanted.max_session_duration, None),
        "PermissionsBoundary": await boundary_arn(attempt, account, wanted),
        "Tags": tag_list(given(wanted.tags, {})),
    }
    document = wanted.trust_policy
    await attempt.perform(account, "CreateRole", parameters, "+", f"role {name}", wanted.where, document)


async def _settle(attempt: Attempt, account: str, name: str, wanted: declared.Role, is_waiting: bool) -> None:
    role = await attempt.store.find(ROLES, account, name)
    assert role is not None, "the first pass made it"
    subject = named_subject(account, "Role", "role", name, wanted.where)
    require_same(subject, "name", role.role_name, name)
    require_same(subject, "path", role.path, wanted.path)
    # As it names them now, not as stored: where a trusted user was made anew, the role has to trust the new one.
    if not is_same_document(await named_trust_policy(attempt.store, role), wanted.trust_policy):
        document = {**subject.parameters, "PolicyDocument": wanted.trust_policy.text}
        text = "" if is_waiting else f"{subject.label}: trust policy"
        await attempt.perform(
            account, "UpdateAssumeRolePolicy", document, "~", text, wanted.trust_policy.where
        )
    duration = given(
        meant(attempt, wanted.max_session_duration, DEFAULT_MAX_SESSION_DURATION), role.max_session_duration
    )
    description = given(wanted.description, role.description)
    if (duration, description) != (role.max_session_duration, role.description):
        changed = {"MaxSessionDuration": duration, "Description": description}
        after = msgspec.structs.replace(role, max_session_duration=duration, description=description)
        await subject.change(attempt, "UpdateRole", changed, "~", told_changes(role, after))
    await settle_boundary(attempt, subject, role.permissions_boundary, wanted.permissions_boundary)
    await settle_tags(attempt, subject, role.tags, wanted.tags)
