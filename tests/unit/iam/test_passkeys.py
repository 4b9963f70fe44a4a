"""Passkeys as IAM has them: enabled for their owner by the portal, listed, renamed with the owner, deactivated."""

import secrets
from typing import Any

import pytest

from broker.assertions.passkeys import Ceremony, creation_options
from broker.credentials.passkeys import PasskeyRequest, new_serial_number
from broker.errors import Refusal
from broker.operation import OPERATIONS, PAGE_OPERATIONS, Call, perform
from broker.protocol.model import load_service
from broker.protocol.shapes import iam as shapes
from broker.storage.passkey_records import PasskeyUse
from broker.storage.store import PASSKEY_USES, PASSKEYS, Transaction
from tests.authenticator import Authenticator
from tests.unit.iam.conftest import ACCOUNT, NOW, Iam

ORIGIN, HOST = "https://access.example.com", "access.example.com"


@pytest.fixture
async def bob(iam: Iam) -> Iam:
    await iam(shapes.CreateUserRequest(user_name="bob"))
    return iam


def asked(name: str, user: str | None = "bob", **changed: Any) -> PasskeyRequest:
    ceremony = Ceremony(secrets.token_bytes(32), HOST, ORIGIN)
    options = creation_options(ceremony, "preferred", "bob", b"handle", ())
    fields = {
        "user_name": user or ACCOUNT,
        "serial_number": new_serial_number(ACCOUNT, user, name, secrets.token_bytes(16)),
        "device_name": name,
        "ceremony": ceremony,
        "unverified_answer": Authenticator(ORIGIN, HOST).create(options),
        **changed,
    }
    return PasskeyRequest(**fields)


async def enable(iam: Iam, request: PasskeyRequest, operation: str = "EnablePasskey") -> str:
    """Performed as the portal does, as root."""

    def call_of(call: Call) -> Any:
        return perform(PAGE_OPERATIONS[operation], call, request)

    await iam.page(call_of)
    return request.serial_number


async def test_a_passkey_is_listed_and_shown_as_any_device(bob: Iam) -> None:
    serial = await enable(bob, asked("key"))
    listed = (await bob(shapes.ListMFADevicesRequest(user_name="bob"))).mfa_devices
    assert listed == (shapes.MFADevice(user_name="bob", serial_number=serial, enable_date=int(NOW)),)
    shown = await bob(shapes.GetMFADeviceRequest(user_name="bob", serial_number=serial))
    assert (shown.user_name, shown.certifications) == ("bob", {})
    assert (await bob(shapes.ListVirtualMFADevicesRequest())).virtual_mfa_devices == ()
    summary = (await bob("GetAccountSummary")).summary_map
    assert (summary["MFADevices"], summary["MFADevicesInUse"], summary["AccountMFAEnabled"]) == (1, 1, 0)


async def test_root_has_passkeys_of_its_own(iam: Iam) -> None:
    serial = await enable(iam, asked("safe", None))
    assert [one.serial_number for one in (await iam(shapes.ListMFADevicesRequest())).mfa_devices] == [serial]
    assert (await iam("GetAccountSummary")).summary_map["AccountMFAEnabled"] == 1
    await iam(shapes.DeactivateMFADeviceRequest(serial_number=serial))
    assert (await iam(shapes.ListMFADevicesRequest())).mfa_devices == ()


async def test_a_passkey_follows_its_user_and_goes_with_its_deactivation(bob: Iam) -> None:
    serial = await enable(bob, asked("key"))

    async def use(store: Transaction) -> None:
        used = PasskeyUse(used_at=int(NOW), sign_count=7)
        store.put(PASSKEY_USES, ACCOUNT, used, key=serial, expires_at=NOW + 3600)

    await bob.store.transact(use)
    await bob(shapes.UpdateUserRequest(user_name="bob", new_user_name="robert"))
    (listed,) = (await bob(shapes.ListMFADevicesRequest(user_name="robert"))).mfa_devices
    assert (listed.user_name, listed.serial_number) == ("robert", serial)
    assert (await bob.refused(shapes.DeleteUserRequest(user_name="robert")))[0] == "DeleteConflict"
    await bob(shapes.DeactivateMFADeviceRequest(user_name="robert", serial_number=serial))
    assert await bob.store.transaction().scan(PASSKEYS, ACCOUNT) == []
    assert await bob.store.transaction().scan(PASSKEY_USES, ACCOUNT) == []
    await bob(shapes.DeleteUserRequest(user_name="robert"))


async def test_a_passkey_is_one_persons(bob: Iam) -> None:
    request = asked("key")
    serial = await enable(bob, request)
    await bob(shapes.CreateUserRequest(user_name="eve"))
    invalid = ("NoSuchEntity", "MFA Device invalid for user.")
    for wrong in (
        shapes.DeactivateMFADeviceRequest(user_name="eve", serial_number=serial),
        shapes.GetMFADeviceRequest(user_name="eve", serial_number=serial),
    ):
        assert await bob.refused(wrong) == invalid


async def test_one_authenticators_key_is_enabled_once_in_an_account(bob: Iam) -> None:
    await bob(shapes.CreateUserRequest(user_name="eve"))
    ceremonies = [Ceremony(secrets.token_bytes(32), HOST, ORIGIN) for _ in range(2)]
    authenticator = Authenticator(ORIGIN, HOST)
    first, second = (
        asked(
            "key",
            user,
            ceremony=ceremony,
            unverified_answer=authenticator.create(
                creation_options(ceremony, "preferred", user, b"handle", ())
            ),
        )
        for user, ceremony in zip(("bob", "eve"), ceremonies, strict=True)
    )
    await enable(bob, first)
    with pytest.raises(Refusal) as refused:
        await enable(bob, second)
    assert refused.value.code == "EntityAlreadyExists"


async def test_who_is_full_is_told_before_the_browser_is_asked(bob: Iam) -> None:
    await enable(bob, asked("key"), "BeginPasskey")
    assert await bob.store.transaction().scan(PASSKEYS, ACCOUNT) == []
    for number in range(8):
        await enable(bob, asked(f"key-{number}"))
    for operation in ("BeginPasskey", "EnablePasskey"):
        with pytest.raises(Refusal) as refused:
            await enable(bob, asked("ninth"), operation)
        assert refused.value.message == "Cannot exceed quota for MFADevicesPerUser: 8"


def test_no_request_on_the_wire_enables_a_passkey() -> None:
    for name, declared in PAGE_OPERATIONS.items():
        assert name not in load_service(declared.service).operations
        assert (declared.service, name) not in OPERATIONS
