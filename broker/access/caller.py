"""Caller: a principal with proof. Whoever holds one may act as that principal; only proofs make one."""

from collections.abc import Mapping

import msgspec

from broker.names.principal import Principal, Root
from broker.storage.records import Role, User

_NONE: Mapping[str, str] = {}
_NO_KEYS: Mapping[str, tuple[str, ...]] = {}


class SessionPolicies(msgspec.Struct, frozen=True):
    """What limits a session: the text of an inline policy, ARNs of managed ones. Together they are one layer."""

    inline: str | None = None
    managed: tuple[str, ...] = ()


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """Who calls, as proven.

    `user` and `role` are the records that the principal's permissions come from, as read for this request: for a
    federated user it is the user who asked for the federation. Times are epoch seconds. `token_issued_at` is None
    for long-term credentials. `tags` are aws:PrincipalTag/*: the record's own, overridden by `session_tags`.
    `session_keys` are condition keys that the assumption gave to the session, in lower case. `is_session_token` marks
    credentials of GetSessionToken, `is_assumed_root` those of AssumeRoot.
    """

    principal: Principal
    account: str
    access_key_id: str = ""
    user: User | None = None
    role: Role | None = None
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

    @property
    def is_temporary(self) -> bool:
        return self.token_issued_at is not None


def root_caller(account: str, access_key_id: str = "") -> Caller:
    """An account's root user, as the broker's own command line and long-term root keys act."""
    return Caller(principal=Root(account), account=account, access_key_id=access_key_id)
