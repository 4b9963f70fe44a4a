"""GetCredentialsForIdentity: an app trades tokens of its people for credentials (the enhanced flow).

The role is the one that the pool gives, never the app; its trust policy decides as for any web identity. Sessions of
guests have a session policy with the services that apps use, as on AWS: neither IAM nor STS is among them.
"""

import json
from typing import Any

from broker.access.assumable import account_of_role
from broker.access.caller import Caller
from broker.access.web_identities import WELL_KNOWN, KnownProvider, web_identity_caller_in
from broker.assertions.checks import Checks
from broker.assertions.web_identity import WebIdentityClaims
from broker.errors import Refusal
from broker.identity_pools.identities import find_identity, find_pool, link, owners_of
from broker.identity_pools.linking import require_identity
from broker.identity_pools.logins import ProvenLogin, proven_logins, require_unused
from broker.identity_pools.principal_tags import session_tags
from broker.identity_pools.refusals import misconfigured, no_such_identity, no_such_pool
from broker.identity_pools.resources import app_of_identity
from broker.identity_pools.role_choice import chosen_role
from broker.operation import Call, Prepared, find_operation, no_resource, operation, perform_within
from broker.protocol.shapes import cognito_identity as shapes
from broker.protocol.shapes import sts
from broker.storage.identity_pool_records import IdentityPoolRecord, PoolIdentity

ISSUER = "https://cognito-identity.amazonaws.com"
SESSION_NAME = "CognitoIdentityCredentials"
SESSION_SECONDS = 3600
_PROVIDER = KnownProvider(ISSUER, WELL_KNOWN[ISSUER])
_TAGS = "https://aws.amazon.com/tags"
_UNAVAILABLE = ("ServiceUnavailable", "InternalFailure")

# "Access policies for unauthenticated identities" of the developer guide: the policy that Cognito adds itself, and the
# managed policy that it adds.
_GUEST_POLICY = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": {
            "Effect": "Allow",
            "Action": [
                f"{service}:*"
                for service in (
                    "cognito-identity",
                    "cognito-idp",
                    "cognito-sync",
                    "dynamodb",
                    "execute-api",
                    "firehose",
                    "iot",
                    "kinesis",
                    "lambda",
                    "lex",
                    "logs",
                    "mobileanalytics",
                    "polly",
                    "s3",
                    "ses",
                    "sns",
                    "sqs",
                )
            ],
            "Resource": "*",
        },
    },
    separators=(",", ":"),
)
_GUEST_MANAGED_POLICY = "arn:aws:iam::aws:policy/AmazonCognitoUnAuthedIdentitiesSessionPolicy"


@operation("cognito-identity:GetCredentialsForIdentity", prepare=no_resource, prove=app_of_identity)
async def get_credentials_for_identity(
    call: Call, request: shapes.GetCredentialsForIdentityInput, prepared: Prepared[None]
) -> shapes.GetCredentialsForIdentityResponse:
    identity = await find_identity(call.store, request.identity_id)
    if identity is None:
        raise no_such_identity(request.identity_id)
    pool = await find_pool(call.store, identity.pool_id)
    if pool is None:
        raise no_such_pool(identity.pool_id)
    logins = await proven_logins(call, pool, request.logins)
    require_identity(pool, identity, logins, await owners_of(call.store, pool, logins))
    link(call, identity, logins)
    await require_unused(call, pool, logins)
    role_arn = chosen_role(pool, logins, request.custom_role_arn)
    caller = _caller_of(pool, identity, logins)
    minted = await _assume(call, pool, caller, role_arn, is_guest=not logins)
    return shapes.GetCredentialsForIdentityResponse(identity_id=identity.identity_id, credentials=minted)


def _caller_of(pool: IdentityPoolRecord, identity: PoolIdentity, logins: tuple[ProvenLogin, ...]) -> Caller:
    """The identity as a web identity. INVARIANT: its logins are proven, or it is a guest of a pool that has guests."""
    claims = claims_of(pool, identity, logins)
    proven = WebIdentityClaims(ISSUER, identity.identity_id, (pool.pool_id,), 0, 0, claims)
    caller = web_identity_caller_in(pool.account_id, _PROVIDER, proven, Checks())
    return caller.given_to(tuple(dict.fromkeys(user for one in logins for user in one.store_users)))


def claims_of(
    pool: IdentityPoolRecord, identity: PoolIdentity, logins: tuple[ProvenLogin, ...]
) -> dict[str, Any]:
    """What Cognito says of an identity, to trust policies and in tokens."""
    methods = ["authenticated"] if logins else ["unauthenticated"]
    for one in logins:
        methods += [one.provider, f"{one.provider}:{one.audience}:{one.subject}"]
    return {
        "iss": ISSUER,
        "sub": identity.identity_id,
        "aud": pool.pool_id,
        "amr": methods,
        _TAGS: {"principal_tags": {tag: [value] for tag, value in session_tags(pool, logins).items()}},
    }


async def _assume(
    call: Call, pool: IdentityPoolRecord, caller: Caller, role_arn: str, *, is_guest: bool
) -> shapes.Credentials:
    _require_own_role(pool, role_arn)
    request = sts.AssumeRoleWithWebIdentityRequest(
        role_arn=role_arn,
        role_session_name=SESSION_NAME,
        web_identity_token="",  # the caller is proven, so nobody reads it
        duration_seconds=SESSION_SECONDS,
        policy=_GUEST_POLICY if is_guest else None,
        policy_arns=(sts.PolicyDescriptorType(arn=_GUEST_MANAGED_POLICY),) if is_guest else (),
    )
    try:
        answer = await perform_within(
            call, caller, find_operation("sts", "AssumeRoleWithWebIdentity"), request
        )
    except Refusal as refusal:
        if refusal.code in _UNAVAILABLE:
            raise
        raise misconfigured(refusal.reason or refusal.message) from None
    given: sts.Credentials = answer.credentials
    return shapes.Credentials(
        access_key_id=given.access_key_id,
        secret_key=given.secret_access_key,
        session_token=given.session_token,
        expiration=given.expiration,
    )


def _require_own_role(pool: IdentityPoolRecord, role_arn: str) -> None:
    """A claim may name any role; one of another account is not the pool's to give."""
    try:
        account = account_of_role(role_arn)
    except Refusal as refusal:
        raise misconfigured(refusal.message) from None
    if account != pool.account_id:
        raise misconfigured(f"{role_arn} is not a role of account {pool.account_id}")
