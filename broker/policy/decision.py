"""The decision: all kinds of policy, combined once.

The law (IAM User Guide, "Policy evaluation logic" and the pages below it):

1. An explicit deny in any policy that applies denies.
2. RCPs, then SCPs, then the endpoint policy: each level that applies must allow.
3. Within one account, the identity side or the resource side must allow. A resource policy's grant to
   the principal itself is enough; its grant to the role is limited by boundary and session policies; its grant to
   the account needs an allow of the identity policies, and matters only where the service requires one.
4. Across accounts, the resource side and the identity side must both allow; also where the owner of the resource is
   unknown, because it may be another account.
5. The identity side allows where the identity policies, the boundary and the session policies all allow. The root
   user needs no identity policy; a federated user has nothing without a session policy.
6. Each scope down policy of a session must allow, whatever another policy grants: the session's permissions are the
   intersection of what it may without the policy and what the policy allows ("Permissions for GetScopedCredentials").

# INVARIANT: total and pure. Anything missing or unknown leads to a denial.
"""

from collections.abc import Iterator

import msgspec

from broker.names.arn import AWS_ACCOUNT
from broker.names.principal import Anonymous, FederatedUser, Principal, Root
from broker.policy.context import Keyed
from broker.policy.elements import Effect
from broker.policy.explanation import Explanation, Match, denials_in, explain
from broker.policy.index import PolicySet
from broker.policy.principals import DIRECT, NONE, ROLE, Grant, Names
from broker.policy.request import (
    ALLOWED,
    EXPLICITLY_DENIED,
    IMPLICITLY_DENIED,
    AccessRequest,
    Layer,
    Layers,
    Outcome,
    are_rcps_exempted,
    are_scps_exempted,
    names_in,
)
from broker.policy.services import NO_RULE, Rule, facts_of

Verdict = bool | None  # explicit deny: False, allow: True, implicit deny: None


class Decision(msgspec.Struct, frozen=True):
    """The answer. `layer` denied the request, explicitly or implicitly; None where it is allowed."""

    outcome: Outcome
    layer: Layer | None
    request: AccessRequest
    layers: Layers

    @property
    def allowed(self) -> bool:
        return self.outcome is ALLOWED

    @property
    def deciding(self) -> tuple[Match, ...]:
        """The statements that decided: all that allow, or all that deny; none for an implicit deny."""
        return () if self.outcome is IMPLICITLY_DENIED else self.deciding_in(self.explain())

    def deciding_in(self, explanation: Explanation) -> tuple[Match, ...]:
        """The same, where the decision has been explained already."""
        wanted = {ALLOWED: Effect.ALLOW, EXPLICITLY_DENIED: Effect.DENY}.get(self.outcome)
        return tuple(match for match in explanation.matches if match.statement.effect is wanted)

    @property
    def denying(self) -> Iterator[Match]:
        """The statements that deny in `layer`, found lazily."""
        return denials_in(self.request, self.layers, self.layer)

    def explain(self) -> Explanation:
        """The full explanation, computed by this call."""
        return explain(self.request, self.layers)


def decide(request: AccessRequest, layers: Layers) -> Decision:
    """Decide `request` under `layers`. Total and pure."""
    facts = facts_of(request.action)
    rule = facts.rule
    if rule.resource is not None and rule.resource.match(request.resource) is None:
        rule = NO_RULE
    if rule.is_always_allowed or rule.is_never_allowed:
        return _by_rule_alone(rule, request, layers)
    resource = request.resource if facts.supports_resources else "*"
    return _by_policies(request, layers, facts.action, resource, rule)


def is_always_allowed(principal: Principal, action: str) -> bool:
    """Whether `decide` allows it whatever the resource, policies and context, so that they need not be gathered."""
    rule = facts_of(action).rule
    return rule.resource is None and _allows(rule, principal)


def _allows(rule: Rule, principal: Principal) -> bool:
    """Whether the service allows it to everybody who is like this principal."""
    return rule.is_always_allowed and (rule.is_open or type(principal) is not Anonymous)


def _by_rule_alone(rule: Rule, request: AccessRequest, layers: Layers) -> Decision:
    if _allows(rule, request.principal):
        return Decision(ALLOWED, None, request, layers)
    return Decision(EXPLICITLY_DENIED, Layer.SERVICE, request, layers)


# Verdicts are listed in this order: the first layer that denies is named, or the first whose allow is missing.
_LIMITS = (Layer.RCP, Layer.SCP, Layer.ENDPOINT, Layer.SCOPE)
_IDENTITY_SIDE = (Layer.IDENTITY, Layer.BOUNDARY, Layer.SESSION)
_DENYING = (*_LIMITS, *_IDENTITY_SIDE, Layer.RESOURCE)
_ALLOWING = (*_LIMITS, Layer.RESOURCE, *_IDENTITY_SIDE)
_ALL_ALLOW = (True,) * len(_ALLOWING)


def _by_policies(request: AccessRequest, layers: Layers, action: str, resource: str, rule: Rule) -> Decision:
    context, principal = request.context, request.principal
    identity = layers.identity.by_action[action].verdict(resource, context)
    # No boundary or session policy: no limit. But a federated user has nothing without a session policy.
    boundary: Verdict = True
    if layers.boundary is not None:
        boundary = layers.boundary.by_action[action].verdict(resource, context)
    session: Verdict = True
    if layers.session is not None:
        session = layers.session.by_action[action].verdict(resource, context)
    elif type(principal) is FederatedUser:
        session = None
    scp: Verdict = True
    if layers.scps:
        scp = _service_controls(principal, layers, action, resource, context)
    scope: Verdict = True
    if layers.scopes:
        scope = _all_levels([level.by_action[action].verdict(resource, context) for level in layers.scopes])
    rcp: Verdict = True
    endpoint: Verdict = True
    grant: Grant | None = NONE
    if layers.resource is not None or layers.rcps or layers.endpoint is not None:
        names = names_in(request, layers)
        if layers.resource is not None:
            grant = layers.resource.by_action[action].grant(resource, context, names)
        if layers.rcps:
            rcp = _resource_controls(layers, action, resource, context, names)
        if layers.endpoint is not None:
            endpoint = _limit(layers.endpoint, action, resource, context, names)

    # 1. An explicit deny in any layer.
    verdicts: tuple[Verdict, ...] = (
        rcp,
        scp,
        endpoint,
        scope,
        identity,
        boundary,
        session,
        grant is not None,
    )
    if verdicts != _ALL_ALLOW and False in verdicts:
        return Decision(EXPLICITLY_DENIED, _DENYING[verdicts.index(False)], request, layers)
    # 2. to 6. Each layer has to allow, or its allow is not needed.
    verdicts = (rcp, scp, endpoint, scope, *_needed(request, rule, grant, identity, boundary, session))
    if verdicts != _ALL_ALLOW:
        return Decision(IMPLICITLY_DENIED, _ALLOWING[verdicts.index(None)], request, layers)
    return Decision(ALLOWED, None, request, layers)


def _needed(
    request: AccessRequest,
    rule: Rule,
    grant: Grant | None,
    identity: Verdict,
    boundary: Verdict,
    session: Verdict,
) -> tuple[Verdict, Verdict, Verdict, Verdict]:
    """3. to 5. The resource side and the identity side: True where no allow is needed."""
    account: str | None = getattr(request.principal, "account", None)  # `account_of`, inlined
    if account is None:
        return True if grant is DIRECT else None, True, True, True
    if type(request.principal) is Root:
        identity = True
    if request.resource_account not in (account, AWS_ACCOUNT):  # AWS's own count as the caller's account's
        return None if grant is NONE else True, identity, boundary, session
    if grant is DIRECT:
        return True, True, True, True
    if grant is ROLE:
        return True, True, boundary, session
    return None if grant is NONE and rule.needs_resource_policy else True, identity, boundary, session


def _all_levels(verdicts: list[Verdict]) -> Verdict:
    """A deny on any level denies; every level must allow."""
    if False in verdicts:
        return False
    return None if None in verdicts else True


def _service_controls(
    principal: Principal, layers: Layers, action: str, resource: str, context: Keyed
) -> Verdict:
    if are_scps_exempted(principal, layers):
        return True
    return _all_levels([level.by_action[action].verdict(resource, context) for level in layers.scps])


def _resource_controls(layers: Layers, action: str, resource: str, context: Keyed, names: Names) -> Verdict:
    if are_rcps_exempted(layers):
        return True
    return _all_levels([_limit(level, action, resource, context, names) for level in layers.rcps])


def _limit(policies: PolicySet, action: str, resource: str, context: Keyed, names: Names) -> Verdict:
    """The verdict of a policy that names principals and only limits (RCP, endpoint policy)."""
    grant = policies.by_action[action].grant(resource, context, names)
    if grant is None:
        return False
    return None if grant is NONE else True
