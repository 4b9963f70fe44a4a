"""CreateSession of IAM Roles Anywhere, which no model has, because no SDK makes its signature.

Written as botocore's models are ("CreateSession API", IAM Roles Anywhere User Guide). The three ARNs are in the query
string or in the body. The header of the chain is not a member: its certificates are read with the signature.
"""

from collections.abc import Mapping
from typing import Any

CREATE_SESSION: Mapping[str, Any] = {
    "operations": {
        "CreateSession": {
            "name": "CreateSession",
            "http": {"method": "POST", "requestUri": "/sessions", "responseCode": 201},
            "input": {"shape": "CreateSessionRequest"},
            "output": {"shape": "CreateSessionResponse"},
            "authtype": "none",  # not by a secret: the operation verifies the signature itself
        },
    },
    "shapes": {
        "CreateSessionRequest": {
            "type": "structure",
            "required": ["cert"],
            "members": {
                "cert": {
                    "shape": "PresentedCertificateData",
                    "location": "header",
                    "locationName": "X-Amz-X509",
                },
                "profileArnInQuery": {
                    "shape": "ProfileResourceArn",
                    "location": "querystring",
                    "locationName": "profileArn",
                },
                "roleArnInQuery": {"shape": "RoleArn", "location": "querystring", "locationName": "roleArn"},
                "trustAnchorArnInQuery": {
                    "shape": "TrustAnchorResourceArn",
                    "location": "querystring",
                    "locationName": "trustAnchorArn",
                },
                "profileArn": {"shape": "ProfileResourceArn"},
                "roleArn": {"shape": "RoleArn"},
                "trustAnchorArn": {"shape": "TrustAnchorResourceArn"},
                "durationSeconds": {"shape": "CreateProfileRequestDurationSecondsInteger"},
                "roleSessionName": {"shape": "SessionName"},
                "sessionName": {"shape": "SessionName"},
                "instanceProperties": {"shape": "InstancePropertyMap"},
            },
        },
        "PresentedCertificateData": {
            "type": "string",
            "min": 1,
            "max": 16384,  # one of ML-DSA-87, signed with the same, has ten thousand characters
            "pattern": "[A-Za-z0-9+/]+=*",
        },
        "SessionName": {"type": "string", "min": 2, "max": 64, "pattern": "[\\w+=,.@-]*"},
        "CreateSessionResponse": {
            "type": "structure",
            "members": {"credentialSet": {"shape": "CredentialSet"}, "subjectArn": {"shape": "String"}},
        },
        "CredentialSet": {"type": "list", "member": {"shape": "CredentialResponse"}},
        "CredentialResponse": {
            "type": "structure",
            "members": {
                "assumedRoleUser": {"shape": "AssumedRoleUser"},
                "credentials": {"shape": "SessionCredentials"},
                "packedPolicySize": {"shape": "Integer"},
                "roleArn": {"shape": "RoleArn"},
                "sourceIdentity": {"shape": "String"},
            },
        },
        "AssumedRoleUser": {
            "type": "structure",
            "members": {"arn": {"shape": "String"}, "assumedRoleId": {"shape": "String"}},
        },
        "SessionCredentials": {
            "type": "structure",
            "members": {
                "accessKeyId": {"shape": "String"},
                "expiration": {"shape": "SyntheticTimestamp_date_time"},
                "secretAccessKey": {"shape": "SessionSecret"},
                "sessionToken": {"shape": "SessionSecret"},
            },
        },
        "SessionSecret": {"type": "string", "sensitive": True},
    },
}
