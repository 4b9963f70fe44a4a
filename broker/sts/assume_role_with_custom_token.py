"""AssumeRoleWithCustomToken: the holder of a token that the operator's identity plugin accepts assumes a role.

MinIO's addition to STS, whose names it has on the wire. The role's trust policy has to admit the plugin
(`"Federated": "tokens.example.com"`), and may read `custom:user` and the claims that the plugin answers with, as
`custom:NAME`. A session ends at the latest when the plugin says. The plugin's reason for refusing a token is
shown to the client, as on MinIO.
"""

from broker.access.assumable import account_of_role
from broker.access.caller import Asserted, Caller
from broker.access.directory_people import kept_session_keys
from broker.access.facts import RequestFacts
from broker.assertions.checks import CheckFailed, Checks
from broker.assertions.custom_token import TokenHolder, TokenRefused
from broker.assertions.requested_session import RequestedSession
from broker.errors import access_denied, service_unavailable
from broker.federation.federation import Federation
from broker.federation.identity_plugin import IdentityPlugin, PluginUnavailable
from broker.names.principal import CustomTokenSubject
from broker.operation import Call, Prepared, operation
from broker.protocol.shapes import sts as shapes
from broker.storage.store import Transaction
from broker.sts.answers import credentials_shape
from broker.sts.asserted_roles import (
    AssertedRole,
    minted_session,
    not_configured,
    proven_role,
    refused_assertion,
    require_session_name,
)

# Also what the gate says of a role that does not trust the plugin.
_DENIED = "Not authorized to perform sts:AssumeRoleWithCustomToken"


async def custom_token_caller(
    federation: Federation,
    store: Transaction,
    facts: RequestFacts,
    request: shapes.AssumeRoleWithCustomTokenRequest,
) -> Caller:
    """Whom the plugin vouches for; raises Refusal."""
    plugin, checks = federation.plugin, Checks()
    if plugin is None:
        raise not_configured("AssumeRoleWithCustomToken", "no identity plugin is configured")
    account = account_of_role(request.role_arn)
    try:
        holder = await _holder(plugin, request.token, checks)
        require_session_name(holder.user, "a user of 2 to 64 letters, digits and _+=,.@-", checks)
    except CheckFailed as failed:
        raise refused_assertion("AccessDenied", _DENIED, failed) from None
    keys, provider = dict(holder.keys), plugin.rules.provider
    return Caller(
        principal=CustomTokenSubject(provider, holder.user),
        account="",
        session_keys=keys,
        federated_provider=provider,
        asserted=Asserted(
            account=account,
            issuer=provider,
            subject=holder.user,
            audience="",
            attributes=RequestedSession(),
            session_keys=kept_session_keys(keys),
            session_name=holder.user,
            role_arn=request.role_arn,
            max_duration=holder.longest,
        ),
    )


async def _holder(plugin: IdentityPlugin, unverified_token: str, checks: Checks) -> TokenHolder:
    try:
        return await plugin.holder(unverified_token, checks)
    except PluginUnavailable as error:
        raise service_unavailable(str(error)) from None
    except TokenRefused as refused:
        said = str(refused)
        message = f"{_DENIED}: {said}" if said else _DENIED
        raise access_denied(message, reason=f"the identity plugin refuses the token: {said}") from None


@operation("sts:AssumeRoleWithCustomToken", prepare=proven_role, prove=custom_token_caller)
async def assume_role_with_custom_token(
    call: Call, request: shapes.AssumeRoleWithCustomTokenRequest, prepared: Prepared[AssertedRole]
) -> shapes.AssumeRoleWithCustomTokenResponse:
    session = prepared.found.session
    minted = await minted_session(call, request, prepared)
    return shapes.AssumeRoleWithCustomTokenResponse(
        credentials=credentials_shape(minted),
        assumed_user=f"custom:{session.session_name}",
        assumed_role_user=shapes.AssumedRoleUser(assumed_role_id=session.user_id, arn=session.arn),
        packed_policy_size=minted.packed_policy_size,
        provider=call.caller.principal.arn,
        session_token_utilization=minted.utilization,
        session_token_size=minted.token_size,
    )
