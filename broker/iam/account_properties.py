"""Account properties: settings of IAM's features, by `Namespace/PropertyName`.

There is one on AWS: whether Role Manager is enabled. The broker has none, so it is off and cannot be enabled.
"""

from broker.access.resource import Resource
from broker.errors import Refusal, not_implemented
from broker.operation import Call, Prepared, operation
from broker.protocol.shapes import iam as shapes

_NAMESPACE, _ENABLED = "RoleManager", "RoleManager/Enabled"
_NAMESPACES_KEY = "iam:AccountPropertyNamespaces"


async def read_namespaces(call: Call, request: shapes.GetAccountPropertiesRequest) -> Prepared[None]:
    return Prepared(Resource(keys={_NAMESPACES_KEY: (_NAMESPACE,)}), None)


async def written_namespaces(call: Call, request: shapes.PutAccountPropertiesRequest) -> Prepared[None]:
    namespaces = {key.partition("/")[0] for key in request.properties}
    return Prepared(Resource(keys={_NAMESPACES_KEY: tuple(sorted(namespaces))}), None)


@operation("iam:GetAccountProperties", prepare=read_namespaces)
async def get_account_properties(
    call: Call, request: shapes.GetAccountPropertiesRequest, prepared: Prepared[None]
) -> shapes.GetAccountPropertiesResponse:
    return shapes.GetAccountPropertiesResponse(properties={_ENABLED: "false"})


@operation("iam:PutAccountProperties", prepare=written_namespaces)
async def put_account_properties(
    call: Call, request: shapes.PutAccountPropertiesRequest, prepared: Prepared[None]
) -> shapes.PutAccountPropertiesResponse:
    """Raises NotImplemented where Role Manager would be enabled; that it is off is no change."""
    _require_known(request.properties)
    value = request.properties[_ENABLED]
    if value == "true":
        raise not_implemented("This broker has no Role Manager: RoleManager/Enabled can only be false.")
    if value != "false":
        raise Refusal("InvalidInput", "Enabled must be 'true' or 'false'")
    return shapes.PutAccountPropertiesResponse()


def _require_known(properties: dict[str, str]) -> None:
    """Raises InvalidInput unless these are properties of one namespace, which there are."""
    for key in properties:
        namespace, _, name = key.partition("/")
        if not namespace or not name or "/" in name:
            raise Refusal("InvalidInput", f"Property key must be in format Namespace/PropertyName: {key}")
    namespaces = {key.partition("/")[0] for key in properties}
    if len(namespaces) > 1:
        raise Refusal("InvalidInput", "All properties must belong to the same namespace")
    for namespace in namespaces - {_NAMESPACE}:
        raise Refusal("InvalidInput", f"Unsupported namespace: {namespace}")
    if _ENABLED not in properties:
        raise Refusal("InvalidInput", "RoleManager namespace requires Enabled property")
    for key in sorted(properties.keys() - {_ENABLED}):
        raise Refusal("InvalidInput", f"Unsupported property: {key}")
