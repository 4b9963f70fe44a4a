"""The ways in which people of identity providers may sign in, by the settings of now."""

import msgspec

from broker.federation.openid_connect import OpenIdConnectSignIn
from broker.federation.saml_sign_in import SamlSignIn
from broker.storage.portal_records import (
    DirectoryIdentity,
    FederatedIdentity,
    OpenIdConnectIdentity,
    SamlIdentity,
)


class SignIns(msgspec.Struct, frozen=True):
    """In the order of the settings; `directory` is what policies call the LDAP directory, "" where there is none.

    `directory_identity_store` is the ARN of its identity store, or "".
    """

    openid_connect: tuple[OpenIdConnectSignIn, ...] = ()
    saml: tuple[SamlSignIn, ...] = ()
    directory: str = ""
    directory_identity_store: str = ""

    def find_openid_connect(self, name: str) -> OpenIdConnectSignIn | None:
        return next((one for one in self.openid_connect if one.name == name), None)

    def find_saml(self, name: str) -> SamlSignIn | None:
        return next((one for one in self.saml if one.name == name), None)

    def knows(self, identity: FederatedIdentity) -> bool:
        """Whether people may still sign in as this person did."""
        match identity:
            case OpenIdConnectIdentity():
                client = self.find_openid_connect(identity.sign_in)
                if client is None or client.issuer != identity.issuer:
                    return False
                return client.client_id in identity.audience
            case SamlIdentity():
                saml = self.find_saml(identity.sign_in)
                return saml is not None and saml.provider in identity.providers
            case DirectoryIdentity():
                return bool(self.directory) and self.directory == identity.provider

    def identity_store_of(self, identity: FederatedIdentity) -> str:
        """The ARN of the identity store of the way in which the person has signed in; "" where it has none."""
        if isinstance(identity, DirectoryIdentity):
            return self.directory_identity_store
        if isinstance(identity, SamlIdentity):
            saml = self.find_saml(identity.sign_in)
            return saml.identity_store if saml is not None else ""
        client = self.find_openid_connect(identity.sign_in)
        return client.identity_store if client is not None else ""

    def title_of(self, identity: FederatedIdentity) -> str:
        """What pages call the provider of the person."""
        if isinstance(identity, DirectoryIdentity):
            return identity.provider
        titles = {one.name: one.title for one in self.openid_connect}
        titles |= {one.name: one.title for one in self.saml}
        return titles.get(identity.sign_in, identity.sign_in)
