"""Passkeys: enabled by the portal alone, as on AWS by the console, with the permission `iam:EnableMFADevice`.

`iam:RegisterSecurityKey` is "Create" when the browser is asked for a passkey, and "Activate" when it has made one.
What the FIDO Alliance has certified is not known here: the keys `iam:FIDO-certification`,
`iam:FIDO-FIPS-140-2-certification` and `iam:FIDO-FIPS-140-3-certification` are missing, so a policy that requires one
of them is never met.
"""

from msgspec.structs import replace

from broker.assertions.passkeys import PasskeyRefused, ProvenPasskey, verify_new_passkey
from broker.credentials.passkeys import PasskeyRequest, use_challenge
from broker.errors import Refusal
from broker.iam.entities import require_room
from broker.iam.mfa_devices import found_user_or_root
from broker.iam.owners import Owner, mfa_serial_numbers, name_of, put_mfa_serial_numbers
from broker.operation import Absent, Call, Prepared, page_operation
from broker.storage.passkey_records import Passkey
from broker.storage.store import PASSKEYS


async def asked_to_create(call: Call, request: PasskeyRequest) -> Prepared[Owner] | Absent:
    return _with_step(await found_user_or_root(call, request), "Create")


async def asked_to_activate(call: Call, request: PasskeyRequest) -> Prepared[Owner] | Absent:
    return _with_step(await found_user_or_root(call, request), "Activate")


def _with_step(prepared: Prepared[Owner] | Absent, step: str) -> Prepared[Owner] | Absent:
    keys = {**prepared.resource.keys, "iam:RegisterSecurityKey": step}
    return replace(prepared, resource=replace(prepared.resource, keys=keys))


@page_operation("BeginPasskey", "iam:EnableMFADevice", prepare=asked_to_create, is_ahead=True)
async def begin_passkey(call: Call, request: PasskeyRequest, prepared: Prepared[Owner]) -> None:
    """Changes nothing: says whether the person may, before an authenticator makes a passkey."""
    require_room(call, mfa_serial_numbers(prepared.found), "mfa_devices_per_user", "MFADevicesPerUser")


@page_operation("EnablePasskey", "iam:EnableMFADevice", prepare=asked_to_activate)
async def enable_passkey(call: Call, request: PasskeyRequest, prepared: Prepared[Owner]) -> None:
    owner = prepared.found
    proven = await _proven(call, request)
    for passkey in await call.store.scan(PASSKEYS, call.account):
        if passkey.credential_id == proven.credential_id:
            raise Refusal("EntityAlreadyExists", "MFA Device is already in use.")
    require_room(call, mfa_serial_numbers(owner), "mfa_devices_per_user", "MFADevicesPerUser")
    passkey = Passkey(
        account_id=call.account,
        serial_number=request.serial_number,
        device_name=request.device_name,
        credential_id=proven.credential_id,
        public_key=proven.public_key,
        sign_count=proven.sign_count,
        host_name=request.ceremony.host_name,
        user_name=name_of(owner),
        enabled_at=int(call.now),
        aaguid=proven.aaguid,
    )
    call.store.put(PASSKEYS, call.account, passkey)
    put_mfa_serial_numbers(call, owner, (*mfa_serial_numbers(owner), passkey.serial_number))


async def _proven(call: Call, request: PasskeyRequest) -> ProvenPasskey:
    try:
        await use_challenge(call.store, call.account, request.ceremony, call.now)
        return verify_new_passkey(request.unverified_answer, request.ceremony)
    except PasskeyRefused as refused:
        raise Refusal(
            "InvalidAuthenticationCode", "The passkey could not be verified.", reason=str(refused)
        ) from None
