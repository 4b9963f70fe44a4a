"""Web identities that are no OpenID Connect tokens: access tokens of Login with Amazon and of Facebook (ProviderId).

An access token is good for whatever its application may do, and every application's operator holds those of its users.
So a role that trusts such a provider has to say which application it means: as AWS's documentation has it, by a
condition on `www.amazon.com:app_id` or `graph.facebook.com:app_id`. Here a role whose trust policy would admit the user
from another application as well is refused.
"""

from msgspec.structs import replace

from broker.access.assumable import account_of_role
from broker.access.caller import Asserted, Caller, Keys
from broker.access.resource import Resource
from broker.assertions.checks import CheckFailed, Checks
from broker.assertions.requested_session import RequestedSession
from broker.errors import Refusal
from broker.federation.access_token_owners import APP_KEY, USER_KEYS, OwnerUnknown
from broker.federation.federation import Federation
from broker.federation.replay import use_once
from broker.names.principal import WebIdentity
from broker.operation import Call
from broker.protocol.shapes import sts as shapes
from broker.storage.store import Transaction
from broker.sts.asserted_roles import refused_assertion

# No application is called so: an id has no spaces.
_ANOTHER_APPLICATION = "another application"
# Facebook's tokens of long life are good for about sixty days.
_LONGEST_LIFE = 90 * 24 * 3600  # seconds

_NOT_VALIDATED = ("InvalidIdentityToken", "The web identity token that was passed could not be validated.")
_AWAY = (
    "IDPCommunicationError",
    "The identity provider that was asked to verify the web identity token could not be reached.",
)
_DENIED = ("AccessDenied", "Not authorized to perform sts:AssumeRoleWithWebIdentity")


async def prove_access_token(
    federation: Federation,
    store: Transaction,
    now: float,
    request: shapes.AssumeRoleWithWebIdentityRequest,
    checks: Checks,
) -> Caller:
    """The user whose token it is; raises Refusal. Every check is noted in `checks`, the one that failed last."""
    provider, account = request.provider_id, account_of_role(request.role_arn)
    if provider not in USER_KEYS or federation.access_tokens is None:
        raise Refusal(
            "InvalidParameterValue",
            f"ProviderId is for access tokens of {' and '.join(USER_KEYS)}: leave it out for OpenID Connect tokens.",
        )
    token = request.web_identity_token
    try:
        owner = await federation.access_tokens.find(provider, token, checks)
        if federation.single_use:
            is_first = await use_once(store, account, provider, token, now, now + _LONGEST_LIFE)
            checks.require("single use", is_first, found="used before", wanted="a token not used yet")
    except OwnerUnknown as error:
        failed = checks.fail("provider", found=error, wanted="an answer")
        raise refused_assertion(*_AWAY, failed) from None
    except CheckFailed as failed:
        raise refused_assertion(*_NOT_VALIDATED, failed) from None
    keys: Keys = {
        f"{provider}:{APP_KEY}": (owner.app_id,),
        f"{provider}:{USER_KEYS[provider]}": (owner.user_id,),
    }
    return Caller(
        principal=WebIdentity(provider, owner.user_id),
        account="",
        session_keys=keys,
        federated_provider=provider,
        asserted=Asserted(
            account=account,
            issuer=provider,
            subject=owner.user_id,
            audience=owner.app_id,
            attributes=RequestedSession(),
            session_keys=keys,
        ),
    )


async def refuse_any_application(call: Call, resource: Resource, checks: Checks) -> Refusal | None:
    """Why the role is refused although its trust policy admits the caller; None for OpenID Connect tokens as well.

    The gate is asked once more, for the same user with a token of an application that there is not.
    """
    caller = call.caller
    provider = caller.principal.provider if isinstance(caller.principal, WebIdentity) else ""
    if provider not in USER_KEYS:
        return None
    of_another = replace(
        caller, session_keys={**caller.session_keys, f"{provider}:{APP_KEY}": (_ANOTHER_APPLICATION,)}
    )
    decision = await call.gate.decide(
        call.store, of_another, call.facts, "sts:AssumeRoleWithWebIdentity", resource
    )
    try:
        checks.require(
            "application named",
            not decision.allowed,
            found="a trust policy that admits any application"
            if decision.allowed
            else "one that names its own",
            wanted=f"a condition on {provider}:{APP_KEY}",
        )
    except CheckFailed as failed:
        return refused_assertion(*_DENIED, failed)
    return None
