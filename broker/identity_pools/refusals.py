"""Refusals that several operations share, in AWS's words where these are known."""

from broker.errors import Refusal


def invalid(message: str) -> Refusal:
    return Refusal("InvalidParameterException", message)


def no_such_pool(pool_id: str) -> Refusal:
    return Refusal("ResourceNotFoundException", f"IdentityPool '{pool_id}' not found.")


def no_such_identity(identity_id: str) -> Refusal:
    return Refusal("ResourceNotFoundException", f"Identity '{identity_id}' not found.")


def not_authorized(message: str, reason: str = "") -> Refusal:
    """The client reads `message` alone."""
    return Refusal("NotAuthorizedException", message, reason=reason)


def misconfigured(reason: str) -> Refusal:
    """What is wrong with the pool's roles is the operator's to know."""
    message = "Invalid identity pool configuration. Check assigned IAM roles for this pool."
    return Refusal("InvalidIdentityPoolConfigurationException", message, reason=reason)
