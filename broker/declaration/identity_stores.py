"""Identity stores that a file declares, by their providers, and the tokens by which people are pushed into them.

People, groups and memberships are the provider's to say, so no file declares them. A store's id is made of the
provider's name, where the file does not say it: settings and policies can name its ARN before it exists.
"""

from msgspec import UNSET

from broker.declaration.attempt import Attempt, Regional
from broker.declaration.declared import DeclaredAccount, DeclaredIdentityStore, value_or
from broker.declaration.declared_ids import declared_store_id
from broker.declaration.source import DeclarationError
from broker.identity_store.tokens import MOST_TOKENS, NewBearerToken
from broker.names.identity_store import is_store_id
from broker.names.secret import SecretKey
from broker.storage.identity_store_records import EXTERNAL_ID, IdentityStoreRecord
from broker.storage.people_collections import IDENTITY_STORES, PROVIDER_IDENTITY_STORES, STORE_TOKENS

_SERVICE = "identitystore"


async def settle_identity_stores(attempt: Attempt, account: str, wanted: DeclaredAccount) -> None:
    if not isinstance(wanted.identity_stores, dict):
        return
    for provider, store in wanted.identity_stores.items():
        await _settle(attempt, account, provider, store)


async def prune_identity_stores(attempt: Attempt, account: str, wanted: DeclaredAccount) -> None:
    """Only where the file has the key: without its store, a provider admits everybody whom it vouches for."""
    if not isinstance(wanted.identity_stores, dict):
        return
    for record in await attempt.store.scan(IDENTITY_STORES, account):
        if record.provider not in wanted.identity_stores:
            text = f"identity store of {record.provider}, with its people and tokens"
            named = {"IdentityStoreId": record.store_id}
            at = Regional(account, _SERVICE)
            await attempt.perform_json(at, "DeleteIdentityStore", named, "-", text, wanted.where)


async def _settle(attempt: Attempt, account: str, provider: str, wanted: DeclaredIdentityStore) -> None:
    if not 0 <= wanted.bearer_tokens <= MOST_TOKENS:
        raise DeclarationError(f"{wanted.where}: bearer_tokens is from 0 to {MOST_TOKENS}")
    named = await attempt.store.find(PROVIDER_IDENTITY_STORES, account, provider)
    if named is None:
        await _create(attempt, account, provider, wanted)
        named = await attempt.store.find(PROVIDER_IDENTITY_STORES, account, provider)
    assert named is not None, "it was created"
    record = await attempt.store.find(IDENTITY_STORES, account, named.store_id)
    assert record is not None, "it is written with its provider's"
    _require_same(record, wanted)
    await _create_tokens(attempt, record, wanted)


async def _create(attempt: Attempt, account: str, provider: str, wanted: DeclaredIdentityStore) -> None:
    store_id = wanted.id or declared_store_id(account, provider)
    if not is_store_id(store_id):
        raise DeclarationError(f"{wanted.where}: id is d-, and ten hexadecimal digits")
    if await attempt.store.find(IDENTITY_STORES, account, store_id) is not None:
        raise DeclarationError(f"{wanted.where}: another identity store has the id {store_id}")
    members = {
        "Provider": provider,
        "MatchBy": value_or(wanted.match_by, EXTERNAL_ID),
        "Claim": value_or(wanted.claim, "") or None,
    }
    await attempt.perform_json(
        Regional(account, _SERVICE),
        "CreateIdentityStore",
        {name: value for name, value in members.items() if value is not None},
        "+",
        f"identity store of {provider}: {store_id}",
        wanted.where,
        # The operation makes the id of these bytes.
        entropy=lambda size: bytes.fromhex(store_id.removeprefix("d-")),
    )


def _require_same(record: IdentityStoreRecord, wanted: DeclaredIdentityStore) -> None:
    """Raises DeclarationError: how people are matched is chosen at creation, for it says who they are."""
    for what, current, given in (
        ("id", record.store_id, wanted.id or UNSET),
        ("match_by", record.matched_by, wanted.match_by),
        ("claim", record.claim, wanted.claim),
    ):
        if value_or(given, current) != current:
            raise DeclarationError(
                f"{wanted.where}: the {what} of the identity store is {current!r} and cannot be changed; "
                "delete it first, or declare its current value"
            )


async def _create_tokens(
    attempt: Attempt, record: IdentityStoreRecord, wanted: DeclaredIdentityStore
) -> None:
    """As many as are missing; expired ones count until they are deleted."""
    present = await attempt.store.scan(STORE_TOKENS, record.account_id, f"{record.store_id}/")
    for _ in range(wanted.bearer_tokens - len(present)):
        answer = await attempt.perform_json(
            Regional(record.account_id, _SERVICE),
            "CreateBearerToken",
            {"IdentityStoreId": record.store_id},
            "+",
            f"identity store of {record.provider}: bearer token",
            wanted.where,
        )
        token = SecretKey(answer.bearer_token)
        attempt.bearer_tokens.append(
            NewBearerToken(record.account_id, record.provider, record.store_id, answer.token_id, token)
        )
