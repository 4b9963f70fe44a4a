"""Questions about policies that no request asks."""

from collections.abc import Iterable

from broker.policy.document import Policy


def context_keys(policies: Iterable[Policy]) -> list[str]:
    """Every condition key that `policies` read, variables included (GetContextKeysForCustomPolicy)."""
    raise NotImplementedError


def grants_service(policy: Policy, service_namespace: str) -> bool:
    """Whether some Allow of `policy` names an action of the service (ListPoliciesGrantingServiceAccess)."""
    raise NotImplementedError
