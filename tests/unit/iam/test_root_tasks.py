"""What a session of AssumeRoot may: the task that AWS's policy lists, on the root user itself, and nothing else.

Every operation that the broker implements is tried with every task, on root and on others. The lists are those of the
IAM User Guide, "AWS managed policies for AWS Identity and Access Management".
"""

from typing import Any

import msgspec
import pytest

from broker.access.caller import Caller, SessionPolicies, root_caller
from broker.credentials.password_changes import put_login_profile
from broker.names.arn import iam_arn
from broker.names.secret import SecretKey
from broker.operation import OPERATIONS, model
from broker.protocol.shapes import iam as shapes
from broker.storage.credential_records import SigningCertificate, SigningCertificates
from broker.storage.password_records import LoginProfile
from broker.storage.records import AccessKey, AccountSettings, User, VirtualMfaDevice
from broker.storage.store import (
    ACCESS_KEYS,
    LOGIN_PROFILES,
    MFA_DEVICES,
    ROOT_LOGIN_PROFILE,
    SETTINGS,
    SIGNING_CERTIFICATES,
    USERS,
    Transaction,
)
from tests.unit.iam.conftest import ACCOUNT, NOW, Iam
from tests.unit.simulator.simulating import allow, document, trust

TASKS = {
    "IAMAuditRootUserCredentials": {
        "ListAccessKeys",
        "ListSigningCertificates",
        "GetLoginProfile",
        "ListMFADevices",
        "GetAccountSummary",
        "GetUser",
        "GetAccessKeyLastUsed",
    },
    "IAMCreateRootUserPassword": {"CreateLoginProfile", "GetLoginProfile"},
    "IAMDeleteRootUserCredentials": {
        "DeleteAccessKey",
        "DeleteSigningCertificate",
        "DeleteLoginProfile",
        "DeactivateMFADevice",
        "ListAccessKeys",
        "ListSigningCertificates",
        "GetLoginProfile",
        "ListMFADevices",
        "GetUser",
        "GetAccessKeyLastUsed",
    },
    "S3UnlockBucketPolicy": set(),
    "SQSUnlockQueuePolicy": set(),
}
OF_NO_USER = {"GetAccountSummary"}
NAMES = sorted(name for service, name in OPERATIONS if service == "iam")

POLICY = iam_arn(ACCOUNT, "policy/limit")
ROOTS_KEY, ROOTS_DEVICE = "AKIAROOTSKEY00000000", iam_arn(ACCOUNT, "mfa/roots")
ROOTS_CERTIFICATE = "ROOTS" + "0" * 27

# Users as like to root as IAM lets them be called, by name and path.
LOOK_ALIKES = {"dora": "/", "root": "/a:root/", "alias": f"/arn:aws:iam::{ACCOUNT}:root/", ACCOUNT: "/"}

# A value for every field without which one of the requests is none.
VALUES: dict[str, Any] = {
    "account_alias": "an-alias",
    "action_names": ("iam:GetUser",),
    "arn": iam_arn(ACCOUNT, "user/dora"),
    "assume_role_policy_document": document(trust(ACCOUNT)),
    "authentication_code1": "123456",
    "authentication_code2": "654321",
    "aws_service_name": "ecs.amazonaws.com",
    "client_id": "client",
    "delegation_request_id": "a-request",
    "deletion_task_id": "task/aws-service-role/ecs.amazonaws.com/AWSServiceRoleForECS/1",
    "description": "of the tests",
    "entity_arn": iam_arn(ACCOUNT, "delegation-request/a-request"),
    "entity_path": "o-a1b2c3d4e5/r-a1b2/111122223333",
    "global_endpoint_token_version": "v2Token",
    "group_name": "group",
    "instance_id": "i-1",
    "instance_profile_name": "profile",
    "job_id": "11111111-2222-4333-8444-555555555555",
    "name": "provider",
    "new_password": "New-Password-1",
    "old_password": "Old-Password-1",
    "notification_channel": "poll",
    "open_id_connect_provider_arn": iam_arn(ACCOUNT, "oidc-provider/idp.example.com"),
    "permissions": shapes.DelegationPermission(policy_template_arn=POLICY),
    "permissions_boundary": POLICY,
    "policy_arn": POLICY,
    "policy_document": document(allow("*")),
    "policy_input_list": (document(allow("*")),),
    "policy_name": "inline",
    "policy_source_arn": iam_arn(ACCOUNT, "user/dora"),
    "requestor_workflow_id": "a-workflow",
    "properties": {"RoleManager/Enabled": "false"},
    "role_name": "role",
    "saml_metadata_document": "<EntityDescriptor/>",
    "saml_provider_arn": iam_arn(ACCOUNT, "saml-provider/provider"),
    "server_certificate_name": "web",
    "certificate_body": "pem",
    "private_key": "pem",
    "resource_arn": f"arn:aws:sqs:eu-west-1:{ACCOUNT}:orders",
    "service_name": "codecommit.amazonaws.com",
    "service_specific_credential_id": "ACCA" + "A" * 17,
    "service_namespace": "iam",
    "service_namespaces": ("iam",),
    "session_duration": 3600,
    "status": "Inactive",
    "ssh_public_key_body": "ssh-rsa AAAA",
    "ssh_public_key_id": "APKA" + "A" * 17,
    "encoding": "SSH",
    "tag_keys": ("team",),
    "tags": (shapes.Tag(key="team", value="blue"),),
    "template_arn": iam_arn(ACCOUNT, "role-template/app"),
    "thumbprint_list": ("0" * 40,),
    "url": "https://idp.example.com",
    "user_name": "dora",
    "version_id": "v1",
    "virtual_mfa_device_name": "new",
}


def keys_of(name: str | None) -> dict[str, str]:
    """The credentials of the user called `name`, None for root, as requests name them."""
    if name is None:
        return {
            "access_key_id": ROOTS_KEY,
            "serial_number": ROOTS_DEVICE,
            "certificate_id": ROOTS_CERTIFICATE,
        }
    return {
        "access_key_id": f"AKIA{name.upper():0<16}",
        "serial_number": iam_arn(ACCOUNT, f"mfa/{name}"),
        "certificate_id": f"{name.upper():0<32}",
    }


def task(name: str) -> Caller:
    policy = SessionPolicies(managed=(f"arn:aws:iam::aws:policy/root-task/{name}",))
    return msgspec.structs.replace(
        root_caller(ACCOUNT, "ASIATASK"),
        session_policies=policy,
        token_issued_at=int(NOW),
        is_assumed_root=True,
    )


def fields_of(name: str) -> dict[str, bool]:
    """The fields of an operation's request, and whether they are required."""
    taken = model("iam").operations[name].input
    if taken is None:
        return {}
    return {field.name: field.required for field in msgspec.structs.fields(model("iam").structs[taken.shape])}


def request(name: str, **values: Any) -> msgspec.Struct | str:
    """A request of the operation with everything that it requires, and those of `values` that it knows."""
    fields = fields_of(name)
    if not fields:
        return name
    required = {
        field: VALUES[field] for field, is_required in fields.items() if is_required and field in VALUES
    }
    known = {field: value for field, value in values.items() if field in fields}
    return getattr(shapes, f"{name}Request")(**{**required, **known})


async def put_credentials(store: Transaction, name: str | None) -> None:
    key_id, serial_number = keys_of(name)["access_key_id"], keys_of(name)["serial_number"]
    key = AccessKey(
        account_id=ACCOUNT,
        access_key_id=key_id,
        user_name=name,
        secret=SecretKey("s" * 40),
        created_at=0,
    )
    device = VirtualMfaDevice(
        account_id=ACCOUNT,
        serial_number=serial_number,
        device_name=serial_number.rpartition("/")[2],
        seed=SecretKey("A" * 64),
        created_at=0,
        user_name=name,
        enabled_at=1,
    )
    store.put(ACCESS_KEYS, ACCOUNT, key)
    store.put(MFA_DEVICES, ACCOUNT, device)
    certificate = SigningCertificate(
        certificate_id=keys_of(name)["certificate_id"], certificate="pem", digest=str(name), uploaded_at=0
    )
    owner_id = ACCOUNT if name is None else f"AIDA{name.upper()}"
    certificates = SigningCertificates(owner_id=owner_id, items=(certificate,))
    store.put(SIGNING_CERTIFICATES, ACCOUNT, certificates)
    profile = LoginProfile(user_name=name, password_hash=SecretKey("hash"), created_at=0, changed_at=0)
    put_login_profile(store, ACCOUNT, profile)
    if name is None:
        settings = AccountSettings(root_access_key_ids=(key_id,), root_mfa_serial_numbers=(serial_number,))
        store.put(SETTINGS, ACCOUNT, settings)
        return
    user = User(
        account_id=ACCOUNT,
        user_name=name,
        user_id=f"AIDA{name.upper()}",
        path=LOOK_ALIKES[name],
        created_at=0,
        access_key_ids=(key_id,),
        mfa_serial_numbers=(serial_number,),
    )
    store.put(USERS, ACCOUNT, user)


@pytest.fixture
async def account(iam: Iam) -> Iam:
    """Root and some users, each with an access key and a device, and one of everything else."""

    async def credentials(store: Transaction) -> None:
        for name in (None, *LOOK_ALIKES):
            await put_credentials(store, name)

    await iam.store.transact(credentials)
    for creation in ("CreateGroup", "CreateRole", "CreateInstanceProfile"):
        await iam(request(creation))
    await iam(request("CreatePolicy", policy_name="limit"))
    return iam


async def everything(iam: Iam) -> Any:
    transaction = iam.store.transaction()
    collections = (
        USERS,
        ACCESS_KEYS,
        MFA_DEVICES,
        SETTINGS,
        SIGNING_CERTIFICATES,
        LOGIN_PROFILES,
        ROOT_LOGIN_PROFILE,
    )
    return [await transaction.scan(collection, ACCOUNT) for collection in collections]


@pytest.mark.parametrize("name", NAMES)
async def test_a_root_task_does_to_root_what_is_listed_and_nothing_else(account: Iam, name: str) -> None:
    before = await everything(account)
    asked = request(name, **keys_of(None))
    for task_name, listed in TASKS.items():
        if name not in listed:
            code, message = await account.refused(asked, caller=task(task_name))
            assert (code, "explicit deny in a session policy" in message) == ("AccessDenied", True)
    assert await everything(account) == before
    for task_name, listed in TASKS.items():
        if name in listed:
            if name == "CreateLoginProfile":
                await account(shapes.DeleteLoginProfileRequest(), caller=task("IAMDeleteRootUserCredentials"))
            await account(asked, caller=task(task_name))


@pytest.mark.parametrize("name", [name for name in NAMES if name not in OF_NO_USER])
async def test_a_root_task_does_nothing_to_a_user(account: Iam, name: str) -> None:
    before = await everything(account)
    for user_name in LOOK_ALIKES:
        for task_name in TASKS:
            asked = request(name, user_name=user_name, **keys_of(user_name))
            code, message = await account.refused(asked, caller=task(task_name))
            assert (code, "explicit deny in a session policy" in message) == ("AccessDenied", True)
    assert await everything(account) == before


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        (shapes.DeleteAccessKeyRequest(access_key_id=keys_of("dora")["access_key_id"]), "NoSuchEntity"),
        (
            shapes.DeleteSigningCertificateRequest(certificate_id=keys_of("dora")["certificate_id"]),
            "NoSuchEntity",
        ),
        (shapes.DeactivateMFADeviceRequest(serial_number=keys_of("dora")["serial_number"]), "NoSuchEntity"),
        (shapes.GetAccessKeyLastUsedRequest(access_key_id=keys_of("dora")["access_key_id"]), "AccessDenied"),
        (shapes.GetAccessKeyLastUsedRequest(access_key_id="AKIAUNKNOWN000000000"), "AccessDenied"),
    ],
    ids=lambda value: type(value).__name__,
)
async def test_a_users_credentials_are_not_reached_by_leaving_the_user_unnamed(
    account: Iam, asked: msgspec.Struct, code: str
) -> None:
    before = await everything(account)
    assert (await account.refused(asked, caller=task("IAMDeleteRootUserCredentials")))[0] == code
    assert await everything(account) == before


async def test_what_is_no_task_policy_leaves_a_root_task_nothing(account: Iam) -> None:
    gone = "arn:aws:iam::aws:policy/root-task/Gone"
    audit = "arn:aws:iam::aws:policy/root-task/IAMAuditRootUserCredentials"
    administrator = "arn:aws:iam::aws:policy/AdministratorAccess"
    for policies in (
        None,
        SessionPolicies(),
        SessionPolicies(managed=(administrator,)),
        SessionPolicies(managed=(POLICY,)),
        SessionPolicies(managed=(gone,)),
        SessionPolicies(managed=(audit, administrator)),
        SessionPolicies(document(allow("*"))),
        SessionPolicies(document(allow("*")), (audit,)),
    ):
        caller = msgspec.structs.replace(task("x"), session_policies=policies)
        code, message = await account.refused("GetAccountSummary", caller=caller)
        assert (code, "with an explicit deny in a session policy" in message) == ("AccessDenied", True)
