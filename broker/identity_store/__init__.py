"""Identity stores: the people and groups of an account's providers, pushed by SCIM 2.0, read by `identitystore`.

Owns the stores, their bearer tokens, and what clients of SCIM may do with people and groups. Never lets anybody in:
`broker.access.identity_stores` decides by these records who of a provider's people is admitted. Groups give no rights.
Obeys RFC 7643 and RFC 7644, and the Identity Store API Reference.
"""

from broker.identity_store import groups, memberships, stores, users

__all__ = ["groups", "memberships", "stores", "users"]
