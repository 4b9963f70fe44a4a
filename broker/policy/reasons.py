"""A decision in AWS's sentences."""

from typing import Any

from broker.policy.decision import AccessRequest, Decision


def access_denied_message(request: AccessRequest, decision: Decision) -> str:
    """AWS's AccessDenied sentence (IAM User Guide, "Troubleshoot access denied error messages")."""
    raise NotImplementedError


def authorization_message(decision: Decision) -> dict[str, Any]:
    """The JSON that DecodeAuthorizationMessage gives."""
    raise NotImplementedError
