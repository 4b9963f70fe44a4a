"""Queries about policies: what would be decided, which condition keys they read, to which services they give access.

Owns the operations of AWS's IAM API 2010-05-08 that evaluate policies and change nothing that is judged: Simulate...,
GetContextKeysFor..., ListPoliciesGrantingServiceAccess, ...ServiceLastAccessedDetails and ...OrganizationsAccessReport,
and the limits of a simulation's cost. A caller names entities of its own account, or of the organization that its
account manages, and needs the gate's permission for the operation.

Never decides: the gate's code gathers the layers (`access.gather`), the policy engine decides (`broker.policy`).
Importing this package declares its operations.
"""

from broker.simulator import (
    organizations_access_report,
    policy_reading,
    replay,
    service_last_accessed,
    simulation,
)

__all__ = ["organizations_access_report", "policy_reading", "replay", "service_last_accessed", "simulation"]
