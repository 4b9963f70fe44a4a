"""Organizations: accounts in a tree, and the policies that limit what they may do; one file per noun.

Owns the operations of the AWS Organizations API 2016-11-28. It changes the one record of the organization
(`storage/organization_records.py`), which `broker apply` declares and the gate reads with each request: what is written
here counts from the next request on, on every worker.

Never evaluates a policy (`broker.access` does), never checks the constraints of the service model, never commits.
Importing this package declares every operation.

Law of the room:
- the management account, or whom it has delegated to, changes the organization; a member leaves it (`membership.py`);
- where service control policies are enabled, a new node has FullAWSAccess attached: else it could do nothing;
- a closed account stays closed and does not leave, or its limits would end with it.
"""

from broker.organizations import (
    account_creation,
    accounts,
    attachments,
    effective_policies,
    handshakes,
    organization,
    policies,
    resource_policy,
    tagging,
    trusted_services,
    units,
)

__all__ = [
    "account_creation",
    "accounts",
    "attachments",
    "effective_policies",
    "handshakes",
    "organization",
    "policies",
    "resource_policy",
    "tagging",
    "trusted_services",
    "units",
]
