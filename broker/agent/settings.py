"""What the operator writes into the agent's file, checked when it is read (`deploy/systemd/broker-agent.toml`)."""

import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from broker.causes import cause_of
from broker.names.addresses import parse_network
from broker.names.arn import account_of_role_arn
from broker.storage.records import Instance


class AgentConfigurationError(Exception):
    """The agent's file cannot be used; the message is for the operator."""


class AgentSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A table of the file: no key that is not known."""


class BrokerSection(AgentSection, frozen=True):
    """Where the broker is, and with which profile of ~/.aws/config the agent proves itself; "" for the usual chain."""

    url: str
    region: str = "us-east-1"
    profile: str = ""
    certificate_authorities: str = ""


class PodsSection(AgentSection, frozen=True):
    """EKS Pod Identity: the cluster as the broker calls it, this node, and the addresses of this node's pods."""

    cluster: str
    networks: tuple[str, ...]
    node: str = ""
    listen: tuple[str, ...] = ("169.254.170.23:80", "[fd00:ec2::23]:80")


class ContainerRole(AgentSection, frozen=True):
    """A container proves itself by an id in the path, or by a token in the header Authorization; both are in files."""

    role_arn: str
    session_name: str = "container"
    id_file: str = ""
    token_file: str = ""


class ContainersSection(AgentSection, frozen=True):
    """Containers on this machine, and the addresses that they ask from."""

    networks: tuple[str, ...]
    roles: tuple[ContainerRole, ...]
    listen: tuple[str, ...] = ("169.254.170.2:80",)


class MachineSection(AgentSection, frozen=True):
    """A machine by its addresses. `instance` has the fields of an instance's record, but for these."""

    instance_id: str
    addresses: tuple[str, ...]
    role_arn: str
    instance: dict[str, Any] = {}


class InstancesSection(AgentSection, frozen=True):
    """Machines that this one hosts."""

    machines: tuple[MachineSection, ...]
    listen: tuple[str, ...] = ("169.254.169.254:80", "[fd00:ec2::254]:80")


class HealthSection(AgentSection, frozen=True):
    """Where /healthz, /readyz and /metrics are; "" for nowhere."""

    listen: str = "127.0.0.1:2703"


class AgentSettings(AgentSection, frozen=True):
    """The whole file; what is None is not served."""

    broker: BrokerSection
    pods: PodsSection | None = None
    containers: ContainersSection | None = None
    instances: InstancesSection | None = None
    health: HealthSection = HealthSection()


def read_agent_settings(file: Path, environment: Mapping[str, str]) -> AgentSettings:
    """Raises AgentConfigurationError. `NODE_NAME` of the environment is the node where the file names none."""
    try:
        tables = tomllib.loads(file.read_text("utf-8"))
        settings = msgspec.convert(tables, AgentSettings)
    except OSError as error:
        raise AgentConfigurationError(f"{file} cannot be read: {cause_of(error)}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, msgspec.ValidationError) as error:
        raise AgentConfigurationError(f"{file}: {error}") from None
    faults = [f"{file}: {fault}" for fault in _faults(settings)]
    if faults:
        raise AgentConfigurationError("\n".join(faults))
    pods = settings.pods
    if pods is None or pods.node or "NODE_NAME" not in environment:
        return settings
    named = msgspec.structs.replace(pods, node=environment["NODE_NAME"])
    return msgspec.structs.replace(settings, pods=named)


def instance_of(machine: MachineSection, region: str) -> Instance:
    """The record by which the machine's categories are shown; raises ValidationError."""
    unknown = machine.instance.keys() - set(Instance.__struct_fields__)
    if unknown:
        raise msgspec.ValidationError(f"instance has no {', '.join(sorted(unknown))}")
    return msgspec.convert(
        {
            "region": region,
            "availability_zone": f"{region}a",
            **machine.instance,
            "instance_id": machine.instance_id,
            "account_id": account_of_role_arn(machine.role_arn),
            "addresses": machine.addresses,
        },
        Instance,
    )


def split_address(text: str) -> tuple[str, int]:
    """Host and port of `HOST:PORT`, an address of IPv6 in brackets; raises ValueError."""
    host, _, port = text.rpartition(":")
    if not host or not port.isdigit() or int(port) > 65535:
        raise ValueError(f"{text!r} is no HOST:PORT")
    return host.removeprefix("[").removesuffix("]"), int(port)


def _faults(settings: AgentSettings) -> Iterator[str]:
    if not settings.broker.url.startswith(("http://", "https://")):
        yield f"broker.url: {settings.broker.url!r} is no URL"
    for name, section in (
        ("pods", settings.pods),
        ("containers", settings.containers),
        ("instances", settings.instances),
    ):
        if section is not None:
            yield from _faults_of_addresses(name, section.listen, getattr(section, "networks", None))
    if settings.pods is None and settings.containers is None and settings.instances is None:
        yield "nothing is served: there is no [pods], no [containers] and no [instances]"
    if settings.containers is not None:
        yield from _faults_of_containers(settings.containers)
    if settings.instances is not None:
        yield from _faults_of_instances(settings.instances, settings.broker.region)


def _faults_of_addresses(
    name: str, listen: tuple[str, ...], networks: tuple[str, ...] | None
) -> Iterator[str]:
    for text in listen:
        try:
            split_address(text)
        except ValueError as error:
            yield f"{name}.listen: {error}"
    if networks is not None and not networks:
        yield f"{name}.networks: name the addresses that may ask, as 10.42.0.0/24"
    for text in networks or ():
        try:
            parse_network(text)
        except ValueError:
            yield f"{name}.networks: {text!r} is no range of addresses"


def _faults_of_containers(containers: ContainersSection) -> Iterator[str]:
    for number, role in enumerate(containers.roles, 1):
        if not role.id_file and not role.token_file:
            yield f"containers.roles {number}: id_file or token_file is missing: what proves the container?"
        yield from _faults_of_role(f"containers.roles {number}", role.role_arn)


def _faults_of_instances(instances: InstancesSection, region: str) -> Iterator[str]:
    for machine in instances.machines:
        yield from _faults_of_role(f"instances.machines {machine.instance_id}", machine.role_arn)
        try:
            instance_of(machine, region)
        except (msgspec.ValidationError, ValueError) as error:
            yield f"instances.machines {machine.instance_id}: {error}"


def _faults_of_role(where: str, role_arn: str) -> Iterator[str]:
    try:
        account_of_role_arn(role_arn)
    except ValueError:
        yield f"{where}: role_arn: {role_arn!r} is no ARN of a role"
