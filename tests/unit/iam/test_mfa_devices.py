from base64 import b32decode
from typing import Any

import pytest

from broker.operation import Quotas
from broker.protocol.shapes import iam as shapes
from broker.sealing.totp import STEP_SECONDS, totp
from broker.storage.engine import EngineUnavailable

ACCOUNT = "111122223333"
SERIAL = f"arn:aws:iam::{ACCOUNT}:mfa/phone"
WRONG_CODE = ("InvalidAuthenticationCode", "Authentication code for device is not valid.")


@pytest.fixture
async def device(iam: Any) -> shapes.VirtualMFADevice:
    """A virtual device that belongs to nobody yet; bob and eve are there."""
    await iam(shapes.CreateUserRequest(user_name="bob"))
    await iam(shapes.CreateUserRequest(user_name="eve"))
    return await create(iam, "phone")


async def create(iam: Any, name: str, **fields: Any) -> shapes.VirtualMFADevice:
    answer = await iam(shapes.CreateVirtualMFADeviceRequest(virtual_mfa_device_name=name, **fields))
    return answer.virtual_mfa_device


def code(iam: Any, device: shapes.VirtualMFADevice, steps: int) -> str:
    """What the device shows `steps` steps from now."""
    assert device.base32_string_seed is not None
    return totp(b32decode(device.base32_string_seed), int(iam.now // STEP_SECONDS) + steps)


def enabling(iam: Any, device: shapes.VirtualMFADevice, user: str, ahead: int = 0) -> Any:
    return shapes.EnableMFADeviceRequest(
        user_name=user,
        serial_number=device.serial_number,
        authentication_code1=code(iam, device, ahead - 1),
        authentication_code2=code(iam, device, ahead),
    )


async def test_a_new_device_shows_its_seed_and_a_picture_of_it(iam: Any, device: Any) -> None:
    assert device.serial_number == SERIAL
    assert len(b32decode(device.base32_string_seed)) == 40
    assert device.qr_code_png.startswith(b"\x89PNG\r\n")
    assert device.base32_string_seed.decode() not in repr(device)


async def test_the_seed_is_shown_only_once(iam: Any, device: Any) -> None:
    await iam(enabling(iam, device, "bob"))
    answer = await iam(shapes.ListVirtualMFADevicesRequest())
    (listed,) = answer.virtual_mfa_devices
    assert (listed.base32_string_seed, listed.qr_code_png) == (None, None)
    assert listed.user.user_name == "bob"
    assert listed.enable_date == iam.now


async def test_a_device_that_exists_at_the_same_path_is_refused(iam: Any, device: Any) -> None:
    refusal = await iam.refused(shapes.CreateVirtualMFADeviceRequest(virtual_mfa_device_name="PHONE"))
    assert refusal == (
        "EntityAlreadyExists",
        "MFA device already exists.",
    )
    other = await create(iam, "phone", path="/bob/")
    assert other.serial_number == f"arn:aws:iam::{ACCOUNT}:mfa/bob/phone"


async def test_two_codes_in_a_row_enable_a_device(iam: Any, device: Any) -> None:
    await iam(enabling(iam, device, "bob"))
    listed = await iam(shapes.ListMFADevicesRequest(user_name="bob"))
    assert listed.mfa_devices == (
        shapes.MFADevice(user_name="bob", serial_number=SERIAL, enable_date=iam.now),
    )
    shown = await iam(shapes.GetMFADeviceRequest(serial_number=SERIAL, user_name="bob"))
    assert (shown.user_name, shown.enable_date) == ("bob", iam.now)


async def test_codes_that_are_wrong_do_not_enable(iam: Any, device: Any) -> None:
    first, second = code(iam, device, -1), code(iam, device, 0)
    assert first != second
    for one, two in ((second, first), (first, first), (second, second), ("000000", "000000")):
        request = shapes.EnableMFADeviceRequest(
            user_name="bob", serial_number=SERIAL, authentication_code1=one, authentication_code2=two
        )
        assert await iam.refused(request) == WRONG_CODE
    old = enabling(iam, device, "bob")
    iam.now += 10 * STEP_SECONDS
    assert await iam.refused(old) == WRONG_CODE


async def test_a_device_belongs_to_one_user(iam: Any, device: Any) -> None:
    await iam(enabling(iam, device, "bob"))
    refusal = await iam.refused(enabling(iam, device, "eve"))
    assert refusal == ("EntityAlreadyExists", "MFA Device is already in use.")
    invalid = ("NoSuchEntity", "MFA Device invalid for user.")
    request = shapes.DeactivateMFADeviceRequest(user_name="eve", serial_number=SERIAL)
    assert await iam.refused(request) == invalid
    assert await iam.refused(shapes.GetMFADeviceRequest(serial_number=SERIAL, user_name="eve")) == invalid


async def test_a_missing_device_is_named_in_the_refusal(iam: Any, device: Any) -> None:
    missing = f"arn:aws:iam::{ACCOUNT}:mfa/none"
    foreign = "arn:aws:iam::444455556666:mfa/phone"
    for serial_number in (missing, foreign):
        expected = ("NoSuchEntity", f"MFA Device with serial number {serial_number} does not exist.")
        for request in (
            shapes.DeleteVirtualMFADeviceRequest(serial_number=serial_number),
            shapes.TagMFADeviceRequest(serial_number=serial_number, tags=()),
            shapes.ListMFADeviceTagsRequest(serial_number=serial_number),
        ):
            assert await iam.refused(request) == expected


async def test_a_user_has_at_most_eight_devices(iam: Any, device: Any) -> None:
    iam.quotas = Quotas(mfa_devices_per_user=1)
    await iam(enabling(iam, device, "bob"))
    refusal = await iam.refused(enabling(iam, await create(iam, "second"), "bob"))
    assert refusal == ("LimitExceeded", "Cannot exceed quota for MFADevicesPerUser: 1")


async def test_a_device_in_use_is_not_deleted_nor_its_user(iam: Any, device: Any) -> None:
    await iam(enabling(iam, device, "bob"))
    assert await iam.refused(shapes.DeleteVirtualMFADeviceRequest(serial_number=SERIAL)) == (
        "DeleteConflict",
        "MFA VirtualDevice in use. Must deactivate first.",
    )
    assert await iam.refused(shapes.DeleteUserRequest(user_name="bob")) == (
        "DeleteConflict",
        "Cannot delete entity, must delete MFA device first.",
    )
    await iam(shapes.DeactivateMFADeviceRequest(user_name="bob", serial_number=SERIAL))
    await iam(shapes.DeleteVirtualMFADeviceRequest(serial_number=SERIAL))
    await iam(shapes.DeleteUserRequest(user_name="bob"))
    assert (await iam(shapes.ListVirtualMFADevicesRequest())).virtual_mfa_devices == ()


async def test_devices_follow_a_renamed_user(iam: Any, device: Any) -> None:
    await iam(enabling(iam, device, "bob"))
    await iam(shapes.UpdateUserRequest(user_name="bob", new_user_name="robert"))
    listed = await iam(shapes.ListMFADevicesRequest(user_name="robert"))
    assert [entry.user_name for entry in listed.mfa_devices] == ["robert"]


async def test_a_clock_that_went_wrong_is_learned_by_resync(iam: Any, device: Any) -> None:
    await iam(enabling(iam, device, "bob"))
    far = enabling(iam, device, "bob", ahead=9)
    request = shapes.ResyncMFADeviceRequest(
        user_name="bob",
        serial_number=SERIAL,
        authentication_code1=far.authentication_code1,
        authentication_code2=far.authentication_code2,
    )
    await iam(request)
    from broker.storage.store import MFA_DEVICES

    record = await iam.store.transaction().find(MFA_DEVICES, ACCOUNT, "phone")
    assert record.drift_steps == 9
    wrong = shapes.ResyncMFADeviceRequest(
        user_name="bob", serial_number=SERIAL, authentication_code1="000000", authentication_code2="000000"
    )
    assert await iam.refused(wrong) == WRONG_CODE


def resyncing(iam: Any, device: shapes.VirtualMFADevice, codes: Any) -> Any:
    return shapes.ResyncMFADeviceRequest(
        user_name="bob",
        serial_number=SERIAL,
        authentication_code1=codes.authentication_code1,
        authentication_code2=codes.authentication_code2,
    )


@pytest.mark.parametrize("steps_later", [0, 1, 5, 18])
async def test_codes_that_enabled_a_device_are_never_good_again(
    iam: Any, device: Any, steps_later: int
) -> None:
    used = enabling(iam, device, "bob")
    await iam(used)
    iam.now += steps_later * STEP_SECONDS
    assert await iam.refused(resyncing(iam, device, used)) == WRONG_CODE
    await iam(shapes.DeactivateMFADeviceRequest(user_name="bob", serial_number=SERIAL))
    assert await iam.refused(used) == WRONG_CODE
    await iam(enabling(iam, device, "bob", ahead=2))


async def test_a_device_made_anew_under_its_name_begins_with_codes_of_its_own(iam: Any, device: Any) -> None:
    await iam(enabling(iam, device, "bob"))
    await iam(shapes.DeactivateMFADeviceRequest(user_name="bob", serial_number=SERIAL))
    await iam(shapes.DeleteVirtualMFADeviceRequest(serial_number=SERIAL))
    await iam(enabling(iam, await create(iam, "phone"), "bob"))
    listed = await iam(shapes.ListMFADevicesRequest(user_name="bob"))
    assert [entry.serial_number for entry in listed.mfa_devices] == [SERIAL]


async def test_root_enables_a_device_for_itself_by_its_account_number(iam: Any, device: Any) -> None:
    await iam(enabling(iam, device, ACCOUNT))
    listed = await iam(shapes.ListMFADevicesRequest())
    assert [(entry.user_name, entry.serial_number) for entry in listed.mfa_devices] == [(None, SERIAL)]
    (virtual,) = (await iam(shapes.ListVirtualMFADevicesRequest())).virtual_mfa_devices
    assert virtual.user.arn == f"arn:aws:iam::{ACCOUNT}:root"
    assert (await iam("GetAccountSummary")).summary_map["AccountMFAEnabled"] == 1
    await iam(shapes.DeactivateMFADeviceRequest(serial_number=SERIAL))
    assert (await iam("GetAccountSummary")).summary_map["AccountMFAEnabled"] == 0


async def test_devices_are_listed_by_assignment_in_pages(iam: Any, device: Any) -> None:
    await iam(enabling(iam, device, "bob"))
    await create(iam, "spare")
    await create(iam, "Another")

    async def serials(**fields: Any) -> list[str]:
        answer = await iam(shapes.ListVirtualMFADevicesRequest(**fields))
        return [entry.serial_number.rpartition("/")[2] for entry in answer.virtual_mfa_devices]

    assert await serials(assignment_status="Assigned") == ["phone"]
    assert await serials(assignment_status="Unassigned") == ["Another", "spare"]
    assert await serials() == ["Another", "phone", "spare"]
    first = await iam(shapes.ListVirtualMFADevicesRequest(max_items=2))
    assert await serials(max_items=2, marker=first.marker) == ["spare"]


async def test_devices_have_tags(iam: Any, device: Any) -> None:
    red = shapes.Tag(key="team", value="red")
    await iam(shapes.TagMFADeviceRequest(serial_number=SERIAL, tags=(red,)))
    assert (await iam(shapes.ListMFADeviceTagsRequest(serial_number=SERIAL))).tags == (red,)
    await iam(shapes.UntagMFADeviceRequest(serial_number=SERIAL, tag_keys=("team",)))
    assert (await iam(shapes.ListMFADeviceTagsRequest(serial_number=SERIAL))).tags == ()


async def test_a_name_too_long_for_a_serial_number_is_refused(iam: Any) -> None:
    request = shapes.CreateVirtualMFADeviceRequest(virtual_mfa_device_name="x", path=f"/{'p' * 300}/")
    assert (await iam.refused(request))[0] == "ValidationError"


async def test_codes_are_spent_before_the_device_that_they_enable_is(
    iam: Any, device: Any, broken_off: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a broker leaves that is killed between the two commits."""
    broken_off()
    with pytest.raises(EngineUnavailable):
        await iam(enabling(iam, device, "bob"))
    monkeypatch.undo()
    assert (await iam(shapes.ListMFADevicesRequest(user_name="bob"))).mfa_devices == ()
    assert await iam.refused(enabling(iam, device, "bob")) == WRONG_CODE
    iam.now += 2 * STEP_SECONDS
    await iam(enabling(iam, device, "bob"))


async def test_codes_are_forgotten_after_the_device_that_showed_them_is_gone(
    iam: Any, device: Any, broken_off: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    enrolment = enabling(iam, device, "bob")
    await iam(enrolment)
    await iam(shapes.DeactivateMFADeviceRequest(user_name="bob", serial_number=SERIAL))
    broken_off()
    with pytest.raises(EngineUnavailable):
        await iam(shapes.DeleteVirtualMFADeviceRequest(serial_number=SERIAL))
    monkeypatch.undo()
    assert (await iam(shapes.ListVirtualMFADevicesRequest())).virtual_mfa_devices == ()
