"""One-time passwords of the command line: as they are shown, and taken back where they cannot be."""

from collections.abc import Sequence
from contextlib import suppress

from broker.app import Broker
from broker.audit.journal import JournalUnavailable
from broker.commands.records import command_event, open_journal
from broker.credentials.password_changes import NewPassword, delete_login_profile
from broker.storage.store import LOGIN_PROFILES, Transaction


def passwords_text(passwords: Sequence[NewPassword]) -> str:
    """A line for each: who signs in where, and with what."""
    return "".join(f"{one.user} of account {one.account}: {one.password.reveal()}\n" for one in passwords)


async def take_back_passwords(broker: Broker, command: str, passwords: Sequence[NewPassword]) -> None:
    """Delete the login profiles that have one of `passwords`, which were never shown."""

    async def work(store: Transaction) -> list[NewPassword]:
        deleted = []
        for one in passwords:
            profile = await store.find(LOGIN_PROFILES, one.account, one.user)
            password_hash = profile.password_hash if profile is not None else None
            if await broker.passwords.verify(password_hash, one.password):
                await delete_login_profile(store, one.account, one.user)
                deleted.append(one)
        return deleted

    with open_journal(broker.settings.audit) as journal:
        for one in await broker.store.transact(work):
            event = command_event(command, one.account, "iam:DeleteLoginProfile", {"userName": one.user})
            # A journal that cannot be written says so when it is closed; the password has to go all the same.
            with suppress(JournalUnavailable):
                journal.write(event)
