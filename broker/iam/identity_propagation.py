"""Trusted identity propagation, which the broker does not have: what would set it up is refused, never ignored.

That it be removed is granted: no provider has it.
"""

from broker.errors import Refusal, validation_error
from broker.protocol.shapes import iam as shapes

_Request = (
    shapes.CreateOpenIDConnectProviderRequest
    | shapes.CreateSAMLProviderRequest
    | shapes.UpdateSAMLProviderRequest
    | shapes.UpdateOpenIDConnectProviderRequest
)


def refuse_identity_propagation(request: _Request) -> None:
    """Raises ValidationError for members that configure it."""
    given = {
        "ContextProvider": request.context_provider is not None,
        "IdentityCenterInstanceArn": request.identity_center_instance_arn is not None,
    }
    for member, is_given in given.items():
        if is_given:
            raise validation_error(
                f"This broker has no trusted identity propagation: {member} must be left out."
            )


def require_one_change(request: shapes.UpdateOpenIDConnectProviderRequest) -> None:
    """Raises InvalidInput for a request that changes nothing, or more than one thing, as its documentation says."""
    changes = (
        request.context_provider is not None,
        bool(request.remove_context_provider),
        request.identity_center_instance_arn is not None,
        bool(request.remove_identity_center_instance),
    )
    if sum(changes) != 1:
        raise Refusal(
            "InvalidInput",
            "Specify exactly one of ContextProvider, RemoveContextProvider, IdentityCenterInstanceArn and "
            "RemoveIdentityCenterInstance.",
        )
