"""Proves the caller of a signed request: finds the owner of the key, verifies the signature, checks the session.

Only here does a signature make a Caller. Codes and texts of the refusals are STS's ("Common Errors").
"""

from collections.abc import Callable

from broker.access.caller import Caller, root_caller, user_caller
from broker.access.logins import Login, LoginCache, recorded_login
from broker.access.sessions import Sessions, invalid_token
from broker.errors import Refusal
from broker.names.ids import LONG_TERM_KEY, TEMPORARY_KEY, account_of_access_key_id, is_key_id
from broker.sealing.keyring import Keyring
from broker.sigv4.authorization import UnverifiedAuthorization, UnverifiedRequest
from broker.sigv4.presented import is_string_signed
from broker.sigv4.refusals import missing_authentication_token
from broker.sigv4.signing_keys import SigningKeys
from broker.sigv4.verify import QUERY, Dialect, VerifiedRequest, verify, verify_post_policy
from broker.storage.records import AccessKey
from broker.storage.store import ACCESS_KEYS, FOREIGN_ACCESS_KEYS, USERS, Transaction

ACTIVE = "Active"

# Fewer sessions than keys: a session may have tags and policies of some ten thousand characters.
_MOST_KEYS, _MOST_SESSIONS = 16384, 1024


class Prover:
    """Proves callers; `keyring` returns the current keyring of session tokens, `dialect` limits presigned URLs.

    Clients use the same key or token again, so logins are cached. Each request checks what may have changed: the
    records that the login was made of; of a token also its expiry and the keyring.
    """

    def __init__(
        self, keyring: Callable[[], Keyring], signing_keys: SigningKeys, dialect: Dialect = QUERY
    ) -> None:
        self._key_logins = LoginCache(_MOST_KEYS)
        self._session_logins = LoginCache(_MOST_SESSIONS)
        self._sessions = Sessions(keyring, self._session_logins)
        self._signing_keys = signing_keys
        self._dialect = dialect

    @property
    def cached_entries(self) -> dict[str, int]:
        return {
            "keys": len(self._key_logins),
            "sessions": len(self._session_logins),
            "signing keys": len(self._signing_keys),
        }

    async def prove(
        self,
        store: Transaction,
        request: UnverifiedRequest,
        unverified: UnverifiedAuthorization | None,
        service: str,
        now: float,
        dialect: Dialect | None = None,
    ) -> tuple[Caller, VerifiedRequest]:
        """The caller that signed `request` for `service`; raises Refusal as AWS's query services do.

        `unverified` is what `find_authorization` read from this request; `dialect` is that of the service, where it is
        none of the broker's own.
        """
        if unverified is None:
            raise missing_authentication_token()
        logins, login = await self._get_login(store, unverified, now)
        verified = verify(
            request,
            unverified,
            login.secret,
            now,
            self._signing_keys,
            services=(service,),
            dialect=dialect or self._dialect,
        )
        logins.put(store, login)
        return login.caller, verified

    async def prove_post_policy(
        self, store: Transaction, unverified: UnverifiedAuthorization, policy: str, service: str, now: float
    ) -> Caller:
        """The caller that signed the policy of a form, in base64; raises Refusal."""
        logins, login = await self._get_login(store, unverified, now)
        verify_post_policy(unverified, policy, login.secret, now, self._signing_keys, services=(service,))
        logins.put(store, login)
        return login.caller

    async def _get_login(
        self, store: Transaction, unverified: UnverifiedAuthorization, now: float
    ) -> tuple[LoginCache, Login]:
        access_key_id, token = unverified.signer.access_key_id, unverified.session_token
        if token is None:
            return self._key_logins, await self._get_key_login(store, access_key_id)
        return self._session_logins, await self._sessions.get_login(store, token, access_key_id, now)

    async def prove_string(
        self,
        store: Transaction,
        access_key_id: str,
        unverified_string: str,
        unverified_signature: str,
        now: float,
    ) -> Caller:
        """The owner of a long-term key that signed this string to sign; raises Refusal."""
        login = await self._get_key_login(store, access_key_id)
        if not is_string_signed(login.secret, unverified_string, unverified_signature, now):
            raise Refusal(
                "SignatureDoesNotMatch",
                "The signature does not match the string to sign.",
                reason=f"the string to sign was not signed by {access_key_id}, or not for this time",
            )
        self._key_logins.put(store, login)
        return login.caller

    async def _get_key_login(self, store: Transaction, access_key_id: str) -> Login:
        if access_key_id.startswith(TEMPORARY_KEY):
            raise invalid_token("temporary credentials without a session token")
        cached = self._key_logins.get(access_key_id)
        if cached is not None and await self._key_logins.is_current(store, cached):
            return cached
        return await recorded_login(store, lambda: _key_login(store, access_key_id))


async def _key_login(store: Transaction, access_key_id: str) -> Login:
    account, key = account_of_access_key_id(access_key_id), None
    if account is not None:
        key = await store.find(ACCESS_KEYS, account, access_key_id)
    if key is None:
        key = await _get_foreign_key(store, access_key_id)
    if key.status != ACTIVE:
        raise invalid_token(f"access key {access_key_id} is {key.status}")
    user = None if key.user_name is None else await store.find(USERS, key.account_id, key.user_name)
    if user is None and key.user_name is not None:
        raise invalid_token(f"user {key.user_name} of access key {access_key_id} was deleted")
    if user is None:
        caller = root_caller(key.account_id, access_key_id)
    else:
        caller = user_caller(user, access_key_id)
    return Login(access_key_id, caller, key.secret)


async def account_of_key(store: Transaction, access_key_id: str) -> str | None:
    """The account of an access key id: encoded in the id, or on record for an id that was imported."""
    foreign = await store.find(FOREIGN_ACCESS_KEYS, "", access_key_id)
    if foreign is not None:
        return foreign.account_id
    is_key = access_key_id.startswith((LONG_TERM_KEY, TEMPORARY_KEY))
    return account_of_access_key_id(access_key_id) if is_key else None


async def _get_foreign_key(store: Transaction, access_key_id: str) -> AccessKey:
    """The long-term key of an imported id, which does not encode its account; raises Refusal."""
    if not is_key_id(access_key_id):
        raise invalid_token("the access key id is malformed")
    foreign = await store.find(FOREIGN_ACCESS_KEYS, "", access_key_id)
    key = await store.find(ACCESS_KEYS, foreign.account_id, access_key_id) if foreign else None
    if key is None:
        raise invalid_token(f"access key {access_key_id} is unknown")
    return key
