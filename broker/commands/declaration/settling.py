"""The order of the work: from what is named by others to what names them."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

from broker.app import Broker
from broker.commands.declaration import entities, instances, places
from broker.commands.declaration.attempt import Attempt
from broker.commands.declaration.declared import Declaration, Organization
from broker.commands.declaration.keys import settle_access_keys
from broker.commands.declaration.pruning import prune
from broker.commands.declaration.roles import settle_roles
from broker.commands.records import take_back_what_is_there, transact_recorded
from broker.storage.store import Transaction

T = TypeVar("T")


async def apply_declaration(
    broker: Broker,
    declaration: Declaration,
    command: str,
    folder: Path,
    *,
    must_prune: bool = False,
    is_dry: bool = False,
) -> Attempt:
    """Make the store what the declaration says, in one transaction; a dry run does the same and commits nothing.

    Raises DeclarationError and CommandRefused, and nothing is changed then; Conflict where others keep changing the
    same accounts. What is changed is journalled before it is committed.
    """
    attempts: list[Attempt] = []

    async def work(store: Transaction) -> Attempt:
        attempt = Attempt(broker, store, command, folder, prune=must_prune)
        attempts.append(attempt)
        await settle(attempt, declaration)
        return attempt

    if is_dry:
        return await work(await broker.store.transaction())
    try:
        return await transact_recorded(broker, work, lambda attempt: attempt.events)
    except BaseException:
        # Accounts are committed one after another: keys in the first ones may be there.
        keys = [key for attempt in attempts for key in attempt.keys]
        if keys:
            await take_back_what_is_there(broker, command, keys)
        raise


async def settle(attempt: Attempt, declaration: Declaration) -> None:
    accounts = declaration.accounts
    for account, wanted in accounts.items():
        await places.settle_account(attempt, account, wanted)
    for account, wanted in accounts.items():
        await places.settle_alias(attempt, account, wanted)
        await _each(attempt, account, wanted.policies, entities.settle_policy)
        await _each(attempt, account, wanted.groups, entities.settle_group)
        await _each(attempt, account, wanted.users, entities.settle_user)
        await _each(attempt, account, wanted.users, entities.settle_memberships)
    await settle_roles(attempt, declaration)
    for account, wanted in accounts.items():
        holders = (("Group", wanted.groups), ("User", wanted.users), ("Role", wanted.roles))
        for word, members in holders:
            await entities.settle_held_policies(attempt, account, word, members)
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
        await places.settle_organization(attempt, declaration.organization)


async def _each(
    attempt: Attempt,
    account: str,
    members: dict[str, T],
    settle_one: Callable[[Attempt, str, str, T], Awaitable[None]],
) -> None:
    for name, wanted in members.items():
        await settle_one(attempt, account, name, wanted)
