"""Records of clients that people allow to act for them (`aws sso login`).

As all records: frozen, append-only with defaults, times in whole epoch seconds. Codes and tokens are stored as SHA-256:
they have so much entropy that none can be found by its hash.
"""

from broker.storage.portal_records import Identity
from broker.storage.records import Record


class Approval(Record, frozen=True, kw_only=True):
    """A person has allowed a client to act for them: who, and what their sign-in proved; not beyond `ends_at`.

    `session_id` and `access_key_id` are those of the client's session, which begins when the client asks for tokens.
    `role_claims` are the encoded claims of the role's session that the client acts with; None: it acts as the person.
    """

    session_id: str
    identity: Identity
    access_key_id: str
    signed_in_at: int
    ends_at: int
    mfa_authenticated_at: int | None = None
    mfa_serial: str | None = None
    role_claims: bytes | None = None


class DeviceAuthorization(Record, frozen=True, kw_only=True):
    """A client waits for a person who enters its user code (RFC 8628); the key is a hash of that code."""

    device_code_hash: bytes
    client_hash: str
    client_name: str
    is_refreshable: bool
    expires_at: int
    interval: int
    polled_at: int = 0
    is_denied: bool = False
    approval: Approval | None = None


class AuthorizationCode(Record, frozen=True, kw_only=True):
    """A code that a client trades for tokens, once. It stays until it expires: who offers it again ends the session."""

    code_hash: bytes
    client_hash: str
    client_name: str
    is_refreshable: bool
    redirect_uri: str
    code_challenge: str
    expires_at: int
    approval: Approval
    is_used: bool = False


class LoginSession(Record, frozen=True, kw_only=True):
    """A session of `aws login`: its refresh token is good for who has the key with this thumbprint (RFC 7638) alone."""

    approval: Approval
    client_id: str
    key_thumbprint: str
    refresh_token_hash: bytes
    refreshed_at: int


class SsoSession(Record, frozen=True, kw_only=True):
    """A client's session for a person; it holds one access token, and one refresh token where it may refresh.

    Its end is that of the sign-in (`approval.ends_at`). `refreshed_at` is when the tokens were last replaced.
    """

    approval: Approval
    client_hash: str
    client_name: str
    access_token_hash: bytes
    access_ends_at: int
    refresh_token_hash: bytes | None = None
    refreshed_at: int = 0
