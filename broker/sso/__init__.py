"""IAM Identity Center's two services for clients: `sso-oidc` gives out access tokens, `sso` credentials of roles.

Owns what `aws sso login` and the SDKs call: a client registers, a person allows it in the portal, the client trades a
code for tokens, and the access token for credentials of the roles that the person may take. Never makes credentials
itself: that is `sts:AssumeRole` through its own gate, for the person.

Obeys OAuth 2.0 (RFC 6749), its device grant (RFC 8628), PKCE (RFC 7636), native apps (RFC 8252) and the security best
practice (RFC 9700), in the spelling of AWS's models.
"""

from broker.sso import (
    accounts,
    create_token,
    create_token_with_iam,
    device_authorization,
    logout,
    register_client,
    role_credentials,
)

__all__ = [
    "accounts",
    "create_token",
    "create_token_with_iam",
    "device_authorization",
    "logout",
    "register_client",
    "role_credentials",
]
