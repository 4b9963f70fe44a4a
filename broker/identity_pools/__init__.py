"""Cognito identity pools: apps trade the tokens of their people for credentials of roles (`cognito-identity`).

Owns the pools of an account and the identities in them. Never mints: GetCredentialsForIdentity performs
AssumeRoleWithWebIdentity as the identity, so the role's trust policy decides, by `cognito-identity.amazonaws.com:aud`,
`:sub` and `:amr`. Obeys the Amazon Cognito Federated Identities API reference and "Using identity pools" of the
developer guide. Only the enhanced flow: no tokens of a pool are issued, so there are no developer identities.
"""

from broker.identity_pools import (
    administration,
    get_credentials,
    get_id,
    pools,
    principal_tags,
    roles,
    tagging,
    unlinking,
)

__all__ = [
    "administration",
    "get_credentials",
    "get_id",
    "pools",
    "principal_tags",
    "roles",
    "tagging",
    "unlinking",
]
