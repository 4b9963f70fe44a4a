"""Marks of what users and roles asked for: their keys among the usage marks, and how long they are kept."""

# AWS's tracking period.
LAST_ACCESSED_SECONDS = 400 * 86_400


# Of the keys of all users and roles of an account.
ALL_OPERATIONS = "by/"


def operation_prefix(entity_id: str) -> str:
    """Of the keys of what a user or a role asked for. It does not begin with the id: others are read without these."""
    return f"{ALL_OPERATIONS}{entity_id}/"


def operation_key(entity_id: str, service: str, operation: str) -> str:
    return f"{operation_prefix(entity_id)}{service}/{operation}"
