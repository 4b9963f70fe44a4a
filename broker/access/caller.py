"""Caller: a principal with proof. Code that has a `Caller` may act as its principal, so only proofs make one."""

from collections.abc import Mapping
from functools import cached_property

import msgspec

from broker.assertions.requested_session import RequestedSession
from broker.audit.event import (
    InvokedByDelegate,
    SessionAttributes,
    SessionContext,
    SessionIssuer,
    UserIdentity,
    iso_time,
)
from broker.names.arn import parse_arn
from broker.names.principal import (
    Anonymous,
    AssumedRole,
    CertificateSubject,
    CustomTokenSubject,
    FederatedUser,
    IamUser,
    LdapSubject,
    Principal,
    Root,
    SamlSubject,
    Service,
    WebIdentity,
)
from broker.sealing.claims import SessionClaims
from broker.storage import records

Keys = dict[str, tuple[str, ...]]

_NONE: Mapping[str, str] = {}
_NO_KEYS: Mapping[str, tuple[str, ...]] = {}
_TRUE, _FALSE = ("true",), ("false",)

PRINCIPAL_TYPES: dict[type[Principal], str] = {
    Root: "Account",
    IamUser: "User",
    AssumedRole: "AssumedRole",
    FederatedUser: "FederatedUser",
    WebIdentity: "AssumedRole",
    SamlSubject: "AssumedRole",
    LdapSubject: "AssumedRole",
    CertificateSubject: "AssumedRole",
    CustomTokenSubject: "AssumedRole",
    Service: "Service",
    Anonymous: "Anonymous",
}
_IDENTITY_TYPES = {
    Root: "Root",
    IamUser: "IAMUser",
    AssumedRole: "AssumedRole",
    FederatedUser: "FederatedUser",
    WebIdentity: "WebIdentityUser",
    SamlSubject: "SAMLUser",
    LdapSubject: "LDAPUser",  # CloudTrail has no such type, nor the next two
    CertificateSubject: "CertificateUser",
    CustomTokenSubject: "CustomTokenUser",
    Anonymous: "AWSAccount",
}


class SessionPolicies(msgspec.Struct, frozen=True):
    """The session policies of a session, one layer: the text of an inline policy, the ARNs of managed ones."""

    inline: str | None = None
    managed: tuple[str, ...] = ()


class Asserted(msgspec.Struct, frozen=True, kw_only=True):
    """What the assertion that proved a caller says about its subject, and about the session that it requests.

    `account` is the role's. Fields are named as in the answer. `session_keys` are the condition keys, in lower case,
    that the session has until it ends. `role_arn` is empty where the request names the role. `max_duration` is the
    longest session in seconds that the assertion allows; None where only the role limits it. `store_users` are those of
    identity stores that the subject is (`broker.access.identity_stores`).
    """

    account: str
    issuer: str
    subject: str
    audience: str
    subject_type: str = ""
    name_qualifier: str = ""
    attributes: RequestedSession
    session_keys: Keys
    session_name: str = ""
    role_arn: str = ""
    max_duration: int | None = None
    store_users: tuple[str, ...] = ()


class Caller(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """A proven principal, and the facts that were proven or read with it.

    `user` and `role` are the records that the principal's permissions come from, as read for this request; for a
    federated user, `user` is the one who called GetFederationToken. Times are epoch seconds. `token_issued_at` is None
    for long-term credentials. `tags` are aws:PrincipalTag/*: the record's own, overridden by `session_tags`.
    `session_keys` are condition keys that were set on the session when the role was assumed, in lower case.
    `is_session_token` marks credentials of GetSessionToken, `is_assumed_root` those of AssumeRoot. `scope_policies` are
    those that GetScopedCredentials added, each of which has to allow; `delegate_account` is the account that acts by a
    delegation request. `claims` are those of a session's token, `sealed_by` is the id of the key that sealed it.
    `asserted` is set only while an assertion is exchanged for credentials. `source_arn` is the resource for which a
    service principal acts.
    """

    principal: Principal
    account: str
    access_key_id: str = ""
    user: records.User | None = None
    role: records.Role | None = None
    tags: Mapping[str, str] = _NONE
    transitive_tag_keys: tuple[str, ...] = ()
    session_policies: SessionPolicies | None = None
    token_issued_at: int | None = None
    token_expires_at: int | None = None
    mfa_authenticated_at: int | None = None
    source_identity: str | None = None
    federated_provider: str | None = None
    session_tags: Mapping[str, str] = _NONE
    session_keys: Mapping[str, tuple[str, ...]] = _NO_KEYS
    role_delivery: str | None = None
    instance_id: str | None = None
    is_session_token: bool = False
    is_assumed_root: bool = False
    scope_policies: tuple[str, ...] = ()
    delegate_account: str | None = None
    claims: SessionClaims | None = None
    sealed_by: bytes = b""
    asserted: Asserted | None = None
    source_arn: str = ""

    def given_to(self, store_users: tuple[str, ...]) -> "Caller":
        """The subject of an assertion as these users of identity stores."""
        assert self.asserted is not None, "an assertion has proven it"
        asserted = msgspec.structs.replace(self.asserted, store_users=store_users)
        return msgspec.structs.replace(self, asserted=asserted)

    @property
    def is_temporary(self) -> bool:
        return self.token_issued_at is not None

    @property
    def source_account(self) -> str:
        """The account for which a service principal acts; empty for any other caller."""
        return parse_arn(self.source_arn).account if self.source_arn else ""

    @cached_property
    def condition_keys(self) -> Keys:
        """The condition keys of the principal; made once, because a cached caller serves many requests."""
        return _condition_keys(self)

    @cached_property
    def identity(self) -> UserIdentity:
        """The `userIdentity` of audit records; made once, too."""
        return _identity_of(self)


def _condition_keys(caller: Caller) -> Keys:
    """The condition keys of the principal. An assertion cannot set one of the global keys (`aws:...`)."""
    principal = caller.principal
    keys: Keys = {
        **{key: values for key, values in caller.session_keys.items() if not key.startswith("aws:")},
        "aws:principaltype": (PRINCIPAL_TYPES[type(principal)],),
        "aws:userid": (principal.user_id,),
        "aws:viaawsservice": _FALSE,
    }
    if isinstance(principal, Anonymous):  # "Anonymous requests do not include" aws:PrincipalIsAWSService
        keys["aws:principalaccount"] = (principal.user_id,)
    else:
        keys["aws:principalisawsservice"] = _TRUE if isinstance(principal, Service) else _FALSE
    if caller.account:
        keys["aws:principalaccount"] = (caller.account,)
        keys["aws:principalarn"] = (
            principal.role_arn if isinstance(principal, AssumedRole) else principal.arn,
        )
    if isinstance(principal, IamUser):
        keys["aws:username"] = (principal.name,)
    if caller.token_issued_at is not None:
        keys["aws:tokenissuetime"] = (iso_time(caller.token_issued_at),)
    if caller.source_identity:
        keys["aws:sourceidentity"] = (caller.source_identity,)
    if caller.federated_provider:
        keys["aws:federatedprovider"] = (caller.federated_provider,)
    if caller.role_delivery:
        keys["ec2:roledelivery"] = (caller.role_delivery,)
    if caller.is_assumed_root:
        keys["aws:assumedroot"] = _TRUE
    if isinstance(principal, Service) and caller.source_arn:
        keys["aws:sourcearn"] = (caller.source_arn,)
        keys["aws:sourceaccount"] = (caller.source_account,)
        keys["aws:principalservicename"] = keys["aws:principalservicenameslist"] = (principal.name,)
    for key, value in caller.tags.items():
        keys[f"aws:principaltag/{key.lower()}"] = (value,)
    return keys


def _identity_of(caller: Caller) -> UserIdentity:
    """The caller in CloudTrail's form ("CloudTrail userIdentity element")."""
    principal = caller.principal
    return UserIdentity(
        type=_IDENTITY_TYPES.get(type(principal), "AWSService"),
        principal_id=principal.user_id,
        arn=principal.arn,
        account_id=caller.account,
        access_key_id=caller.access_key_id,
        user_name=principal.name if isinstance(principal, IamUser) else "",
        session_context=_session_context(caller),
        invoked_by_delegate=_delegate(caller),
    )


def _session_context(caller: Caller) -> SessionContext | None:
    if caller.token_issued_at is None:
        return None
    return SessionContext(
        attributes=SessionAttributes(
            creation_date=iso_time(caller.token_issued_at),
            mfa_authenticated="false" if caller.mfa_authenticated_at is None else "true",
        ),
        session_issuer=_session_issuer(caller),
        source_identity=caller.source_identity,
        assumed_root="true" if caller.is_assumed_root else None,
    )


def _delegate(caller: Caller) -> InvokedByDelegate | None:
    return None if caller.delegate_account is None else InvokedByDelegate(caller.delegate_account)


def _session_issuer(caller: Caller) -> SessionIssuer | None:
    """What a session's permissions come from: the role, or the user who called GetFederationToken."""
    if caller.role is not None:
        role = caller.role
        return SessionIssuer("Role", role.role_id, role.arn, caller.account, role.role_name)
    if caller.user is not None and isinstance(caller.principal, FederatedUser):
        return SessionIssuer(
            "IAMUser", caller.user.user_id, caller.user.arn, caller.account, caller.user.user_name
        )
    return None


def user_caller(user: records.User, access_key_id: str = "") -> Caller:
    """A user, proven by its own long-term key; without a key in a simulation."""
    principal = IamUser(user.account_id, user.user_name, user.user_id, user.path)
    return Caller(
        principal=principal, account=user.account_id, access_key_id=access_key_id, user=user, tags=user.tags
    )


def root_caller(account: str, access_key_id: str = "") -> Caller:
    """An account's root user, proven by a long-term root key; without a key for the broker's own command line."""
    return Caller(principal=Root(account), account=account, access_key_id=access_key_id)
