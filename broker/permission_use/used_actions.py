"""Which actions a record of the journal needed, and on which resources: what a generated policy is made of.

What a policy denied was not done, and needs no permission. A request that failed for what was there or was not, after
it was allowed, counts: a program that looks before it makes something needs both permissions. A record that failed for
any other reason does not say whether it was allowed, and does not count.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from broker.audit.event import Event
from broker.audit.facets import RecordOutcome, outcome_of_record
from broker.audit.resources import resources_of
from broker.operation import OPERATIONS
from broker.policy import RecordedName, is_in_reference, needs_permission, resource_forms, spelled
from broker.protocol.model import MODELS_BY_PREFIX

_SERVICES = ".amazonaws.com"
# Answers about what is there, which the gate precedes.
_ALLOWED_FAILURES = frozenset(
    {
        "AccountNotFoundException",
        "ConflictException",
        "DeleteConflict",
        "EntityAlreadyExists",
        "LimitExceeded",
        "NoSuchBucket",
        "NoSuchEntity",
        "NoSuchKey",
        "NotFoundException",
        "OrganizationalUnitNotFoundException",
        "PolicyNotFoundException",
        "ResourceInUseException",
        "ResourceNotFoundException",
    }
)
# Requests of S3 whose action has another name ("Required permissions for Amazon S3 API operations").
_OF_S3 = {
    "AbortMultipartUpload": ("AbortMultipartUpload",),
    "CompleteMultipartUpload": ("PutObject",),
    "CopyObject": ("GetObject", "PutObject"),
    "CreateMultipartUpload": ("PutObject",),
    "DeleteObjects": ("DeleteObject",),
    "HeadBucket": ("ListBucket",),
    "HeadObject": ("GetObject",),
    "ListBuckets": ("ListAllMyBuckets",),
    "ListMultipartUploads": ("ListBucketMultipartUploads",),
    "ListObjectVersions": ("ListBucketVersions",),
    "ListObjects": ("ListBucket",),
    "ListObjectsV2": ("ListBucket",),
    "ListParts": ("ListMultipartUploadParts",),
    "UploadPart": ("PutObject",),
    "UploadPartCopy": ("GetObject", "PutObject"),
}
# What people do at the sign-in pages needs no permission of a policy.
_SIGN_IN = "signin"
# What the broker itself is asked by services that let it decide.
_BROKER, _EVALUATE = "broker", "broker:EvaluateAccess"
_EVALUATING = frozenset({"EvaluateAccess", "SearchActions", "SearchResources", "SearchSubjects"})
_TAGGED = "tags"
# What an action needs besides, where its request has this parameter ("" for always): the broker asks the gate for it.
_NEEDED_BESIDES: Mapping[str, tuple[tuple[str, str], ...]] = {
    "access-analyzer:StartPolicyGeneration": (
        ("", "cloudtrail:LookupEvents"),
        ("cloudTrailDetails", "iam:PassRole"),
    ),
    "cognito-identity:SetIdentityPoolRoles": (("", "iam:PassRole"),),
    "eks:CreatePodIdentityAssociation": (("", "iam:PassRole"),),
    "eks:UpdatePodIdentityAssociation": (("roleArn", "iam:PassRole"),),
    "iam:AddRoleToInstanceProfile": (("", "iam:PassRole"),),
    "iam:CreateInstanceProfile": ((_TAGGED, "iam:TagInstanceProfile"),),
    "iam:CreateOpenIDConnectProvider": ((_TAGGED, "iam:TagOpenIDConnectProvider"),),
    "iam:CreatePolicy": ((_TAGGED, "iam:TagPolicy"),),
    "iam:CreateRole": ((_TAGGED, "iam:TagRole"),),
    "iam:CreateSAMLProvider": ((_TAGGED, "iam:TagSAMLProvider"),),
    "iam:CreateUser": ((_TAGGED, "iam:TagUser"),),
    "iam:CreateVirtualMFADevice": ((_TAGGED, "iam:TagMFADevice"),),
    "iam:UploadServerCertificate": ((_TAGGED, "iam:TagServerCertificate"),),
    "organizations:CreateAccount": ((_TAGGED, "organizations:TagResource"),),
    "organizations:CreateOrganizationalUnit": ((_TAGGED, "organizations:TagResource"),),
    "organizations:CreatePolicy": ((_TAGGED, "organizations:TagResource"),),
    "organizations:InviteAccountToOrganization": ((_TAGGED, "organizations:TagResource"),),
    "organizations:PutResourcePolicy": ((_TAGGED, "organizations:TagResource"),),
    "rolesanywhere:CreateProfile": (("roleArns", "iam:PassRole"),),
    "rolesanywhere:UpdateProfile": (("roleArns", "iam:PassRole"),),
    "sts:AssumeRole": ((_TAGGED, "sts:TagSession"), ("sourceIdentity", "sts:SetSourceIdentity")),
    "sts:GetFederationToken": ((_TAGGED, "sts:TagSession"),),
    "sts:GetWebIdentityToken": ((_TAGGED, "sts:TagGetWebIdentityToken"),),
}


# Actions that are judged within requests for others, too.
BESIDES = frozenset(besides for rows in _NEEDED_BESIDES.values() for _, besides in rows)
TRACKED_OF_S3 = frozenset(
    {f"s3:{name}" for names in _OF_S3.values() for name in names} | {"s3:GetObject", "s3:PutObject"}
)


class UsedAction(msgspec.Struct, frozen=True):
    """`forms` are those of the ARNs of the resources."""

    action: str
    forms: tuple[str, ...]


class NeededPermissions(msgspec.Struct, frozen=True):
    """`are_known` is false where the record is of a request whose permissions are not known."""

    actions: tuple[UsedAction, ...] = ()
    are_known: bool = True


_NONE = NeededPermissions()


def needed_permissions(event: Event) -> NeededPermissions:
    prefix = event.event_source.removesuffix(_SERVICES)
    if not _was_allowed(event) or prefix == _SIGN_IN:
        return _NONE
    actions = list(_actions_of(prefix, event))
    recorded = recorded_names(event)
    used = (
        UsedAction(spelled(one), resource_forms(one, recorded)) for one in actions if needs_permission(one)
    )
    return NeededPermissions(tuple(used), are_known=bool(actions))


def _was_allowed(event: Event) -> bool:
    outcome = outcome_of_record(event)
    return outcome is RecordOutcome.SUCCEEDED or event.error_code in _ALLOWED_FAILURES


def recorded_names(event: Event) -> list[RecordedName]:
    """The resources that the request names."""
    named = resources_of(msgspec.structs.replace(event, response_elements=None))
    names = [(one.type, one.name) for one in named]
    parameters: Mapping[str, Any] = event.request_parameters or {}
    bucket, key = parameters.get("bucketName"), parameters.get("key")
    if isinstance(bucket, str):
        names.append(("", f"arn:aws:s3:::{bucket}/{key}" if key else f"arn:aws:s3:::{bucket}"))
    return names


def _actions_of(prefix: str, event: Event) -> Iterator[str]:
    """None where it is not known what the request is called in policies."""
    parameters = event.request_parameters or {}
    for action in judged_actions(prefix, event.event_name):
        yield action
        for parameter, besides in _NEEDED_BESIDES.get(action, ()):
            if not parameter or parameters.get(parameter):
                yield besides


def judged_actions(prefix: str, operation: str) -> tuple[str, ...]:
    """What policies call the operation: not always as its service does. () where that is not known."""
    if prefix == "s3":
        return tuple(f"s3:{name}" for name in _OF_S3.get(operation, (operation,)))
    action = _judged(prefix, operation)
    return () if action is None else (action,)


def _judged(prefix: str, operation: str) -> str | None:
    if prefix == _BROKER:
        return _EVALUATE if operation in _EVALUATING else None
    for service in (MODELS_BY_PREFIX.get(prefix, prefix), f"{prefix}-oidc"):
        declared = OPERATIONS.get((service, operation))
        if declared is not None:
            return declared.action
    action = f"{prefix}:{operation}"
    return action if is_in_reference(action) else None
