"""`broker metadata`: the certificate of identity documents, and credentials for containers."""

import argparse
import sys
from base64 import urlsafe_b64encode
from typing import TYPE_CHECKING

from broker.commands.settings import add_settings_arguments

if TYPE_CHECKING:
    from broker.app import Broker
    from broker.audit.event import Event
    from broker.storage.records import Container
    from broker.storage.store import Transaction

DESCRIPTION = """\
Give containers credentials of roles, and print the certificate of instance identity documents.

  broker metadata certificate > broker-instances.pem         the certificate that verifies identity documents
  broker metadata container arn:aws:iam::123456789012:role/app --hours 12
                                                             credentials for a container, as environment variables
  broker metadata forget KEY                                 no more credentials for that container

A container's role has to trust ecs-tasks.amazonaws.com. The container's id or token is printed only once: the store has
a digest. The address is the one at which this machine's broker was last started on this store, or --endpoint.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = DESCRIPTION
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    tasks = parser.add_subparsers(dest="task", metavar="TASK", required=True)
    certificate = tasks.add_parser("certificate", help="print the certificate of the signing identity, PEM")
    container = tasks.add_parser("container", help="give a container credentials of a role")
    container.add_argument(
        "role_arn", metavar="ROLE_ARN", help="the role, which trusts ecs-tasks.amazonaws.com"
    )
    container.add_argument("--session-name", default="container", help="the session's name (container)")
    container.add_argument("--instance", metavar="ID", help="answer only where this instance asks")
    container.add_argument(
        "--hours", type=float, help="how long the container gets credentials; without it, until `forget`"
    )
    container.add_argument(
        "--token", action="store_true", help="prove itself with an authorization token instead of an id"
    )
    container.add_argument(
        "--endpoint",
        metavar="URL",
        help="where the container reaches the metadata service (where this machine's broker was last started)",
    )
    forget = tasks.add_parser("forget", help="take a container's credentials away")
    forget.add_argument("key", metavar="KEY", help="as printed when it was made")
    for task in (certificate, container, forget):
        add_settings_arguments(task)


def run(chosen: argparse.Namespace) -> int:
    """0; 1 where there is no such role, instance or container."""
    from broker.commands.opening import with_broker

    tasks = {"certificate": _certificate, "container": _container, "forget": _forget}
    return with_broker(chosen, lambda broker: tasks[chosen.task](broker, chosen))


async def _certificate(broker: "Broker", chosen: argparse.Namespace) -> int:
    from broker.app import clock, entropy
    from broker.metadata.identity_documents import signing_identity

    identity = await signing_identity(broker.store, clock(), entropy)
    print(identity.certificate, end="")
    return 0


async def _container(broker: "Broker", chosen: argparse.Namespace) -> int:
    from broker.app import entropy
    from broker.audit.event import uuid_text
    from broker.commands.profiles import container_endpoint_of
    from broker.commands.records import command_event, transact_recorded
    from broker.commands.serving import serving_settings
    from broker.commands.showing import show_once
    from broker.metadata.containers import authorization_key, container_key
    from broker.storage.store import CONTAINERS

    container = await _container_record(broker, chosen)
    endpoint = chosen.endpoint or container_endpoint_of(await serving_settings(broker))
    if chosen.token:
        secret = urlsafe_b64encode(entropy(33)).decode()
        key, path = authorization_key(secret), "/v1/credentials"
    else:
        secret = uuid_text(entropy(16))
        key, path = container_key(secret), f"/v2/credentials/{secret}"

    async def work(store: "Transaction") -> None:
        store.put(CONTAINERS, "", container, key=key)

    parameters = {"key": key, "roleArn": container.role_arn, "instanceId": container.instance_id}
    event = command_event("metadata container", container.account_id, "broker:PutContainer", parameters)
    await transact_recorded(broker, work, lambda _: [event])
    shown = f"export AWS_CONTAINER_CREDENTIALS_FULL_URI={endpoint}{path}\n"
    if chosen.token:
        shown += f"export AWS_CONTAINER_AUTHORIZATION_TOKEN={secret}\n"
    print(f"# broker metadata forget {key}", file=sys.stderr)
    if not _is_taken_by_sdks(endpoint):
        print(
            f"# SDKs take no credentials from {endpoint}: listen.metadata at 169.254.170.2, or listen.metadata_https",
            file=sys.stderr,
        )
    await show_once(shown, f"the container {key}", lambda: _forget_container(broker, key))
    return 0


def _is_taken_by_sdks(endpoint: str) -> bool:
    """Whether the SDKs of AWS ask this address: https, the loopback network, or what ECS and EKS use."""
    from ipaddress import ip_address
    from urllib.parse import urlsplit

    found = urlsplit(endpoint)
    host = found.hostname or ""
    if found.scheme == "https" or host in ("localhost", "169.254.170.2", "169.254.170.23", "fd00:ec2::23"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


async def _container_record(broker: "Broker", chosen: argparse.Namespace) -> "Container":
    """Raises CommandRefused for a role or instance that does not exist, and for an invalid session name."""
    import re

    from broker.access.trust import find_role
    from broker.app import clock
    from broker.commands.refusing import CommandRefused, WrongUse
    from broker.storage.records import Container
    from broker.storage.store import INSTANCES

    if not re.fullmatch(r"[\w+=,.@-]{2,64}", chosen.session_name, re.ASCII):
        raise WrongUse("--session-name has 2 to 64 letters, digits and characters of +=,.@-_")
    if chosen.hours is not None and not 0 < chosen.hours <= 24 * 3660:
        raise WrongUse("--hours is a number of hours above 0, ten years of them at most")
    store = broker.store.transaction()
    role = await find_role(store, chosen.role_arn)
    if role is None:
        raise CommandRefused(f"there is no role {chosen.role_arn}")
    instance = await store.find(INSTANCES, "", chosen.instance) if chosen.instance else None
    if chosen.instance and (instance is None or instance.account_id != role.account_id):
        raise CommandRefused(f"there is no instance {chosen.instance} in account {role.account_id}")
    return Container(
        account_id=role.account_id,
        role_arn=role.arn,
        session_name=chosen.session_name,
        instance_id=chosen.instance,
        region=instance.region if instance else "us-east-1",
        expires_at=None if chosen.hours is None else int(clock() + chosen.hours * 3600),
    )


async def _forget(broker: "Broker", chosen: argparse.Namespace) -> int:
    from broker.commands.refusing import CommandRefused

    if not await _forget_container(broker, chosen.key):
        raise CommandRefused(f"there is no container {chosen.key}")
    return 0


async def _forget_container(broker: "Broker", key: str) -> bool:
    """Delete the container's record; returns whether there was one."""
    from broker.commands.records import command_event, transact_recorded
    from broker.storage.store import CONTAINERS

    async def work(store: "Transaction") -> "Container | None":
        container = await store.find(CONTAINERS, "", key)
        if container is not None:
            store.delete(CONTAINERS, "", key)
        return container

    def events_of(container: "Container | None") -> list["Event"]:
        if container is None:
            return []
        parameters = {"key": key, "roleArn": container.role_arn}
        return [command_event("metadata forget", container.account_id, "broker:DeleteContainer", parameters)]

    return await transact_recorded(broker, work, events_of) is not None
