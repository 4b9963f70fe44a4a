"""A decision as AWS's messages.

IAM User Guide, "Troubleshoot access denied error messages". The message names the reason where the caller may know it:
across accounts a caller may not read the policies on the resource's side, so the message ends before the reason. A
refusal by a service's own rule has no reason in AWS's answer either.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from broker.names.principal import AssertedSubject, AssumedRole, IamUser, Principal, account_of
from broker.policy.decision import Decision
from broker.policy.elements import Principals, Statement
from broker.policy.explanation import Match
from broker.policy.request import AccessRequest, Layer, Outcome
from broker.policy.shown import shown_resource

# layer -> AWS's name for the kind of policy, without its article
KINDS: dict[Layer, str] = {
    Layer.IDENTITY: "identity-based policy",
    Layer.RESOURCE: "resource-based policy",
    Layer.BOUNDARY: "permissions boundary",
    Layer.SESSION: "session policy",
    Layer.SCOPE: "scope down policy",
    Layer.SCP: "service control policy",
    Layer.RCP: "resource control policy",
    Layer.ENDPOINT: "VPC endpoint policy",
}
_OWNERS_SIDE = (Layer.RESOURCE, Layer.RCP)
_OWNERS_KEYS = ("aws:resourcetag/", "iam:resourcetag/")

_AS_THEY_ARE: Mapping[str, str] = {}
_POLICY_ARN = re.compile(r"arn:[^:]+:(?:iam|organizations)::[^:]*:policy/")


def access_denied_message(request: AccessRequest, decision: Decision) -> str:
    """AWS's message for a denial; raises ValueError for an allowed request, which has none."""
    return denial_sentences(request, decision)[0]


def denial_sentences(request: AccessRequest, decision: Decision, asked_for: str = "") -> tuple[str, str]:
    """AWS's message, and the operator's, which always names the resource by its ARN.

    AWS's names `asked_for` instead of the resource's ARN, where it is not empty.

    Raises ValueError for an allowed request, which has none.
    """
    if decision.allowed:
        raise ValueError("an allowed request has no AccessDenied sentence")
    if isinstance(request.principal, AssertedSubject):
        who = f"{request.principal.arn} is not authorized to perform: {request.action}"
        exact = f"{who} on resource: {request.resource}{_why(request, decision)}"
        # The sender of an assertion may be anyone, so the message explains nothing.
        return f"Not authorized to perform {request.action}", exact
    who = f"User: {request.principal.arn} is not authorized to perform: {request.action}"
    why = _why(request, decision)
    shown = shown_resource(request.action, asked_for or request.resource)
    exact = f"{who} on resource: {request.resource}{why}"
    return (f"{who}{why}" if shown is None else f"{who} on resource: {shown}{why}", exact)


def _why(request: AccessRequest, decision: Decision) -> str:
    """Which kind of policy denies or does not allow, where the caller may know it."""
    layer = decision.layer
    kind = KINDS.get(layer) if layer else None
    if kind is None or (layer in _OWNERS_SIDE and _is_cross_account(request)):
        return ""
    article = "an" if kind[0] in "aeiou" else "a"
    if layer is Layer.RESOURCE and request.action.lower().startswith("sts:"):
        article, kind = "the", "role trust policy"
    if decision.outcome is Outcome.EXPLICITLY_DENIED:
        return f" with an explicit deny in {article} {kind}{_denying_policy(request, decision)}"
    return f" because no {kind} allows the {request.action} action"


def _denying_policy(request: AccessRequest, decision: Decision) -> str:
    """The ARN of the first policy that denies and has one, with which the message ends since January 2026.

    Managed policies and those of an organization have one; inline ones have none. Within one account or one
    organization only.
    """
    if _is_cross_account(request) and not _is_in_one_organization(request):
        return ""
    arns = (match.source.arn for match in decision.denying)
    found = next((arn for arn in arns if _POLICY_ARN.match(arn)), None)
    return f": {found}" if found else ""


def _is_cross_account(request: AccessRequest) -> bool:
    """Also True for an unknown owner: the caller may not know what its policies say."""
    owner = request.resource_account
    return owner is None or owner != account_of(request.principal)


def _is_in_one_organization(request: AccessRequest) -> bool:
    keys = request.context.by_key
    organization = keys.get("aws:principalorgid")
    return organization is not None and organization == keys.get("aws:resourceorgid")


def authorization_message(decision: Decision, spelled: Mapping[str, str] = _AS_THEY_ARE) -> dict[str, Any]:
    """The JSON that DecodeAuthorizationMessage returns, with exactly the members of AWS's messages.

    The caller's account reads it, so it holds neither policies nor tags of a resource in another account.
    `spelled` has the spelling of condition keys by the lower-case key; others are shown in lower case.
    """
    request = decision.request
    hides_owner = _is_cross_account(request)
    conditions = [
        {"key": spelled.get(key, key), "values": _values(values)}
        for key, values in sorted(request.context.by_key.items())
        if not (hides_owner and key.startswith(_OWNERS_KEYS))
    ]
    shown = [match for match in decision.deciding if not (hides_owner and match.layer in _OWNERS_SIDE)]
    explicit = decision.outcome is Outcome.EXPLICITLY_DENIED and bool(shown or not hides_owner)
    return {
        "allowed": decision.allowed,
        "explicitDeny": explicit,
        "matchedStatements": _items(_statement(match, request.principal) for match in shown),
        "failures": _items(()),
        "context": {
            "principal": _principal(request.principal),
            "action": request.action,
            "resource": request.resource,
            "conditions": _items(conditions),
        },
    }


def _principal(principal: Principal) -> dict[str, str]:
    """Only users have a name."""
    name = {"name": principal.name} if isinstance(principal, IamUser) else {}
    return {"id": principal.user_id, **name, "arn": principal.arn}


def _items(entries: Iterable[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    return {"items": list(entries)}


def _values(values: Iterable[str] | None) -> dict[str, list[dict[str, Any]]]:
    return _items({"value": value} for value in values or ())


def _statement(match: Match, principal: Principal) -> dict[str, Any]:
    """As AWS's messages show it: without operators, and with NotAction as `actions` and NotResource as `resources`."""
    statement: Statement = match.statement
    return {
        "statementId": statement.sid,
        "effect": statement.effect.value.upper(),
        "principals": _values(_principals(match, principal)),
        "principalGroups": _items(()),
        "actions": _values(statement.actions or statement.not_actions),
        "resources": _values(statement.resources or statement.not_resources),
        "conditions": _items(
            {"key": condition.key, "values": _values(condition.values)} for condition in statement.conditions
        ),
    }


def _principals(match: Match, principal: Principal) -> tuple[str, ...]:
    """The ids that AWS shows for the caller's own policies, else the statement's Principal element."""
    if match.layer is Layer.BOUNDARY:
        return ("SCOPE_POLICY_ISSUER",)
    if match.layer is Layer.IDENTITY:
        return (principal.role_id if isinstance(principal, AssumedRole) else principal.user_id,)
    if match.layer is Layer.SCP:
        return (principal.user_id,)
    return _principal_names(match.statement.principals)


def _principal_names(principals: Principals | None) -> tuple[str, ...]:
    if principals is None:
        return ()
    if principals.everyone:
        return ("*",)
    return (*principals.aws, *principals.service, *principals.federated, *principals.canonical_user)
