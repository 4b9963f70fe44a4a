"""Service-specific credentials of users: created, reset, activated and deactivated, listed, deleted.

The password, or API key, is shown once, by CreateServiceSpecificCredential and ResetServiceSpecificCredential.
"""

from typing import Any

import msgspec

from broker.credentials.service_credentials import (
    PASSWORD_ENTROPY,
    SERVICES,
    CredentialService,
    new_service_password,
    new_service_user_name,
    password_digest,
)
from broker.errors import Refusal, validation_error
from broker.iam import entities, resources
from broker.iam.entities import require_room
from broker.iam.owned_credentials import items_of, put_items, replaced, require_settable, without
from broker.names.ids import SERVICE_SPECIFIC_CREDENTIAL
from broker.names.secret import SecretKey
from broker.operation import Absent, Call, Prepared, operation
from broker.paging import page
from broker.protocol.shapes import iam as shapes
from broker.storage.credential_records import ServiceSpecificCredential
from broker.storage.records import User
from broker.storage.store import SERVICE_SPECIFIC_CREDENTIALS, USERS

_DAY = 24 * 3600  # seconds


class Held(msgspec.Struct, frozen=True):
    """A credential among all of its user."""

    user: User
    credential: ServiceSpecificCredential
    present: tuple[ServiceSpecificCredential, ...]


def _creation_keys(request: shapes.CreateServiceSpecificCredentialRequest) -> resources.Keys:
    """The service's name as it is stored: a policy that denies it is not escaped by another spelling."""
    keys: resources.Keys = {"iam:ServiceSpecificCredentialServiceName": request.service_name.lower()}
    if request.credential_age_days is not None:
        keys["iam:ServiceSpecificCredentialAgeDays"] = str(request.credential_age_days)
    return keys


async def found_credential(call: Call, request: Any) -> Prepared[Held] | Absent:
    """The credential; its resource is its user, and its service is a condition key."""
    found = await resources.found_user_or_caller(call, request)
    if isinstance(found, Absent):
        return found
    wanted = request.service_specific_credential_id
    present = await _items(call, found.found)
    for one in present:
        if one.credential_id == wanted:
            keys = {"iam:ServiceSpecificCredentialServiceName": one.service_name}
            resource = msgspec.structs.replace(found.resource, keys=keys)
            return Prepared(resource, Held(found.found, one, present))
    return Absent(found.resource, Refusal("NoSuchEntity", f"No such credential {wanted} exists"))


async def listed_user(
    call: Call, request: shapes.ListServiceSpecificCredentialsRequest
) -> Prepared[User | None] | Absent:
    """The user whose credentials are asked for; None is all users."""
    if not request.all_users:
        return await resources.found_user_or_caller(call, request)
    if request.user_name is not None:
        raise validation_error("UserName and AllUsers cannot be specified together.")
    return Prepared((await resources.listed("user")(call, request)).resource, None)


@operation(
    "iam:CreateServiceSpecificCredential",
    prepare=resources.found(entities.USER, "user_name", _creation_keys),
)
async def create_service_specific_credential(
    call: Call, request: shapes.CreateServiceSpecificCredentialRequest, prepared: Prepared[User]
) -> shapes.CreateServiceSpecificCredentialResponse:
    user, service = prepared.found, _get_service(request.service_name)
    present = await _items(call, user)
    same_service = [one for one in present if one.service_name == service.name]
    require_room(
        call, same_service, "service_specific_credentials_per_user", "ServiceSpecificCredentialsPerUser"
    )
    name = new_service_user_name(user.user_name, call.account, await _taken_names(call, service))
    password = new_service_password(service, name, call.entropy(PASSWORD_ENTROPY))
    credential = ServiceSpecificCredential(
        credential_id=call.new_id(SERVICE_SPECIFIC_CREDENTIAL),
        service_name=service.name,
        service_user_name=name,
        password_digest=password_digest(password),
        created_at=int(call.now),
        expires_at=_expiry(call, service, request.credential_age_days),
    )
    put_items(call, SERVICE_SPECIFIC_CREDENTIALS, user, (*present, credential))
    return shapes.CreateServiceSpecificCredentialResponse(
        service_specific_credential=_shape(call, user, credential, password)
    )


@operation("iam:ListServiceSpecificCredentials", prepare=listed_user)
async def list_service_specific_credentials(
    call: Call,
    request: shapes.ListServiceSpecificCredentialsRequest,
    prepared: Prepared[User | None],
) -> shapes.ListServiceSpecificCredentialsResponse:
    service = None if request.service_name is None else _get_service(request.service_name)
    users = await call.store.scan(USERS, call.account) if prepared.found is None else [prepared.found]
    fitting = [
        _metadata(call, user, one)
        for user in users
        for one in await _items(call, user)
        if service is None or one.service_name == service.name
    ]
    chosen = page(fitting, _key, request.marker, request.max_items)
    return shapes.ListServiceSpecificCredentialsResponse(
        service_specific_credentials=chosen.items, is_truncated=chosen.is_truncated, marker=chosen.marker
    )


@operation("iam:UpdateServiceSpecificCredential", prepare=found_credential)
async def update_service_specific_credential(
    call: Call, request: shapes.UpdateServiceSpecificCredentialRequest, prepared: Prepared[Held]
) -> None:
    status = require_settable(request.status, "a service-specific credential")
    _put(call, prepared.found, msgspec.structs.replace(prepared.found.credential, status=status))


@operation("iam:ResetServiceSpecificCredential", prepare=found_credential)
async def reset_service_specific_credential(
    call: Call, request: shapes.ResetServiceSpecificCredentialRequest, prepared: Prepared[Held]
) -> shapes.ResetServiceSpecificCredentialResponse:
    """A new password; when the credential expires is not changed."""
    held = prepared.found
    service = SERVICES[held.credential.service_name]
    password = new_service_password(
        service, held.credential.service_user_name, call.entropy(PASSWORD_ENTROPY)
    )
    changed = msgspec.structs.replace(held.credential, password_digest=password_digest(password))
    _put(call, held, changed)
    return shapes.ResetServiceSpecificCredentialResponse(
        service_specific_credential=_shape(call, held.user, changed, password)
    )


@operation("iam:DeleteServiceSpecificCredential", prepare=found_credential)
async def delete_service_specific_credential(
    call: Call, request: shapes.DeleteServiceSpecificCredentialRequest, prepared: Prepared[Held]
) -> None:
    held = prepared.found
    put_items(call, SERVICE_SPECIFIC_CREDENTIALS, held.user, without(held.present, held.credential))


async def _items(call: Call, user: User) -> tuple[ServiceSpecificCredential, ...]:
    return await items_of(call, SERVICE_SPECIFIC_CREDENTIALS, user)


async def _taken_names(call: Call, service: CredentialService) -> set[str]:
    """A name tells the service whose credential it is; those of a user who was renamed have the former name."""
    records = await call.store.scan(SERVICE_SPECIFIC_CREDENTIALS, call.account)
    return {
        one.service_user_name
        for record in records
        for one in record.items
        if one.service_name == service.name
    }


def _put(call: Call, held: Held, changed: ServiceSpecificCredential) -> None:
    items = replaced(held.present, held.credential, changed)
    put_items(call, SERVICE_SPECIFIC_CREDENTIALS, held.user, items)


def _get_service(name: str) -> CredentialService:
    service = SERVICES.get(name.lower())
    if service is None:
        raise Refusal("NoSuchEntity", f"No such service {name} is supported for Service Specific Credentials")
    return service


def _expiry(call: Call, service: CredentialService, days: int | None) -> int | None:
    if days is None:
        return None
    if not service.key_prefix:
        raise validation_error(f"CredentialAgeDays is not supported for {service.name}.")
    return int(call.now) + days * _DAY


def _status(call: Call, credential: ServiceSpecificCredential) -> str:
    is_expired = credential.expires_at is not None and credential.expires_at <= call.now
    return "Expired" if is_expired else credential.status


def _key(credential: shapes.ServiceSpecificCredentialMetadata) -> str:
    return credential.service_specific_credential_id


def _metadata(
    call: Call, user: User, credential: ServiceSpecificCredential
) -> shapes.ServiceSpecificCredentialMetadata:
    is_api_key = bool(SERVICES[credential.service_name].key_prefix)
    return shapes.ServiceSpecificCredentialMetadata(
        user_name=user.user_name,
        status=_status(call, credential),
        service_user_name=None if is_api_key else credential.service_user_name,
        service_credential_alias=credential.service_user_name if is_api_key else None,
        create_date=credential.created_at,
        expiration_date=credential.expires_at,
        service_specific_credential_id=credential.credential_id,
        service_name=credential.service_name,
    )


def _shape(
    call: Call, user: User, credential: ServiceSpecificCredential, password: SecretKey
) -> shapes.ServiceSpecificCredential:
    """With the password: only for the answer that shows it this once."""
    listed, revealed = _metadata(call, user, credential), password.reveal()
    is_api_key = listed.service_credential_alias is not None
    return shapes.ServiceSpecificCredential(
        **msgspec.structs.asdict(listed),
        service_password=None if is_api_key else revealed,
        service_credential_secret=revealed if is_api_key else None,
    )
