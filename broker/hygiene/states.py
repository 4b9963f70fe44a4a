"""What the rules look at: records of an account, gathered before anything is decided.

There is one state for each permission that shows as much by IAM's own operations, so that a page shows to nobody what
the API would not.
"""

import msgspec

from broker.access.aws_managed import find_aws_managed
from broker.access.organization import find_organization
from broker.permission_use.account_use import AccountUse
from broker.policy import Zone
from broker.storage.records import AccessKey, AccountSettings, Group, ManagedPolicy, Role, Usage, User
from broker.storage.resource_records import ForeignResource
from broker.storage.store import (
    ACCESS_KEYS,
    FOREIGN_RESOURCES,
    GROUPS,
    LOGIN_PROFILES,
    PASSWORD_POLICY,
    POLICIES,
    ROLES,
    ROOT_LOGIN_PROFILE,
    SETTINGS,
    USAGE,
    USERS,
    Transaction,
)

Entity = User | Group | Role


class RootState(msgspec.Struct, frozen=True):
    """The credentials of the root user, which GetAccountSummary shows."""

    has_access_keys: bool
    has_password: bool
    has_second_factor: bool


class PasswordRules(msgspec.Struct, frozen=True):
    """Whether the account has a password policy of its own, which GetAccountPasswordPolicy shows."""

    has_policy: bool


class UserKey(msgspec.Struct, frozen=True):
    """An access key of a user, and when it was last used, if it was: epoch seconds."""

    user_name: str
    access_key_id: str
    is_active: bool
    created_at: int
    last_used_at: int | None


class UserPassword(msgspec.Struct, frozen=True):
    """A user's password, and when it was last used, if it was: epoch seconds."""

    user_name: str
    created_at: int
    last_used_at: int | None


class UserCredentials(msgspec.Struct, frozen=True):
    """The users' credentials, which the credential report shows; users with a password, by name."""

    keys: tuple[UserKey, ...]
    without_second_factor: tuple[str, ...]
    passwords: tuple[UserPassword, ...] = ()


class RoleState(msgspec.Struct, frozen=True):
    """A role, and when it was last assumed, if it was: epoch seconds."""

    role: Role
    last_used_at: int | None


class EntityState(msgspec.Struct, frozen=True):
    """Entities and policies, which GetAccountAuthorizationDetails shows; `aws_managed` are texts by ARN.

    Who is not of the zone is outside: of the organization, or of the account where it belongs to none.
    """

    account: str
    entities: tuple[Entity, ...]
    policies: tuple[ManagedPolicy, ...]
    roles: tuple[RoleState, ...]
    aws_managed: dict[str, str]
    zone: Zone


class ResourceState(msgspec.Struct, frozen=True):
    """Resources of other services, which ListForeignResources shows; who is not of the zone is outside."""

    resources: tuple[ForeignResource, ...]
    zone: Zone


# What GetServiceLastAccessedDetails shows of users and roles is in AccountUse.
State = RootState | PasswordRules | UserCredentials | EntityState | ResourceState | AccountUse


async def gather_root(store: Transaction, account: str) -> RootState:
    settings = await store.find(SETTINGS, account) or AccountSettings()
    return RootState(
        has_access_keys=bool(settings.root_access_key_ids),
        has_password=await store.find(ROOT_LOGIN_PROFILE, account) is not None,
        has_second_factor=bool(settings.root_mfa_serial_numbers),
    )


async def gather_password_rules(store: Transaction, account: str) -> PasswordRules:
    return PasswordRules(await store.find(PASSWORD_POLICY, account) is not None)


async def gather_credentials(store: Transaction, account: str) -> UserCredentials:
    keys = await store.scan(ACCESS_KEYS, account)
    used = await store.find_all(USAGE, account, [key.access_key_id for key in keys])
    profiles = await store.scan(LOGIN_PROFILES, account)
    made = {(one.user_name or "").lower(): one.created_at for one in profiles}
    with_password = [one for one in await store.scan(USERS, account) if one.user_name.lower() in made]
    entered = await store.find_all(USAGE, account, [user.user_id for user in with_password])
    return UserCredentials(
        tuple(_user_key(key, usage) for key, usage in zip(keys, used, strict=True) if key.user_name),
        tuple(user.user_name for user in with_password if not user.mfa_serial_numbers),
        tuple(
            UserPassword(
                user.user_name, made[user.user_name.lower()], None if usage is None else usage.last_used_at
            )
            for user, usage in zip(with_password, entered, strict=True)
        ),
    )


def _user_key(key: AccessKey, usage: Usage | None) -> UserKey:
    return UserKey(
        key.user_name or "",
        key.access_key_id,
        key.status == "Active",
        key.created_at,
        None if usage is None else usage.last_used_at,
    )


async def gather_entities(store: Transaction, account: str) -> EntityState:
    users, groups = await store.scan(USERS, account), await store.scan(GROUPS, account)
    roles = await store.scan(ROLES, account)
    used = await store.find_all(USAGE, account, [role.role_id for role in roles])
    entities: tuple[Entity, ...] = (*users, *groups, *roles)
    return EntityState(
        account,
        entities,
        tuple(await store.scan(POLICIES, account)),
        tuple(
            RoleState(role, None if usage is None else usage.last_used_at)
            for role, usage in zip(roles, used, strict=True)
        ),
        _aws_managed(entities),
        await _zone_of(store, account),
    )


async def gather_resources(store: Transaction, account: str) -> ResourceState:
    return ResourceState(tuple(await store.scan(FOREIGN_RESOURCES, account)), await _zone_of(store, account))


async def _zone_of(store: Transaction, account: str) -> Zone:
    organization = await find_organization(store)
    if organization is None or account not in organization.accounts:
        return Zone(frozenset({account}))
    return Zone(frozenset(organization.accounts), organization.organization_id)


def _aws_managed(entities: tuple[Entity, ...]) -> dict[str, str]:
    """The documents of those of AWS's policies that are attached."""
    attached = {arn: find_aws_managed(arn) for one in entities for arn in one.attached_policies}
    return {arn: policy.document for arn, policy in attached.items() if policy is not None}
