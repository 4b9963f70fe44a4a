"""What is in the store as the declaration that makes it: `broker apply` of it changes nothing there.

Credentials are no part of a declaration, nor are service-linked roles and what AWS manages; `Exported.left_out` counts
what is there and cannot be declared.
"""

import json
from collections import Counter
from typing import Any

import msgspec

from broker.access.organization import find_organization, find_policy
from broker.access.trust import named_policy, named_trust_policy
from broker.declaration.exporting_identities import identities_of, providers_of
from broker.declaration.exporting_workloads import workloads_of
from broker.iam.protection import RESERVED_PATHS
from broker.names.arn import parse_arn
from broker.names.organizations import RESOURCE_CONTROL_POLICY, SERVICE_CONTROL_POLICY
from broker.storage.organization_records import Organization, OrganizationalUnit
from broker.storage.records import Account, Group, Instance, ManagedPolicy, Role, User
from broker.storage.resource_records import ForeignResource
from broker.storage.store import (
    ACCESS_KEYS,
    ACCOUNTS,
    FOREIGN_RESOURCES,
    GROUPS,
    INSTANCE_PROFILES,
    INSTANCES,
    LOGIN_PROFILES,
    MFA_DEVICES,
    POLICIES,
    ROLES,
    SERVER_CERTIFICATES,
    USERS,
    Collection,
    Transaction,
)

Values = dict[str, Any]
_CONTROL_POLICIES = {
    "service_control_policies": SERVICE_CONTROL_POLICY,
    "resource_control_policies": RESOURCE_CONTROL_POLICY,
}
# What accounts have that no declaration speaks of.
_LEFT_OUT: tuple[tuple[str, Collection[Any]], ...] = (
    ("access keys", ACCESS_KEYS),
    ("passwords", LOGIN_PROFILES),
    ("virtual MFA devices", MFA_DEVICES),
    ("server certificates", SERVER_CERTIFICATES),
)


class Exported(msgspec.Struct, frozen=True):
    """`values` are those of the file; `left_out` counts what the store has and the file cannot say."""

    values: Values
    left_out: dict[str, int]


class AccountNotFound(Exception):
    """The account that was asked for is not in the store."""


async def export(store: Transaction, account_ids: tuple[str, ...] = ()) -> Exported:
    """The declaration of these accounts, or of all with the organization. Raises AccountNotFound."""
    accounts = {one.account_id: one for one in await store.scan(ACCOUNTS, "")}
    missing = [one for one in account_ids if one not in accounts]
    if missing:
        raise AccountNotFound(missing[0])
    chosen = account_ids or tuple(accounts)
    left_out: Counter[str] = Counter()
    values: Values = {}
    organization = await find_organization(store)
    if organization is not None and not account_ids:
        values["organization"] = _organization(organization, left_out)
    values["accounts"] = {one: await _account(store, accounts[one], left_out) for one in chosen}
    instances = [one for one in await store.scan(INSTANCES, "") if one.account_id in chosen]
    if instances:
        values["instances"] = {one.instance_id: _instance(one, left_out) for one in instances}
    return Exported(values, {name: count for name, count in left_out.items() if count})


async def _account(store: Transaction, account: Account, left_out: Counter[str]) -> Values:
    own = account.account_id
    for name, collection in _LEFT_OUT:
        left_out[name] += await store.count(collection, own)
    roles = await store.scan(ROLES, own)
    left_out["service-linked roles"] += sum(role.path.startswith(RESERVED_PATHS) for role in roles)
    policies = await store.scan(POLICIES, own)
    left_out["versions of policies that are not the default"] += sum(
        len(one.versions) - 1 for one in policies
    )
    kinds = {
        "policies": {one.policy_name: _policy(one) for one in policies},
        "groups": {one.group_name: _group(one) for one in await store.scan(GROUPS, own)},
        "users": {one.user_name: _user(one) for one in await store.scan(USERS, own)},
        "roles": {
            one.role_name: await _role(store, one) for one in roles if not one.path.startswith(RESERVED_PATHS)
        },
        "instance_profiles": {
            one.instance_profile_name: _present(
                path=_path(one.path), role=next(iter(one.role_names), None), tags=one.tags
            )
            for one in await store.scan(INSTANCE_PROFILES, own)
        },
        "foreign_resources": {
            one.arn: await _foreign_resource(store, one) for one in await store.scan(FOREIGN_RESOURCES, own)
        },
        **await providers_of(store, own, left_out),
        **await workloads_of(store, own, left_out),
        **await identities_of(store, own, left_out),
    }
    return _present(name=account.name, email=account.email, alias=account.alias, **kinds)


def _policy(policy: ManagedPolicy) -> Values:
    described = _present(path=_path(policy.path), description=policy.description, tags=policy.tags)
    return {**described, "document": _text(policy.document)}


def _group(group: Group) -> Values:
    return _present(path=_path(group.path), **_permissions(group))


def _user(user: User) -> Values:
    return _present(
        path=_path(user.path),
        tags=user.tags,
        permissions_boundary=_reference(user.account_id, user.permissions_boundary),
        groups=list(user.groups),
        **_permissions(user),
    )


async def _role(store: Transaction, role: Role) -> Values:
    described = _present(
        path=_path(role.path),
        description=role.description,
        max_session_duration=role.max_session_duration,
        tags=role.tags,
        permissions_boundary=_reference(role.account_id, role.permissions_boundary),
        **_permissions(role),
    )
    return {**described, "trust_policy": _text(await named_trust_policy(store, role))}


async def _foreign_resource(store: Transaction, resource: ForeignResource) -> Values:
    if resource.policy is None:
        return {"policy": None}
    return {"policy": _text(await named_policy(store, resource.policy, resource.trusted_ids))}


def _permissions(entity: User | Group | Role) -> Values:
    return {
        "inline_policies": {name: _text(document) for name, document in entity.inline_policies.items()},
        "attached_policies": [_reference(entity.account_id, arn) for arn in entity.attached_policies],
    }


def _reference(account_id: str, arn: str | None) -> str | None:
    """A policy of the account by its name, another by its ARN."""
    if arn is None or parse_arn(arn).account != account_id:
        return arn
    return arn.rpartition("/")[2]


def _instance(instance: Instance, left_out: Counter[str]) -> Values:
    """The fields that are not the record's defaults."""
    shown: Values = {}
    for field in msgspec.structs.fields(Instance):
        value = getattr(instance, field.name)
        if field.name != "instance_id" and value != field.default and value not in ((), {}):
            shown[field.name] = list(value) if isinstance(value, tuple) else value
    data = shown.pop("user_data", None)
    try:
        return {**shown, **({"user_data": data.decode()} if data else {})}
    except UnicodeDecodeError:
        left_out["user data that is no text"] += 1
        return shown


def _organization(organization: Organization, left_out: Counter[str]) -> Values:
    def node(node_id: str, one: OrganizationalUnit) -> Values:
        attached = [find_policy(organization, policy_id) for policy_id in one.policies]
        documents = {
            field: {
                policy.name: _text(policy.content) for policy in attached if policy and policy.type == kind
            }
            for field, kind in _CONTROL_POLICIES.items()
        }
        closed = node_id in organization.closed_accounts
        return _present(parent=one.parent, name=one.name, closed=closed, **documents)

    nodes = {**organization.units, **organization.accounts}
    used = {policy_id for one in nodes.values() for policy_id in one.policies}
    left_out["control policies that are attached nowhere"] += len(organization.policies.keys() - used)
    left_out["delegated administrators"] += len(organization.delegated_administrators)
    left_out["resource policies of the organization"] += organization.resource_policy is not None
    return _present(
        organization_id=organization.organization_id,
        management_account_id=organization.management_account_id,
        delegated_iam_administrator_id=organization.delegated_iam_administrator_id,
        features=list(organization.features),
        units={name: node(name, one) for name, one in organization.units.items()},
        accounts={name: node(name, one) for name, one in organization.accounts.items()},
    )


def _present(**values: Any) -> Values:
    """Without what is empty: a declaration is silent where there is nothing to say."""
    return {name: value for name, value in values.items() if value}


def _path(path: str) -> str | None:
    return None if path == "/" else path


def _text(document: str) -> str:
    """A document with a member on each line; numbers and booleans stay what they are, as they would not in YAML."""
    try:
        return json.dumps(json.loads(document), indent=2, ensure_ascii=False)
    except ValueError:
        return document
