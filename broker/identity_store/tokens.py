"""Bearer tokens of SCIM: made for an identity store, shown once, proven by their digest.

    scim.ACCOUNT.STORE.TOKEN.SECRET

The names say where the record is; the secret is 32 random bytes, so that guessing is hopeless and a plain digest is
enough. A token is good until its time, until it is deleted, and as long as its store exists.
"""

from hashlib import sha256
from hmac import compare_digest

import msgspec

from broker.errors import Refusal
from broker.names.arn import is_account_id
from broker.names.identity_store import is_store_id
from broker.names.secret import SecretKey
from broker.storage.identity_store_records import IdentityStoreRecord, StoreToken
from broker.storage.people_collections import IDENTITY_STORES, STORE_TOKENS
from broker.storage.store import ACCOUNTS, Transaction

SECRET_SIZE, ID_SIZE = 32, 8
MOST_TOKENS = 2  # as at AWS: the next one is made before the last one is deleted
_PREFIX = "scim"
_LONGEST = 256


class NewBearerToken(msgspec.Struct, frozen=True):
    """A token that was made for the identity store of a provider, to be shown once."""

    account: str
    provider: str
    store_id: str
    token_id: str
    token: SecretKey


def token_text(account_id: str, store_id: str, token_id: str, secret: bytes) -> str:
    return f"{_PREFIX}.{account_id}.{store_id}.{token_id}.{secret.hex()}"


def digest_of(secret_text: str) -> bytes:
    return sha256(secret_text.encode("utf-8", "surrogatepass")).digest()


async def prove_token(
    store: Transaction, unverified_text: str, now: float
) -> tuple[IdentityStoreRecord, StoreToken]:
    """The store that the token is for; raises Refusal, whose reason says what is wrong."""
    is_plain = len(unverified_text) <= _LONGEST and unverified_text.isascii()
    parts = unverified_text.split(".") if is_plain else []
    if len(parts) != 5 or parts[0] != _PREFIX or not is_account_id(parts[1]) or not is_store_id(parts[2]):
        raise not_proven("it is no token of SCIM")
    _, account_id, store_id, token_id, secret = parts
    # Never reads in a partition that a client has made up.
    if await store.find(ACCOUNTS, "", account_id) is None:
        raise not_proven("there is no such account")
    token = await store.find(STORE_TOKENS, account_id, f"{store_id}/{token_id}")
    if token is None or not compare_digest(token.digest, digest_of(secret)):
        raise not_proven("there is no such token")
    if now >= token.expires_at:
        raise not_proven(f"token {token_id} of {store_id} has expired")
    identity_store = await store.find(IDENTITY_STORES, account_id, store_id)
    if identity_store is None:
        raise not_proven(f"there is no identity store {store_id}")
    return identity_store, token


def not_proven(reason: str) -> Refusal:
    return Refusal("Unauthorized", "The bearer token is not valid.", reason=reason, status=401)
