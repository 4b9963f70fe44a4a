"""Logins: the caller and the secret that belong to an access key id or a session token."""

from collections.abc import Awaitable, Callable

import msgspec

from broker.access.caller import Caller
from broker.cache import Cache, MadeOf
from broker.names.secret import SecretKey
from broker.sealing.session import OpenedSession
from broker.storage.store import Transaction


class Login(msgspec.Struct, frozen=True, gc=False):
    """Who calls, if `secret` verifies the signature. It depends on `sources` alone.

    `name` is the access key id, or the digest of the session token; `opened` is that token, opened.
    """

    name: str | bytes
    caller: Caller
    secret: SecretKey
    opened: OpenedSession | None = None
    sources: tuple[MadeOf, ...] = ()


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
        """Whether all that `login`, an answer of `get`, was made of is as `store` reads it."""
        return await self._cache.find(store, login.name) is login

    def put(self, store: Transaction, login: Login) -> None:
        """Cache `login`, which was made with `store`, unless it is cached already."""
        if self._cache.get(login.name) is not login:
            self._cache.put_made(store, login.name, login, login.sources)


async def recorded_login(store: Transaction, make: Callable[[], Awaitable[Login]]) -> Login:
    """The answer of `make`, with its sources."""
    login, sources = await store.recorded(make)
    return msgspec.structs.replace(login, sources=sources)
