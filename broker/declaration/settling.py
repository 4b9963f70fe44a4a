"""The order of the work: from what is named by others to what names them."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from broker.declaration import accounts, entities, instances
from broker.declaration.attempt import Attempt
from broker.declaration.declared import Declaration, Organization
from broker.declaration.keys import settle_access_keys
from broker.declaration.pruning import prune
from broker.declaration.roles import settle_roles

T = TypeVar("T")


async def settle(attempt: Attempt, declaration: Declaration) -> None:
    members = declaration.accounts
    for account, wanted in members.items():
        await accounts.settle_account(attempt, account, wanted)
    for account, wanted in members.items():
        await accounts.settle_alias(attempt, account, wanted)
        await _each(attempt, account, wanted.policies, entities.settle_policy)
        await _each(attempt, account, wanted.groups, entities.settle_group)
        await _each(attempt, account, wanted.users, entities.settle_user)
        await _each(attempt, account, wanted.users, entities.settle_memberships)
    await settle_roles(attempt, declaration)
    for account, wanted in members.items():
        holders = (("Group", wanted.groups), ("User", wanted.users), ("Role", wanted.roles))
        for word, held in holders:
            await entities.settle_held_policies(attempt, account, word, held)
        await _each(attempt, account, wanted.instance_profiles, entities.settle_instance_profile)
        await _each(attempt, account, wanted.users, settle_access_keys)
    if attempt.prune:
        await prune(attempt, declaration)
    for instance_id, instance in declaration.instances.items():
        await instances.settle_instance(attempt, instance_id, instance)
    if declaration.instances:
        await instances.check_addresses(attempt, declaration)
    # Last, so that a control policy of this very file does not stand in the way of what the file declares.
    if isinstance(declaration.organization, Organization):
        await accounts.settle_organization(attempt, declaration.organization)


async def _each(
    attempt: Attempt,
    account: str,
    members: dict[str, T],
    settle_one: Callable[[Attempt, str, str, T], Awaitable[None]],
) -> None:
    for name, wanted in members.items():
        await settle_one(attempt, account, name, wanted)
