"""Records that are derived from others: counts, and which records name which.

They are written with the records that they are derived from, in the same commit (`derivation.py`), so that a page of a
list, a count or a quota costs the same in a small account and in a full one. No permission is ever judged by them.
"""

from collections.abc import Mapping

import msgspec

from broker.names.arn import IAM
from broker.storage.records import (
    Group,
    InstanceProfile,
    ManagedPolicy,
    Record,
    Role,
    User,
    VirtualMfaDevice,
)

# Greater by one with every change of what is derived from a record: accounts are counted again then.
DERIVATION_VERSION = 1

POLICY_VERSIONS, ENABLED_MFA_DEVICES = "policy-version", "enabled-mfa"


class AccountCounts(Record, frozen=True, kw_only=True):
    """How many records of each collection an account has, by the collection's name; and what else is counted.

    `version` is that of the rules by which everything derived in the account was derived.
    """

    counts: dict[str, int] = {}
    version: int = 0


class RecordReference(Record, frozen=True, kw_only=True):
    """That the record `source` names the record `target`; both as `kind/name`, without case."""

    target: str
    source: str
    # For the target of a policy: how it is used.
    is_attachment: bool = False
    is_boundary: bool = False


class PolicyUse(Record, frozen=True, kw_only=True):
    """How often a managed policy is attached, and how often it is a permissions boundary; none where it is neither."""

    arn: str
    attachments: int = 0
    boundaries: int = 0


class Derived(msgspec.Struct, frozen=True):
    """What one record counts for; `references` by their keys, `arns` those of the policies among the targets."""

    counts: Mapping[str, int] = {}
    references: Mapping[str, RecordReference] = {}
    arns: Mapping[str, str] = {}


NOTHING = Derived()


def reference_key(reference: RecordReference) -> str:
    """No name has a space, which sorts before all that names have: so keys are in order of their targets' names."""
    return f"{reference.target} {reference.source}"


def policy_key(arn: str) -> str:
    """`OWNER/NAME`: names are unique among the policies of an account, and among AWS's."""
    return f"{arn.removeprefix(IAM).partition(':')[0]}/{arn.rpartition('/')[2].lower()}"


def policy_target(arn: str) -> str:
    return f"policy/{policy_key(arn)}"


def target(kind: str, name: str) -> str:
    return f"{kind}/{name.lower()}"


def counted(name: str) -> Derived:
    """What a record of that collection counts for, where it names no other."""
    return Derived(counts={name: 1})


def of_user(user: User) -> Derived:
    source = target("user", user.user_name)
    groups = [RecordReference(target=target("group", name), source=source) for name in user.groups]
    return _of_holder(source, "user", user.attached_policies, user.permissions_boundary, groups)


def of_group(group: Group) -> Derived:
    return _of_holder(target("group", group.group_name), "group", group.attached_policies, None, [])


def of_role(role: Role) -> Derived:
    source = target("role", role.role_name)
    return _of_holder(source, "role", role.attached_policies, role.permissions_boundary, [])


def of_policy(policy: ManagedPolicy) -> Derived:
    return Derived(counts={"policy": 1, POLICY_VERSIONS: len(policy.versions)})


def of_instance_profile(profile: InstanceProfile) -> Derived:
    source = target("instance-profile", profile.instance_profile_name)
    named = [RecordReference(target=target("role", name), source=source) for name in profile.role_names]
    return Derived({"instance-profile": 1}, {reference_key(one): one for one in named})


def of_mfa_device(device: VirtualMfaDevice) -> Derived:
    return Derived(counts={"mfa": 1, ENABLED_MFA_DEVICES: int(device.enabled_at is not None)})


def _of_holder(
    source: str, kind: str, attached: tuple[str, ...], boundary: str | None, others: list[RecordReference]
) -> Derived:
    references = {reference_key(one): one for one in others}
    arns = {}
    for arn in {*attached, *(() if boundary is None else (boundary,))}:
        used = RecordReference(
            target=policy_target(arn),
            source=source,
            is_attachment=arn in attached,
            is_boundary=arn == boundary,
        )
        references[reference_key(used)] = used
        arns[used.target] = arn
    return Derived({kind: 1}, references, arns)
