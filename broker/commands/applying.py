"""Applies a declaration to the store, in one transaction, and writes its changes to the journal."""

import os
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path

from broker.app import Broker, clock, entropy
from broker.commands.bearer_tokens import take_back_bearer_tokens
from broker.commands.passwords import take_back_passwords
from broker.commands.pruning import Deletions, require_agreed
from broker.commands.records import command_event, take_back_committed_keys, transact_recorded
from broker.credentials.password_rules import GENERATED_ENTROPY, generated_password
from broker.declaration.attempt import Attempt, Means
from broker.declaration.declared import Declaration
from broker.declaration.settling import settle
from broker.names.secret import SecretKey
from broker.storage.store import Transaction


async def apply_declaration(
    broker: Broker,
    declaration: Declaration,
    command: str,
    folder: Path,
    *,
    must_prune: bool = False,
    is_dry: bool = False,
    agreed: Deletions | None = None,
    advance: Callable[[], None] = lambda: None,
) -> Attempt:
    """Change the store to what is declared, in one transaction; a dry run does the same and does not commit.

    `agreed` is what may be deleted, None for everything. Changes are journalled before they are committed. Raises
    DeclarationError and CommandRefused, where nothing was changed, and Conflict where others changed the same accounts
    at each attempt.
    """
    attempts: list[Attempt] = []
    means = means_of(broker, command, folder, advance)

    async def work(store: Transaction) -> Attempt:
        attempt = Attempt(means, store, int(clock()), prune=must_prune)
        attempts.append(attempt)
        await settle(attempt, declaration)
        if agreed is not None:
            require_agreed(attempt.changes, agreed)
        return attempt

    if is_dry:
        return await work(broker.store.transaction())
    try:
        return await transact_recorded(broker, work, lambda attempt: attempt.events)
    except BaseException:
        # Accounts are committed one after another: the keys of some may have been committed.
        keys = [key for attempt in attempts for key in attempt.keys]
        if keys:
            await take_back_committed_keys(broker, command, keys)
        passwords = [one for attempt in attempts for one in attempt.passwords]
        if passwords:
            await take_back_passwords(broker, command, passwords)
        tokens = [one for attempt in attempts for one in attempt.bearer_tokens]
        if tokens:
            await take_back_bearer_tokens(broker, command, tokens)
        raise


def means_of(broker: Broker, command: str, folder: Path, advance: Callable[[], None] = lambda: None) -> Means:
    """What attempts of `command` need; file names in a declaration are relative to `folder`."""

    @cache
    def one_time_password(account: str, user: str) -> SecretKey:
        return generated_password(entropy(GENERATED_ENTROPY))

    return Means(
        gate=broker.gate,
        mint=broker.mint,
        federation=broker.federation,
        passwords=broker.passwords.during(one_time_password),
        quotas=broker.settings.quotas,
        service_principals=frozenset(broker.settings.policies.service_principals),
        entropy=entropy,
        new_event=partial(command_event, command),
        one_time_password=one_time_password,
        folder=folder,
        environment=os.environ,
        advance=advance,
    )
