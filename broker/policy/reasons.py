"""A decision in AWS's sentences.

IAM User Guide, "Troubleshoot access denied error messages". The reason is named where the caller may know it:
across accounts, what stands on the resource's side is not his to read, so the sentence stops before it. What a
service's own rule refuses has no reason in AWS's answer either.
"""

from collections.abc import Iterable
from typing import Any

from broker.names.principal import account_of
from broker.policy.decision import AccessRequest, Decision, Layer, Match, Outcome
from broker.policy.elements import Condition, Principals, Statement

# layer -> AWS's name for the kind of policy, without its article
KINDS: dict[Layer, str] = {
    Layer.IDENTITY: "identity-based policy",
    Layer.RESOURCE: "resource-based policy",
    Layer.BOUNDARY: "permissions boundary",
    Layer.SESSION: "session policy",
    Layer.SCP: "service control policy",
    Layer.RCP: "resource control policy",
    Layer.ENDPOINT: "VPC endpoint policy",
}
_OWNERS_SIDE = (Layer.RESOURCE, Layer.RCP)
_OWNERS_KEYS = ("aws:resourcetag/", "iam:resourcetag/")


def access_denied_message(request: AccessRequest, decision: Decision) -> str:
    """AWS's sentence for a denial; raises ValueError for an allowed request, which has none."""
    if decision.allowed:
        raise ValueError("an allowed request has no AccessDenied sentence")
    sentence = (
        f"User: {request.principal.arn} is not authorized to perform: {request.action} "
        f"on resource: {request.resource}"
    )
    kind = KINDS.get(decision.layer) if decision.layer else None
    if kind is None or (decision.layer in _OWNERS_SIDE and _is_cross_account(request)):
        return sentence
    if decision.outcome is Outcome.EXPLICITLY_DENIED:
        article = "an" if kind[0] in "aeiou" else "a"
        return f"{sentence} with an explicit deny in {article} {kind}"
    return f"{sentence} because no {kind} allows the {request.action} action"


def _is_cross_account(request: AccessRequest) -> bool:
    owner = request.resource_account
    return owner is not None and owner != account_of(request.principal)


def authorization_message(decision: Decision) -> dict[str, Any]:
    """The JSON that DecodeAuthorizationMessage gives (STS API reference).

    It is read by the account that asked, so of a resource in another one it holds neither policies nor tags.
    """
    request = decision.request
    hides_owner = _is_cross_account(request)
    conditions = [
        {"key": key, "values": _items({"value": value} for value in values)}
        for key, values in sorted(request.context.by_key.items())
        if not (hides_owner and key.startswith(_OWNERS_KEYS))
    ]
    shown = [match for match in decision.deciding if not (hides_owner and match.layer in _OWNERS_SIDE)]
    explicit = decision.outcome is Outcome.EXPLICITLY_DENIED and bool(shown or not hides_owner)
    return {
        "allowed": decision.allowed,
        "explicitDeny": explicit,
        "matchedStatements": _items(_statement(match) for match in shown),
        "failures": _items(()),
        "context": {
            "principal": {"id": request.principal.user_id, "arn": request.principal.arn},
            "action": request.action,
            "resource": request.resource,
            "conditions": _items(conditions),
        },
    }


def _items(entries: Iterable[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    return {"items": list(entries)}


def _values(values: Iterable[str] | None) -> dict[str, list[dict[str, Any]]]:
    return _items({"value": value} for value in values or ())


def _statement(match: Match) -> dict[str, Any]:
    statement: Statement = match.statement
    return {
        "statementId": statement.sid,
        "effect": statement.effect.value.upper(),
        "principals": _values(_principal_names(statement.principals)),
        "principalGroups": _items(()),
        "actions": _values(statement.actions),
        "notActions": _values(statement.not_actions),
        "resources": _values(statement.resources),
        "notResources": _values(statement.not_resources),
        "conditions": _items(_condition(condition) for condition in statement.conditions),
    }


def _principal_names(principals: Principals | None) -> tuple[str, ...]:
    if principals is None:
        return ()
    if principals.everyone:
        return ("*",)
    return (*principals.aws, *principals.service, *principals.federated, *principals.canonical_user)


def _condition(condition: Condition) -> dict[str, Any]:
    return {"operator": condition.operator, "key": condition.key, "values": _values(condition.values)}
