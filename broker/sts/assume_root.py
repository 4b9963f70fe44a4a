"""AssumeRoot: the management account does one task as the root user of a member account.

"Centrally manage root access for member accounts": the task is one of five policies, the session lives at most fifteen
minutes, and only principals of the management account or of the delegated IAM administrator may ask, never a root user.
"""

import msgspec

from broker.access.aws_managed import AwsManagedPolicy, find_task_policy
from broker.access.organization import ROOT_CREDENTIALS_MANAGEMENT, ROOT_SESSIONS, find_organization
from broker.access.resource import Resource
from broker.credentials.mint import LONGEST_ROOT_TASK
from broker.errors import access_denied, validation_error
from broker.names.arn import is_account_id
from broker.names.principal import Root
from broker.operation import Call, Prepared, operation
from broker.protocol.shapes import sts as shapes
from broker.storage.store import ACCOUNTS
from broker.sts.answers import credentials_shape


class RootTask(msgspec.Struct, frozen=True):
    """The task that is to be done as root of `account`; `feature` is the organization's that lets it be done.

    Root credentials management is for the tasks on root's own credentials, root sessions for all others
    (EnableOrganizationsRootCredentialsManagement and EnableOrganizationsRootSessions of the IAM API Reference).
    """

    account: str
    policy: AwsManagedPolicy

    @property
    def feature(self) -> str:
        is_of_credentials = self.policy.policy_name.startswith("IAM")
        return ROOT_CREDENTIALS_MANAGEMENT if is_of_credentials else ROOT_SESSIONS


async def member_root(call: Call, request: shapes.AssumeRootRequest) -> Prepared[RootTask]:
    """The member's root user. The member has no policy for it; the organization takes its role.

    Raises ValidationError for an invalid target or task, as AWS does before it evaluates any policy.
    """
    if isinstance(call.caller.principal, Root):
        raise access_denied("AssumeRoot may not be called by root users.")
    task = RootTask(_target_account(request.target_principal), _task_policy(request))
    keys = {"sts:TaskPolicyArn": task.policy.arn, "aws:ResourceAccount": task.account}
    return Prepared(Resource(Root(task.account).arn, call.account, keys=keys), task)


@operation("sts:AssumeRoot", prepare=member_root)
async def assume_root(
    call: Call, request: shapes.AssumeRootRequest, prepared: Prepared[RootTask]
) -> shapes.AssumeRootResponse:
    task = prepared.found
    await _require_organization(call, task)
    duration = LONGEST_ROOT_TASK if request.duration_seconds is None else request.duration_seconds
    minted = call.mint.root_task(
        task.account,
        now=call.now,
        duration=duration,
        task_policy_arn=task.policy.arn,
        issuer_arn=call.caller.principal.arn,
        source_identity=call.caller.source_identity,
        issuer_access_key_id=call.caller.access_key_id,
        minimum_token_size=request.minimum_session_token_size or 0,
    )
    return shapes.AssumeRootResponse(
        credentials=credentials_shape(minted),
        source_identity=call.caller.source_identity,
        session_token_utilization=minted.utilization,
        session_token_size=minted.token_size,
    )


def _target_account(target: str) -> str:
    """An account id, or the ARN of its root user."""
    account = target if is_account_id(target) else target.removeprefix("arn:aws:iam::").removesuffix(":root")
    if not is_account_id(account) or target not in (account, Root(account).arn):
        raise validation_error("Request must contain a valid target principal")
    return account


def _task_policy(request: shapes.AssumeRootRequest) -> AwsManagedPolicy:
    arn = request.task_policy_arn.arn
    if arn is None:
        raise validation_error(_NO_TASK_POLICY)
    task_policy = find_task_policy(arn)
    if task_policy is None:
        raise validation_error("Request must contain valid AWS managed task policy ARN")
    return task_policy


# AWS's answer to an empty `TaskPolicyArn`, which its model allows.
_NO_TASK_POLICY = (
    "1 validation error detected: Value null at 'taskPolicyArn' failed to satisfy constraint: "
    "Member must not be null"
)


async def _require_organization(call: Call, task: RootTask) -> None:
    """Raises AccessDenied, with the same message for every reason, which does not reveal the organization's members."""
    reason = await _find_reason_to_refuse(call, task)
    if reason:
        raise access_denied(
            f"User: {call.caller.principal.arn} is not authorized to perform: sts:AssumeRoot "
            f"on resource: {Root(task.account).arn}",
            reason=reason,
        )


async def _find_reason_to_refuse(call: Call, task: RootTask) -> str:
    account = task.account
    organization = await find_organization(call.store)
    if organization is None or task.feature not in organization.features:
        return f"{task.feature} is not enabled for an organization"
    if call.account not in (
        organization.management_account_id,
        organization.delegated_iam_administrator_id,
    ):
        return f"{call.account} is neither the management account nor the delegated administrator of IAM"
    is_member = account in organization.accounts and account != organization.management_account_id
    if not is_member or await call.store.find(ACCOUNTS, "", account) is None:
        return f"{account} is not a member account of the organization"
    return ""
