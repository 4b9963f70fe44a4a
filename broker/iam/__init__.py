"""IAM: one file per noun, each operation one function.

Owns the operations of AWS's IAM API 2010-05-08 that read and change an account; those that evaluate policies are in
`broker.simulator`. A handler works only in the caller's own account (`call.account`); delegation requests
alone are shared by two. Before it runs, the gate has allowed the request on the resource that the operation declares.

Never decides permissions, never checks the constraints of the service model (`broker.protocol` has), never commits: the
code that performs the call does. Importing this package declares every operation.

Law of the room:
- names are unique without case and keep the spelling they were given; what names an entity follows its renaming;
- an entity that something hangs on is not deleted (DeleteConflict), so no reference ever dangles;
- a list is in key order and paged; its marker is opaque.
"""

from broker.iam import (
    access_keys,
    account,
    account_properties,
    attached_policies,
    authorization_details,
    credential_reports,
    delegation_approval,
    delegation_requests,
    foreign_resources,
    groups,
    inline_policies,
    instance_nonces,
    instance_profiles,
    instances,
    login_profiles,
    memberships,
    mfa_devices,
    open_id_connect_providers,
    organizations_features,
    outbound_web_identity_federation,
    passkeys,
    password_policy,
    permissions_boundaries,
    policies,
    policy_usage,
    policy_versions,
    provider_inspection,
    role_templates,
    roles,
    saml_providers,
    server_certificates,
    service_linked_roles,
    service_specific_credentials,
    signing_certificates,
    ssh_public_keys,
    tagging,
    users,
)

__all__ = [
    "access_keys",
    "account",
    "account_properties",
    "attached_policies",
    "authorization_details",
    "credential_reports",
    "delegation_approval",
    "delegation_requests",
    "foreign_resources",
    "groups",
    "inline_policies",
    "instance_nonces",
    "instance_profiles",
    "instances",
    "login_profiles",
    "memberships",
    "mfa_devices",
    "open_id_connect_providers",
    "organizations_features",
    "outbound_web_identity_federation",
    "passkeys",
    "password_policy",
    "permissions_boundaries",
    "policies",
    "policy_usage",
    "policy_versions",
    "provider_inspection",
    "role_templates",
    "roles",
    "saml_providers",
    "server_certificates",
    "service_linked_roles",
    "service_specific_credentials",
    "signing_certificates",
    "ssh_public_keys",
    "tagging",
    "users",
]
