"""The Security Token Service: one file per flow. Each verifies its own kind of proof, then calls the mint.

Owns the details of each flow: durations, session names, tags, MFA, the trust policy as the resource's policy. Never
makes a token itself (`credentials.mint` does) and never decides (`access.gate` does). Obeys the STS API reference and
"Temporary security credentials in IAM" of the IAM User Guide.
"""

from broker.sts import (
    access_key_info,
    assume_role,
    assume_role_with_certificate,
    assume_role_with_custom_token,
    assume_role_with_ldap_identity,
    assume_role_with_saml,
    assume_role_with_web_identity,
    assume_root,
    authorization_message,
    caller_identity,
    check_federation,
    delegated_access_token,
    federation_token,
    list_sessions,
    revoke_sessions,
    scoped_credentials,
    session_token,
    web_identity_token,
)

__all__ = [
    "access_key_info",
    "assume_role",
    "assume_role_with_certificate",
    "assume_role_with_custom_token",
    "assume_role_with_ldap_identity",
    "assume_role_with_saml",
    "assume_role_with_web_identity",
    "assume_root",
    "authorization_message",
    "caller_identity",
    "check_federation",
    "delegated_access_token",
    "federation_token",
    "list_sessions",
    "revoke_sessions",
    "scoped_credentials",
    "session_token",
    "web_identity_token",
]
