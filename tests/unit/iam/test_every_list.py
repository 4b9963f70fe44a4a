"""Laws of every operation that answers in pages, of every name that must be unique, of quotas and of tags."""

from typing import Any

import msgspec
import pytest

from broker.errors import Refusal
from broker.iam.tagging import TAGGED
from broker.names.arn import iam_arn
from broker.names.secret import SecretKey
from broker.operation import OPERATIONS, Quotas, model
from broker.protocol.request import read_request
from broker.protocol.shapes import iam as shapes
from broker.storage.credential_records import (
    ServerCertificate,
    ServiceSpecificCredential,
    ServiceSpecificCredentials,
    SigningCertificate,
    SigningCertificates,
    SshPublicKey,
    SshPublicKeys,
)
from broker.storage.records import SamlProvider
from broker.storage.store import (
    MFA_DEVICES,
    SAML_PROVIDERS,
    SERVER_CERTIFICATES,
    SERVICE_SPECIFIC_CREDENTIALS,
    SIGNING_CERTIFICATES,
    SSH_PUBLIC_KEYS,
    USERS,
    Transaction,
)
from tests.unit.iam.conftest import ACCOUNT, Iam
from tests.unit.simulator.simulating import allow, document

EC2 = document({"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"})
READ = document(allow("s3:GetObject"))
NAMES = ("beta", "Alpha", "gamma")
AWS = [
    f"arn:aws:iam::aws:policy/{name}" for name in ("ReadOnlyAccess", "AdministratorAccess", "SecurityAudit")
]
TAGS = tuple(shapes.Tag(key=name, value="x") for name in NAMES)
OIDC, SAML = iam_arn(ACCOUNT, "oidc-provider/idp.example.com"), iam_arn(ACCOUNT, "saml-provider/idp")


def fields_of(name: str) -> tuple[str, ...]:
    taken = model("iam").operations[name].input
    return () if taken is None else model("iam").structs[taken.shape].__struct_fields__


PAGED = sorted(name for service, name in OPERATIONS if service == "iam" and "marker" in fields_of(name))
# What an operation is asked for beside its page; the entities of `world` are called as the first of NAMES.
ASKED: dict[str, Any] = {
    "user_name": "beta",
    "group_name": "beta",
    "role_name": "beta",
    "instance_profile_name": "beta",
    "server_certificate_name": "beta",
    "serial_number": iam_arn(ACCOUNT, "mfa/beta"),
    "open_id_connect_provider_arn": OIDC,
    "saml_provider_arn": SAML,
    "policy_input_list": (document(allow("*")),),
    "policy_source_arn": iam_arn(ACCOUNT, "user/beta"),
    "action_names": ("s3:GetObject", "s3:PutObject", "s3:ListBucket"),
    "policy_arn": iam_arn(ACCOUNT, "policy/beta"),
}
OF_ONE: dict[str, dict[str, Any]] = {
    "ListPolicies": {"scope": "Local"},
    "ListEntitiesForPolicy": {"policy_arn": AWS[0]},
    "GetAccountAuthorizationDetails": {"filter": ("User", "Group", "Role")},
}
# Fewer than three items: what an account or a user may have.
FEWER = {"ListAccountAliases": 1, "ListAccessKeys": 2}
# Their pages are of jobs, of requests of other accounts, of instances or of services: tested beside them.
ELSEWHERE = {
    "GetOrganizationsAccessReport",
    "GetServiceLastAccessedDetails",
    "GetServiceLastAccessedDetailsWithEntities",
    "ListDelegationRequests",
    "ListInstances",
    "ListPoliciesGrantingServiceAccess",
}
SWEPT = [name for name in PAGED if name not in ELSEWHERE]


@pytest.fixture
async def world(iam: Iam) -> Iam:
    """Three of each kind of entity, and three of each kind of thing in the first of them."""
    await iam(shapes.CreateAccountAliasRequest(account_alias="an-alias"))
    for name in NAMES:
        await iam(shapes.CreateUserRequest(user_name=name))
        await iam(shapes.CreateGroupRequest(group_name=name))
        await iam(shapes.CreateRoleRequest(role_name=name, assume_role_policy_document=EC2))
        await iam(shapes.CreatePolicyRequest(policy_name=name, policy_document=READ))
        await iam(shapes.CreateInstanceProfileRequest(instance_profile_name=name))
        await iam(shapes.CreateVirtualMFADeviceRequest(virtual_mfa_device_name=name))
        await iam(shapes.AddRoleToInstanceProfileRequest(instance_profile_name=name, role_name="beta"))
        await iam(shapes.AddUserToGroupRequest(group_name="beta", user_name=name))
        await iam(shapes.RegisterForeignResourceRequest(resource_arn=f"arn:aws:s3:::{name.lower()}"))
    await iam(shapes.CreateOpenIDConnectProviderRequest(url="https://idp.example.com"))
    await iam.store.transact(put_credentials)
    for name in NAMES[1:]:
        await iam(shapes.AddUserToGroupRequest(group_name=name, user_name="beta"))
        await iam(shapes.CreateAccessKeyRequest(user_name="beta"))
        policy_arn = iam_arn(ACCOUNT, "policy/beta")
        await iam(shapes.CreatePolicyVersionRequest(policy_arn=policy_arn, policy_document=READ))
    for name in NAMES:
        await iam(shapes.AttachUserPolicyRequest(user_name=name, policy_arn=AWS[0]))
    for word in ("User", "Group", "Role"):
        holder = {f"{word.lower()}_name": "beta"}
        for name, arn in zip(NAMES, AWS, strict=True):
            put, attach = (
                getattr(shapes, f"Put{word}PolicyRequest"),
                getattr(shapes, f"Attach{word}PolicyRequest"),
            )
            await iam(put(**holder, policy_name=name, policy_document=READ))
            await iam(attach(**holder, policy_arn=arn))
    for row in TAGGED:
        await iam(request_of(f"Tag{row.word}", tags=TAGS))
    return iam


async def put_credentials(store: Transaction) -> None:
    owner = await store.get(USERS, ACCOUNT, "beta", lambda key: KeyError(key))
    devices = [await store.get(MFA_DEVICES, ACCOUNT, name, lambda key: KeyError(key)) for name in NAMES]
    for device in devices:
        enabled = msgspec.structs.replace(device, user_name="beta", enabled_at=1)
        store.put(MFA_DEVICES, ACCOUNT, enabled)
    numbers_of_devices = tuple(device.serial_number for device in devices)
    store.put(USERS, ACCOUNT, msgspec.structs.replace(owner, mfa_serial_numbers=numbers_of_devices))
    mine = {"owner_id": owner.user_id}
    numbers = range(len(NAMES))
    ids = [f"{name:A<20}".upper() for name in NAMES]
    certificates = tuple(
        SigningCertificate(certificate_id=ids[n], certificate="pem", digest=ids[n], uploaded_at=n)
        for n in numbers
    )
    keys = tuple(
        SshPublicKey(key_id=ids[n], ssh="ssh", pem="pem", fingerprint=ids[n], uploaded_at=n) for n in numbers
    )
    passwords = tuple(
        ServiceSpecificCredential(
            credential_id=ids[n],
            service_name="codecommit.amazonaws.com",
            service_user_name=ids[n],
            password_digest=SecretKey("digest"),
            created_at=n,
        )
        for n in numbers
    )
    store.put(SIGNING_CERTIFICATES, ACCOUNT, SigningCertificates(**mine, items=certificates))
    store.put(SSH_PUBLIC_KEYS, ACCOUNT, SshPublicKeys(**mine, items=keys))
    store.put(SERVICE_SPECIFIC_CREDENTIALS, ACCOUNT, ServiceSpecificCredentials(**mine, items=passwords))
    provider = SamlProvider(
        account_id=ACCOUNT, name="idp", provider_id="p", metadata="", valid_until=0, created_at=0
    )
    store.put(SAML_PROVIDERS, ACCOUNT, provider)
    for name in NAMES:
        certificate = ServerCertificate(
            account_id=ACCOUNT,
            server_certificate_name=name,
            server_certificate_id=f"ASCA{name}",
            certificate="pem",
            private_key=SecretKey("pem"),
            uploaded_at=0,
            expires_at=0,
        )
        store.put(SERVER_CERTIFICATES, ACCOUNT, certificate)


def request_of(name: str, **more: Any) -> Any:
    fields = fields_of(name)
    values = ASKED | OF_ONE.get(name, {}) | more
    return getattr(shapes, f"{name}Request")(**{field: values[field] for field in fields if field in values})


def items_of(answer: Any) -> list[Any]:
    """The items of a page, of all lists that it has."""
    lists = [value for value in msgspec.structs.asdict(answer).values() if isinstance(value, tuple)]
    return [item for items in lists for item in items]


def by_kind(items: list[Any]) -> dict[str, list[Any]]:
    kinds: dict[str, list[Any]] = {}
    for item in items:
        kinds.setdefault(type(item).__name__, []).append(item)
    return kinds


async def pages_of_one(iam: Iam, name: str) -> list[Any]:
    found, marker = [], None
    while True:
        answer = await iam(request_of(name, max_items=1, marker=marker))
        assert len(items_of(answer)) <= 1, name
        assert answer.is_truncated is (answer.marker is not None), name
        found += items_of(answer)
        if answer.marker is None:
            return found
        marker = answer.marker


async def test_pages_of_one_give_what_one_page_of_a_thousand_gives(world: Iam) -> None:
    for name in SWEPT:
        whole = await world(request_of(name, max_items=1000))
        items = items_of(whole)
        assert (whole.is_truncated, whole.marker) == (False, None), name
        assert len(items) >= FEWER.get(name, 3), (name, items)
        # The lists of one answer may come in another order than its members.
        assert by_kind(await pages_of_one(world, name)) == by_kind(items), name


async def test_a_marker_that_no_page_gave_is_refused(world: Iam) -> None:
    for name in SWEPT:
        for marker in ("forged", "AAAA", "é"):
            code, message = await world.refused(request_of(name, marker=marker))
            if name.startswith("Simulate"):
                assert (code, "pagination" in message) == ("InvalidInput", True)
            else:
                assert (code, message) == ("ValidationError", "Invalid Marker."), (name, marker)


@pytest.mark.parametrize("name", [name for name in PAGED if "max_items" in fields_of(name)])
def test_a_page_has_from_one_to_a_thousand_items(name: str) -> None:
    for size, said in (("0", "greater than or equal to 1"), ("1001", "less than or equal to 1000")):
        with pytest.raises(Refusal) as refused:
            read_request(model("iam"), name, {"MaxItems": size})
        assert f"Value at 'maxItems' failed to satisfy constraint: Member must have value {said}" in str(
            refused.value
        )


NAMED = {
    "ListUsers": "user_name",
    "ListGroups": "group_name",
    "ListRoles": "role_name",
    "ListPolicies": "policy_name",
    "ListInstanceProfiles": "instance_profile_name",
    "ListServerCertificates": "server_certificate_name",
    "ListGroupsForUser": "group_name",
    "ListInstanceProfilesForRole": "instance_profile_name",
    "GetGroup": "user_name",
}


async def test_lists_are_in_the_order_of_names_without_case(world: Iam) -> None:
    for name, field in NAMED.items():
        names = [getattr(item, field) for item in items_of(await world(request_of(name)))]
        assert names == ["Alpha", "beta", "gamma"], name


CREATIONS = {
    "CreateUser": ("user_name", {}),
    "CreateGroup": ("group_name", {}),
    "CreateRole": ("role_name", {"assume_role_policy_document": EC2}),
    "CreatePolicy": ("policy_name", {"policy_document": READ}),
    "CreateInstanceProfile": ("instance_profile_name", {}),
    "CreateVirtualMFADevice": ("virtual_mfa_device_name", {}),
}


async def test_names_that_differ_by_case_alone_are_the_same(world: Iam) -> None:
    for name, (field, more) in CREATIONS.items():
        request = getattr(shapes, f"{name}Request")
        for taken in ("beta", "BETA", "alpha"):
            code, _ = await world.refused(request(**{field: taken}, **more))
            assert code == "EntityAlreadyExists", (name, taken)


QUOTAS: list[tuple[str, str, dict[str, Any]]] = [
    ("CreateUser", "users", {"user_name": "fourth"}),
    ("CreateGroup", "groups", {"group_name": "fourth"}),
    ("CreateRole", "roles", {"role_name": "fourth", "assume_role_policy_document": EC2}),
    ("CreatePolicy", "customer_policies", {"policy_name": "fourth", "policy_document": READ}),
    ("CreatePolicyVersion", "policy_versions", {"policy_document": READ}),
    ("CreateInstanceProfile", "instance_profiles", {"instance_profile_name": "fourth"}),
    ("CreateVirtualMFADevice", "virtual_mfa_devices", {"virtual_mfa_device_name": "fourth"}),
    ("AttachUserPolicy", "attached_policies_per_user", {"policy_arn": iam_arn(ACCOUNT, "policy/beta")}),
    ("AttachGroupPolicy", "attached_policies_per_group", {"policy_arn": iam_arn(ACCOUNT, "policy/beta")}),
    ("AttachRolePolicy", "attached_policies_per_role", {"policy_arn": iam_arn(ACCOUNT, "policy/beta")}),
]


async def test_where_there_are_three_a_quota_of_three_is_full(world: Iam) -> None:
    for name, quota, values in QUOTAS:
        world.quotas = Quotas(**{quota: 3})
        assert (await world.refused(request_of(name, **values)))[0] == "LimitExceeded", name
        world.quotas = Quotas(**{quota: 4})
        await world(request_of(name, **values))


async def test_tags_of_every_kind_keep_their_rules(world: Iam) -> None:
    world.quotas = Quotas(tags=4)
    for row in TAGGED:
        await require_rules_of_tags(world, row.word)


async def require_rules_of_tags(world: Iam, word: str) -> None:
    def tag(*keys: str) -> Any:
        return request_of(f"Tag{word}", tags=tuple(shapes.Tag(key=key, value="") for key in keys))

    for reserved in ("aws:x", "AWS:x"):
        assert (await world.refused(tag(reserved)))[0] == "InvalidInput"
    assert (await world.refused(tag("one", "one")))[0] == "InvalidInput"
    assert (await world.refused(tag("one", "two")))[0] == "LimitExceeded"
    await world(tag("one"))
    await world(tag("one", "beta"))
    listed = await world(request_of(f"List{word}Tags"))
    assert [one.key for one in listed.tags] == sorted(["Alpha", "beta", "gamma", "one"])
    await world(request_of(f"Untag{word}", tag_keys=("one", "unknown")))
    assert len((await world(request_of(f"List{word}Tags"))).tags) == 3
