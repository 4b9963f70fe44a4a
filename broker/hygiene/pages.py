"""The findings for the console's overview, by the permissions of the operations of IAM that show as much."""

import asyncio

from broker.hygiene.rules import DEFAULT_LIMITS, HygieneFinding, find_hygiene, unused_since
from broker.hygiene.states import (
    State,
    gather_credentials,
    gather_entities,
    gather_password_rules,
    gather_resources,
    gather_root,
)
from broker.operation import Call, Prepared, no_resource, page_operation
from broker.permission_use.account_use import gather_use

Findings = list[HygieneFinding]


@page_operation("FindHygieneOfRoot", "iam:GetAccountSummary", prepare=no_resource)
async def find_hygiene_of_root(call: Call, request: None, prepared: Prepared[None]) -> Findings:
    return await _found(call, await gather_root(call.store, call.account))


@page_operation("FindHygieneOfPasswordRules", "iam:GetAccountPasswordPolicy", prepare=no_resource)
async def find_hygiene_of_password_rules(call: Call, request: None, prepared: Prepared[None]) -> Findings:
    return await _found(call, await gather_password_rules(call.store, call.account))


@page_operation("FindHygieneOfCredentials", "iam:GetCredentialReport", prepare=no_resource)
async def find_hygiene_of_credentials(call: Call, request: None, prepared: Prepared[None]) -> Findings:
    return await _found(call, await gather_credentials(call.store, call.account))


@page_operation("FindHygieneOfEntities", "iam:GetAccountAuthorizationDetails", prepare=no_resource)
async def find_hygiene_of_entities(call: Call, request: None, prepared: Prepared[None]) -> Findings:
    return await _found(call, await gather_entities(call.store, call.account))


@page_operation(
    "FindHygieneOfResources",
    "iam:ListForeignResources",
    prepare=no_resource,
    judged_as="broker:ListForeignResources",
)
async def find_hygiene_of_resources(call: Call, request: None, prepared: Prepared[None]) -> Findings:
    return await _found(call, await gather_resources(call.store, call.account))


@page_operation("FindHygieneOfUse", "iam:GetServiceLastAccessedDetails", prepare=no_resource)
async def find_hygiene_of_use(call: Call, request: None, prepared: Prepared[None]) -> Findings:
    since = unused_since(DEFAULT_LIMITS, call.now)
    return await _found(call, await gather_use(call.store, call.account, since))


async def _found(call: Call, state: State) -> Findings:
    """In a thread: the documents of thousands of roles take seconds to read the first time."""
    return await asyncio.to_thread(find_hygiene, (state,), call.now)
