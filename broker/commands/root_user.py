"""The root key of the settings (`BROKER_ROOT_...`): created once, when the broker starts, and journalled."""

import logging

from broker.app import Broker, clock
from broker.audit.event import Event
from broker.commands.records import command_event, open_journal
from broker.config import ConfigurationError, RootUser
from broker.credentials.access_keys import AccessKeyPair
from broker.credentials.root_keys import KeyTaken, RootKeyImport, import_root_key
from broker.storage.store import Transaction

_logger = logging.getLogger("broker.root_user")


async def ensure_root_user(broker: Broker) -> None:
    """Create the account and the root key of the settings, unless that was done before.

    Raises ConfigurationError where another key has the id, and JournalUnavailable.
    """
    root = broker.settings.root
    if not root.account_id:
        return
    with open_journal(broker.settings.audit) as journal:
        is_recorded = False

        async def work(store: Transaction) -> RootKeyImport:
            nonlocal is_recorded
            brought = await ensure_configured_root_key(store, root)
            # Before the commit: a root key must not exist without a record. Once, even if the transaction is retried.
            if brought is RootKeyImport.MADE and not is_recorded:
                journal.write_ahead([_event(root)])
                journal.sync()
                is_recorded = True
            return brought

        if await broker.store.transact(work) is RootKeyImport.REVOKED:
            _logger.warning(
                "the root key of the settings was revoked after its import, and stays revoked",
                extra={"facts": {"account": root.account_id, "access_key_id": root.access_key_id}},
            )


async def ensure_configured_root_key(store: Transaction, root: RootUser) -> RootKeyImport:
    """`import_root_key` for the root user of the settings; raises ConfigurationError where another key has the id."""
    pair = AccessKeyPair(root.access_key_id, root.secret_access_key)
    try:
        return await import_root_key(store, root.account_id, pair, clock())
    except KeyTaken as error:
        raise ConfigurationError(f"root.access_key_id: {error}") from None


def _event(root: RootUser) -> Event:
    parameters = {"accessKeyId": root.access_key_id}
    return command_event("serve", root.account_id, "broker:CreateRootAccessKey", parameters)
