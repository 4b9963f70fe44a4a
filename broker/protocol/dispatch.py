"""Which operation a request names: the service from its signature, else from Action and Version.

AWS has one endpoint per service; this broker has one for all. A signed request names its service in the
credential scope; an unsigned one (AssumeRoleWithWebIdentity, AssumeRoleWithSAML) is found by Action and Version.
"""

from collections.abc import Mapping

from broker.errors import Refusal
from broker.protocol.model import ServiceModel


def name_operation(
    services: Mapping[str, ServiceModel], signing_name: str | None, action: str | None, version: str | None
) -> tuple[ServiceModel, str]:
    """The service and the operation; `services` is by signing name.

    A signing name that no service has finds its service like an unsigned request: that its scope is wrong is
    for SigV4 to say. Raises MissingAction and InvalidAction. (Where an action is missing, AWS redirects to a
    page about IAM; where its version is missing or wrong, it answers InvalidAction, in these words.)
    """
    if action is None:
        raise Refusal("MissingAction", "The request is missing an action or a required parameter.")
    signed_for = services.get(signing_name) if signing_name else None
    if signed_for is not None and signed_for.api_version == version and action in signed_for.operations:
        return signed_for, action
    for service in () if signed_for else services.values():
        if service.api_version == version and action in service.operations:
            return service, action
    shown = "NO_VERSION_SPECIFIED" if version is None else version[:64]
    raise Refusal("InvalidAction", f"Could not find operation {action[:128]} for version {shown}")
