"""How a refusal names the resource: IAM names most resources by a noun and a name, not by the ARN.

Measured, not documented: from refusals that people quote. `role rob`, `user ann`, `group ops`, `instance profile web`,
`policy arn:…`; but `policy NAME` for one that is to be created, and `policy path /` for a list of them. Actions whose
refusal was never seen show the ARN. Outside of IAM, an action without resource types names none; IAM's name `*`.
"""

from broker.policy.services import facts_of

# resource type -> noun
_NOUNS = {"user": "user", "group": "group", "role": "role", "instance-profile": "instance profile"}

# Actions whose refusals were seen to show the ARN.
_SEEN_BY_ARN = """
    CreateUser CreateGroup CreateRole CreateInstanceProfile CreateServiceLinkedRole
    ListUsers ListGroups ListRoles ListInstanceProfiles
    PassRole TagUser TagRole TagInstanceProfile PutRolePermissionsBoundary UpdateGroup SimulatePrincipalPolicy
"""
# Never seen; newer than the actions that show names, or similar to one of the above.
_UNSEEN = """
    UpdateUser UpdateRole UpdateRoleDescription PutUserPermissionsBoundary GetMFADevice GetAccessKeyLastUsed
    UntagUser UntagRole UntagInstanceProfile GetContextKeysForPrincipalPolicy ListPoliciesGrantingServiceAccess
"""
_BY_ARN = frozenset((_SEEN_BY_ARN + _UNSEEN).lower().split())


def shown_resource(action: str, resource: str) -> str | None:
    """`resource` as the refusal of `action` shows it; None where it does not."""
    service, _, name = action.lower().partition(":")
    if service != "iam":
        return None if resource == "*" and not facts_of(action).supports_resources else resource
    parts = resource.split(":", 5)
    kind, _, path_and_name = parts[-1].partition("/")
    if len(parts) < 6 or name in _BY_ARN:
        return resource
    if kind == "policy":
        return _policy(name, resource, path_and_name)
    noun = _NOUNS.get(kind)
    return resource if noun is None else f"{noun} {_last(path_and_name)}"


def _policy(name: str, arn: str, path_and_name: str) -> str:
    if name == "createpolicy":
        return f"policy {_last(path_and_name)}"
    return f"policy path /{path_and_name}" if name == "listpolicies" else f"policy {arn}"


def _last(path_and_name: str) -> str:
    return path_and_name.rpartition("/")[2]
