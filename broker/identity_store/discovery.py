"""What the SCIM endpoint says of itself (RFC 7644, 4; RFC 7643, 5 to 7). Pure."""

from collections.abc import Sequence
from typing import Any

from broker.identity_store.attributes import (
    ENTERPRISE_ATTRIBUTES,
    ENTERPRISE_SCHEMA,
    GROUP_ATTRIBUTES,
    GROUP_SCHEMA,
    USER_ATTRIBUTES,
    USER_SCHEMA,
    Attribute,
)

_CONFIG_SCHEMA = "urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig"
_TYPE_SCHEMA = "urn:ietf:params:scim:schemas:core:2.0:ResourceType"
_SCHEMA_SCHEMA = "urn:ietf:params:scim:schemas:core:2.0:Schema"
MOST_RESULTS = 100

_SCHEMAS: dict[str, tuple[str, str, Sequence[Attribute]]] = {
    USER_SCHEMA: ("User", "A person of the provider", USER_ATTRIBUTES),
    GROUP_SCHEMA: ("Group", "A group of people", GROUP_ATTRIBUTES),
    ENTERPRISE_SCHEMA: ("EnterpriseUser", "What an employer knows of a person", ENTERPRISE_ATTRIBUTES),
}


def service_provider_config(base: str) -> dict[str, Any]:
    return {
        "schemas": [_CONFIG_SCHEMA],
        "patch": {"supported": True},
        "bulk": {"supported": False, "maxOperations": 0, "maxPayloadSize": 0},
        "filter": {"supported": True, "maxResults": MOST_RESULTS},
        "changePassword": {"supported": False},
        "sort": {"supported": False},
        "etag": {"supported": True},
        "authenticationSchemes": [
            {
                "type": "oauthbearertoken",
                "name": "Bearer token",
                "description": "A token of the identity store, in the Authorization header",
                "primary": True,
            }
        ],
        "meta": {"resourceType": "ServiceProviderConfig", "location": f"{base}/ServiceProviderConfig"},
    }


def resource_types(base: str) -> list[dict[str, Any]]:
    user = _resource_type("User", "/Users", USER_SCHEMA, base)
    user["schemaExtensions"] = [{"schema": ENTERPRISE_SCHEMA, "required": False}]
    return [user, _resource_type("Group", "/Groups", GROUP_SCHEMA, base)]


def _resource_type(name: str, endpoint: str, schema: str, base: str) -> dict[str, Any]:
    return {
        "schemas": [_TYPE_SCHEMA],
        "id": name,
        "name": name,
        "endpoint": endpoint,
        "schema": schema,
        "meta": {"resourceType": "ResourceType", "location": f"{base}/ResourceTypes/{name}"},
    }


def schemas(base: str) -> list[dict[str, Any]]:
    return [
        {
            "schemas": [_SCHEMA_SCHEMA],
            "id": urn,
            "name": name,
            "description": description,
            "attributes": list(map(_shown, attributes)),
            "meta": {"resourceType": "Schema", "location": f"{base}/Schemas/{urn}"},
        }
        for urn, (name, description, attributes) in _SCHEMAS.items()
    ]


def _shown(attribute: Attribute) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "name": attribute.name,
        "type": attribute.type,
        "multiValued": attribute.has_values,
        "description": attribute.name,
        "required": attribute.is_required,
        "caseExact": attribute.is_exact,
        "mutability": "readOnly" if attribute.is_read_only else "readWrite",
        "returned": "default",
        "uniqueness": "server" if attribute.is_unique else "none",
    }
    if attribute.parts:
        shown["subAttributes"] = list(map(_shown, attribute.parts))
    return shown
