"""Records of people who are signed in to the portal.

As all records: frozen, append-only with defaults, times in whole epoch seconds.
"""

from hashlib import sha256
from typing import Any

from broker.names.secret import SecretKey
from broker.storage.records import Record


class IamUserIdentity(Record, frozen=True, kw_only=True, tag="iam-user"):
    """A user who gave a password; the name and the path are those of the moment of the sign-in."""

    account_id: str
    user_name: str
    user_id: str
    path: str = "/"

    @property
    def subject(self) -> str:
        """What all sessions of this person are filed under."""
        return self.user_id


class RootIdentity(Record, frozen=True, kw_only=True, tag="root"):
    """The root user of an account."""

    account_id: str

    @property
    def subject(self) -> str:
        return self.account_id


class OpenIdConnectIdentity(Record, frozen=True, kw_only=True, tag="openid-connect"):
    """A person whom an OpenID Connect provider vouches for, by an ID token that was verified at the sign-in.

    `sign_in` names the entry of the settings, `name` is what pages call the person; the claims are those of the token.
    `id_token` is kept for the provider's logout alone; "" where it was too long.
    """

    sign_in: str
    name: str
    issuer: str
    audience: tuple[str, ...]
    issued_at: int
    expires_at: int
    claims: dict[str, Any]
    id_token: SecretKey = SecretKey("")

    @property
    def account_id(self) -> str:
        """None: the roles that the person takes have accounts."""
        return ""

    @property
    def subject(self) -> str:
        return hashed_subject(self.issuer, str(self.claims["sub"]))


class SamlIdentity(Record, frozen=True, kw_only=True, tag="saml"):
    """A person whom a SAML provider vouches for, by an assertion that was verified at the sign-in.

    `sign_in` names the entry of the settings, `providers` are the ARNs of those whose metadata verified the assertion;
    `name` is its RoleSessionName. The other fields are the assertion's.
    """

    sign_in: str
    name: str
    providers: tuple[str, ...]
    assertion_id: str
    issuer: str
    name_id: str
    name_id_format: str
    recipient: str
    audiences: tuple[str, ...]
    issued_at: float
    expires_at: float
    session_expires_at: float | None
    attributes: dict[str, tuple[str, ...]]

    @property
    def account_id(self) -> str:
        return ""

    @property
    def subject(self) -> str:
        return hashed_subject(self.issuer, self.name_id)


class DirectoryIdentity(Record, frozen=True, kw_only=True, tag="directory"):
    """A person of the LDAP directory, by the password; `provider` is what policies call the directory."""

    provider: str
    name: str
    distinguished_name: str
    groups: tuple[str, ...]

    @property
    def account_id(self) -> str:
        return ""

    @property
    def subject(self) -> str:
        return hashed_subject(self.provider, self.distinguished_name)


# People of an identity provider. They have no permissions of their own, in no account.
FederatedIdentity = OpenIdConnectIdentity | SamlIdentity | DirectoryIdentity


class ConsoleIdentity(Record, frozen=True, kw_only=True, tag="console"):
    """The holder of temporary credentials that were shown to `/federation`: only the console is open to them.

    Their permissions are those of `PortalSession.console_claims`.
    """

    account_id: str
    arn: str
    access_key_id: str

    @property
    def subject(self) -> str:
        return self.access_key_id


# Who a session is of. Other ways to sign in add kinds, each with its own tag; a tag is for ever.
Identity = (
    IamUserIdentity
    | RootIdentity
    | OpenIdConnectIdentity
    | SamlIdentity
    | DirectoryIdentity
    | ConsoleIdentity
)


def hashed_subject(issuer: str, name: str) -> str:
    """What the sessions of a person of a provider are filed under: names may be long, and have any sign."""
    return f"federated-{sha256(f'{issuer} {name}'.encode()).hexdigest()}"


class PortalSession(Record, frozen=True, kw_only=True):
    """A person who is signed in, until `ends_at` at most, and not longer idle than the settings say.

    `access_key_id` is what records and revocations call the session; nothing is signed with it. `theme` is what the
    person chose: "light", "dark", or "" for what the system says. `console_claims` are the encoded claims of the role's
    session that the console acts with; None where the person acts as themselves. `are_keys_off`: the keys of the pages.
    """

    session_id: str
    identity: Identity
    access_key_id: str
    csrf_token: SecretKey
    signed_in_at: int
    last_seen_at: int
    ends_at: int
    mfa_authenticated_at: int | None = None
    mfa_serial: str | None = None
    source_ip: str = ""
    user_agent: str = ""
    theme: str = ""
    console_claims: bytes | None = None
    are_keys_off: bool = False

    @property
    def shown_id(self) -> str:
        """What people and operators call the session; the session's own id cannot be found from it."""
        return self.access_key_id or f"portal-{sha256(self.session_id.encode()).hexdigest()[:16]}"


class PortalPreferences(Record, frozen=True, kw_only=True):
    """What a person chose in the portal, beyond one session: `favourites` are ARNs of roles, in the order chosen."""

    subject: str
    favourites: tuple[str, ...] = ()
