"""Operations that no model of AWS has: MinIO's additions to STS, which clients of object stores call, and our own.

They are written as botocore's models are and become part of them, so that parsing, constraints, redaction and rendering
know one kind of operation only. The names on the wire are MinIO's ("AssumeRoleWithLDAPIdentity", MinIO's documentation
of its Security Token Service). What MinIO's call does not have, and AWS's calls of the same family do, is called and
bounded as there: RoleArn, PolicyArns, MinimumSessionTokenSize.
"""

from collections.abc import Mapping
from typing import Any, TypeVar

from broker.protocol.create_session import CREATE_SESSION
from broker.protocol.identity_stores import IDENTITY_STORES, STORE_MEMBERS
from broker.protocol.instance_operations import INSTANCE_SHAPES

Model = Mapping[str, Any]


def _operation(name: str, **more: str) -> Model:
    return {
        "name": name,
        "http": {"method": "POST", "requestUri": "/"},
        "input": {"shape": f"{name}Request"},
        "output": {"shape": f"{name}Response", "resultWrapper": f"{name}Result"},
        **more,
    }


def _silent(name: str) -> Model:
    """An operation whose answer is empty."""
    return {key: value for key, value in _operation(name).items() if key != "output"}


# What names a foreign resource, and what shows one.
_RESOURCE_ARN: Model = {"ResourceArn": {"shape": "foreignArnType"}}
_NAMES_RESOURCE: Model = {"type": "structure", "required": ["ResourceArn"], "members": _RESOURCE_ARN}
_SHOWS_RESOURCE: Model = {
    "type": "structure",
    "required": ["ForeignResource"],
    "members": {"ForeignResource": {"shape": "ForeignResource"}},
}

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
    "iam": {
        "operations": {
            "ListInstances": _operation("ListInstances"),
            "CreateInstanceNonce": _operation("CreateInstanceNonce"),
            "InspectOpenIDConnectProvider": _operation("InspectOpenIDConnectProvider"),
            "RegisterForeignResource": _operation("RegisterForeignResource"),
            "PutForeignResourcePolicy": _operation("PutForeignResourcePolicy"),
            "GetForeignResource": _operation("GetForeignResource"),
            "ListForeignResources": _operation("ListForeignResources"),
            "DeleteForeignResourcePolicy": _silent("DeleteForeignResourcePolicy"),
            "DeregisterForeignResource": _silent("DeregisterForeignResource"),
        },
        "shapes": {
            **INSTANCE_SHAPES,
            "InspectOpenIDConnectProviderRequest": {
                "type": "structure",
                "required": ["Url"],
                "members": {"Url": {"shape": "OpenIDConnectProviderUrlType"}},
            },
            "InspectOpenIDConnectProviderResponse": {
                "type": "structure",
                "required": ["Issuer", "Checks", "Endpoints", "Keys"],
                "members": {
                    "Issuer": {"shape": "stringType"},
                    "Checks": {"shape": "inspectionCheckListType"},
                    "Endpoints": {"shape": "providerEndpointListType"},
                    "Keys": {"shape": "providerKeyListType"},
                    "KeysFetchedAt": {"shape": "dateType"},
                    "KeysFreshUntil": {"shape": "dateType"},
                },
            },
            "inspectionCheckListType": {"type": "list", "member": {"shape": "InspectionCheck"}},
            "InspectionCheck": {
                "type": "structure",
                "required": ["Name", "Passed"],
                "members": {
                    "Name": {"shape": "stringType"},
                    "Passed": {"shape": "booleanType"},
                    "Found": {"shape": "stringType"},
                    "Wanted": {"shape": "stringType"},
                },
            },
            "providerEndpointListType": {"type": "list", "member": {"shape": "ProviderEndpoint"}},
            "ProviderEndpoint": {
                "type": "structure",
                "required": ["Name", "Url"],
                "members": {"Name": {"shape": "stringType"}, "Url": {"shape": "stringType"}},
            },
            "providerKeyListType": {"type": "list", "member": {"shape": "ProviderKey"}},
            "ProviderKey": {
                "type": "structure",
                "required": ["Kind"],
                "members": {
                    "KeyId": {"shape": "stringType"},
                    "Kind": {"shape": "stringType"},
                    "Algorithm": {"shape": "stringType"},
                    "CertificateBegins": {"shape": "dateType"},
                    "CertificateExpires": {"shape": "dateType"},
                },
            },
            "RegisterForeignResourceRequest": _NAMES_RESOURCE,
            "RegisterForeignResourceResponse": _SHOWS_RESOURCE,
            "PutForeignResourcePolicyRequest": {
                "type": "structure",
                "required": ["ResourceArn", "PolicyDocument"],
                "members": {**_RESOURCE_ARN, "PolicyDocument": {"shape": "policyDocumentType"}},
            },
            "PutForeignResourcePolicyResponse": _SHOWS_RESOURCE,
            "GetForeignResourceRequest": _NAMES_RESOURCE,
            "GetForeignResourceResponse": _SHOWS_RESOURCE,
            "ListForeignResourcesRequest": {
                "type": "structure",
                "members": {
                    "ArnPrefix": {"shape": "arnPrefixType"},
                    "Marker": {"shape": "markerType"},
                    "MaxItems": {"shape": "maxItemsType"},
                },
            },
            "ListForeignResourcesResponse": {
                "type": "structure",
                "required": ["ForeignResources"],
                "members": {
                    "ForeignResources": {"shape": "foreignResourceListType"},
                    "IsTruncated": {"shape": "booleanType"},
                    "Marker": {"shape": "responseMarkerType"},
                },
            },
            "DeleteForeignResourcePolicyRequest": _NAMES_RESOURCE,
            "DeregisterForeignResourceRequest": _NAMES_RESOURCE,
            "foreignResourceListType": {"type": "list", "member": {"shape": "ForeignResource"}},
            "ForeignResource": {
                "type": "structure",
                "required": ["ResourceArn", "CreateDate", "UpdateDate"],
                "members": {
                    **_RESOURCE_ARN,
                    "PolicyDocument": {"shape": "policyDocumentType"},
                    "CreateDate": {"shape": "dateType"},
                    "UpdateDate": {"shape": "dateType"},
                },
            },
            # AWS's `arnType` has twenty characters at least, a bucket's ARN sixteen.
            "foreignArnType": {"type": "string", "min": 1, "max": 200},
            "arnPrefixType": {"type": "string", "min": 1, "max": 200},
            "nearMissListType": {"type": "list", "member": {"shape": "NearMiss"}},
            "NearMiss": {
                "type": "structure",
                "required": ["SourcePolicyId", "SourcePolicyType", "Effect", "Element"],
                "members": {
                    "SourcePolicyId": {"shape": "stringType"},
                    "SourcePolicyType": {"shape": "stringType"},
                    "Sid": {"shape": "stringType"},
                    "Effect": {"shape": "stringType"},
                    "Element": {"shape": "stringType"},
                    "Operator": {"shape": "stringType"},
                    "Found": {"shape": "nearMissValueListType"},
                    "Wanted": {"shape": "nearMissValueListType"},
                },
            },
            "nearMissValueListType": {"type": "list", "member": {"shape": "stringType"}},
        },
    },
    "sts": {
        "operations": {
            "AssumeRoleWithLDAPIdentity": _operation("AssumeRoleWithLDAPIdentity", authtype="none"),
            "AssumeRoleWithCertificate": _operation("AssumeRoleWithCertificate", authtype="none"),
            "AssumeRoleWithCustomToken": _operation("AssumeRoleWithCustomToken", authtype="none"),
            "CheckFederation": _operation("CheckFederation"),
            "ListSessions": _operation("ListSessions"),
            "RevokeSessions": _operation("RevokeSessions"),
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
            "AssumeRoleWithCustomTokenRequest": {
                "type": "structure",
                "required": ["Token", "RoleArn"],
                "members": {
                    "Token": {"shape": "customTokenType"},
                    "RoleArn": {"shape": "arnType"},
                    **_SESSION,
                },
            },
            "AssumeRoleWithCustomTokenResponse": {
                "type": "structure",
                "members": {**_ASSUMED, "AssumedUser": {"shape": "textType"}},
            },
            "CheckFederationRequest": {
                "type": "structure",
                "required": ["RoleArn"],
                "members": {
                    "RoleArn": {"shape": "arnType"},
                    "RoleSessionName": {"shape": "roleSessionNameType"},
                    "WebIdentityToken": {"shape": "clientTokenType"},
                    "PrincipalArn": {"shape": "arnType"},
                    "SAMLAssertion": {"shape": "SAMLAssertionType"},
                    "LDAPUsername": {"shape": "ldapUsernameType"},
                    "LDAPPassword": {"shape": "ldapPasswordType"},
                },
            },
            "CheckFederationResponse": {
                "type": "structure",
                "required": ["IsAllowed", "Checks"],
                "members": {
                    "IsAllowed": {"shape": "flagType"},
                    "Refusal": {"shape": "textType"},
                    "Arn": {"shape": "arnType"},
                    "Checks": {"shape": "federationCheckListType"},
                },
            },
            "federationCheckListType": {"type": "list", "member": {"shape": "FederationCheck"}},
            "FederationCheck": {
                "type": "structure",
                "required": ["Name", "Passed"],
                "members": {
                    "Name": {"shape": "textType"},
                    "Passed": {"shape": "flagType"},
                    "Found": {"shape": "textType"},
                    "Wanted": {"shape": "textType"},
                },
            },
            "ListSessionsRequest": {
                "type": "structure",
                "members": {
                    "Principal": {"shape": "arnType"},
                    "IssuedBy": {"shape": "accessKeyIdType"},
                    "Marker": {"shape": "sessionMarkerType"},
                    "MaxItems": {"shape": "maxSessionsType"},
                },
            },
            "ListSessionsResponse": {
                "type": "structure",
                "required": ["Sessions"],
                "members": {
                    "Sessions": {"shape": "sessionListType"},
                    "UnlistedUntil": {"shape": "dateType"},
                    "IsTruncated": {"shape": "flagType"},
                    "Marker": {"shape": "sessionMarkerType"},
                },
            },
            "sessionListType": {"type": "list", "member": {"shape": "Session"}},
            "Session": {
                "type": "structure",
                "required": ["AccessKeyId", "Arn", "Kind", "IssuedAt", "ExpiresAt", "State"],
                "members": {
                    "AccessKeyId": {"shape": "accessKeyIdType"},
                    "Arn": {"shape": "arnType"},
                    "Kind": {"shape": "textType"},
                    "IssuedAt": {"shape": "dateType"},
                    "ExpiresAt": {"shape": "dateType"},
                    "IssuedBy": {"shape": "textType"},
                    "State": {"shape": "textType"},
                },
            },
            "RevokeSessionsRequest": {
                "type": "structure",
                "members": {
                    "Principal": {"shape": "arnType"},
                    "AccessKeyId": {"shape": "accessKeyIdType"},
                    "IssuedBefore": {"shape": "dateType"},
                },
            },
            "RevokeSessionsResponse": {
                "type": "structure",
                "required": ["ForgottenAt", "EndedSessions"],
                "members": {
                    "IssuedBefore": {"shape": "dateType"},
                    "ForgottenAt": {"shape": "dateType"},
                    "EndedSessions": {"shape": "nonNegativeIntegerType"},
                },
            },
            "flagType": {"type": "boolean"},
            "textType": {"type": "string"},
            "sessionMarkerType": {"type": "string", "min": 1, "max": 320},
            "maxSessionsType": {"type": "integer", "min": 1, "max": 1000},
            "customTokenType": {"type": "string", "min": 1, "max": 8192, "sensitive": True},
            "ldapUsernameType": {"type": "string", "min": 1, "max": 2048},
            # An empty password is no password: a directory takes it for a bind without one (RFC 4513, 5.1.2).
            "ldapPasswordType": {"type": "string", "min": 1, "max": 2048, "sensitive": True},
        },
    },
    "rolesanywhere": CREATE_SESSION,
    "identitystore": IDENTITY_STORES,
}


# Members that AWS's models leave out of an input, because SDKs do not serialise them: service -> shape -> members.
# The proof of possession of `aws login` is a header that the client's credential provider adds (RFC 9449), and it names
# the URL of the request. The near misses of a simulation are ours, and answered to those alone who ask for them.
ADDED_MEMBERS: Mapping[str, Mapping[str, Model]] = {
    "iam": {
        "SimulatePrincipalPolicyRequest": {"ShowNearMisses": {"shape": "booleanType"}},
        "EvaluationResult": {"NearMisses": {"shape": "nearMissListType"}},
    },
    "identitystore": {
        "DescribeIdentityStoreResponse": STORE_MEMBERS,
        "IdentityStore": STORE_MEMBERS,
    },
    "signin": {
        "CreateOAuth2TokenRequest": {
            "dpop": {"shape": "SubjectToken", "location": "header", "locationName": "DPoP"},
            "host": {"shape": "String", "location": "header", "locationName": "Host"},
        }
    },
}

T = TypeVar("T")


def extended(service: str, model: Model) -> dict[str, Any]:
    """`model` of `service`, as botocore has it, with what is added here; ValueError for what the model has itself."""
    added = EXTENSIONS.get(service, {})
    parts = {part: merged(model[part], new) for part, new in added.items()}
    extended_model = {**model, **parts}
    if service in ADDED_MEMBERS:
        shapes = dict(extended_model["shapes"])
        for name, members in ADDED_MEMBERS[service].items():
            shapes[name] = {**shapes[name], "members": merged(shapes[name]["members"], members)}
        extended_model["shapes"] = shapes
    return extended_model


def merged(own: Mapping[str, T], added: Mapping[str, T]) -> dict[str, T]:
    """Both together; ValueError for a name that both have: then AWS means something else by it, or the same."""
    if twice := own.keys() & added.keys():
        raise ValueError(f"the model has {', '.join(sorted(twice))} itself")
    return {**own, **added}
