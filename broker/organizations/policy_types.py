"""The types of policies that the broker evaluates: service and resource control policies."""

from broker.access.organization import POLICY_TYPES
from broker.errors import Refusal


def require_supported(policy_type: str) -> None:
    """Raises for a type of AWS's that the broker does not evaluate: a policy without effect is not stored."""
    if policy_type not in POLICY_TYPES:
        raise Refusal(
            "PolicyTypeNotAvailableForOrganizationException",
            f"This broker has no policies of the type {policy_type}; it has {' and '.join(POLICY_TYPES)}.",
        )
