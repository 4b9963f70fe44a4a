"""The account's password policy. Which passwords it takes: `broker.credentials.password_rules`."""

import json

from broker.access.resource import Resource
from broker.errors import Refusal
from broker.names.principal import IamUser
from broker.operation import Call, Prepared, no_resource, operation
from broker.policy import PolicyKind, PolicySet, Source, SourceKind
from broker.protocol.shapes import iam as shapes
from broker.storage.password_records import PasswordPolicy
from broker.storage.store import PASSWORD_POLICY


async def permission_to_change_password(call: Call, action: str, resource_arn: str) -> PolicySet | None:
    """The permission of `action` for the calling user, where the policy lets users change their own passwords.

    It counts as a policy of the resource would, so that a Deny of any other policy counts more.
    """
    policy = await call.store.find(PASSWORD_POLICY, call.account)
    caller = call.caller.principal
    if policy is None or not policy.allow_users_to_change_password or not isinstance(caller, IamUser):
        return None
    statement = {
        "Effect": "Allow",
        "Principal": {"AWS": caller.arn},
        "Action": action,
        "Resource": resource_arn,
    }
    document = json.dumps({"Version": "2012-10-17", "Statement": statement})
    source = Source(SourceKind.RESOURCE, "AccountPasswordPolicy", resource_arn)
    return call.gate.library.compiled(source, document, PolicyKind.RESOURCE)


async def for_all_users(call: Call, request: None) -> Prepared[None]:
    permission = await permission_to_change_password(call, "iam:GetAccountPasswordPolicy", "*")
    return Prepared(Resource(policy=permission), None)


@operation("iam:GetAccountPasswordPolicy", prepare=for_all_users)
async def get_account_password_policy(
    call: Call, request: None, prepared: Prepared[None]
) -> shapes.GetAccountPasswordPolicyResponse:
    policy = await call.store.find(PASSWORD_POLICY, call.account)
    if policy is None:
        raise Refusal("NoSuchEntity", f"The Password Policy with domain name {call.account} cannot be found.")
    return shapes.GetAccountPasswordPolicyResponse(password_policy=_shape(policy))


@operation("iam:UpdateAccountPasswordPolicy", prepare=no_resource)
async def update_account_password_policy(
    call: Call, request: shapes.UpdateAccountPasswordPolicyRequest, prepared: Prepared[None]
) -> None:
    """What the request does not name has its default again."""
    policy = PasswordPolicy(
        minimum_length=request.minimum_password_length or PasswordPolicy().minimum_length,
        require_symbols=bool(request.require_symbols),
        require_numbers=bool(request.require_numbers),
        require_uppercase_characters=bool(request.require_uppercase_characters),
        require_lowercase_characters=bool(request.require_lowercase_characters),
        allow_users_to_change_password=bool(request.allow_users_to_change_password),
        maximum_age=request.max_password_age or 0,
        reuse_prevention=request.password_reuse_prevention or 0,
        hard_expiry=request.hard_expiry,
    )
    call.store.put(PASSWORD_POLICY, call.account, policy)


@operation("iam:DeleteAccountPasswordPolicy", prepare=no_resource)
async def delete_account_password_policy(call: Call, request: None, prepared: Prepared[None]) -> None:
    if await call.store.find(PASSWORD_POLICY, call.account) is None:
        raise Refusal("NoSuchEntity", "The account policy with name PasswordPolicy cannot be found.")
    call.store.delete(PASSWORD_POLICY, call.account)


def _shape(policy: PasswordPolicy) -> shapes.PasswordPolicy:
    return shapes.PasswordPolicy(
        minimum_password_length=policy.minimum_length,
        require_symbols=policy.require_symbols,
        require_numbers=policy.require_numbers,
        require_uppercase_characters=policy.require_uppercase_characters,
        require_lowercase_characters=policy.require_lowercase_characters,
        allow_users_to_change_password=policy.allow_users_to_change_password,
        expire_passwords=bool(policy.maximum_age),
        max_password_age=policy.maximum_age or None,
        password_reuse_prevention=policy.reuse_prevention or None,
        hard_expiry=policy.hard_expiry,
    )
