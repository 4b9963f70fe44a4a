"""The order of changes: an entity is settled after those that it names, and pruned before them."""

from broker.declaration import accounts, instances, organization
from broker.declaration.attempt import Attempt
from broker.declaration.clusters import prune_clusters, settle_clusters
from broker.declaration.declared import Declaration, DeclaredOrganization
from broker.declaration.entities import (
    GROUP,
    INSTANCE_PROFILE,
    POLICY,
    ROLE,
    USER,
    prune,
    settle_all,
    settle_later,
)
from broker.declaration.foreign_resources import prune_foreign_resources, settle_foreign_resources
from broker.declaration.identity_pools import prune_identity_pools, settle_identity_pools
from broker.declaration.identity_stores import prune_identity_stores, settle_identity_stores
from broker.declaration.providers import prune_providers, settle_providers
from broker.declaration.role_templates import prune_role_templates, settle_role_templates
from broker.declaration.roles import settle_roles
from broker.declaration.workloads import prune_workloads, settle_workloads


async def settle(attempt: Attempt, declaration: Declaration) -> None:
    members = declaration.accounts
    for account, wanted in members.items():
        await accounts.settle_account(attempt, account, wanted)
    for account, wanted in members.items():
        await accounts.settle_alias(attempt, account, wanted)
        for kind in (POLICY, GROUP, USER):
            await settle_all(attempt, kind, account, wanted)
        await settle_providers(attempt, account, wanted)
    await settle_roles(attempt, declaration)
    for account, wanted in members.items():
        for kind in (GROUP, USER, ROLE):
            await settle_later(attempt, kind, account, wanted)
        await settle_all(attempt, INSTANCE_PROFILE, account, wanted)
        await settle_role_templates(attempt, account, wanted)
        await settle_foreign_resources(attempt, account, wanted)
        await settle_clusters(attempt, account, wanted)
        await settle_workloads(attempt, account, wanted)
        await settle_identity_stores(attempt, account, wanted)
        await settle_identity_pools(attempt, account, wanted)
    if attempt.prune:
        await _prune(attempt, declaration)
    for instance_id, instance in declaration.instances.items():
        await instances.settle_instance(attempt, instance_id, instance)
    if declaration.instances:
        await instances.check_addresses(attempt, declaration)
    # Last, so that a control policy of this file does not deny the changes that the file itself declares.
    if isinstance(declaration.organization, DeclaredOrganization):
        await organization.settle_organization(attempt, declaration.organization)


async def _prune(attempt: Attempt, declaration: Declaration) -> None:
    """Delete what the file does not name in its accounts, except root users and service-linked roles."""
    await instances.prune_instances(attempt, declaration)
    for account, wanted in declaration.accounts.items():
        await prune_role_templates(attempt, account, wanted)
        await prune_foreign_resources(attempt, account, wanted)
        await prune_clusters(attempt, account, wanted)
        await prune_workloads(attempt, account, wanted)
        await prune_identity_pools(attempt, account, wanted)
        await prune_identity_stores(attempt, account, wanted)
        await prune_providers(attempt, account, wanted)
        for kind in (INSTANCE_PROFILE, ROLE, USER, GROUP, POLICY):
            await prune(attempt, kind, account, wanted)
