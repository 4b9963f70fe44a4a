"""Logins: what an access key id or a session token leads to."""

import msgspec

from broker.access.caller import Caller
from broker.cache import Cache
from broker.names.secret import SecretKey
from broker.sealing.session import OpenedSession
from broker.storage.store import Transaction


class Login(msgspec.Struct, frozen=True):
    """Who calls, if the signature holds under `secret`; made of nothing but records of `partitions`.

    `name` is the access key id, or the digest of the session token that was `opened`.
    """

    name: str | bytes
    partitions: tuple[str, ...]
    caller: Caller
    secret: SecretKey
    opened: OpenedSession | None = None


class Logins:
    """At most `limit` logins, by name.

    INVARIANT: only logins whose signature was verified are put, else unauthenticated clients could evict all others.
    """

    def __init__(self, limit: int) -> None:
        self._cache: Cache[str | bytes, Login] = Cache(limit)
        self.get = self._cache.get

    async def is_current(self, store: Transaction, login: Login) -> bool:
        """Whether `login`, which `get` found, is of the revisions that `store` sees."""
        return await self._cache.get_at(store, login.name, login.partitions) is login

    async def put(self, store: Transaction, login: Login) -> None:
        """Cache a login that was made with `store`, unless it is the one that is cached."""
        if self._cache.get(login.name) is not login:
            await self._cache.put_at(store, login.name, login.partitions, login)
