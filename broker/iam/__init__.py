"""IAM: one file per noun, each operation one function.

Owns: what AWS's IAM API 2010-05-08 reads and changes of an account; its questions about policies are
`broker.simulator`'s. A handler works in the caller's own account
(`call.account`) and nowhere else; it has been allowed by the gate before it runs, on the resource that its
operation declares.

Never decides who may do what, never checks what the service model already constrains (`broker.protocol` did), never
commits: whoever performs the call does. Importing this package declares every operation.

Law of the room:
- names are unique without case and keep the spelling they were given; what names an entity follows its renaming;
- an entity that something hangs on is not deleted (DeleteConflict), so no reference ever dangles;
- a list is in key order and paged; its marker is opaque.
"""

from broker.iam import (
    access_keys,
    account,
    attached_policies,
    authorization_details,
    groups,
    inline_policies,
    instance_profiles,
    login_profiles,
    memberships,
    mfa_devices,
    open_id_connect_providers,
    outbound_web_identity_federation,
    password_policy,
    permissions_boundaries,
    policies,
    policy_usage,
    policy_versions,
    roles,
    saml_providers,
    tagging,
    users,
)

__all__ = [
    "access_keys",
    "account",
    "attached_policies",
    "authorization_details",
    "groups",
    "inline_policies",
    "instance_profiles",
    "login_profiles",
    "memberships",
    "mfa_devices",
    "open_id_connect_providers",
    "outbound_web_identity_federation",
    "password_policy",
    "permissions_boundaries",
    "policies",
    "policy_usage",
    "policy_versions",
    "roles",
    "saml_providers",
    "tagging",
    "users",
]
