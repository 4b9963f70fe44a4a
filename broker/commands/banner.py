"""What `broker serve` says when it serves: which broker, on which store, with which keys, and what comes next."""

import os
from collections.abc import Mapping
from pathlib import Path

from broker.app import Broker
from broker.config import Settings
from broker.names.secret import shown_url
from broker.storage.store import ACCOUNTS
from broker.version import VERSION

_NEXT_STEP = "make the first account: broker root-key 123456789012 --create-account"


async def start_facts(broker: Broker) -> dict[str, str]:
    """Facts beside the addresses; `next_step` is there while there is no account."""
    settings = broker.settings
    facts = {
        "version": VERSION,
        "store": shown_url(settings.store.url),
        "master_key": master_key_source(settings, os.environ),
        "journal": settings.audit.path,
    }
    if settings.listen.admin:
        facts["admin"] = settings.listen.admin
    if not await broker.store.transaction().scan(ACCOUNTS, "", limit=1):
        facts["next_step"] = _NEXT_STEP
    return facts


def master_key_source(settings: Settings, environment: Mapping[str, str]) -> str:
    """Where the master key comes from; never the key."""
    if settings.keys.master_key.reveal():
        return "keys.master_key of the settings"
    directory = environment.get("CREDENTIALS_DIRECTORY")
    if directory and Path(directory, "broker-master-key").exists():
        return "the credential broker-master-key of systemd"
    return settings.keys.master_key_file
