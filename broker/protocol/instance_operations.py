"""What the operations of instances are asked and answer, which AWS's IAM has not: written as botocore's models are."""

from collections.abc import Mapping
from typing import Any

INSTANCE_SHAPES: Mapping[str, Mapping[str, Any]] = {
    "ListInstancesRequest": {
        "type": "structure",
        "members": {
            "InstanceProfileName": {"shape": "instanceProfileNameType"},
            "Marker": {"shape": "markerType"},
            "MaxItems": {"shape": "maxItemsType"},
        },
    },
    "ListInstancesResponse": {
        "type": "structure",
        "required": ["Instances"],
        "members": {
            "Instances": {"shape": "instanceListType"},
            "IsTruncated": {"shape": "booleanType"},
            "Marker": {"shape": "responseMarkerType"},
        },
    },
    "instanceListType": {"type": "list", "member": {"shape": "Instance"}},
    "Instance": {
        "type": "structure",
        "required": ["InstanceId", "Addresses", "Region", "MetadataEnabled", "TokensRequired"],
        "members": {
            "InstanceId": {"shape": "stringType"},
            "InstanceProfile": {"shape": "stringType"},
            "Addresses": {"shape": "instanceAddressListType"},
            "Region": {"shape": "stringType"},
            "MetadataEnabled": {"shape": "booleanType"},
            "TokensRequired": {"shape": "booleanType"},
            "LaunchDate": {"shape": "dateType"},
            "Tags": {"shape": "tagListType"},
        },
    },
    "instanceAddressListType": {"type": "list", "member": {"shape": "stringType"}},
    "CreateInstanceNonceRequest": {
        "type": "structure",
        "required": ["InstanceId"],
        "members": {
            "InstanceId": {"shape": "stringType"},
            "DurationSeconds": {"shape": "nonceLifeType"},
            "SourceNetwork": {"shape": "stringType"},
        },
    },
    "CreateInstanceNonceResponse": {
        "type": "structure",
        "required": ["InstanceId", "Nonce", "ExpirationDate"],
        "members": {
            "InstanceId": {"shape": "stringType"},
            "Nonce": {"shape": "instanceNonceType"},
            "ExpirationDate": {"shape": "dateType"},
        },
    },
    "nonceLifeType": {"type": "integer", "min": 60, "max": 604800},
    "instanceNonceType": {"type": "string", "sensitive": True},
}
