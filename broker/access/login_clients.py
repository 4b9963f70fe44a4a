"""The two clients of `aws login`, one of which every AWS CLI is, and the resources that policies call them."""

from broker.access.resource import Resource
from broker.errors import Refusal

SAME_DEVICE = "arn:aws:signin:::devtools/same-device"
CROSS_DEVICE = "arn:aws:signin:::devtools/cross-device"

# "Actions, resources, and condition keys for AWS Signin", Service Authorization Reference.
_RESOURCES = {SAME_DEVICE: "localhost", CROSS_DEVICE: "remote"}


def login_client_resource(client_id: str, redirect_uri: str | None, region: str, account: str) -> Resource:
    """What both actions of `signin` are asked about; raises ValidationException for a client that is none of them."""
    name = _RESOURCES.get(client_id)
    if name is None:
        raise Refusal("ValidationException", "The client is not known.")
    keys: dict[str, str | tuple[str, ...]] = {"signin:OAuthClientId": client_id}
    if redirect_uri is not None:
        keys["signin:OAuthRedirectUri"] = redirect_uri
    return Resource(f"arn:aws:signin:{region}:{account}:oauth2/public-client/{name}", account, keys=keys)
