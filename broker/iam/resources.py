"""Functions that prepare IAM operations: they find the entity that the request names, and its resource for the gate.

The resource of a missing entity is the ARN that it would have. A refusal names existing and missing entities in the
same way (the name as in the request, without a path), so that a caller without permission does not learn which exist.
The resource types per action: Service Authorization Reference, "Actions, resources, and condition keys for IAM".
"""

from collections.abc import Callable
from typing import Any

from broker.access.aws_managed import AnyManagedPolicy, AwsManagedPolicy
from broker.access.resource import Resource, resource_of
from broker.errors import Refusal, validation_error
from broker.iam import entities
from broker.iam.entities import Entity, R, no_such_entity
from broker.iam.owners import Owner, get_settings
from broker.names.arn import iam_arn
from broker.names.principal import IamUser, Root
from broker.operation import Absent, Call, Prepare, Prepared
from broker.storage.records import ManagedPolicy, OpenIdConnectProvider, SamlProvider, User, VirtualMfaDevice
from broker.storage.store import OPEN_ID_CONNECT_PROVIDERS, SAML_PROVIDERS

Keys = dict[str, str | tuple[str, ...]]
KeysOf = Callable[[Any], Keys]


def no_keys(request: Any) -> Keys:
    return {}


def boundary_keys(request: Any) -> Keys:
    """iam:PermissionsBoundary, where the request sets one."""
    return {"iam:PermissionsBoundary": request.permissions_boundary} if request.permissions_boundary else {}


def found(entity: Entity[R], field: str, keys: KeysOf = no_keys) -> Prepare[Any, R]:
    """The entity that `field` of the request names, with the condition keys that `keys` reads from the request."""

    async def prepare(call: Call, request: Any) -> Prepared[R] | Absent:
        return await prepare_entity(call, entity, getattr(request, field), keys(request))

    return prepare


async def prepare_entity(
    call: Call, entity: Entity[R], name: str, keys: Keys | None = None
) -> Prepared[R] | Absent:
    """The entity called `name` in the caller's account."""
    record = await call.store.find(entity.collection, call.account, name)
    resource = resource_of(arn_at(call, entity, None, name), record, keys or {})
    return Absent(resource, no_such_entity(entity, name)) if record is None else Prepared(resource, record)


def new(entity: Entity[Any], field: str, keys: KeysOf = no_keys) -> Prepare[Any, None]:
    """The entity that the request is about to create, at the path that it asks for."""

    async def prepare(call: Call, request: Any) -> Prepared[None]:
        arn = arn_at(call, entity, getattr(request, "path", None), getattr(request, field))
        return Prepared(Resource(arn, keys=keys(request)), None)

    return prepare


def arn_at(call: Call, entity: Entity[Any], path: str | None, name: str) -> str:
    return iam_arn(call.account, f"{entity.resource_type}{path or '/'}{name}")


def listed(resource_type: str) -> Prepare[Any, None]:
    """The path that a list asks for, as AWS names it in its refusals: `arn:aws:iam::ID:user/prefix/`.

    The Service Authorization Reference has no resource type for lists; `Resource: "*"` matches as well.
    """

    async def prepare(call: Call, request: Any) -> Prepared[None]:
        path = getattr(request, "path_prefix", None) or "/"
        return Prepared(Resource(iam_arn(call.account, resource_type + path)), None)

    return prepare


async def found_policy(call: Call, request: Any) -> Prepared[AnyManagedPolicy] | Absent:
    """The managed policy whose ARN the request carries, AWS's or the account's own."""
    arn = request.policy_arn
    try:
        policy = await entities.get_policy(call, arn)
    except Refusal as refusal:
        return Absent(Resource(arn), refusal)
    return Prepared(Resource(arn, tags=policy.tags), policy)


async def found_own_policy(call: Call, request: Any) -> Prepared[ManagedPolicy] | Absent:
    """The account's own managed policy. AWS's cannot be changed: a rule of the policy engine denies it first."""
    prepared = await found_policy(call, request)
    if isinstance(prepared, Absent):
        return prepared
    policy = prepared.found
    if isinstance(policy, AwsManagedPolicy):
        return Absent(prepared.resource, no_such_entity(entities.POLICY, policy.arn))
    return Prepared(prepared.resource, policy)


def implied_user_name(call: Call, user_name: str | None) -> str | None:
    """The user that the request names, else the caller; None is the root user.

    Raises ValidationError where the request names no user and the caller is none.
    """
    if user_name is not None:
        return user_name
    principal = call.caller.principal
    if isinstance(principal, Root):
        return None
    if isinstance(principal, IamUser):
        return principal.name
    raise _must_specify_user_name()


async def found_owner(call: Call, request: Any) -> Prepared[Owner] | Absent:
    """The user named in the request, or else the caller: a user, or root, whose credentials are in the settings."""
    name = implied_user_name(call, request.user_name)
    if name is None:
        return Prepared(Resource(Root(call.account).arn), await get_settings(call))
    return await prepare_entity(call, entities.USER, name)


async def found_user_or_caller(call: Call, request: Any) -> Prepared[User] | Absent:
    """The user named in the request, or else the calling one. Root, who is none, has to name one."""
    name = implied_user_name(call, request.user_name)
    if name is None:
        return Absent(Resource(Root(call.account).arn), _must_specify_user_name())
    return await prepare_entity(call, entities.USER, name)


def _must_specify_user_name() -> Refusal:
    return validation_error("Must specify userName when calling with non-User credentials")


async def found_mfa_device(call: Call, request: Any) -> Prepared[VirtualMfaDevice] | Absent:
    """The MFA device whose serial number the request carries: a virtual device's is its ARN."""
    device = await entities.find_mfa_device(call, request.serial_number)
    if device is None:
        return Absent(Resource(request.serial_number), entities.no_such_mfa_device(request.serial_number))
    resource = Resource(device.serial_number, tags=device.tags, asked_for=request.serial_number)
    return Prepared(resource, device)


async def found_open_id_connect_provider(
    call: Call, request: Any
) -> Prepared[OpenIdConnectProvider] | Absent:
    """The OpenID Connect provider whose ARN the request carries."""
    arn = request.open_id_connect_provider_arn
    name = arn.removeprefix(iam_arn(call.account, "oidc-provider/"))
    provider = await call.store.find(OPEN_ID_CONNECT_PROVIDERS, call.account, name)
    if provider is None or provider.arn != arn:
        refusal = Refusal("NoSuchEntity", f"OpenIDConnect Provider not found for arn {arn}")
        return Absent(Resource(arn), refusal)
    return Prepared(Resource(arn, tags=provider.tags), provider)


async def found_saml_provider(call: Call, request: Any) -> Prepared[SamlProvider] | Absent:
    """The SAML provider whose ARN the request carries."""
    arn = request.saml_provider_arn
    name = arn.removeprefix(iam_arn(call.account, "saml-provider/"))
    provider = await call.store.find(SAML_PROVIDERS, call.account, name)
    if provider is None or provider.arn != arn:
        return Absent(Resource(arn), Refusal("NoSuchEntity", f"Manifest not found for arn {arn}"))
    return Prepared(Resource(arn, tags=provider.tags), provider)


async def new_mfa_device(call: Call, request: Any) -> Prepared[None]:
    arn = iam_arn(call.account, f"mfa{request.path or '/'}{request.virtual_mfa_device_name}")
    return Prepared(Resource(arn), None)


found_user = found(entities.USER, "user_name")
found_group = found(entities.GROUP, "group_name")
found_role = found(entities.ROLE, "role_name")
found_instance_profile = found(entities.INSTANCE_PROFILE, "instance_profile_name")
found_server_certificate = found(entities.SERVER_CERTIFICATE, "server_certificate_name")
