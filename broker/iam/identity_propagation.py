"""Trusted identity propagation, which the broker does not have: what would set it up is refused, never ignored."""

from broker.errors import validation_error
from broker.protocol.shapes import iam as shapes

_Request = (
    shapes.CreateOpenIDConnectProviderRequest
    | shapes.CreateSAMLProviderRequest
    | shapes.UpdateSAMLProviderRequest
)


def refuse_identity_propagation(request: _Request) -> None:
    """Raises ValidationError for members that configure it."""
    given = {
        "ContextProvider": request.context_provider is not None,
        "IdentityCenterInstanceArn": request.identity_center_instance_arn is not None,
    }
    if isinstance(request, shapes.UpdateSAMLProviderRequest):
        given["RemoveContextProvider"] = bool(request.remove_context_provider)
        given["RemoveIdentityCenterInstance"] = bool(request.remove_identity_center_instance)
    for member, is_given in given.items():
        if is_given:
            raise validation_error(
                f"This broker has no trusted identity propagation: {member} must be left out."
            )
