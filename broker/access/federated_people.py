"""People of identity providers as callers, by what their sign-in has proven.

A person is somebody else in each account: what the account's own record of the provider says counts, at this moment.
"""

from broker.access.caller import Caller
from broker.access.web_identities import find_provider, web_identity_caller_in
from broker.assertions.checks import CheckFailed, Checks
from broker.assertions.web_identity import WebIdentityClaims
from broker.errors import Refusal, access_denied
from broker.storage.portal_records import OpenIdConnectIdentity
from broker.storage.store import Transaction


async def openid_connect_caller(store: Transaction, identity: OpenIdConnectIdentity, account: str) -> Caller:
    """The person before a role of `account` is taken; raises Refusal where the account does not know the provider."""
    provider = await find_provider(store, account, identity.issuer)
    if provider is None or not provider.admits(identity.audience):
        raise _not_known(
            f"account {account} knows no provider {identity.issuer} with the client of the sign-in"
        )
    try:
        return web_identity_caller_in(account, provider, _claims_of(identity), Checks())
    except CheckFailed as failed:
        raise _not_known(f"check failed: {failed}") from None


def _claims_of(identity: OpenIdConnectIdentity) -> WebIdentityClaims:
    return WebIdentityClaims(
        identity.issuer,
        str(identity.claims["sub"]),
        identity.audience,
        identity.issued_at,
        identity.expires_at,
        identity.claims,
    )


def _not_known(reason: str) -> Refusal:
    return access_denied("The account of the role does not know you.", reason=reason)
