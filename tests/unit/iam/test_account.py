import asyncio
from typing import Any

from broker.access.caller import root_caller
from broker.errors import Refusal
from broker.operation import Quotas
from broker.protocol.shapes import iam as shapes

OTHER = root_caller("444455556666")


async def aliases(iam: Any, **who: Any) -> tuple[str, ...]:
    answer = await iam(shapes.ListAccountAliasesRequest(), **who)
    return tuple(answer.account_aliases)


async def test_an_account_has_one_alias_and_a_new_one_takes_its_place(iam: Any) -> None:
    assert await aliases(iam) == ()
    await iam(shapes.CreateAccountAliasRequest(account_alias="red"))
    await iam(shapes.CreateAccountAliasRequest(account_alias="blue"))
    assert await aliases(iam) == ("blue",)
    await iam(shapes.CreateAccountAliasRequest(account_alias="red"), caller=OTHER)
    assert await aliases(iam, caller=OTHER) == ("red",)


async def test_an_alias_of_another_account_is_refused(iam: Any) -> None:
    await iam(shapes.CreateAccountAliasRequest(account_alias="red"), caller=OTHER)
    refusal = await iam.refused(shapes.CreateAccountAliasRequest(account_alias="red"))
    assert refusal == ("EntityAlreadyExists", "The account alias red already exists.")
    assert await aliases(iam) == ()


async def test_of_two_accounts_that_claim_an_alias_at_once_one_gets_it(iam: Any) -> None:
    callers = [root_caller(f"{number:012}") for number in range(1, 6)]
    claims = [iam(shapes.CreateAccountAliasRequest(account_alias="red"), caller=caller) for caller in callers]
    results = await asyncio.gather(*claims, return_exceptions=True)
    refused = [result for result in results if isinstance(result, Refusal)]
    assert [refusal.code for refusal in refused] == ["EntityAlreadyExists"] * 4
    assert results.count(None) == 1
    holders = [caller for caller in callers if await aliases(iam, caller=caller) == ("red",)]
    assert len(holders) == 1


async def test_only_its_own_alias_is_deleted(iam: Any) -> None:
    await iam(shapes.CreateAccountAliasRequest(account_alias="red"), caller=OTHER)
    refusal = await iam.refused(shapes.DeleteAccountAliasRequest(account_alias="red"))
    assert refusal == ("NoSuchEntity", "The account alias red cannot be found.")
    await iam(shapes.DeleteAccountAliasRequest(account_alias="red"), caller=OTHER)
    assert await aliases(iam, caller=OTHER) == ()


async def test_an_account_number_is_no_alias(iam: Any) -> None:
    refusal = await iam.refused(shapes.CreateAccountAliasRequest(account_alias="444455556666"))
    assert refusal[0] == "ValidationError"


async def test_the_summary_counts_what_is_there(iam: Any) -> None:
    for name in ("bob", "eve"):
        await iam(shapes.CreateUserRequest(user_name=name))
    await iam(shapes.CreateGroupRequest(group_name="red"))
    await iam(shapes.CreateVirtualMFADeviceRequest(virtual_mfa_device_name="phone"))
    await iam(shapes.CreateUserRequest(user_name="stranger"), caller=OTHER)
    summary = (await iam("GetAccountSummary")).summary_map
    counts = {key: summary[key] for key in ("Users", "Groups", "Roles", "Policies", "MFADevices")}
    assert counts == {"Users": 2, "Groups": 1, "Roles": 0, "Policies": 0, "MFADevices": 1}
    assert (summary["MFADevicesInUse"], summary["AccountAccessKeysPresent"]) == (0, 0)


async def test_the_summary_shows_the_quotas_that_are_enforced(iam: Any) -> None:
    iam.quotas = Quotas(users=7, policy_versions=3)
    summary = (await iam("GetAccountSummary")).summary_map
    assert (summary["UsersQuota"], summary["VersionsPerPolicyQuota"]) == (7, 3)
    assert summary["PolicySizeQuota"] == 6144


async def test_the_version_of_tokens_is_noted_and_shown(iam: Any) -> None:
    async def version() -> int:
        return int((await iam("GetAccountSummary")).summary_map["GlobalEndpointTokenVersion"])

    assert await version() == 1
    for wanted in (2, 1):
        asked = shapes.SetSecurityTokenServicePreferencesRequest(
            global_endpoint_token_version=f"v{wanted}Token"
        )
        await iam(asked)
        assert await version() == wanted
    await iam(shapes.SetSecurityTokenServicePreferencesRequest(global_endpoint_token_version="v2Token"))
    other = (await iam("GetAccountSummary", caller=OTHER)).summary_map
    assert other["GlobalEndpointTokenVersion"] == 1
