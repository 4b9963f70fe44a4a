"""Operations on identity stores that AWS has in its console alone: making one for a provider, and its bearer tokens.

Written as botocore's models are; AWS's shapes are used where clients of all ages know them. Operations on tokens are
called as in AWS's permissions (`sso-directory:CreateBearerToken`).
"""

from collections.abc import Mapping
from typing import Any

Model = Mapping[str, Any]

_STORE_ID: Model = {"IdentityStoreId": {"shape": "IdentityStoreId"}}
_STORE: Model = {
    "IdentityStoreId": {"shape": "IdentityStoreId"},
    "IdentityStoreArn": {"shape": "StoreArn"},
}
# What a store is for; AWS's own operations show it, too.
STORE_MEMBERS: Model = {
    "Provider": {"shape": "IdentityProvider"},
    "MatchBy": {"shape": "MatchedAttribute"},
    "Claim": {"shape": "ClaimName"},
}


def _operation(name: str) -> Model:
    return {
        "name": name,
        "http": {"method": "POST", "requestUri": "/"},
        "input": {"shape": f"{name}Request"},
        "output": {"shape": f"{name}Response"},
        "errors": [
            {"shape": "ResourceNotFoundException"},
            {"shape": "AccessDeniedException"},
            {"shape": "ConflictException"},
            {"shape": "ServiceQuotaExceededException"},
            {"shape": "ValidationException"},
        ],
    }


_NAMES = (
    "CreateIdentityStore",
    "DeleteIdentityStore",
    "CreateBearerToken",
    "DeleteBearerToken",
    "ListBearerTokens",
)

IDENTITY_STORES: Model = {
    "operations": {name: _operation(name) for name in _NAMES},
    "shapes": {
        "CreateIdentityStoreRequest": {
            "type": "structure",
            "required": ["Provider"],
            "members": STORE_MEMBERS,
        },
        "CreateIdentityStoreResponse": {
            "type": "structure",
            "required": ["IdentityStoreId", "IdentityStoreArn", "Provider", "MatchBy"],
            "members": {**_STORE, **STORE_MEMBERS},
        },
        "DeleteIdentityStoreRequest": {
            "type": "structure",
            "required": ["IdentityStoreId"],
            "members": _STORE_ID,
        },
        "DeleteIdentityStoreResponse": {"type": "structure", "members": {}},
        "CreateBearerTokenRequest": {
            "type": "structure",
            "required": ["IdentityStoreId"],
            "members": {**_STORE_ID, "ValidDays": {"shape": "ValidDays"}},
        },
        "CreateBearerTokenResponse": {
            "type": "structure",
            "required": ["IdentityStoreId", "TokenId", "BearerToken", "ExpiresAt"],
            "members": {
                **_STORE_ID,
                "TokenId": {"shape": "BearerTokenId"},
                "BearerToken": {"shape": "BearerTokenText"},
                "ExpiresAt": {"shape": "TokenTime"},
            },
        },
        "DeleteBearerTokenRequest": {
            "type": "structure",
            "required": ["IdentityStoreId", "TokenId"],
            "members": {**_STORE_ID, "TokenId": {"shape": "BearerTokenId"}},
        },
        "DeleteBearerTokenResponse": {"type": "structure", "members": {}},
        "ListBearerTokensRequest": {
            "type": "structure",
            "required": ["IdentityStoreId"],
            "members": _STORE_ID,
        },
        "ListBearerTokensResponse": {
            "type": "structure",
            "required": ["BearerTokens"],
            "members": {"BearerTokens": {"shape": "BearerTokenList"}},
        },
        "BearerTokenList": {"type": "list", "member": {"shape": "BearerTokenDetails"}},
        "BearerTokenDetails": {
            "type": "structure",
            "required": ["TokenId", "CreatedAt", "ExpiresAt"],
            "members": {
                "TokenId": {"shape": "BearerTokenId"},
                "CreatedAt": {"shape": "TokenTime"},
                "CreatedBy": {"shape": "TokenCreator"},
                "ExpiresAt": {"shape": "TokenTime"},
                "LastUsedAt": {"shape": "TokenTime"},
            },
        },
        "StoreArn": {"type": "string"},
        "TokenTime": {"type": "timestamp"},
        "TokenCreator": {"type": "string"},
        "IdentityProvider": {"type": "string", "min": 1, "max": 512},
        "MatchedAttribute": {"type": "string", "enum": ["externalId", "userName"]},
        "ClaimName": {"type": "string", "min": 1, "max": 256},
        "ValidDays": {"type": "integer", "min": 1, "max": 365, "box": True},
        "BearerTokenId": {"type": "string", "min": 16, "max": 16, "pattern": "[0-9a-f]+"},
        "BearerTokenText": {"type": "string", "sensitive": True},
    },
}
