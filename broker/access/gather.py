"""Gathers every policy that applies to a caller, compiled and cached.

The policies of a principal are cached until one of the records that they were made of is written: its own, its groups',
its managed policies', the organization's. Session policies belong to the token and are added at each request.

# INVARIANT: a policy that cannot be found is never skipped, because it may deny. IAM deletes no policy that is attached
# or a boundary, and no group with members: where one is missing, the store is broken and the request is refused. A
# session policy may be deleted before its session ends: then everything is denied.
"""

import msgspec

from broker.access.aws_managed import (
    AnyManagedPolicy,
    AwsManagedPolicy,
    find_aws_managed,
    find_task_policy,
    is_aws_managed,
)
from broker.access.caller import Caller, Keys
from broker.access.library import PolicyLibrary, parts_of
from broker.access.organization import find_organization, organization_keys, policies_at
from broker.cache import Cache, CacheSize, Part
from broker.errors import service_unavailable
from broker.names.organizations import RESOURCE_CONTROL_POLICY, SERVICE_CONTROL_POLICY, policy_arn
from broker.names.principal import FederatedUser, Root
from broker.policy import NO_POLICIES, Layers, PolicyKind, PolicySet, Source, SourceKind
from broker.storage.organization_records import Organization, OrganizationalUnit
from broker.storage.records import Group, Role, User
from broker.storage.store import GROUPS, POLICIES, ROLES, USERS, Transaction

_NO_KEYS: Keys = {}
_ALLOW_ALL = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}'
_DENY_ALL = '{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"*","Resource":"*"}]}'
DEFAULT_LIMIT = 32 * 1024 * 1024

# Bytes that an entry takes beside compiled policies: key, layers, a union.
_ENTRY_WEIGHT = 2_000


class _Gathered(msgspec.Struct, frozen=True, gc=False):
    """The layers of a principal, and the organization."""

    layers: Layers
    organization: Organization | None

    @property
    def shared_parts(self) -> tuple[Part, ...]:
        layers = self.layers
        boundary = () if layers.boundary is None else (layers.boundary,)
        return tuple(part for one in (layers.identity, *boundary, *layers.scps) for part in one.shared_parts)


class Gatherer:
    """Gathers policies; its cache weighs at most `limit` bytes."""

    def __init__(self, library: PolicyLibrary, limit: int = DEFAULT_LIMIT) -> None:
        self._library = library
        self._cache: Cache[tuple[str, str], _Gathered] = Cache(limit, parts_of)
        # One entry, which what is gathered for thousands of principals shares: the organization may be large.
        self._organizations: Cache[str, Organization] = Cache(1)

    @property
    def cache_size(self) -> CacheSize:
        return self._cache.size

    async def layers_of(self, store: Transaction, caller: Caller, resource_account: str | None) -> Layers:
        """Every layer but the resource's own policy, which the operation declares.

        `resource_account` None: the owner of the resource is unknown, and with it the resource control policies.
        """
        return (await self.gather(store, caller, resource_account))[0]

    async def gather(
        self, store: Transaction, caller: Caller, resource_account: str | None
    ) -> tuple[Layers, Keys]:
        """The layers, and the condition keys that depend on the organization."""
        account = caller.account
        gathered = await self._cache.at(
            store,
            (account, _policy_owner(caller)),
            lambda: self._gathered(store, caller),
            _ENTRY_WEIGHT,
        )
        layers, organization = gathered.layers, gathered.organization
        if (
            caller.session_policies is not None
            or caller.is_assumed_root
            or type(caller.principal) is FederatedUser
        ):
            layers = msgspec.structs.replace(layers, session=await self._session_policies(store, caller))
        if caller.scope_policies:
            layers = msgspec.structs.replace(layers, scopes=self._scope_policies(caller))
        if organization is None:
            return layers, _NO_KEYS
        if resource_account in organization.closed_accounts:
            layers = msgspec.structs.replace(layers, rcps=(NO_POLICIES,))
        elif RESOURCE_CONTROL_POLICY in organization.features:
            layers = self._with_resource_controls(organization, layers, resource_account)
        keys = organization_keys(organization, caller.account, resource_account, caller.source_account)
        return layers, keys

    async def _gathered(self, store: Transaction, caller: Caller) -> _Gathered:
        organization: Organization | None = await self._organizations.at(
            store,
            "",
            lambda: find_organization(store),  # type: ignore[arg-type,return-value]  # None is not cached
        )
        return _Gathered(await self._layers(store, caller, organization), organization)

    async def _layers(self, store: Transaction, caller: Caller, organization: Organization | None) -> Layers:
        identity, boundary = NO_POLICIES, None
        record = await _record_of(store, caller)
        if isinstance(record, Role):
            identity = await self._attached(store, record)
            boundary = await self._boundary(store, caller.account, record.permissions_boundary)
        elif record is not None:
            identity = await self._user_policies(store, record)
            boundary = await self._boundary(store, caller.account, record.permissions_boundary)
        elif type(caller.principal) in _ROOT_PRINCIPALS:
            # Root needs no policy. Its federated users and root tasks may do the same, limited by the session layer.
            identity = self._library.compiled(
                Source(SourceKind.NONE, "root"), _ALLOW_ALL, PolicyKind.IDENTITY
            )
        return Layers(
            identity=identity,
            boundary=boundary,
            scps=self._service_controls(organization, caller.account),
            is_management_account=organization is not None
            and organization.management_account_id == caller.account,
            is_service_linked_role=caller.role is not None
            and caller.role.path.startswith("/aws-service-role/"),
        )

    async def _user_policies(self, store: Transaction, user: User) -> PolicySet:
        sets = [await self._attached(store, user)]
        for name in user.groups:
            group = await store.find(GROUPS, user.account_id, name)
            if group is None:
                raise service_unavailable(f"group {name} of {user.arn} is not in the store")
            sets.append(await self._attached(store, group))
        return PolicySet.union(*sets)

    async def _attached(self, store: Transaction, entity: User | Group | Role) -> PolicySet:
        """Inline and managed policies of one entity."""
        kind = _SOURCE_KINDS[type(entity)]
        sets = [
            await self._library.compiled_in_turn(Source(kind, name, entity.arn), text, PolicyKind.IDENTITY)
            for name, text in entity.inline_policies.items()
        ]
        sets += [
            await self._managed(store, entity.account_id, arn, PolicyKind.IDENTITY)
            for arn in entity.attached_policies
        ]
        return sets[0] if len(sets) == 1 else PolicySet.union(*sets)

    async def _managed(self, store: Transaction, account: str, arn: str, kind: PolicyKind) -> PolicySet:
        found = await self._find_managed(store, account, arn, kind)
        if found is None:
            raise service_unavailable(f"policy {arn}, {kind.value} of account {account}, is not in the store")
        return found

    async def _find_managed(
        self, store: Transaction, account: str, arn: str, kind: PolicyKind
    ) -> PolicySet | None:
        policy = await find_managed_policy(store, account, arn)
        if policy is None:
            return None
        # The text of one of AWS's is read where it is not compiled yet.
        document = policy.default_version if isinstance(policy, AwsManagedPolicy) else policy.document
        return await self._library.compiled_in_turn(_managed_source(policy, kind), document, kind)

    async def _boundary(self, store: Transaction, account: str, arn: str | None) -> PolicySet | None:
        """None: no boundary."""
        return None if arn is None else await self._managed(store, account, arn, PolicyKind.BOUNDARY)

    async def _session_policies(self, store: Transaction, caller: Caller) -> PolicySet:
        """The session layer; it is empty, and so allows nothing, for a federated user without session policies."""
        if caller.is_assumed_root:
            return self._task_policy(caller)
        policies = caller.session_policies
        if policies is None:
            return NO_POLICIES
        sets = []
        for arn in policies.managed:
            found = await self._find_managed(store, caller.account, arn, PolicyKind.SESSION)
            sets.append(self._deny_all(arn) if found is None else found)
        if policies.inline is not None:
            source = Source(SourceKind.SESSION, "session policy", caller.principal.arn)
            sets.append(self._library.compiled(source, policies.inline, PolicyKind.SESSION))
        return PolicySet.union(*sets)

    def _scope_policies(self, caller: Caller) -> tuple[PolicySet, ...]:
        """One level per policy that GetScopedCredentials added."""
        source = Source(SourceKind.SESSION, "scope down policy", caller.principal.arn)
        return tuple(self._library.compiled(source, one, PolicyKind.SESSION) for one in caller.scope_policies)

    def _task_policy(self, caller: Caller) -> PolicySet:
        """The session layer of a root task: everything that root may, except what the task policy denies.

        AWS's task policies only deny, so this is the one session layer that allows everything else. With any policy
        but a task policy that would allow too much: then everything is denied.
        """
        policies = caller.session_policies
        if policies is None or policies.inline is not None or len(policies.managed) != 1:
            return self._deny_all("")
        task = find_task_policy(policies.managed[0])
        if task is None:
            return self._deny_all(policies.managed[0])
        kind = PolicyKind.SESSION
        return PolicySet.union(
            self._library.compiled(Source(SourceKind.NONE, "root"), _ALLOW_ALL, kind),
            self._library.compiled(_managed_source(task, kind), task.default_version, kind),
        )

    def _deny_all(self, arn: str) -> PolicySet:
        """A deny of everything, instead of the session policy `arn`, which was deleted.

        An empty policy would not do: it does not stop what a resource policy grants to the session itself.
        """
        source = Source(SourceKind.SESSION, "a session policy that was deleted", arn)
        return self._library.compiled(source, _DENY_ALL, PolicyKind.SESSION)

    def _service_controls(self, organization: Organization | None, account: str) -> tuple[PolicySet, ...]:
        if organization is None:
            return ()
        if account in organization.closed_accounts:
            return (NO_POLICIES,)  # nothing is allowed there
        if SERVICE_CONTROL_POLICY not in organization.features:
            return ()
        return self._levels(organization, account, PolicyKind.SCP)

    def _with_resource_controls(
        self, organization: Organization, layers: Layers, account: str | None
    ) -> Layers:
        if account is None:
            return msgspec.structs.replace(layers, rcps=(NO_POLICIES,))
        return msgspec.structs.replace(
            layers,
            rcps=self._levels(organization, account, PolicyKind.RCP),
            is_resource_in_management_account=organization.management_account_id == account,
        )

    def _levels(self, organization: Organization, account: str, kind: PolicyKind) -> tuple[PolicySet, ...]:
        """From the root of the organization down to the account; empty for accounts outside of it."""
        source_kind, policy_type = _CONTROLS[kind]
        sets = []
        for name, unit in _units_above(organization, account):
            try:
                attached = policies_at(organization, unit, policy_type)
            except KeyError as error:
                raise service_unavailable(f"policy {error} of {name} is not in the store") from None
            sets.append(
                PolicySet.union(
                    *(
                        self._library.compiled(
                            Source(source_kind, policy.name, _arn(organization, policy_type, policy_id)),
                            policy.content,
                            kind,
                        )
                        for policy_id, policy in attached
                    )
                )
            )
        return tuple(sets)


# A kind of policy -> its name as a source, and in the APIs.
_CONTROLS = {
    PolicyKind.SCP: (SourceKind.SCP, SERVICE_CONTROL_POLICY),
    PolicyKind.RCP: (SourceKind.RCP, RESOURCE_CONTROL_POLICY),
}


def _arn(organization: Organization, policy_type: str, policy_id: str) -> str:
    return policy_arn(
        organization.management_account_id, organization.organization_id, policy_type, policy_id
    )


# Principals that have the root user's permissions, where no record of a user or role was read.
_ROOT_PRINCIPALS = (Root, FederatedUser)
_SOURCE_KINDS = {User: SourceKind.USER, Group: SourceKind.GROUP, Role: SourceKind.ROLE}


def _policy_owner(caller: Caller) -> str:
    """Whose policies apply: the unique id of a role or a user, or "root"; empty for a caller without policies."""
    if caller.role is not None:
        return caller.role.role_id
    if caller.user is not None:
        return caller.user.user_id
    return "root" if type(caller.principal) in _ROOT_PRINCIPALS else ""


def _managed_source(policy: AnyManagedPolicy, kind: PolicyKind) -> Source:
    if kind is PolicyKind.BOUNDARY:
        return Source(SourceKind.BOUNDARY, policy.policy_name, policy.arn)
    if kind is PolicyKind.SESSION:
        return Source(SourceKind.SESSION, policy.policy_name, policy.arn)
    is_aws = isinstance(policy, AwsManagedPolicy)
    return Source(
        SourceKind.AWS_MANAGED if is_aws else SourceKind.USER_MANAGED, policy.policy_name, policy.arn
    )


def _units_above(organization: Organization, account: str) -> list[tuple[str, OrganizationalUnit]]:
    """From the root of the organization down to the account; empty for accounts outside of it.

    Raises Refusal ServiceUnavailable for a unit whose parent is unknown, or that is its own ancestor: a level that
    cannot be found may deny, so it must not be skipped.
    """
    unit = organization.accounts.get(account)
    levels = [] if unit is None else [(account, unit)]
    while unit is not None and unit.parent is not None:
        name, unit = unit.parent, organization.units.get(unit.parent)
        if unit is None or len(levels) > len(organization.units):
            raise service_unavailable(f"the organization of account {account} is broken at {name}")
        levels.append((name, unit))
    return levels[::-1]


async def _record_of(store: Transaction, caller: Caller) -> Role | User | None:
    """The record that the caller's permissions come from; that of the caller itself where it is stored nowhere.

    # INVARIANT: what is cached was made of nothing but its key and what was read through `store`; so the record is read
    # again, though the caller has it.
    """
    if caller.role is not None:
        role = await store.find(ROLES, caller.account, ROLES.key_of(caller.role))
        return role if role is not None and role.role_id == caller.role.role_id else caller.role
    if caller.user is not None:
        user = await store.find(USERS, caller.account, USERS.key_of(caller.user))
        return user if user is not None and user.user_id == caller.user.user_id else caller.user
    return None


async def find_managed_policy(store: Transaction, account: str, arn: str) -> AnyManagedPolicy | None:
    """The managed policy with this ARN: one of AWS's, or of `account`."""
    if is_aws_managed(arn):
        return find_aws_managed(arn)
    policy = await store.find(POLICIES, account, arn.rsplit("/", 1)[-1])
    return policy if policy is not None and policy.arn == arn else None
