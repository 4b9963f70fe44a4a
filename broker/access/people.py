"""From a person's session to a caller, proven again for every request: of the portal, or of a client that they allowed.

Such a session has what credentials of GetSessionToken have: the person's own permissions, and MFA where it was
given. So it ends as those do: with the user, by `broker revoke`, or by its own time.
"""

from typing import Protocol

from broker.access.caller import Caller
from broker.access.sessions import session_caller
from broker.errors import access_denied
from broker.names.principal import AssertedSubject, LdapSubject, SamlSubject, WebIdentity
from broker.sealing.claims import SessionTokenClaims
from broker.storage.portal_records import (
    ConsoleIdentity,
    DirectoryIdentity,
    FederatedIdentity,
    IamUserIdentity,
    Identity,
    OpenIdConnectIdentity,
    RootIdentity,
    SamlIdentity,
)
from broker.storage.store import Transaction


class SignedIn(Protocol):
    """What the records of both kinds of sessions say of the person, and of their sign-in."""

    @property
    def session_id(self) -> str: ...
    @property
    def identity(self) -> Identity: ...
    @property
    def access_key_id(self) -> str: ...
    @property
    def signed_in_at(self) -> int: ...
    @property
    def ends_at(self) -> int: ...
    @property
    def mfa_authenticated_at(self) -> int | None: ...
    @property
    def mfa_serial(self) -> str | None: ...


def claims_of(session: SignedIn) -> SessionTokenClaims:
    """The session as revocations and the list of sessions know it."""
    # INVARIANT: who is neither a user nor root has no claims, for claims without a user are those of root.
    assert isinstance(session.identity, IamUserIdentity | RootIdentity)
    user = session.identity if isinstance(session.identity, IamUserIdentity) else None
    return SessionTokenClaims(
        session.access_key_id,
        bytes.fromhex(session.session_id),
        session.signed_in_at,
        session.ends_at,
        session.identity.account_id,
        user_name=user.user_name if user else None,
        user_path=user.path if user else "/",
        user_id=user.user_id if user else None,
        mfa_authenticated_at=session.mfa_authenticated_at,
        mfa_serial=session.mfa_serial,
    )


async def caller_of(store: Transaction, session: SignedIn) -> Caller:
    """The person as the gate judges them; raises Refusal where the user was deleted or the session revoked.

    People of identity providers are no callers before they take a role: they may do nothing.
    """
    if isinstance(session.identity, FederatedIdentity):
        raise access_denied("People of identity providers have no permissions of their own: take a role.")
    if isinstance(session.identity, ConsoleIdentity):
        raise access_denied("This session is good for the console alone.")
    return await session_caller(store, claims_of(session))


async def person_of(store: Transaction, session: SignedIn) -> Caller:
    """As `caller_of`; a person of a provider is a subject of that provider, in no account, who may do nothing."""
    if isinstance(session.identity, FederatedIdentity):
        return Caller(principal=_subject_of(session.identity), account="")
    return await caller_of(store, session)


def _subject_of(identity: FederatedIdentity) -> AssertedSubject:
    """By the issuer itself, which no trust policy names so: each account has a record of it with a name of its own."""
    match identity:
        case OpenIdConnectIdentity():
            return WebIdentity(identity.issuer, str(identity.claims["sub"]))
        case SamlIdentity():
            return SamlSubject(identity.issuer, identity.name_id)
        case DirectoryIdentity():
            return LdapSubject(identity.provider, identity.name)


def name_of(identity: Identity) -> str:
    """What pages call the person."""
    match identity:
        case IamUserIdentity():
            return identity.user_name
        case RootIdentity():
            return "root"
        case OpenIdConnectIdentity() | SamlIdentity() | DirectoryIdentity():
            return identity.name
        case ConsoleIdentity():
            return identity.arn.rpartition("/")[2]
