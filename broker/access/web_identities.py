"""Subjects of OpenID Connect providers as callers of one account, by claims that are proven.

The provider is the one of the account whose URL is the issuer; Google and Cognito are known to every account. A subject
is of one account at a time: another account may know the same issuer under another name, for other clients, or not.
"""

from typing import NamedTuple

from broker.access.caller import Asserted, Caller, Keys
from broker.assertions.checks import Checks
from broker.assertions.web_identity import WebIdentityClaims
from broker.assertions.web_identity_attributes import condition_keys, session_attributes
from broker.names.principal import WebIdentity
from broker.storage.records import OpenIdConnectProvider
from broker.storage.store import OPEN_ID_CONNECT_PROVIDERS, Transaction

# Providers that IAM knows without registration: issuer -> the name in trust policies. Their clients are not registered,
# so a trust policy has to name its own by the `aud` key.
WELL_KNOWN = {
    "https://accounts.google.com": "accounts.google.com",
    "https://cognito-identity.amazonaws.com": "cognito-identity.amazonaws.com",
}

# Claims that the session has, too, for the policies of its later requests ("Cross-service AWS OIDC federation context
# keys"). Only the trust policy can use the other claims.
_SESSION_CLAIMS = ("amr", "aud", "email", "oaud", "sub")
_LONGEST_SESSION_CLAIM = 256  # characters: a session token has room for 4,096 in all


class KnownProvider(NamedTuple):
    """Where keys are fetched from, and the name in policies. `client_ids` None: any."""

    issuer: str
    name: str
    client_ids: tuple[str, ...] | None = None
    thumbprints: tuple[str, ...] = ()

    def admits(self, audience: tuple[str, ...]) -> bool:
        """Whether a token for `audience` is for a client that the account has registered."""
        return self.client_ids is None or any(one in self.client_ids for one in audience)


async def find_provider(
    store: Transaction, account: str, unverified_issuer: str | None
) -> KnownProvider | None:
    """The provider that `account` knows by this issuer; None where it knows none."""
    # Google's tokens may leave the scheme out.
    with_scheme = f"https://{unverified_issuer}"
    issuer = with_scheme if with_scheme in WELL_KNOWN else unverified_issuer
    if issuer in WELL_KNOWN:
        return KnownProvider(issuer, WELL_KNOWN[issuer])
    provider: OpenIdConnectProvider | None = None
    if issuer is not None:
        provider = await store.find(OPEN_ID_CONNECT_PROVIDERS, account, issuer.partition("://")[2])
    if provider is None or provider.url != issuer:
        return None
    return KnownProvider(provider.url, provider.arn, provider.client_ids, provider.thumbprints)


def web_identity_caller_in(
    account: str, provider: KnownProvider, identity: WebIdentityClaims, checks: Checks
) -> Caller:
    """The subject of `identity` before it takes a role of `account`; raises CheckFailed.

    INVARIANT: the claims are verified, and `provider` admits their audience.
    """
    keys = condition_keys(identity, checks)
    attributes = session_attributes(identity, checks)
    return Caller(
        principal=WebIdentity(provider.name, identity.subject),
        account="",
        session_keys=keys,
        federated_provider=provider.name,
        asserted=Asserted(
            account=account,
            issuer=identity.issuer,
            subject=identity.subject,
            audience=identity.audience[0],
            attributes=attributes,
            session_keys=_session_keys(identity, keys),
        ),
    )


def _session_keys(identity: WebIdentityClaims, keys: Keys) -> Keys:
    provider = identity.issuer.rpartition("://")[2].lower()
    chosen = {f"{provider}:{claim}": keys.get(f"{provider}:{claim}", ()) for claim in _SESSION_CLAIMS}
    return {
        key: values for key, values in chosen.items() if 0 < sum(map(len, values)) <= _LONGEST_SESSION_CLAIM
    }
