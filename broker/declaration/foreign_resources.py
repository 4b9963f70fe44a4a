"""Foreign resources: registered, and their resource policies set; after all principals exist that these may name."""

from broker.access.trust import named_policy
from broker.declaration.attempt import Attempt
from broker.declaration.declared import DeclaredAccount, DeclaredForeignResource, Document, is_set
from broker.declaration.documents import is_same
from broker.declaration.properties import desired
from broker.storage.resource_records import ForeignResource
from broker.storage.store import FOREIGN_RESOURCES

_REGISTER = ("RegisterForeignResource", "+", "")
_DELETE_POLICY = ("DeleteForeignResourcePolicy", "-", ": policy")
_DEREGISTER = ("DeregisterForeignResource", "-", "")


async def settle_foreign_resources(attempt: Attempt, account: str, wanted: DeclaredAccount) -> None:
    for arn, resource in wanted.foreign_resources.items():
        attempt.means.advance()
        await _settle(attempt, account, arn, resource)


async def prune_foreign_resources(attempt: Attempt, account: str, wanted: DeclaredAccount) -> None:
    for record in await attempt.store.scan(FOREIGN_RESOURCES, account):
        if record.arn not in wanted.foreign_resources:
            await _perform(attempt, account, record.arn, _DEREGISTER, wanted.where)


async def _settle(attempt: Attempt, account: str, arn: str, wanted: DeclaredForeignResource) -> None:
    record = await attempt.store.find(FOREIGN_RESOURCES, account, arn)
    if record is None:
        await _perform(attempt, account, arn, _REGISTER, wanted.where)
    policy = desired(attempt, wanted.policy, None)
    if not is_set(policy):
        return
    if policy is not None:
        await _settle_policy(attempt, account, arn, record, policy)
    elif record is not None and record.policy is not None:
        await _perform(attempt, account, arn, _DELETE_POLICY, wanted.where)


async def _settle_policy(
    attempt: Attempt, account: str, arn: str, record: ForeignResource | None, wanted: Document
) -> None:
    if record is not None and record.policy is not None:
        # Compared with names, not with stored ids: see `documents`.
        current = await named_policy(attempt.store, record.policy, record.trusted_ids)
        if is_same(current, wanted.text):
            return
    parameters = {"ResourceArn": arn, "PolicyDocument": wanted.text}
    text = f"foreign resource {arn}: policy"
    operation = "PutForeignResourcePolicy"
    await attempt.perform(account, operation, parameters, "~", text, wanted.where, wanted)


async def _perform(
    attempt: Attempt, account: str, arn: str, change: tuple[str, str, str], where: str
) -> None:
    """`change` is the operation, its sign, and what of the resource is changed."""
    operation, sign, part = change
    text = f"foreign resource {arn}{part}"
    await attempt.perform(account, operation, {"ResourceArn": arn}, sign, text, where)
