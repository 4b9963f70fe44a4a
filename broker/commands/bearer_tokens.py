"""Bearer tokens of identity stores, as the command line shows them, and takes them back where it cannot."""

from collections.abc import Sequence
from contextlib import suppress

from broker.app import Broker
from broker.audit.journal import JournalUnavailable
from broker.commands.records import command_event, open_journal
from broker.identity_store.tokens import NewBearerToken
from broker.storage.people_collections import STORE_TOKENS
from broker.storage.store import Transaction


def bearer_tokens_text(tokens: Sequence[NewBearerToken]) -> str:
    """A line for each: whose people are pushed with it, and the token."""
    return "".join(f"{one.provider} ({one.store_id}): {one.token.reveal()}\n" for one in tokens)


async def take_back_bearer_tokens(broker: Broker, command: str, tokens: Sequence[NewBearerToken]) -> None:
    """Delete those of `tokens` that exist, which were never shown."""

    async def work(store: Transaction) -> list[NewBearerToken]:
        deleted = []
        for one in tokens:
            key = f"{one.store_id}/{one.token_id}"
            if await store.find(STORE_TOKENS, one.account, key) is not None:
                store.delete(STORE_TOKENS, one.account, key)
                deleted.append(one)
        return deleted

    with open_journal(broker.settings.audit) as journal:
        for one in await broker.store.transact(work):
            named = {"identityStoreId": one.store_id, "tokenId": one.token_id}
            event = command_event(command, one.account, "identitystore:DeleteBearerToken", named)
            # A journal that cannot be written says so when it is closed; the token has to go all the same.
            with suppress(JournalUnavailable):
                journal.write(event)
