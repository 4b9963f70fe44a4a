"""A declaration applied to the store: what it is done with, its one transaction, and its records."""

import os
from functools import partial
from pathlib import Path

from broker.app import Broker, clock, entropy
from broker.commands.passwords import take_back_passwords
from broker.commands.records import command_event, take_back_what_is_there, transact_recorded
from broker.declaration.attempt import Attempt, Means
from broker.declaration.declared import Declaration
from broker.declaration.settling import settle
from broker.storage.store import Transaction


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
    means = means_of(broker, command, folder)

    async def work(store: Transaction) -> Attempt:
        attempt = Attempt(means, store, int(clock()), prune=must_prune)
        attempts.append(attempt)
        await settle(attempt, declaration)
        return attempt

    if is_dry:
        return await work(broker.store.transaction())
    try:
        return await transact_recorded(broker, work, lambda attempt: attempt.events)
    except BaseException:
        # Accounts are committed one after another: keys in the first ones may be there.
        keys = [key for attempt in attempts for key in attempt.keys]
        if keys:
            await take_back_what_is_there(broker, command, keys)
        passwords = [one for attempt in attempts for one in attempt.passwords]
        if passwords:
            await take_back_passwords(broker, command, passwords)
        raise


def means_of(broker: Broker, command: str, folder: Path) -> Means:
    """What `command` makes changes with; files that a declaration names are relative to `folder`."""
    return Means(
        gate=broker.gate,
        mint=broker.mint,
        federation=broker.federation,
        passwords=broker.passwords,
        quotas=broker.settings.quotas,
        service_principals=frozenset(broker.settings.policies.service_principals),
        entropy=entropy,
        new_event=partial(command_event, command),
        folder=folder,
        environment=os.environ,
    )
