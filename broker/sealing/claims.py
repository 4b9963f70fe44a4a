"""Claims: the content of session tokens. Frozen, tagged, append-only.

The rules, because an old token must open in a new version and a new token in an old one:

1. A tag never changes its meaning. A kind that must change otherwise than by rule 2 gets a new tag; the old kind stays.
2. A field is only added at the end of a kind, with a default that means "as before". No field is added to the common
   ones, which are the first of every kind.
3. Trailing fields with their default are not written. So a version without a new field opens every token that does not
   use it, and refuses those that do: the field might restrict the session.

Every kind has `principal`, `identity_id` (the unique id of the role or user whose permissions it has, the account's id
for the root user), `issued_by` (the access key that requested it; without one, the provider, instance or principal;
"" where that is not known) and `ancestors` (the access key ids of the sessions that it was scoped down from: it ends
with each of them).

Times are whole epoch seconds. Tags and context keys are tuples of pairs: claims are shared between
requests, and nothing in them may change.
"""

from typing import Any

import msgspec
from msgspec.structs import astuple

from broker.names.principal import AssumedRole, FederatedUser, IamUser, Root
from broker.sealing.envelope import SealBroken

SESSION_ID_SIZE = 16

Tags = tuple[tuple[str, str], ...]
ContextKeys = tuple[tuple[str, tuple[str, ...]], ...]


class _Session(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The common fields. INVARIANT: none is added, because that would move the fields of every kind."""

    access_key_id: str
    session_id: bytes
    issued_at: int
    expires_at: int
    account: str

    @property
    def ancestors(self) -> tuple[str, ...]:
        return ()


class AssumedRoleClaims(_Session, frozen=True, tag=1):
    """A session of a role, however it was assumed: by API, by a provider's assertion, by an instance.

    `context` has the condition keys that the session got when the role was assumed (`saml:aud`,
    `oidc.example:sub`, ...); `federated_provider` is `aws:FederatedProvider`; `role_delivery` is
    `ec2:RoleDelivery` and `instance_id` the instance, where the metadata service delivered the
    credentials. `store_users` are `ACCOUNT/IDENTITY-STORE/USER`, of the people to whom it was given: it
    ends with each of them.
    """

    role_name: str
    role_id: str
    session_name: str
    role_path: str = "/"
    session_policy: str | None = None
    session_policy_arns: tuple[str, ...] = ()
    tags: Tags = ()
    transitive_tag_keys: tuple[str, ...] = ()
    source_identity: str | None = None
    chained: bool = False
    mfa_authenticated_at: int | None = None
    issuer_access_key_id: str | None = None
    federated_provider: str | None = None
    role_delivery: str | None = None
    instance_id: str | None = None
    context: ContextKeys = ()
    store_users: tuple[str, ...] = ()

    @property
    def principal(self) -> AssumedRole:
        return AssumedRole(self.account, self.role_name, self.role_id, self.session_name, self.role_path)

    @property
    def identity_id(self) -> str:
        return self.role_id

    @property
    def issued_by(self) -> str:
        return self.issuer_access_key_id or self.federated_provider or self.instance_id or ""


class FederatedUserClaims(_Session, frozen=True, tag=2):
    """GetFederationToken: `issuer_*` name the user who called, all None for the root user."""

    name: str
    issuer_name: str | None = None
    issuer_path: str = "/"
    issuer_id: str | None = None
    session_policy: str | None = None
    session_policy_arns: tuple[str, ...] = ()
    tags: Tags = ()
    issuer_access_key_id: str | None = None

    @property
    def principal(self) -> FederatedUser:
        return FederatedUser(self.account, self.name)

    @property
    def identity_id(self) -> str:
        return self.issuer_id or self.account

    @property
    def issued_by(self) -> str:
        return self.issuer_access_key_id or ""

    @property
    def issuer(self) -> IamUser | Root:
        return _user_or_root(self.account, self.issuer_name, self.issuer_id, self.issuer_path)


class SessionTokenClaims(_Session, frozen=True, tag=3):
    """GetSessionToken: a session of the caller itself, perhaps with MFA; `user_*` are None for the root user."""

    user_name: str | None = None
    user_path: str = "/"
    user_id: str | None = None
    mfa_authenticated_at: int | None = None
    mfa_serial: str | None = None
    issuer_access_key_id: str | None = None

    @property
    def principal(self) -> IamUser | Root:
        return _user_or_root(self.account, self.user_name, self.user_id, self.user_path)

    @property
    def identity_id(self) -> str:
        return self.user_id or self.account

    @property
    def issued_by(self) -> str:
        return self.issuer_access_key_id or ""


class RootClaims(_Session, frozen=True, tag=4):
    """AssumeRoot: the root user of a member account, limited by one task policy."""

    task_policy_arn: str
    issuer_arn: str
    source_identity: str | None = None
    mfa_authenticated_at: int | None = None
    issuer_access_key_id: str | None = None

    @property
    def principal(self) -> Root:
        return Root(self.account)

    @property
    def identity_id(self) -> str:
        return self.account

    @property
    def issued_by(self) -> str:
        return self.issuer_access_key_id or self.issuer_arn


OriginalClaims = AssumedRoleClaims | FederatedUserClaims | SessionTokenClaims


class ScopedClaims(_Session, frozen=True, tag=5):
    """GetScopedCredentials: `original` again, with fewer permissions: each of `scope_policies` has to allow, too.

    `between` are the access key ids of the scoped sessions through which it came here, the first of them first.
    `delegate_account` is the account that acts by a delegation request.

    # INVARIANT: `issued_at` is that of `original`, so that whatever is judged by the time of issue (a revocation,
    # aws:TokenIssueTime) judges both alike.
    """

    original: OriginalClaims
    scope_policies: tuple[str, ...] = ()
    between: tuple[str, ...] = ()
    delegate_account: str | None = None

    @property
    def principal(self) -> AssumedRole | FederatedUser | IamUser | Root:
        return self.original.principal

    @property
    def identity_id(self) -> str:
        return self.original.identity_id

    @property
    def issued_by(self) -> str:
        return self.ancestors[-1]

    @property
    def ancestors(self) -> tuple[str, ...]:
        return (self.original.access_key_id, *self.between)


def without_mfa(claims: OriginalClaims | ScopedClaims) -> OriginalClaims | ScopedClaims:
    """The same session, without a one-time code."""
    if isinstance(claims, ScopedClaims):
        return msgspec.structs.replace(claims, original=without_mfa(claims.original))
    if isinstance(claims, FederatedUserClaims):
        return claims
    return msgspec.structs.replace(claims, mfa_authenticated_at=None)


SessionClaims = OriginalClaims | RootClaims | ScopedClaims


def _user_or_root(account: str, name: str | None, unique_id: str | None, path: str) -> IamUser | Root:
    if name is None:
        return Root(account)
    return IamUser(account, name, unique_id or "", path)


_REQUIRED = object()  # equals no value


def _form(kind: type[_Session]) -> tuple[tuple[int], tuple[Any, ...]]:
    """The encoding of a kind: its tag, and for each field its default or _REQUIRED."""
    tag = kind.__struct_config__.tag
    assert isinstance(tag, int)
    defaults = kind.__struct_defaults__
    return (tag,), (_REQUIRED,) * (len(kind.__struct_fields__) - len(defaults)) + defaults


_FORMS = {
    kind: _form(kind)
    for kind in (AssumedRoleClaims, FederatedUserClaims, SessionTokenClaims, RootClaims, ScopedClaims)
}
_ORIGINAL = ScopedClaims.__struct_fields__.index("original")
_encode = msgspec.msgpack.Encoder().encode
_decoder: msgspec.msgpack.Decoder[SessionClaims] = msgspec.msgpack.Decoder(SessionClaims)


def claims_to_bytes(claims: SessionClaims) -> bytes:
    """MessagePack array: the tag, then the fields up to the last that differs from its default."""
    return _encode(_array(claims))


def _array(claims: SessionClaims) -> tuple[Any, ...]:
    head, defaults = _FORMS[type(claims)]
    values = astuple(claims)
    if type(claims) is ScopedClaims:
        values = (*values[:_ORIGINAL], _array(claims.original), *values[_ORIGINAL + 1 :])
    last = len(values) - 1
    while values[last] == defaults[last]:
        last -= 1
    return head + values[: last + 1]


def claims_from_bytes(encoded: bytes) -> SessionClaims:
    """Raises SealBroken where a kind or a field is unknown."""
    try:
        return _decoder.decode(encoded)
    except msgspec.DecodeError as error:
        raise SealBroken(f"the claims are of a form that this version does not know: {error}") from None
