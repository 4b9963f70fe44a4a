"""IAM Roles Anywhere: machines prove themselves by X.509 certificates, and take roles; one file per noun.

Owns CreateSession and the operations of the IAM Roles Anywhere API 2018-05-10: trust anchors, profiles, imported
revocation lists, subjects. Obeys the IAM Roles Anywhere User Guide, "The IAM Roles Anywhere trust model".

Never makes credentials itself: CreateSession ends in sts:AssumeRole through its own gate, for the service principal
rolesanywhere.amazonaws.com. Importing this package declares every operation.

Law of the room:
- a certificate proves nothing before its signature, its path, its revocation and its anchor have all been checked;
- a resource is of the region in which it was made, as on AWS, and is found there alone.
"""

from broker.roles_anywhere import (
    attribute_mappings,
    create_session,
    notifications,
    profiles,
    revocation_lists,
    subjects,
    tagging,
    trust_anchors,
)

__all__ = [
    "attribute_mappings",
    "create_session",
    "notifications",
    "profiles",
    "revocation_lists",
    "subjects",
    "tagging",
    "trust_anchors",
]
