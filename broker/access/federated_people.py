"""People of identity providers as callers, by what their sign-in has proven.

A person is another principal in each account: the account's own record of the provider counts, as it is now.
"""

from broker.access.caller import Caller
from broker.access.directory_people import ldap_caller_of, ldap_person
from broker.access.identity_stores import ProvenPerson, with_store_users
from broker.access.saml_subjects import saml_caller_of
from broker.access.web_identities import find_provider, web_identity_caller_in
from broker.assertions.checks import CheckFailed, Checks
from broker.assertions.saml_assertion import LEEWAY, NameId, SamlAssertion
from broker.assertions.saml_attributes import offered_roles
from broker.assertions.web_identity import WebIdentityClaims
from broker.errors import Refusal, access_denied
from broker.storage.portal_records import (
    DirectoryIdentity,
    FederatedIdentity,
    OpenIdConnectIdentity,
    SamlIdentity,
)
from broker.storage.records import SamlProvider
from broker.storage.store import SAML_PROVIDERS, Transaction


async def openid_connect_caller(store: Transaction, identity: OpenIdConnectIdentity, account: str) -> Caller:
    """The person before a role of `account` is taken; raises Refusal where the account does not know the provider."""
    provider = await find_provider(store, account, identity.issuer)
    if provider is None or not provider.admits(identity.audience):
        raise _not_known(
            f"account {account} knows no provider {identity.issuer} with the client of the sign-in"
        )
    try:
        caller = web_identity_caller_in(account, provider, _claims_of(identity), Checks())
        return await with_store_users(store, caller, person_of_identity(identity), Checks())
    except CheckFailed as failed:
        raise _not_known(f"check failed: {failed}") from None


async def saml_caller(store: Transaction, identity: SamlIdentity, role_arn: str, now: float) -> Caller:
    """The person before this role is taken; raises Refusal where no provider that vouched for them offers it."""
    assertion, checks = assertion_of(identity), Checks()
    try:
        for offered in offered_roles(assertion, checks):
            if offered.role_arn == role_arn and offered.provider_arn in identity.providers:
                provider = await _find_saml_provider(store, offered.provider_arn, identity)
                if provider is not None and provider.account_id == role_arn.split(":")[4]:
                    caller = saml_caller_of(provider, assertion, now, checks)
                    return await with_store_users(store, caller, person_of_identity(identity), checks)
    except CheckFailed as failed:
        raise _not_known(f"check failed: {failed}") from None
    raise _not_known("the assertion of the sign-in offers no such role with a provider of its account")


async def _find_saml_provider(store: Transaction, arn: str, identity: SamlIdentity) -> SamlProvider | None:
    """The provider, if it still is the one that vouched: one that was created again since may be another one."""
    _, _, _, _, account, resource = arn.split(":", 5)
    provider = await store.find(SAML_PROVIDERS, account, resource.partition("/")[2])
    is_same = (
        provider is not None and provider.arn == arn and provider.created_at <= identity.issued_at + LEEWAY
    )
    return provider if is_same else None


def assertion_of(identity: SamlIdentity) -> SamlAssertion:
    return SamlAssertion(
        identity.assertion_id,
        identity.issuer,
        NameId(identity.name_id, identity.name_id_format),
        identity.recipient,
        identity.audiences,
        identity.issued_at,
        identity.expires_at,
        identity.session_expires_at,
        identity.attributes,
    )


async def directory_caller(store: Transaction, identity: DirectoryIdentity, role_arn: str) -> Caller:
    """The person before this role is taken. INVARIANT: the groups give it, by the mapping of the settings."""
    caller = ldap_caller_of(
        identity.provider, identity.name, identity.distinguished_name, identity.groups, role_arn
    )
    try:
        return await with_store_users(store, caller, person_of_identity(identity), Checks())
    except CheckFailed as failed:
        raise _not_known(f"check failed: {failed}") from None


def person_of_identity(identity: FederatedIdentity) -> ProvenPerson:
    """As identity stores know the person, by what the sign-in has proven."""
    match identity:
        case OpenIdConnectIdentity():
            return ProvenPerson(str(identity.claims["sub"]), identity.claims)
        case SamlIdentity():
            return ProvenPerson(identity.name_id, identity.attributes)
        case DirectoryIdentity():
            return ldap_person(identity.name, identity.distinguished_name)


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
