"""Checks of IP addresses in conditions on aws:SourceIp, which is a public address."""

from collections.abc import Iterator
from ipaddress import IPv4Network, IPv6Network

from broker.names.addresses import parse_network
from broker.policy.elements import quoted
from broker.policy.validation.findings import Issue
from broker.policy.validation.nodes import JsonNode
from broker.policy.validation.subject import ConditionNode, StatementNode, Subject

Network = IPv4Network | IPv6Network
_PRIVATE = tuple(
    map(parse_network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7"))
)
_KEY = "aws:sourceip"


def _networks(condition: ConditionNode) -> list[tuple[JsonNode, Network]]:
    """The values that are networks."""
    found = []
    for node in condition.values:
        try:
            found.append((node, parse_network(node.text)))
        except ValueError:
            continue
    return found


def _conditions(subject: Subject, operator: str) -> Iterator[tuple[StatementNode, ConditionNode]]:
    for statement in subject.statements:
        for condition in statement.conditions:
            if condition.name == operator and condition.key.text.lower() == _KEY:
                yield statement, condition


def _is_private(network: Network) -> bool:
    return any(network.version == one.version and network.subnet_of(one) for one in _PRIVATE)  # type: ignore[arg-type]


def _private(subject: Subject, operator: str, is_every: bool) -> Iterator[Issue]:
    """Private ranges, where all values are (`is_every`) or where others are not."""
    for _, condition in _conditions(subject, operator):
        networks = _networks(condition)
        private = [node for node, network in networks if _is_private(network)]
        if private and (len(private) == len(networks)) is is_every:
            for node in private:
                yield Issue(
                    node, f"{quoted(node.text)} is private, and aws:SourceIp is always a public address."
                )


def only_private(subject: Subject) -> Iterator[Issue]:
    yield from _private(subject, "ipaddress", is_every=True)


def only_private_negated(subject: Subject) -> Iterator[Issue]:
    yield from _private(subject, "notipaddress", is_every=True)


def some_private(subject: Subject) -> Iterator[Issue]:
    yield from _private(subject, "ipaddress", is_every=False)


def some_private_negated(subject: Subject) -> Iterator[Issue]:
    yield from _private(subject, "notipaddress", is_every=False)


def bits_beyond_the_mask(subject: Subject) -> Iterator[Issue]:
    for statement in subject.statements:
        for condition in statement.conditions:
            if condition.name not in ("ipaddress", "notipaddress"):
                continue
            for node, network in _networks(condition):
                address, slash, _ = node.text.partition("/")
                if slash and address.lower() != str(network.network_address):
                    yield Issue(node, f"{quoted(node.text)} has bits set beyond its mask.", str(network))
