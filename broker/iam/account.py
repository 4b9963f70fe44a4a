"""The account itself: its alias, its counts and quotas, its preference for tokens.

An alias is unique in the whole broker, so it is a record of the global partition: one commit claims it and assigns it
to the account, and a concurrent claim gets a conflict.
"""

import msgspec

from broker.errors import Refusal, validation_error
from broker.iam.entities import counts_of
from broker.iam.owners import get_account, get_settings
from broker.names.arn import is_account_id
from broker.operation import Call, Prepared, no_resource, operation
from broker.paging import page
from broker.protocol.shapes import iam as shapes
from broker.storage.derived_records import ENABLED_MFA_DEVICES, POLICY_VERSIONS
from broker.storage.records import AccountSettings
from broker.storage.store import (
    ACCOUNTS,
    GROUPS,
    INSTANCE_PROFILES,
    MFA_DEVICES,
    OPEN_ID_CONNECT_PROVIDERS,
    PASSKEYS,
    POLICIES,
    ROLES,
    ROOT_LOGIN_PROFILE,
    SAML_PROVIDERS,
    SERVER_CERTIFICATES,
    SETTINGS,
    SIGNING_CERTIFICATES,
    USERS,
)


@operation("iam:CreateAccountAlias", prepare=no_resource)
async def create_account_alias(
    call: Call, request: shapes.CreateAccountAliasRequest, prepared: Prepared[None]
) -> None:
    """The new alias replaces the old one: an account has at most one."""
    alias = request.account_alias
    if is_account_id(alias):
        raise validation_error("The account alias must not be an account number.")
    if any(account.alias == alias for account in await call.store.scan(ACCOUNTS, "")):
        raise Refusal("EntityAlreadyExists", f"The account alias {alias} already exists.")
    account = msgspec.structs.replace(await get_account(call), alias=alias)
    call.store.put(ACCOUNTS, "", account)


@operation("iam:DeleteAccountAlias", prepare=no_resource)
async def delete_account_alias(
    call: Call, request: shapes.DeleteAccountAliasRequest, prepared: Prepared[None]
) -> None:
    account = await get_account(call)
    if account.alias != request.account_alias:
        raise Refusal("NoSuchEntity", f"The account alias {request.account_alias} cannot be found.")
    call.store.put(ACCOUNTS, "", msgspec.structs.replace(account, alias=None))


@operation("iam:ListAccountAliases", prepare=no_resource)
async def list_account_aliases(
    call: Call, request: shapes.ListAccountAliasesRequest, prepared: Prepared[None]
) -> shapes.ListAccountAliasesResponse:
    account = await get_account(call)
    chosen = page((account.alias,) if account.alias else (), str, request.marker, request.max_items)
    return shapes.ListAccountAliasesResponse(
        account_aliases=chosen.items, is_truncated=chosen.is_truncated, marker=chosen.marker
    )


@operation("iam:SetSecurityTokenServicePreferences", prepare=no_resource)
async def set_security_token_service_preferences(
    call: Call, request: shapes.SetSecurityTokenServicePreferencesRequest, prepared: Prepared[None]
) -> None:
    """Noted, and shown by GetAccountSummary: a token of the broker is valid in every region, whatever the version."""
    version = int(request.global_endpoint_token_version.removeprefix("v").removesuffix("Token"))
    settings = msgspec.structs.replace(await get_settings(call), global_endpoint_token_version=version)
    call.store.put(SETTINGS, call.account, settings)


@operation("iam:GetAccountSummary", prepare=no_resource)
async def get_account_summary(
    call: Call, request: None, prepared: Prepared[None]
) -> shapes.GetAccountSummaryResponse:
    """Counts as they are, quotas as they are configured."""
    counted = await counts_of(call)
    counts = {
        **{key: sum(counted.get(name, 0) for name in names) for key, names in _COUNTED.items()},
        **_of_settings(await get_settings(call)),
        "AccountPasswordPresent": int(await call.store.find(ROOT_LOGIN_PROFILE, call.account) is not None),
        "AccountSigningCertificatesPresent": int(
            await call.store.find(SIGNING_CERTIFICATES, call.account, call.account) is not None
        ),
    }
    return shapes.GetAccountSummaryResponse(summary_map={**counts, **_quotas(call)})


# Key of the summary -> what is counted of it.
_COUNTED = {
    "Users": (USERS.name,),
    "Groups": (GROUPS.name,),
    "Roles": (ROLES.name,),
    "Policies": (POLICIES.name,),
    "InstanceProfiles": (INSTANCE_PROFILES.name,),
    "Providers": (OPEN_ID_CONNECT_PROVIDERS.name, SAML_PROVIDERS.name),
    "PolicyVersionsInUse": (POLICY_VERSIONS,),
    "ServerCertificates": (SERVER_CERTIFICATES.name,),
    "MFADevices": (MFA_DEVICES.name, PASSKEYS.name),
    "MFADevicesInUse": (ENABLED_MFA_DEVICES, PASSKEYS.name),
}


def _of_settings(settings: AccountSettings) -> dict[str, int]:
    return {
        "AccountMFAEnabled": int(bool(settings.root_mfa_serial_numbers)),
        "AccountAccessKeysPresent": int(bool(settings.root_access_key_ids)),
        "GlobalEndpointTokenVersion": settings.global_endpoint_token_version,
    }


# Quotas that are the same in every account, from "IAM and AWS STS quotas".
_FIXED = {
    "PolicyVersionsInUseQuota": 10_000,
}

# Key of the summary -> field of Quotas.
_QUOTAS = {
    "UsersQuota": "users",
    "GroupsQuota": "groups",
    "RolesQuota": "roles",
    "PoliciesQuota": "customer_policies",
    "InstanceProfilesQuota": "instance_profiles",
    "ServerCertificatesQuota": "server_certificates",
    "SigningCertificatesPerUserQuota": "signing_certificates_per_user",
    "VersionsPerPolicyQuota": "policy_versions",
    "PolicySizeQuota": "managed_policy_size",
    "UserPolicySizeQuota": "user_inline_size",
    "GroupPolicySizeQuota": "group_inline_size",
    "RolePolicySizeQuota": "role_inline_size",
    "AssumeRolePolicySizeQuota": "trust_policy_size",
    "GroupsPerUserQuota": "groups_per_user",
    "AttachedPoliciesPerUserQuota": "attached_policies_per_user",
    "AttachedPoliciesPerGroupQuota": "attached_policies_per_group",
    "AttachedPoliciesPerRoleQuota": "attached_policies_per_role",
    "AccessKeysPerUserQuota": "access_keys_per_user",
}


def _quotas(call: Call) -> dict[str, int]:
    return {key: getattr(call.quotas, field) for key, field in _QUOTAS.items()} | _FIXED
