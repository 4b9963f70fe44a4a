"""Cognito identity pools: apps trade the tokens of their people for credentials of roles (`cognito-identity`).

Owns the pools of an account and the identities in them. Never mints: GetCredentialsForIdentity performs
AssumeRoleWithWebIdentity as the identity, so the role's trust policy decides, by `cognito-identity.amazonaws.com:aud`,
`:sub` and `:amr`. Obeys the Amazon Cognito Federated Identities API reference and "Using identity pools" of the
developer guide. The enhanced flow, and the basic one where a pool allows it: its tokens are for this broker.
"""

from broker.identity_pools import (
    administration,
    developer_identities,
    get_credentials,
    get_id,
    get_open_id_token,
    pools,
    principal_tags,
    roles,
    tagging,
    unlinking,
)

__all__ = [
    "administration",
    "developer_identities",
    "get_credentials",
    "get_id",
    "get_open_id_token",
    "pools",
    "principal_tags",
    "roles",
    "tagging",
    "unlinking",
]
