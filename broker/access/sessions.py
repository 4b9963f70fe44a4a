"""From a session token to its caller: the claims of the token, and the record that its permissions come from.

A session ends when its role or user is deleted (a new one with the same name is another identity), when it is
revoked, and when a person to whom it was given is not active in an identity store any more. All of it is checked again
whenever the records that say so may have changed.
"""

from collections.abc import Callable, Mapping
from hashlib import sha256

import msgspec

from broker.access.caller import Caller, SessionPolicies, root_caller, user_caller
from broker.access.identity_stores import why_not_admitted
from broker.access.logins import Login, LoginCache, recorded_login
from broker.access.revocations import why_revoked
from broker.errors import Refusal
from broker.names.principal import Root
from broker.sealing.claims import (
    AssumedRoleClaims,
    FederatedUserClaims,
    OriginalClaims,
    RootClaims,
    ScopedClaims,
    SessionClaims,
    SessionTokenClaims,
)
from broker.sealing.envelope import SealBroken
from broker.sealing.keyring import Keyring
from broker.sealing.session import OpenedSession, SessionExpired, open_session, require_current
from broker.storage.records import Role, User
from broker.storage.store import RENAMED_USERS, ROLES, USERS, Transaction


class Sessions:
    """Opens session tokens, and finds their callers."""

    def __init__(self, keyring: Callable[[], Keyring], logins: LoginCache) -> None:
        self._keyring = keyring
        self._logins = logins

    async def get_login(
        self, store: Transaction, unverified_token: str, unverified_access_key_id: str, now: float
    ) -> Login:
        """The login of a session; raises Refusal for a token that is invalid, expired or revoked."""
        name = sha256(unverified_token.encode("utf-8", "surrogatepass")).digest()
        cached = self._logins.get(name)
        opened = None if cached is None else cached.opened
        keyring = self._keyring()
        try:
            if opened is None or opened.keyring is not keyring:
                opened = open_session(keyring, unverified_token)
            require_current(opened, unverified_access_key_id, now)
        except SessionExpired as expired:
            raise Refusal(
                "ExpiredToken", "The security token included in the request is expired", reason=expired.reason
            ) from None
        except SealBroken as broken:
            raise invalid_token(broken.reason) from None
        if cached is not None and cached.opened is opened and await self._logins.is_current(store, cached):
            return cached
        return await recorded_login(store, lambda: _login(store, name, opened))


async def _login(store: Transaction, name: bytes, opened: OpenedSession) -> Login:
    return Login(name, await opened_caller(store, opened), opened.secret, opened)


def invalid_token(reason: str) -> Refusal:
    """The same message for every invalid key or token, whatever the reason."""
    return Refusal(
        "InvalidClientTokenId", "The security token included in the request is invalid.", reason=reason
    )


async def opened_caller(store: Transaction, opened: OpenedSession) -> Caller:
    """As `session_caller`, of a session whose sealing key is known."""
    return msgspec.structs.replace(await session_caller(store, opened.claims), sealed_by=opened.key.id)


async def session_caller(store: Transaction, claims: SessionClaims) -> Caller:
    """The caller of a session whose token has been opened.

    Raises Refusal where it was revoked or its principal was deleted.
    """
    if revoked := await why_revoked(store, claims):
        raise invalid_token(revoked)
    if not isinstance(claims, ScopedClaims):
        return _session_caller(claims, await _find_record(store, claims))
    original = claims.original
    return msgspec.structs.replace(
        _session_caller(original, await _find_record(store, original)),
        access_key_id=claims.access_key_id,
        token_expires_at=claims.expires_at,
        scope_policies=claims.scope_policies,
        delegate_account=claims.delegate_account,
        claims=claims,
    )


async def _find_record(store: Transaction, claims: OriginalClaims | RootClaims) -> Role | User | None:
    """The record that the session's permissions come from, None where that is an account's root; raises Refusal."""
    if isinstance(claims, AssumedRoleClaims):
        role = await store.find(ROLES, claims.account, claims.role_name)
        if role is None or role.role_id != claims.role_id:
            raise invalid_token(f"role {claims.role_name} ({claims.role_id}) of the session was deleted")
        if (claims.store_users or claims.federated_provider) and (
            reason := await why_not_admitted(store, claims)
        ):
            raise invalid_token(reason)
        return role
    if isinstance(claims, RootClaims):
        return None
    if isinstance(claims, SessionTokenClaims):
        name, user_id = claims.user_name, claims.user_id
    else:
        name, user_id = claims.issuer_name, claims.issuer_id
    if name is None:
        return None
    user = await _find_user(store, claims.account, name, user_id)
    if user is None:
        # The user may have been renamed since. A user who has the name but another id is not the one.
        renamed = await store.find(RENAMED_USERS, claims.account, user_id or "")
        if renamed is not None:
            user = await _find_user(store, claims.account, renamed.user_name, user_id)
    if user is None:
        raise invalid_token(f"user {name} ({user_id}) of the session was deleted")
    return user


async def _find_user(store: Transaction, account: str, name: str, user_id: str | None) -> User | None:
    """The user of that name, if it is the one with that id."""
    user = await store.find(USERS, account, name)
    return user if user is not None and user.user_id == user_id else None


def _session_caller(claims: OriginalClaims | RootClaims, record: Role | User | None) -> Caller:
    if isinstance(claims, AssumedRoleClaims):
        assert isinstance(record, Role)
        return _role_caller(claims, record)
    if isinstance(claims, RootClaims):
        return _task_caller(claims)
    user = record if isinstance(record, User) else None
    if isinstance(claims, SessionTokenClaims):
        return _session_token_caller(claims, user)
    return _federated_caller(claims, user)


def _role_caller(claims: AssumedRoleClaims, role: Role) -> Caller:
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
        claims=claims,
    )


def _session_token_caller(claims: SessionTokenClaims, user: User | None) -> Caller:
    access_key_id = claims.access_key_id
    return msgspec.structs.replace(
        root_caller(claims.account, access_key_id) if user is None else user_caller(user, access_key_id),
        token_issued_at=claims.issued_at,
        token_expires_at=claims.expires_at,
        mfa_authenticated_at=claims.mfa_authenticated_at,
        is_session_token=True,
        claims=claims,
    )


def _federated_caller(claims: FederatedUserClaims, user: User | None) -> Caller:
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
        claims=claims,
    )


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
        claims=claims,
    )


def _session_policies(inline: str | None, managed: tuple[str, ...]) -> SessionPolicies | None:
    return SessionPolicies(inline, managed) if inline is not None or managed else None


def merged_tags(tags: Mapping[str, str], session_tags: Mapping[str, str]) -> Mapping[str, str]:
    """`tags` of the record, overridden by session tags; their keys are compared without case."""
    if not session_tags:
        return tags
    overridden = {key.lower() for key in session_tags}
    return {key: value for key, value in tags.items() if key.lower() not in overridden} | dict(session_tags)
