"""Instance -> instance profile -> role, as the store has it now; and the text of `iam/info`.

The two `Code`s that are not Success are those of the IAM User Guide, "Troubleshoot IAM and Amazon EC2".
"""

import msgspec

from broker.access.gate import Gate
from broker.audit.event import iso_time
from broker.metadata.credentials import EC2, CachedCredentials, RoleAssumption, judge_assumption
from broker.metadata.texts import json_text
from broker.names.arn import iam_arn
from broker.storage.records import Instance, InstanceProfile, Role
from broker.storage.store import INSTANCE_PROFILES, INSTANCES, ROLES, Transaction

_GUIDE = (
    "Please see documentation at https://docs.aws.amazon.com/IAM/latest/UserGuide/"
    "troubleshoot_iam-ec2.html#troubleshoot_iam-ec2_errors-info-doc."
)


class Binding(msgspec.Struct, frozen=True):
    """An instance's profile and its role, each None where it does not exist."""

    profile: InstanceProfile | None = None
    role: Role | None = None


async def find_binding(store: Transaction, instance: Instance) -> Binding:
    """The profile, which the record names by name or ARN; it must be in the instance's own account."""
    named = instance.instance_profile
    if not named:
        return Binding()
    profile = await store.find(INSTANCE_PROFILES, instance.account_id, named.rpartition("/")[2])
    if profile is None or (named.startswith("arn:") and profile.arn != named):
        return Binding()
    if not profile.role_names:
        return Binding(profile)
    return Binding(profile, await store.find(ROLES, instance.account_id, profile.role_names[0]))


def iam_info(instance: Instance, binding: Binding, now: float) -> str:
    """The text of `iam/info`, for an instance that has a profile."""
    updated = iso_time(now)
    if binding.profile is None:
        named = instance.instance_profile or ""
        arn = named if named.startswith("arn:") else iam_arn(instance.account_id, f"instance-profile/{named}")
        message = f"Instance Profile {arn} cannot be found. {_GUIDE}"
        return json_text({"Code": "InstanceProfileNotFound", "Message": message, "LastUpdated": updated})
    return json_text(
        {
            "Code": "Success",
            "LastUpdated": updated,
            "InstanceProfileArn": binding.profile.arn,
            "InstanceProfileId": binding.profile.instance_profile_id,
        }
    )


def credentials_text(cached: CachedCredentials) -> str:
    """The text of `iam/security-credentials/` and a role's name."""
    credentials = cached.credentials
    return json_text(
        {
            "Code": "Success",
            "LastUpdated": iso_time(credentials.issued_at),
            "Type": "AWS-HMAC",
            "AccessKeyId": credentials.access_key_id,
            "SecretAccessKey": credentials.secret.reveal(),
            "Token": credentials.session_token,
            "Expiration": iso_time(credentials.expires_at),
        }
    )


def unauthorized_text(role_name: str, now: float) -> str:
    """The text instead of credentials where the role does not let EC2 assume it."""
    message = f"EC2 cannot assume the role {role_name}. {_GUIDE}"
    return json_text(
        {"Code": "AssumeRoleUnauthorizedAccess", "Message": message, "LastUpdated": iso_time(now)}
    )


async def judge_instance(
    store: Transaction, gate: Gate, instance: Instance, role: Role, delivery: str, now: float
) -> RoleAssumption:
    """Judge whether `instance` may have `role`; `delivery` is the version of the metadata service, "1.0" or "2.0"."""
    arn = f"arn:aws:ec2:{instance.region}:{instance.account_id}:instance/{instance.instance_id}"
    context = {"ec2:sourceinstancearn": (arn,)}
    if instance.vpc_id:
        context["aws:ec2instancesourcevpc"] = (instance.vpc_id,)
    if instance.local_ipv4:
        context["aws:ec2instancesourceprivateipv4"] = (instance.local_ipv4,)
    return await judge_assumption(
        store,
        gate,
        key=f"{instance.account_id}/{instance.instance_id}/{delivery}",
        service=EC2,
        role=role,
        session_name=instance.instance_id,
        source_arn=arn,
        region=instance.region,
        now=now,
        role_delivery=delivery,
        instance_id=instance.instance_id,
        context=context,
    )


async def judge_instance_again(
    store: Transaction, gate: Gate, instance_id: str, delivery: str, now: float
) -> RoleAssumption | None:
    """Judge again, for a renewal in the background; None where the instance has no role any more."""
    instance = await store.find(INSTANCES, "", instance_id)
    if instance is None or not instance.metadata_enabled:
        return None
    role = (await find_binding(store, instance)).role
    return None if role is None else await judge_instance(store, gate, instance, role, delivery, now)
