"""The tree of categories, as a table from paths to functions of a machine.

A row returns a leaf (text, or bytes for user data), a directory (a mapping), a `Deferred` for a leaf that needs more
than the record, or None or an empty value where the machine has no such category; then neither the path nor its name in
a listing exists. Every dated version shows the same tree: later categories are not hidden from older versions.
EC2 User Guide, "Instance metadata categories". Left out, because they describe AWS's own infrastructure:
elastic-gpus, elastic-inference, identity-credentials; and instance-identity/dsa2048, because the signing key is RSA.
What only an operator can know (spot, autoscaling, events) comes from the record's `categories`.
"""

import enum
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from broker.metadata.identity_documents import document_text
from broker.metadata.instances import find_address
from broker.storage.records import Instance

VERSIONS = (
    "1.0",
    "2007-01-19",
    "2007-03-01",
    "2007-08-29",
    "2007-10-10",
    "2007-12-15",
    "2008-02-01",
    "2008-09-01",
    "2009-04-04",
    "2011-01-01",
    "2011-05-01",
    "2012-01-12",
    "2014-02-25",
    "2014-11-05",
    "2015-10-20",
    "2016-04-19",
    "2016-06-30",
    "2016-09-02",
    "2018-03-28",
    "2018-08-17",
    "2018-09-24",
    "2019-10-01",
    "2020-10-27",
    "2021-01-03",
    "2021-03-23",
    "2021-07-15",
    "2022-09-24",
    "2024-04-11",
    "latest",
)


class Deferred(enum.Enum):
    """Leaves that are not in the instance record."""

    IAM_INFO = enum.auto()
    CREDENTIALS = enum.auto()
    SIGNATURE = enum.auto()
    PKCS7 = enum.auto()
    RSA2048 = enum.auto()


class Machine(msgspec.Struct, frozen=True):
    """An instance, and the role that its profile has now; `role_name` is None where there is none."""

    instance: Instance
    role_name: str | None = None


Leaf = str | bytes | Deferred
Value = Leaf | Mapping[str, Any] | None
Row = Callable[[Machine], Value]


def _field(name: str) -> Row:
    return lambda machine: getattr(machine.instance, name) or None


def _always(text: str) -> Row:
    return lambda machine: text


def _local_ipv4(machine: Machine) -> str | None:
    """As recorded, else the first IPv4 address in the record's `addresses`."""
    if machine.instance.local_ipv4:
        return machine.instance.local_ipv4
    addresses = (find_address(text) for text in machine.instance.addresses)
    return next((str(address) for address in addresses if address is not None and address.version == 4), None)


def _hostname(machine: Machine) -> str | None:
    """As recorded, else the name that EC2 derives from the private address."""
    address, region = _local_ipv4(machine), machine.instance.region
    if machine.instance.hostname or address is None:
        return machine.instance.hostname or None
    domain = "ec2.internal" if region == "us-east-1" else f"{region}.compute.internal"
    return f"ip-{address.replace('.', '-')}.{domain}"


def _security_groups(machine: Machine) -> str:
    return "\n".join(machine.instance.security_groups.values())


def _interfaces(machine: Machine) -> Value:
    instance = machine.instance
    if not instance.mac:
        return None
    address = _local_ipv4(machine)
    interface = {
        "device-number": "0",
        "interface-id": instance.interface_id,
        "ipv4-associations": {instance.public_ipv4: address} if instance.public_ipv4 else None,
        "ipv6s": instance.ipv6,
        "local-hostname": _hostname(machine),
        "local-ipv4s": address,
        "mac": instance.mac,
        "owner-id": instance.account_id,
        "public-hostname": instance.public_hostname,
        "public-ipv4s": instance.public_ipv4,
        "security-group-ids": "\n".join(instance.security_groups),
        "security-groups": _security_groups(machine),
        "subnet-id": instance.subnet_id,
        "subnet-ipv4-cidr-block": instance.subnet_ipv4_cidr_block,
        "vpc-id": instance.vpc_id,
        "vpc-ipv4-cidr-block": instance.vpc_ipv4_cidr_block,
        "vpc-ipv4-cidr-blocks": instance.vpc_ipv4_cidr_block,
    }
    return {instance.mac: {name: value for name, value in interface.items() if value}}


def _public_keys(machine: Machine) -> Value:
    keys = machine.instance.public_keys.values()
    return {str(number): {"openssh-key": key} for number, key in enumerate(keys)}


def _tags(machine: Machine) -> Value:
    """Tags, where the record allows them. A key that is not one segment of a path is left out: EC2 refuses it."""
    if not machine.instance.tags_in_metadata:
        return None
    tags = machine.instance.tags
    return {
        key: tags[key] for key in tags if key and not set(key) & {"/", " ", "\n"} and key not in (".", "..")
    }


def _credentials(machine: Machine) -> Value:
    return {machine.role_name: Deferred.CREDENTIALS} if machine.role_name else None


ROWS: dict[str, Row] = {
    "dynamic/fws/instance-monitoring": lambda s: "enabled" if s.instance.monitoring else "disabled",
    "dynamic/instance-identity/document": lambda s: document_text(s.instance, _local_ipv4(s)),
    "dynamic/instance-identity/pkcs7": lambda s: Deferred.PKCS7,
    "dynamic/instance-identity/rsa2048": lambda s: Deferred.RSA2048,
    "dynamic/instance-identity/signature": lambda s: Deferred.SIGNATURE,
    "meta-data/ami-id": _field("image_id"),
    "meta-data/ami-launch-index": lambda s: str(s.instance.launch_index),
    "meta-data/ami-manifest-path": _always("(unknown)"),
    "meta-data/block-device-mapping": _field("block_devices"),
    "meta-data/events/maintenance/history": _always("[]"),
    "meta-data/events/maintenance/scheduled": _always("[]"),
    "meta-data/hostname": _hostname,
    "meta-data/iam/info": lambda s: Deferred.IAM_INFO if s.instance.instance_profile else None,
    "meta-data/iam/security-credentials": _credentials,
    "meta-data/instance-action": _always("none"),
    "meta-data/instance-id": _field("instance_id"),
    "meta-data/instance-life-cycle": _field("life_cycle"),
    "meta-data/instance-type": _field("instance_type"),
    "meta-data/ipv6": _field("ipv6"),
    "meta-data/local-hostname": _hostname,
    "meta-data/local-ipv4": _local_ipv4,
    "meta-data/mac": _field("mac"),
    "meta-data/metrics/vhostmd": _always('<?xml version="1.0" encoding="UTF-8"?>'),
    "meta-data/network/interfaces/macs": _interfaces,
    "meta-data/placement/availability-zone": _field("availability_zone"),
    "meta-data/placement/availability-zone-id": _field("availability_zone_id"),
    "meta-data/placement/region": _field("region"),
    "meta-data/profile": _always("default-hvm"),
    "meta-data/public-hostname": _field("public_hostname"),
    "meta-data/public-ipv4": _field("public_ipv4"),
    "meta-data/public-keys": _public_keys,
    "meta-data/reservation-id": _field("reservation_id"),
    "meta-data/security-groups": _security_groups,
    "meta-data/services/domain": _always("amazonaws.com"),
    "meta-data/services/partition": _always("aws"),
    "meta-data/tags/instance": _tags,
    "user-data": _field("user_data"),
}

# Listings in a form of their own, by path below the version.
LISTINGS: dict[str, Callable[[Machine, Mapping[str, Any]], str]] = {
    "": lambda machine, names: "\n".join(sorted(names)),
    "meta-data/public-keys": lambda machine, names: "\n".join(
        f"{number}={name}" for number, name in enumerate(machine.instance.public_keys)
    ),
}

# An operator's own categories must not be below these: credentials come from the mint alone.
RESERVED = ("iam", "identity-credentials")


def lookup(path: Sequence[str], machine: Machine) -> Leaf | None:
    """The leaf or listing at `path`, the segments behind the host; None where there is none.

    A listing has one name a line; names of directories end in `/`.
    """
    if not path:
        return "\n".join(VERSIONS)
    version, *segments = path
    if version not in VERSIONS:
        return None
    node: Any = tree(machine)
    for segment in segments:
        node = node.get(segment) if isinstance(node, Mapping) else None
        if node is None:
            return None
    if not isinstance(node, Mapping):
        leaf: Leaf = node
        return leaf
    listing = LISTINGS.get("/".join(segments))
    return listing(machine, node) if listing else _listing(node)


def tree(machine: Machine) -> dict[str, Any]:
    """Everything below the version, as nested mappings; no directory is empty."""
    root: dict[str, Any] = {}
    for path, row in ROWS.items():
        value = row(machine)
        if value:
            _insert(root, path.split("/"), value)
    for path, text in machine.instance.categories.items():
        segments = [segment for segment in path.split("/") if segment]
        if segments and text and segments[0] not in RESERVED:
            _insert(root, ["meta-data", *segments], text)
    return root


def _insert(node: dict[str, Any], segments: Sequence[str], value: Any) -> None:
    """Put `value` at `segments`, unless there is a value already."""
    for segment in segments[:-1]:
        child = node.setdefault(segment, {})
        if not isinstance(child, dict):
            return
        node = child
    node.setdefault(segments[-1], value)


def _listing(directory: Mapping[str, Any]) -> str:
    return "\n".join(
        f"{name}/" if isinstance(directory[name], Mapping) else name for name in sorted(directory)
    )
