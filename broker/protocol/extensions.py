"""Operations that no model of AWS has: MinIO's additions to STS, which clients of object stores call.

They are written as botocore's models are and become part of them, so that parsing, constraints, redaction and rendering
know one kind of operation only. The names on the wire are MinIO's ("AssumeRoleWithLDAPIdentity", MinIO's documentation
of its Security Token Service). What MinIO's call does not have, and AWS's calls of the same family do, is called and
bounded as there: RoleArn, PolicyArns, MinimumSessionTokenSize.
"""

from collections.abc import Mapping
from typing import Any, TypeVar

Model = Mapping[str, Any]

# What a request says of the session that it asks for, and what is answered with its credentials.
_SESSION: Model = {
    "PolicyArns": {"shape": "policyDescriptorListType"},
    "Policy": {"shape": "sessionPolicyDocumentType"},
    "DurationSeconds": {"shape": "roleDurationSecondsType"},
    "MinimumSessionTokenSize": {"shape": "minimumSessionTokenSizeType"},
}
_ASSUMED: Model = {
    "Credentials": {"shape": "Credentials"},
    "AssumedRoleUser": {"shape": "AssumedRoleUser"},
    "PackedPolicySize": {"shape": "nonNegativeIntegerType"},
    "Provider": {"shape": "Issuer"},
    "SessionTokenUtilization": {"shape": "sessionTokenUtilizationType"},
    "SessionTokenSize": {"shape": "sessionTokenSizeType"},
}

# Service -> what is added to its model.
EXTENSIONS: Mapping[str, Model] = {
    "sts": {
        "operations": {
            "AssumeRoleWithLDAPIdentity": {
                "name": "AssumeRoleWithLDAPIdentity",
                "http": {"method": "POST", "requestUri": "/"},
                "input": {"shape": "AssumeRoleWithLDAPIdentityRequest"},
                "output": {
                    "shape": "AssumeRoleWithLDAPIdentityResponse",
                    "resultWrapper": "AssumeRoleWithLDAPIdentityResult",
                },
                "authtype": "none",
            },
            "AssumeRoleWithCertificate": {
                "name": "AssumeRoleWithCertificate",
                "http": {"method": "POST", "requestUri": "/"},
                "input": {"shape": "AssumeRoleWithCertificateRequest"},
                "output": {
                    "shape": "AssumeRoleWithCertificateResponse",
                    "resultWrapper": "AssumeRoleWithCertificateResult",
                },
                "authtype": "none",
            },
        },
        "shapes": {
            "AssumeRoleWithLDAPIdentityRequest": {
                "type": "structure",
                "required": ["LDAPUsername", "LDAPPassword"],
                "members": {
                    "LDAPUsername": {"shape": "ldapUsernameType"},
                    "LDAPPassword": {"shape": "ldapPasswordType"},
                    "RoleArn": {"shape": "arnType"},
                    **_SESSION,
                },
            },
            "AssumeRoleWithLDAPIdentityResponse": {"type": "structure", "members": _ASSUMED},
            "AssumeRoleWithCertificateRequest": {
                "type": "structure",
                "members": {"RoleArn": {"shape": "arnType"}, **_SESSION},
            },
            "AssumeRoleWithCertificateResponse": {"type": "structure", "members": _ASSUMED},
            "ldapUsernameType": {"type": "string", "min": 1, "max": 2048},
            # An empty password is no password: a directory takes it for a bind without one (RFC 4513, 5.1.2).
            "ldapPasswordType": {"type": "string", "min": 1, "max": 2048, "sensitive": True},
        },
    },
}


T = TypeVar("T")


def extended(service: str, model: Model) -> dict[str, Any]:
    """`model` of `service`, as botocore has it, with what is added here; ValueError for what the model has itself."""
    added = EXTENSIONS.get(service, {})
    return {**model, **{part: merged(model[part], new) for part, new in added.items()}}


def merged(own: Mapping[str, T], added: Mapping[str, T]) -> dict[str, T]:
    """Both together; ValueError for a name that both have: then AWS means something else by it, or the same."""
    if twice := own.keys() & added.keys():
        raise ValueError(f"the model has {', '.join(sorted(twice))} itself")
    return {**own, **added}
