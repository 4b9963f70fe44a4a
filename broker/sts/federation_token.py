"""GetFederationToken: a user gives some of its permissions to a federated user."""

from broker.access.resource import Resource
from broker.access.restrictions import long_term_principal
from broker.credentials.durations import user_session_duration
from broker.names.arn import sts_arn
from broker.names.principal import FederatedUser, IamUser, Root
from broker.operation import Call, Prepared, operation
from broker.protocol.shapes import sts as shapes
from broker.sts.answers import credentials_shape
from broker.sts.session_policies import session_policies
from broker.sts.session_tags import session_tags


async def federated_user(call: Call, request: shapes.GetFederationTokenRequest) -> Prepared[IamUser | Root]:
    """The new federated user, and the user whose permissions it gets."""
    principal = long_term_principal(call.caller, "GetFederationToken")
    return Prepared(Resource(sts_arn(call.account, f"federated-user/{request.name}")), principal)


@operation("sts:GetFederationToken", prepare=federated_user)
async def get_federation_token(
    call: Call, request: shapes.GetFederationTokenRequest, prepared: Prepared[IamUser | Root]
) -> shapes.GetFederationTokenResponse:
    principal = prepared.found
    tags = session_tags(call.caller, request.tags, ())
    if tags.tags:
        await call.require("sts:TagSession", prepared.resource)
    policies = await session_policies(call, call.account, request.policy, request.policy_arns)
    minted = call.mint.federated_user(
        principal,
        request.name,
        now=call.now,
        duration=user_session_duration(request.duration_seconds, is_root=isinstance(principal, Root)),
        session_policy=policies.inline,
        session_policy_arns=policies.managed,
        tags=tags.tags,
        issuer_access_key_id=call.caller.access_key_id,
        minimum_token_size=request.minimum_session_token_size or 0,
    )
    federated = FederatedUser(call.account, request.name)
    return shapes.GetFederationTokenResponse(
        credentials=credentials_shape(minted),
        federated_user=shapes.FederatedUser(federated_user_id=federated.user_id, arn=federated.arn),
        packed_policy_size=minted.packed_policy_size or 0,  # AssumeRole's answer has none without policies
        session_token_utilization=minted.utilization,
        session_token_size=minted.token_size,
    )
