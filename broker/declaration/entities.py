"""Managed policies, groups, users and instance profiles: made where missing, then settled one property at a time."""

from collections.abc import Mapping
from typing import Any

from msgspec import UNSET

from broker.declaration import declared
from broker.declaration.attempt import Attempt, tag_list
from broker.declaration.declared import given
from broker.declaration.differences import told_change
from broker.declaration.holders import (
    Subject,
    is_same_document,
    meant,
    named_subject,
    policy_arn,
    require_same,
    settle_attached,
    settle_boundary,
    settle_inline,
    settle_tags,
)
from broker.storage.records import ManagedPolicy
from broker.storage.store import GROUPS, INSTANCE_PROFILES, POLICIES, USERS


async def settle_policy(attempt: Attempt, account: str, name: str, wanted: declared.Policy) -> None:
    policy = await attempt.store.find(POLICIES, account, name)
    if policy is None:
        parameters = {
            "PolicyName": name,
            "Path": given(wanted.path, None),
            "PolicyDocument": wanted.document.text,
            "Description": given(wanted.description, None),
            "Tags": tag_list(given(wanted.tags, {})),
        }
        document = wanted.document
        await attempt.perform(
            account, "CreatePolicy", parameters, "+", f"policy {name}", wanted.where, document
        )
        return
    subject = Subject(account, "Policy", f"policy {name}", {"PolicyArn": policy.arn}, wanted.where)
    require_same(subject, "name", policy.policy_name, name)
    require_same(subject, "path", policy.path, wanted.path)
    require_same(subject, "description", policy.description, wanted.description)
    if not is_same_document(policy.document, wanted.document):
        await _make_room_for_version(attempt, subject, policy)
        version = {"PolicyDocument": wanted.document.text, "SetAsDefault": True}
        await subject.change(attempt, "CreatePolicyVersion", version, "~", "document", wanted.document)
    await settle_tags(attempt, subject, policy.tags, wanted.tags)


async def _make_room_for_version(attempt: Attempt, subject: Subject, policy: ManagedPolicy) -> None:
    """Delete the oldest version that is not in force, where the policy has as many as it may have."""
    if len(policy.versions) < attempt.means.quotas.policy_versions:
        return
    oldest = next(
        (one.version_id for one in policy.versions if one.version_id != policy.default_version_id), None
    )
    if oldest is not None:
        await subject.change(attempt, "DeletePolicyVersion", {"VersionId": oldest}, "-", f"version {oldest}")


async def settle_group(attempt: Attempt, account: str, name: str, wanted: declared.Group) -> None:
    group = await attempt.store.find(GROUPS, account, name)
    if group is None:
        parameters = {"GroupName": name, "Path": given(wanted.path, None)}
        await attempt.perform(account, "CreateGroup", parameters, "+", f"group {name}", wanted.where)
        return
    subject = named_subject(account, "Group", "group", name, wanted.where)
    require_same(subject, "name", group.group_name, name)
    await _settle_path(attempt, subject, group.path, wanted.path)


async def settle_user(attempt: Attempt, account: str, name: str, wanted: declared.User) -> None:
    user = await attempt.store.find(USERS, account, name)
    if user is None:
        parameters = {
            "UserName": name,
            "Path": given(wanted.path, None),
            "PermissionsBoundary": await boundary_arn(attempt, account, wanted),
            "Tags": tag_list(given(wanted.tags, {})),
        }
        await attempt.perform(account, "CreateUser", parameters, "+", f"user {name}", wanted.where)
        return
    subject = named_subject(account, "User", "user", name, wanted.where)
    require_same(subject, "name", user.user_name, name)
    await _settle_path(attempt, subject, user.path, wanted.path)
    await settle_boundary(attempt, subject, user.permissions_boundary, wanted.permissions_boundary)
    await settle_tags(attempt, subject, user.tags, wanted.tags)


async def boundary_arn(attempt: Attempt, account: str, wanted: declared.User | declared.Role) -> str | None:
    """The boundary that a new user or role begins with."""
    reference = given(wanted.permissions_boundary, None)
    return None if reference is None else await policy_arn(attempt, account, reference, wanted.where)


async def _settle_path(attempt: Attempt, subject: Subject, current: str, value: Any) -> None:
    path = meant(attempt, value, "/")
    if path is not UNSET and path != current:
        await subject.change(
            attempt, f"Update{subject.word}", {"NewPath": path}, "~", told_change("path", current, path)
        )


async def settle_memberships(attempt: Attempt, account: str, name: str, wanted: declared.User) -> None:
    groups = meant(attempt, wanted.groups, ())
    user = await attempt.store.find(USERS, account, name)
    if groups is UNSET or user is None:
        return
    subject = named_subject(account, "User", "user", name, wanted.where)
    current = {group.lower(): group for group in user.groups}
    for key in current.keys() - {group.lower() for group in groups}:
        await subject.change(
            attempt, "RemoveUserFromGroup", {"GroupName": current[key]}, "-", f"group {current[key]}"
        )
    for group in groups:
        if group.lower() not in current:
            await subject.change(attempt, "AddUserToGroup", {"GroupName": group}, "+", f"group {group}")


async def settle_held_policies(
    attempt: Attempt,
    account: str,
    word: str,
    members: Mapping[str, declared.User | declared.Group | declared.Role],
) -> None:
    """Inline and attached policies of users, of groups or of roles, as `word` says."""
    for name, wanted in members.items():
        record = await attempt.find_holder(account, word, name)
        subject = named_subject(account, word, word.lower(), name, wanted.where)
        await settle_inline(attempt, subject, record.inline_policies, wanted.inline_policies)
        await settle_attached(attempt, subject, record.attached_policies, wanted.attached_policies)


async def settle_instance_profile(
    attempt: Attempt, account: str, name: str, wanted: declared.InstanceProfile
) -> None:
    profile = await attempt.store.find(INSTANCE_PROFILES, account, name)
    subject = named_subject(account, "InstanceProfile", "instance profile", name, wanted.where)
    current: tuple[str, ...] = ()
    if profile is None:
        parameters = {
            "InstanceProfileName": name,
            "Path": given(wanted.path, None),
            "Tags": tag_list(given(wanted.tags, {})),
        }
        await attempt.perform(account, "CreateInstanceProfile", parameters, "+", subject.label, wanted.where)
    else:
        require_same(subject, "name", profile.instance_profile_name, name)
        require_same(subject, "path", profile.path, wanted.path)
        await settle_tags(attempt, subject, profile.tags, wanted.tags)
        current = profile.role_names
    role = meant(attempt, wanted.role, None)
    # A name in another case is the same name.
    if role is UNSET or [name.lower() for name in current] == ([role.lower()] if role else []):
        return
    for old in current:
        await subject.change(attempt, "RemoveRoleFromInstanceProfile", {"RoleName": old}, "-", f"role {old}")
    if role:
        await subject.change(attempt, "AddRoleToInstanceProfile", {"RoleName": role}, "+", f"role {role}")
