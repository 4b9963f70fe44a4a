"""From a signed request to its caller: whose key is it, does the signature hold, what may the session still do.

The only place where a signature makes a Caller. Codes and words of the refusals are STS's ("Common Errors").
"""

import re
from collections import OrderedDict
from collections.abc import Callable, Mapping

import msgspec

from broker.access.caller import Caller, SessionPolicies, root_caller
from broker.errors import Refusal
from broker.names.ids import LONG_TERM_KEY, TEMPORARY_KEY, account_of_access_key_id
from broker.names.principal import Root
from broker.names.principal import User as UserPrincipal
from broker.names.secret import SecretKey
from broker.sealing.claims import (
    AssumedRoleClaims,
    FederatedUserClaims,
    RootClaims,
    SessionClaims,
    SessionTokenClaims,
)
from broker.sealing.envelope import SealBroken
from broker.sealing.keyring import Keyring
from broker.sealing.session import SessionExpired, open_session_token
from broker.sigv4.authorization import UnverifiedAuthorization, UnverifiedRequest
from broker.sigv4.refusals import missing_authentication_token
from broker.sigv4.signing_keys import SigningKeys
from broker.sigv4.verify import VerifiedRequest, verify
from broker.storage.records import AccessKey, Role, User
from broker.storage.store import ACCESS_KEYS, FOREIGN_ACCESS_KEYS, ROLES, USERS, Transaction

ACTIVE = "Active"

_is_key_id = re.compile(r"[A-Za-z0-9_]{16,128}").fullmatch  # `accessKeyIdType` of the models

_KEPT_USERS = 4096


class Prover:
    """Proves callers; `keyring` gives the ring that session tokens are sealed with."""

    def __init__(self, keyring: Callable[[], Keyring], signing_keys: SigningKeys) -> None:
        self._keyring = keyring
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
        claimed, secret = await self._claimed_caller(store, unverified, now)
        verified = verify(request, unverified, secret, now, self._signing_keys, services=(service,))
        return claimed, verified

    async def _claimed_caller(
        self, store: Transaction, unverified: UnverifiedAuthorization, now: float
    ) -> tuple[Caller, SecretKey]:
        """Who it would be, if the signature holds under the secret beside it."""
        if _is_key_id(unverified.access_key_id) is None:
            raise invalid_token("what stands for the access key id is none")
        if unverified.session_token is not None:
            return await self._claimed_session(store, unverified, now)
        if unverified.access_key_id.startswith(TEMPORARY_KEY):
            raise invalid_token("temporary credentials without a session token")
        return await self._claimed_long_term(store, unverified.access_key_id)

    async def _claimed_session(
        self, store: Transaction, unverified: UnverifiedAuthorization, now: float
    ) -> tuple[Caller, SecretKey]:
        try:
            claims, secret = open_session_token(
                self._keyring(), unverified.session_token or "", unverified.access_key_id, now
            )
        except SessionExpired as expired:
            raise Refusal(
                "ExpiredToken", "The security token included in the request is expired", reason=expired.reason
            ) from None
        except SealBroken as broken:
            raise invalid_token(broken.reason) from None
        return await session_caller(store, claims), secret

    async def _claimed_long_term(self, store: Transaction, access_key_id: str) -> tuple[Caller, SecretKey]:
        key = await find_access_key(store, access_key_id)
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
        caller = self._users[access_key_id] = _user_caller(user, access_key_id)
        self._users.move_to_end(access_key_id)
        if len(self._users) > _KEPT_USERS:
            self._users.popitem(last=False)
        return caller


def invalid_token(reason: str) -> Refusal:
    """One sentence for every key or token that is not good, whatever the reason."""
    return Refusal(
        "InvalidClientTokenId", "The security token included in the request is invalid.", reason=reason
    )


async def account_of_key(store: Transaction, access_key_id: str) -> str | None:
    """The account of an access key id: carried in the id, or on record where the id was brought along."""
    foreign = await store.find(FOREIGN_ACCESS_KEYS, "", access_key_id)
    if foreign is not None:
        return foreign.account_id
    is_key = access_key_id.startswith((LONG_TERM_KEY, TEMPORARY_KEY))
    return account_of_access_key_id(access_key_id) if is_key else None


async def find_access_key(store: Transaction, access_key_id: str) -> AccessKey | None:
    """The long-term access key on record; first where its id says, for nearly every key is the broker's own."""
    account = account_of_access_key_id(access_key_id)
    key = await store.find(ACCESS_KEYS, account, access_key_id) if account else None
    if key is None:
        foreign = await store.find(FOREIGN_ACCESS_KEYS, "", access_key_id)
        key = await store.find(ACCESS_KEYS, foreign.account_id, access_key_id) if foreign else None
    return key


def _user_caller(user: User, access_key_id: str) -> Caller:
    return Caller(
        principal=UserPrincipal(user.account_id, user.user_name, user.user_id, user.path),
        account=user.account_id,
        access_key_id=access_key_id,
        user=user,
        tags=user.tags,
    )


async def session_caller(store: Transaction, claims: SessionClaims) -> Caller:
    """The caller of a session whose token has been opened; raises Refusal where its principal is gone."""
    if isinstance(claims, AssumedRoleClaims):
        return _role_caller(claims, await store.find(ROLES, claims.account, claims.role_name))
    if isinstance(claims, SessionTokenClaims):
        return await _session_token_caller(store, claims)
    if isinstance(claims, FederatedUserClaims):
        return await _federated_caller(store, claims)
    return _task_caller(claims)


def _role_caller(claims: AssumedRoleClaims, role: Role | None) -> Caller:
    if role is None or role.role_id != claims.role_id:
        raise invalid_token(f"role {claims.role_name} ({claims.role_id}) of the session is gone")
    return Caller(
        principal=claims.principal,
        account=claims.account,
        access_key_id=claims.access_key_id,
        role=role,
        tags=merged_tags(role.tags, dict(claims.tags)),
        session_tags=dict(claims.tags),
        transitive_tag_keys=claims.transitive_tag_keys,
        session_policies=_session_policies(claims.session_policy, claims.session_policy_arns),
        token_issued_at=claims.issued_at,
        token_expires_at=claims.expires_at,
        mfa_authenticated_at=claims.mfa_authenticated_at,
        source_identity=claims.source_identity,
        federated_provider=claims.federated_provider,
        session_keys=dict(claims.context),
        role_delivery=claims.role_delivery,
        instance_id=claims.instance_id,
    )


async def _session_token_caller(store: Transaction, claims: SessionTokenClaims) -> Caller:
    if claims.user_name is None:
        caller = root_caller(claims.account, claims.access_key_id)
    else:
        caller = _user_caller(await _same_user(store, claims.account, claims.user_name, claims.user_id), "")
    return msgspec.structs.replace(
        caller,
        access_key_id=claims.access_key_id,
        token_issued_at=claims.issued_at,
        token_expires_at=claims.expires_at,
        mfa_authenticated_at=claims.mfa_authenticated_at,
        is_session_token=True,
    )


async def _federated_caller(store: Transaction, claims: FederatedUserClaims) -> Caller:
    user = None
    if claims.issuer_name is not None:
        user = await _same_user(store, claims.account, claims.issuer_name, claims.issuer_id)
    return Caller(
        principal=claims.principal,
        account=claims.account,
        access_key_id=claims.access_key_id,
        user=user,
        tags=merged_tags(user.tags if user else {}, dict(claims.tags)),
        session_tags=dict(claims.tags),
        session_policies=_session_policies(claims.session_policy, claims.session_policy_arns),
        token_issued_at=claims.issued_at,
        token_expires_at=claims.expires_at,
    )


async def _same_user(store: Transaction, account: str, name: str, unique_id: str | None) -> User:
    user = await store.find(USERS, account, name)
    if user is None or user.user_id != unique_id:
        raise invalid_token(f"user {name} ({unique_id}) of the session is gone")
    return user


def _task_caller(claims: RootClaims) -> Caller:
    return Caller(
        principal=Root(claims.account),
        account=claims.account,
        access_key_id=claims.access_key_id,
        session_policies=SessionPolicies(managed=(claims.task_policy_arn,)),
        token_issued_at=claims.issued_at,
        token_expires_at=claims.expires_at,
        mfa_authenticated_at=claims.mfa_authenticated_at,
        source_identity=claims.source_identity,
        is_assumed_root=True,
    )


def _session_policies(inline: str | None, managed: tuple[str, ...]) -> SessionPolicies | None:
    return SessionPolicies(inline, managed) if inline is not None or managed else None


def merged_tags(tags: Mapping[str, str], session_tags: Mapping[str, str]) -> Mapping[str, str]:
    """A session tag overrides a tag of the record whose key differs at most in case."""
    if not session_tags:
        return tags
    overridden = {key.lower() for key in session_tags}
    return {key: value for key, value in tags.items() if key.lower() not in overridden} | dict(session_tags)
