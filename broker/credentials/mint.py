"""The only mint: all temporary credentials of the broker are made here.

The mint does not authenticate and does not authorize: that is done before it is called. It enforces what must hold for
every session: how long a kind may last, how large a token may be, that no two sessions share an id.
Limits: STS API Reference, the pages of the operations; IAM User Guide, "Compare AWS STS credentials".
"""

from collections.abc import Callable, Mapping

import msgspec

from broker.errors import Refusal
from broker.names.ids import ACCESS_KEY_ID_ENTROPY, TEMPORARY_KEY, access_key_id
from broker.names.principal import AssumedRole, IamUser, Root
from broker.names.secret import SecretKey
from broker.sealing.claims import (
    SESSION_ID_SIZE,
    AssumedRoleClaims,
    FederatedUserClaims,
    OriginalClaims,
    RootClaims,
    ScopedClaims,
    SessionClaims,
    SessionTokenClaims,
    Tags,
    without_mfa,
)
from broker.sealing.keyring import Keyring
from broker.sealing.session import (
    TOKEN_ENTROPY,
    TokenTooLarge,
    mint_session_token,
    packed_size_percent,
    utilization_percent,
)

LONGEST_ROLE_SESSION = 43_200
LONGEST_CHAINED_SESSION = 3_600
LONGEST_USER_SESSION = 129_600
LONGEST_ROOT_SESSION = 3_600
LONGEST_ROOT_TASK = 900

# The entropy of a session is drawn at once, and used in this order: access key id, session id, token.
_SESSION_STARTS = ACCESS_KEY_ID_ENTROPY
_TOKEN_STARTS = _SESSION_STARTS + SESSION_ID_SIZE

_NO_TAGS: Mapping[str, str] = {}
_NO_CONTEXT: Mapping[str, tuple[str, ...]] = {}


class TemporaryCredentials(msgspec.Struct, frozen=True):
    """The minted credentials. Times are epoch seconds; `token_size` is in characters, `utilization` in percent.

    `packed_policy_size` is a percentage, None without session policies and tags.
    """

    access_key_id: str
    secret: SecretKey
    session_token: str
    issued_at: int
    expires_at: int
    token_size: int
    utilization: int
    packed_policy_size: int | None = None

    def __repr__(self) -> str:
        return f"TemporaryCredentials({self.access_key_id}, until {self.expires_at}, ***)"


Note = Callable[[str, bytes, bytes], None]


def _ignore_session(account: str, claims: bytes, sealed_by: bytes) -> None:
    pass


def _ignore_kind(kind: str) -> None:
    pass


def _too_large(percent: int, reason: str = "") -> Refusal:
    return Refusal(
        "PackedPolicyTooLarge",
        f"Packed policy consumes {percent}% of allotted space, please use smaller policy.",
        reason=reason,
    )


def _claims_too_large(refused: TokenTooLarge) -> Refusal:
    return _too_large(utilization_percent(refused.size), str(refused))


def _token_too_large(refused: TokenTooLarge) -> Refusal:
    """As the page of GetScopedCredentials has it: both sizes, in bytes."""
    return Refusal(
        "PackedPolicyTooLarge",
        f"The session token has {refused.size} bytes, the maximum allowed size is {refused.largest} bytes.",
    )


class Mint(msgspec.Struct, frozen=True):
    """`keyring` returns the current keyring of sessions, `entropy(n)` returns n fresh random bytes.

    `note` is called with the account of each minted session, its encoded claims, and the id of the key that sealed
    its token; `count` with the name of its kind of claims.

    All methods take `now` in epoch seconds and `duration` in seconds, refuse claims that do not fit into a token
    (PackedPolicyTooLarge), and raise ValueError for a duration that this kind of session cannot have: the requested
    duration was checked before, with AWS's errors (`durations.py`).
    """

    keyring: Callable[[], Keyring]
    entropy: Callable[[int], bytes]
    note: Note = _ignore_session
    count: Callable[[str], None] = _ignore_kind

    def assumed_role(
        self,
        role: AssumedRole,
        *,
        now: float,
        duration: int,
        session_policy: str | None = None,
        session_policy_arns: tuple[str, ...] = (),
        tags: Mapping[str, str] = _NO_TAGS,
        transitive_tag_keys: tuple[str, ...] = (),
        source_identity: str | None = None,
        chained: bool = False,
        mfa_authenticated_at: int | None = None,
        issuer_access_key_id: str | None = None,
        federated_provider: str | None = None,
        role_delivery: str | None = None,
        instance_id: str | None = None,
        context: Mapping[str, tuple[str, ...]] = _NO_CONTEXT,
        store_users: tuple[str, ...] = (),
        minimum_token_size: int = 0,
    ) -> TemporaryCredentials:
        """A session of a role; the arguments are those of `AssumedRoleClaims`."""
        longest = LONGEST_CHAINED_SESSION if chained else LONGEST_ROLE_SESSION
        key_id, session_id, issued_at, expires_at, entropy = self._begin(role.account, now, duration, longest)
        # By position, which never changes (`claims.py`): by name, it would take five times as long.
        claims = AssumedRoleClaims(
            key_id,
            session_id,
            issued_at,
            expires_at,
            role.account,
            role.role_name,
            role.role_id,
            role.session_name,
            role.role_path,
            session_policy,
            session_policy_arns,
            tuple(tags.items()) if tags else (),
            transitive_tag_keys,
            source_identity,
            chained,
            mfa_authenticated_at,
            issuer_access_key_id,
            federated_provider,
            role_delivery,
            instance_id,
            tuple(context.items()) if context else (),
            store_users,
        )
        packed = _require_packed(session_policy, session_policy_arns, claims.tags, transitive_tag_keys)
        return self._sealed(claims, entropy, minimum_token_size, packed)

    def federated_user(
        self,
        issuer: IamUser | Root,
        name: str,
        *,
        now: float,
        duration: int,
        session_policy: str | None = None,
        session_policy_arns: tuple[str, ...] = (),
        tags: Mapping[str, str] = _NO_TAGS,
        issuer_access_key_id: str | None = None,
        minimum_token_size: int = 0,
    ) -> TemporaryCredentials:
        """GetFederationToken: a session called `name`, with what both `issuer` and the session policies allow."""
        longest = _longest_of(issuer)
        key_id, session_id, issued_at, expires_at, entropy = self._begin(
            issuer.account, now, duration, longest
        )
        user = issuer if isinstance(issuer, IamUser) else None
        claims = FederatedUserClaims(
            key_id,
            session_id,
            issued_at,
            expires_at,
            issuer.account,
            name,
            issuer_name=user.name if user else None,
            issuer_path=user.path if user else "/",
            issuer_id=user.unique_id if user else None,
            session_policy=session_policy,
            session_policy_arns=session_policy_arns,
            tags=tuple(tags.items()),
            issuer_access_key_id=issuer_access_key_id,
        )
        packed = _require_packed(session_policy, session_policy_arns, claims.tags, ())
        return self._sealed(claims, entropy, minimum_token_size, packed)

    def session_token(
        self,
        principal: IamUser | Root,
        *,
        now: float,
        duration: int,
        mfa_authenticated_at: int | None = None,
        mfa_serial: str | None = None,
        issuer_access_key_id: str | None = None,
        minimum_token_size: int = 0,
    ) -> TemporaryCredentials:
        """GetSessionToken: a session of `principal` itself, with MFA where a code was verified."""
        account, longest = principal.account, _longest_of(principal)
        key_id, session_id, issued_at, expires_at, entropy = self._begin(account, now, duration, longest)
        user = principal if isinstance(principal, IamUser) else None
        claims = SessionTokenClaims(
            key_id,
            session_id,
            issued_at,
            expires_at,
            account,
            user_name=user.name if user else None,
            user_path=user.path if user else "/",
            user_id=user.unique_id if user else None,
            mfa_authenticated_at=mfa_authenticated_at,
            mfa_serial=mfa_serial,
            issuer_access_key_id=issuer_access_key_id,
        )
        return self._sealed(claims, entropy, minimum_token_size)

    def root_task(
        self,
        account: str,
        *,
        now: float,
        duration: int,
        task_policy_arn: str,
        issuer_arn: str,
        source_identity: str | None = None,
        issuer_access_key_id: str | None = None,
        minimum_token_size: int = 0,
    ) -> TemporaryCredentials:
        """AssumeRoot: a session of the root user of `account`, limited by the task policy, for `issuer_arn`.

        A one-time code of the issuer does not prove the root user's own device: the session has no MFA.
        """
        longest = LONGEST_ROOT_TASK
        key_id, session_id, issued_at, expires_at, entropy = self._begin(account, now, duration, longest)
        claims = RootClaims(
            key_id,
            session_id,
            issued_at,
            expires_at,
            account,
            task_policy_arn=task_policy_arn,
            issuer_arn=issuer_arn,
            source_identity=source_identity,
            issuer_access_key_id=issuer_access_key_id,
        )
        return self._sealed(claims, entropy, minimum_token_size)

    def scoped(
        self,
        parent: OriginalClaims | ScopedClaims,
        *,
        now: float,
        duration: int,
        scope_policy: str | None = None,
        minimum_token_size: int = 0,
        delegate_account: str | None = None,
    ) -> TemporaryCredentials:
        """GetScopedCredentials: the session `parent` again, for no longer than it lives, with its limits and more."""
        key_id, session_id, _, expires_at, entropy = self._begin(
            parent.account, now, duration, LONGEST_USER_SESSION
        )
        if expires_at > parent.expires_at:
            raise ValueError(
                f"a scoped session ends at {parent.expires_at} at the latest, not at {expires_at}"
            )
        original = parent.original if isinstance(parent, ScopedClaims) else parent
        policies: tuple[str, ...] = () if scope_policy is None else (scope_policy,)
        between: tuple[str, ...] = ()
        if isinstance(parent, ScopedClaims):
            policies = (*parent.scope_policies, *policies)
            between = (*parent.between, parent.access_key_id)
            delegate_account = delegate_account or parent.delegate_account
        claims = ScopedClaims(
            key_id,
            session_id,
            original.issued_at,
            expires_at,
            original.account,
            original,
            policies,
            between,
            delegate_account,
        )
        return self._sealed(claims, entropy, minimum_token_size, too_large=_token_too_large)

    def delegated(
        self,
        approver: OriginalClaims | ScopedClaims | IamUser,
        *,
        now: float,
        approved_at: int,
        expires_at: int,
        permission_policy: str,
        delegate_account: str,
    ) -> TemporaryCredentials:
        """GetDelegatedAccessToken: the approver's session, or one of the user's, with `permission_policy` as its scope.

        A user's session was issued when the user approved: so it ends with those that are revoked afterwards. There is
        no MFA: a one-time code of the approver does not prove who uses the credentials.
        """
        if isinstance(approver, IamUser):
            key_id, session_id, _, _, _ = self._begin(approver.account, now, 0, LONGEST_USER_SESSION)
            approver = SessionTokenClaims(
                key_id,
                session_id,
                approved_at,
                expires_at,
                approver.account,
                user_name=approver.name,
                user_path=approver.path,
                user_id=approver.unique_id,
            )
        duration = min(expires_at, approver.expires_at) - int(now)
        return self.scoped(
            without_mfa(approver),
            now=now,
            duration=duration,
            scope_policy=permission_policy,
            delegate_account=delegate_account,
        )

    def _begin(
        self, account: str, now: float, duration: int, longest: int
    ) -> tuple[str, bytes, int, int, bytes]:
        """Access key id and session id, both unique; times of issue and expiry; entropy for the token."""
        # 0 is allowed, because AssumeRoot accepts it.
        if not 0 <= duration <= longest:
            raise ValueError(f"this kind of session lasts at most {longest} seconds, not {duration}")
        entropy = self.entropy(_TOKEN_STARTS + TOKEN_ENTROPY)
        key_id = access_key_id(TEMPORARY_KEY, account, entropy)
        issued_at = int(now)
        session_id, entropy = entropy[_SESSION_STARTS:_TOKEN_STARTS], entropy[_TOKEN_STARTS:]
        return key_id, session_id, issued_at, issued_at + duration, entropy

    def _sealed(
        self,
        claims: SessionClaims,
        entropy: bytes,
        minimum_token_size: int,
        packed: int | None = None,
        too_large: Callable[[TokenTooLarge], Refusal] = _claims_too_large,
    ) -> TemporaryCredentials:
        keyring = self.keyring()
        try:
            token, secret, size, encoded = mint_session_token(keyring, claims, entropy, minimum_token_size)
        except TokenTooLarge as refused:
            raise too_large(refused) from None
        self.note(claims.account, encoded, keyring.primary.id)
        self.count(type(claims).__name__)
        return TemporaryCredentials(
            claims.access_key_id,
            secret,
            token,
            claims.issued_at,
            claims.expires_at,
            size,
            utilization_percent(size),
            packed,
        )


def _longest_of(issuer: IamUser | Root) -> int:
    return LONGEST_USER_SESSION if isinstance(issuer, IamUser) else LONGEST_ROOT_SESSION


def _require_packed(
    policy: str | None, policy_arns: tuple[str, ...], tags: Tags, transitive_tag_keys: tuple[str, ...]
) -> int | None:
    """PackedPolicySize; raises PackedPolicyTooLarge over 100 percent, in AWS's two sentences."""
    if policy is None and not policy_arns and not tags:
        return None
    percent = packed_size_percent(policy, policy_arns, tags, transitive_tag_keys)
    if percent is None or percent <= 100:
        return percent
    if policy is None and not policy_arns:
        raise Refusal(
            "PackedPolicyTooLarge", f"Packed size of session tags consumes {percent}% of allotted space."
        )
    raise _too_large(percent)
