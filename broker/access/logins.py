"""Logins: the caller and the secret that belong to an access key id or a session token."""

import msgspec

from broker.access.caller import Caller
from broker.cache import Cache
from broker.names.secret import SecretKey
from broker.sealing.session import OpenedSession
from broker.storage.store import Transaction


class Login(msgspec.Struct, frozen=True):
    """Who calls, if `secret` verifies the signature. It depends on records of `partitions` alone.

    `name` is the access key id, or the digest of the session token; `opened` is that token, opened.
    """

    name: str | bytes
    partitions: tuple[str, ...]
    caller: Caller
    secret: SecretKey
    opened: OpenedSession | None = None


class LoginCache:
    """At most `limit` logins, by name.

    INVARIANT: only logins whose signature was verified are put, else unauthenticated clients could evict the others.
    """

    def __init__(self, limit: int) -> None:
        self._cache: Cache[str | bytes, Login] = Cache(limit)
        self.get = self._cache.get

    def __len__(self) -> int:
        return len(self._cache)

    async def is_current(self, store: Transaction, login: Login) -> bool:
        """Whether `login`, an answer of `get`, was made at the revisions that `store` reads."""
        return await self._cache.get_at(store, login.name, login.partitions) is login

    async def put(self, store: Transaction, login: Login) -> None:
        """Cache `login`, which was made with `store`, unless it is cached already."""
        if self._cache.get(login.name) is not login:
            await self._cache.put_at(store, login.name, login.partitions, login)
