"""The rows of ListPolicies: the account's policies and AWS's, by name; of one name the account's own is first."""

from bisect import bisect_left
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from broker.access.aws_managed import AnyManagedPolicy, all_aws_managed, find_aws_managed
from broker.iam.policy_usage import uses_counted
from broker.iam.rows import rows_in_parts, rows_of
from broker.names.arn import AWS_ACCOUNT
from broker.operation import Call
from broker.paging import first_key
from broker.protocol.shapes import iam as shapes
from broker.storage.records import ManagedPolicy
from broker.storage.store import POLICIES, POLICY_USES

_AWS_USES = f"{AWS_ACCOUNT}/"


async def policy_rows(
    call: Call, request: shapes.ListPoliciesRequest
) -> AsyncGenerator[AnyManagedPolicy, None]:
    """The policies that fit the request, from its marker on; a few may come before it."""
    # A marker is a name, a space, which no name has, and an ARN (`sort_key`).
    name, path = first_key(request.marker).partition(" ")[0], request.path_prefix or "/"
    must_be_used = request.only_attached or request.policy_usage_filter is not None
    aws: Sequence[AnyManagedPolicy] = ()
    if request.scope != "Local":
        aws = await _used_of_aws(call, request, name) if must_be_used else _of_aws(name)
    own = _used_own(call, request, name) if must_be_used else rows_of(call, POLICIES, name, request.max_items)
    async with aclosing(own):
        async for policy in _merged(own if request.scope != "AWS" else _none(), aws):
            if policy.path.startswith(path):
                yield policy


async def _none() -> AsyncGenerator[ManagedPolicy, None]:
    return
    yield


async def _merged(
    own: AsyncGenerator[ManagedPolicy, None], aws: Sequence[AnyManagedPolicy]
) -> AsyncGenerator[AnyManagedPolicy, None]:
    index = 0
    async for policy in own:
        name = policy.policy_name.lower()
        while index < len(aws) and aws[index].policy_name.lower() < name:
            yield aws[index]
            index += 1
        yield policy
    for one in aws[index:]:
        yield one


def _of_aws(name: str) -> Sequence[AnyManagedPolicy]:
    """AWS's policies from that name on."""
    policies = all_aws_managed()
    return policies[bisect_left(policies, name, key=lambda policy: policy.policy_name.lower()) :]


async def _used_of_aws(
    call: Call, request: shapes.ListPoliciesRequest, name: str
) -> Sequence[AnyManagedPolicy]:
    """Those that are in use in the account, which are few."""
    uses = await call.store.scan(POLICY_USES, call.account, _AWS_USES)
    used = [find_aws_managed(use.arn) for use in uses if uses_counted(use, request.policy_usage_filter)]
    return [policy for policy in used if policy is not None and policy.policy_name.lower() >= name]


async def _used_own(
    call: Call, request: shapes.ListPoliciesRequest, name: str
) -> AsyncGenerator[ManagedPolicy, None]:
    prefix = f"{call.account}/"
    parts = rows_in_parts(call, POLICY_USES, f"{prefix}{name}", request.max_items, prefix)
    async with aclosing(parts):
        async for part in parts:
            used = [use for use in part if uses_counted(use, request.policy_usage_filter)]
            names = [use.arn.rpartition("/")[2] for use in used]
            for policy in await call.store.find_all(POLICIES, call.account, names):
                if policy is not None:
                    yield policy
