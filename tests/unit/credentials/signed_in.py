"""A store, and somebody who is signed in to the portal."""

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from broker.app import open_broker
from broker.config import load_settings
from broker.names.secret import SecretKey
from broker.storage.portal_records import IamUserIdentity, PortalSession
from broker.storage.store import Store
from tests.moments import AHEAD

NOW = AHEAD
entropy = secrets.token_bytes


@asynccontextmanager
async def in_store(folder: Path) -> AsyncIterator[Store]:
    settings = load_settings(
        None,
        {
            "BROKER_STORE_URL": f"sqlite:{folder}/broker.db",
            "BROKER_KEYS_MASTER_KEY_FILE": f"{folder}/master.key",
            "BROKER_AUDIT_PATH": f"{folder}/audit.jsonl",
        },
    )
    async with open_broker(settings, {}) as broker:
        yield broker.store


def portal_session(
    *, user_id: str = "AIDAALICE00000000000A", ends_at: int = int(NOW) + 12 * 3600
) -> PortalSession:
    return PortalSession(
        session_id="0" * 32,
        identity=IamUserIdentity(account_id="111122223333", user_name="alice", user_id=user_id),
        access_key_id="ASIAEXAMPLE",
        csrf_token=SecretKey("token"),
        signed_in_at=int(NOW),
        last_seen_at=int(NOW),
        ends_at=ends_at,
    )
