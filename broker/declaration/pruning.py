"""Taking away what a file does not name, in the accounts that it does name; only where asked for."""

from collections.abc import Iterable

from broker.declaration import declared
from broker.declaration.attempt import Attempt
from broker.declaration.declared import Declaration
from broker.declaration.holders import Subject, named_subject
from broker.iam.protection import RESERVED_PATHS
from broker.storage.records import Group, ManagedPolicy, Role, User
from broker.storage.store import GROUPS, INSTANCE_PROFILES, INSTANCES, POLICIES, ROLES, USERS


async def prune(attempt: Attempt, declaration: Declaration) -> None:
    """From what depends to what is depended on. Root users, MFA devices of nobody and service-linked roles stay."""
    for instance in await attempt.store.scan(INSTANCES, ""):
        if instance.account_id in declaration.accounts and instance.instance_id not in declaration.instances:
            attempt.store.delete(INSTANCES, "", instance.instance_id)
            text = f"instance {instance.instance_id}"
            attempt.note(instance.account_id, "broker:DeleteInstance", "-", text)
    for account, wanted in declaration.accounts.items():
        await _prune_profiles(attempt, account, wanted)
        await _prune_roles(attempt, account, wanted)
        await _prune_users(attempt, account, wanted)
        await _prune_groups(attempt, account, wanted)
        await _prune_policies(attempt, account, wanted)


async def _prune_profiles(attempt: Attempt, account: str, wanted: declared.Account) -> None:
    named = _names(wanted.instance_profiles)
    for profile in await attempt.store.scan(INSTANCE_PROFILES, account):
        if profile.instance_profile_name.lower() in named:
            continue
        subject = named_subject(
            account, "InstanceProfile", "instance profile", profile.instance_profile_name, wanted.where
        )
        for role in profile.role_names:
            await _quietly(attempt, subject, "RemoveRoleFromInstanceProfile", {"RoleName": role})
        await _delete(attempt, subject)


async def _prune_roles(attempt: Attempt, account: str, wanted: declared.Account) -> None:
    named = _names(wanted.roles)
    for role in await attempt.store.scan(ROLES, account):
        if role.role_name.lower() not in named and not role.path.startswith(RESERVED_PATHS):
            subject = named_subject(account, "Role", "role", role.role_name, wanted.where)
            await _empty(attempt, subject, role)
            await _delete(attempt, subject)


async def _prune_users(attempt: Attempt, account: str, wanted: declared.Account) -> None:
    named = _names(wanted.users)
    for user in await attempt.store.scan(USERS, account):
        if user.user_name.lower() in named:
            continue
        subject = named_subject(account, "User", "user", user.user_name, wanted.where)
        await _empty(attempt, subject, user)
        for group in user.groups:
            await _quietly(attempt, subject, "RemoveUserFromGroup", {"GroupName": group})
        for key_id in user.access_key_ids:
            await _quietly(attempt, subject, "DeleteAccessKey", {"AccessKeyId": key_id})
        for serial in user.mfa_serial_numbers:
            await _quietly(attempt, subject, "DeactivateMFADevice", {"SerialNumber": serial})
        await _delete(attempt, subject)


async def _prune_groups(attempt: Attempt, account: str, wanted: declared.Account) -> None:
    named = _names(wanted.groups)
    for group in await attempt.store.scan(GROUPS, account):
        if group.group_name.lower() not in named:
            subject = named_subject(account, "Group", "group", group.group_name, wanted.where)
            await _empty(attempt, subject, group)
            await _delete(attempt, subject)


async def _prune_policies(attempt: Attempt, account: str, wanted: declared.Account) -> None:
    named = _names(wanted.policies)
    for policy in await attempt.store.scan(POLICIES, account):
        if policy.policy_name.lower() not in named:
            label = f"policy {policy.policy_name}"
            subject = Subject(account, "Policy", label, {"PolicyArn": policy.arn}, wanted.where)
            for version in _old_versions(policy):
                await _quietly(attempt, subject, "DeletePolicyVersion", {"VersionId": version})
            await _delete(attempt, subject)


async def _empty(attempt: Attempt, subject: Subject, holder: User | Group | Role) -> None:
    for arn in holder.attached_policies:
        await _quietly(attempt, subject, f"Detach{subject.word}Policy", {"PolicyArn": arn})
    for name in holder.inline_policies:
        await _quietly(attempt, subject, f"Delete{subject.word}Policy", {"PolicyName": name})


async def _quietly(attempt: Attempt, subject: Subject, operation: str, more: dict[str, str]) -> None:
    """A step on the way to a deletion, which is the one line that shows."""
    parameters = {**subject.parameters, **more}
    await attempt.perform(subject.account, operation, parameters, "-", "", subject.where)


async def _delete(attempt: Attempt, subject: Subject) -> None:
    operation = f"Delete{subject.word}"
    await attempt.perform(subject.account, operation, subject.parameters, "-", subject.label, subject.where)


def _old_versions(policy: ManagedPolicy) -> list[str]:
    return [one.version_id for one in policy.versions if one.version_id != policy.default_version_id]


def _names(members: Iterable[str]) -> set[str]:
    return {name.lower() for name in members}
