"""From a signed request to its caller: whose key is it, does the signature hold, what may the session still do.

The only place where a signature makes a Caller. Codes and words of the refusals are STS's ("Common Errors").
"""

import re
from collections import OrderedDict
from collections.abc import Callable

from broker.access.caller import Caller, root_caller, user_caller
from broker.access.sessions import Sessions, invalid_token
from broker.names.ids import LONG_TERM_KEY, TEMPORARY_KEY, account_of_access_key_id
from broker.names.secret import SecretKey
from broker.sealing.keyring import Keyring
from broker.sigv4.authorization import UnverifiedAuthorization, UnverifiedRequest
from broker.sigv4.refusals import missing_authentication_token
from broker.sigv4.signing_keys import SigningKeys
from broker.sigv4.verify import VerifiedRequest, verify
from broker.storage.records import AccessKey, User
from broker.storage.store import ACCESS_KEYS, FOREIGN_ACCESS_KEYS, USERS, Transaction

ACTIVE = "Active"

_is_key_id = re.compile(r"[A-Za-z0-9_]{16,128}").fullmatch  # `accessKeyIdType` of the models

_KEPT_USERS = 4096


class Prover:
    """Proves callers; `keyring` gives the ring that session tokens are sealed with, as it is now."""

    def __init__(self, keyring: Callable[[], Keyring], signing_keys: SigningKeys) -> None:
        self._sessions = Sessions(keyring)
        self._signing_keys = signing_keys
        self._users: OrderedDict[str, Caller] = OrderedDict()

    async def prove(
        self,
        store: Transaction,
        request: UnverifiedRequest,
        unverified: UnverifiedAuthorization | None,
        service: str,
        now: float,
    ) -> tuple[Caller, VerifiedRequest]:
        """The caller that signed `request` for `service`; raises Refusal as AWS's query services do.

        `unverified` is what `find_authorization` read from this very request.
        """
        if unverified is None:
            raise missing_authentication_token()
        access_key_id, token = unverified.signer.access_key_id, unverified.session_token
        if token is None:
            caller, secret = await self._claimed_long_term(store, access_key_id)
            return caller, verify(request, unverified, secret, now, self._signing_keys, services=(service,))
        session = await self._sessions.claimed(store, token, access_key_id, now)
        secret = session.opened.secret
        verified = verify(request, unverified, secret, now, self._signing_keys, services=(service,))
        self._sessions.keep(session)
        return session.caller, verified

    async def _claimed_long_term(self, store: Transaction, access_key_id: str) -> tuple[Caller, SecretKey]:
        """Who it would be, if the signature holds under the secret beside it."""
        if access_key_id.startswith(TEMPORARY_KEY):
            raise invalid_token("temporary credentials without a session token")
        # First where its id says, for nearly every key is the broker's own.
        account = account_of_access_key_id(access_key_id)
        key = await store.find(ACCESS_KEYS, account, access_key_id) if account else None
        if key is None:
            key = await _find_foreign_key(store, access_key_id)
        if key is None:
            raise invalid_token(f"access key {access_key_id} is unknown")
        if key.status != ACTIVE:
            raise invalid_token(f"access key {access_key_id} is {key.status}")
        if key.user_name is None:
            return root_caller(key.account_id, access_key_id), key.secret
        user = await store.find(USERS, key.account_id, key.user_name)
        if user is None:
            raise invalid_token(f"user {key.user_name} of access key {access_key_id} is gone")
        return self._user_caller(user, access_key_id), key.secret

    def _user_caller(self, user: User, access_key_id: str) -> Caller:
        """The caller of a user's key, the same one again as long as the very record that it was made from stands."""
        kept = self._users.get(access_key_id)
        if kept is not None and kept.user is user:
            return kept
        caller = self._users[access_key_id] = user_caller(user, access_key_id)
        self._users.move_to_end(access_key_id)
        if len(self._users) > _KEPT_USERS:
            self._users.popitem(last=False)
        return caller


async def account_of_key(store: Transaction, access_key_id: str) -> str | None:
    """The account of an access key id: carried in the id, or on record where the id was brought along."""
    foreign = await store.find(FOREIGN_ACCESS_KEYS, "", access_key_id)
    if foreign is not None:
        return foreign.account_id
    is_key = access_key_id.startswith((LONG_TERM_KEY, TEMPORARY_KEY))
    return account_of_access_key_id(access_key_id) if is_key else None


async def _find_foreign_key(store: Transaction, access_key_id: str) -> AccessKey | None:
    """The long-term access key under an id that was brought along, and does not say whose it is."""
    if _is_key_id(access_key_id) is None:
        raise invalid_token("what stands for the access key id is none")
    foreign = await store.find(FOREIGN_ACCESS_KEYS, "", access_key_id)
    return await store.find(ACCESS_KEYS, foreign.account_id, access_key_id) if foreign else None
