"""Which container asks, and for which role: the task credentials endpoint of the ECS agent, and the full-URI form.

A container presents an unguessable id in the path (`AWS_CONTAINER_CREDENTIALS_RELATIVE_URI`), or a token in the
Authorization header (`AWS_CONTAINER_AUTHORIZATION_TOKEN`), or both. The store holds digests only, and a record is
found by its digest: a reader of the store learns no id, and the time of an answer does not show how near a guess came.
A record under an id may require a token, too.
"""

from hashlib import sha256
from secrets import compare_digest

from broker.access.gate import Gate
from broker.access.trust import find_role
from broker.audit.event import iso_time
from broker.errors import Refusal
from broker.metadata.credentials import ECS_TASKS, CachedCredentials, RoleAssumption, judge_assumption
from broker.metadata.texts import json_text
from broker.storage.records import Container
from broker.storage.store import CONTAINERS, Transaction

_LONGEST_SECRET = 4096  # characters


def container_key(container_id: str) -> str:
    """The key of CONTAINERS under which the record of a container id is put."""
    return _digest("id", container_id)


def authorization_key(token: str) -> str:
    """The key for a container that presents only `token`; also a record's `authorization_digest`."""
    return _digest("authorization", token)


async def find_container(
    store: Transaction, unverified_id: str, unverified_token: str, asking_instance: str | None, now: float
) -> tuple[str, Container]:
    """The record that the id or the token (empty: none) proves, and its key; raises Refusal with the agent's codes."""
    if max(len(unverified_id), len(unverified_token)) > _LONGEST_SECRET:
        raise unknown_id("the id or the token is too long")
    if not unverified_id and not unverified_token:
        raise Refusal("NoIdInRequest", "No Credential ID in the request", status=400)
    key = container_key(unverified_id) if unverified_id else authorization_key(unverified_token)
    container = await store.find(CONTAINERS, "", key)
    if container is None:
        raise unknown_id("no container has this id or token") if unverified_id else _wrong_token()
    if container.expires_at is not None and now >= container.expires_at:
        raise unknown_id(f"the container's record ended at {container.expires_at}")
    if container.instance_id is not None and container.instance_id != asking_instance:
        raise unknown_id(f"the container lives on {container.instance_id}, not on {asking_instance}")
    wanted = container.authorization_digest
    if wanted is not None and not compare_digest(wanted, authorization_key(unverified_token)):
        raise _wrong_token()
    return key, container


async def judge_container(
    store: Transaction, gate: Gate, key: str, container: Container, now: float
) -> RoleAssumption:
    """Judge whether the container may have its role; raises Refusal CredentialsUninitialized for a missing role."""
    role = await find_role(store, container.role_arn)
    if role is None or role.account_id != container.account_id:
        raise uninitialized(f"there is no role {container.role_arn} in account {container.account_id}")
    arn = f"arn:aws:ecs:{container.region}:{container.account_id}:task/{container.session_name}"
    return await judge_assumption(
        store,
        gate,
        key=f"container/{key}",
        service=ECS_TASKS,
        role=role,
        session_name=container.session_name,
        source_arn=arn,
        region=container.region,
        now=now,
    )


async def judge_container_again(
    store: Transaction, gate: Gate, key: str, now: float
) -> RoleAssumption | None:
    """Judge again, for a renewal in the background; None where the container is gone."""
    container = await store.find(CONTAINERS, "", key)
    if container is None or (container.expires_at is not None and now >= container.expires_at):
        return None
    return await judge_container(store, gate, key, container, now)


def credentials_text(cached: CachedCredentials) -> str:
    """The JSON that the ECS agent answers."""
    credentials = cached.credentials
    return json_text(
        {
            "RoleArn": cached.session.role_arn,
            "AccessKeyId": credentials.access_key_id,
            "SecretAccessKey": credentials.secret.reveal(),
            "Token": credentials.session_token,
            "Expiration": iso_time(credentials.expires_at),
        }
    )


def uninitialized(reason: str) -> Refusal:
    """The container is known, but has no credentials now."""
    return Refusal("CredentialsUninitialized", "Credentials uninitialized for ID", reason=reason, status=503)


def _digest(kind: str, secret: str) -> str:
    return sha256(f"{kind}\0{secret}".encode("utf-8", "surrogateescape")).hexdigest()


def unknown_id(reason: str) -> Refusal:
    """No container has what the request presents as an id."""
    return Refusal("InvalidIdInRequest", "Credentials not found", reason=reason, status=400)


def _wrong_token() -> Refusal:
    return Refusal(
        "InvalidAuthorizationToken",
        "The authorization token is missing or not valid.",
        reason="the Authorization header does not hold the container's token",
        status=401,
    )
