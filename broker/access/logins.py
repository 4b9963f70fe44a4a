"""Logins: what a key id or a session token led to, kept so that it need not be found out at every request."""

from collections import OrderedDict

import msgspec

from broker.access.caller import Caller
from broker.names.secret import SecretKey
from broker.sealing.session import OpenedSession
from broker.storage.engine import Revision


class Login(msgspec.Struct, frozen=True):
    """Who it would be, if the signature holds under `secret`: true as long as the caller's account is at `revision`.

    `name` is the access key id, or the digest of the session token that was `opened`. `revision` is None where its
    records lie in two partitions: such a login is found out every time.
    """

    name: str | bytes
    revision: Revision | None
    caller: Caller
    secret: SecretKey
    opened: OpenedSession | None = None


class Logins:
    """At most `capacity` logins; the first that was kept goes first, and is found out anew if it is still in use."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._kept: OrderedDict[str | bytes, Login] = OrderedDict()
        self.find = self._kept.get

    def __len__(self) -> int:
        return len(self._kept)

    def keep(self, login: Login) -> None:
        """Only a login whose signature has just been verified: else a stranger could wash the others out."""
        if self._kept.get(login.name) is login:
            return
        self._kept[login.name] = login
        self._kept.move_to_end(login.name)
        if len(self._kept) > self._capacity:
            self._kept.popitem(last=False)
