"""What would show secrets to a network: listeners that are not on this machine alone, without TLS or a signature."""

from collections.abc import Iterator
from ipaddress import ip_address, ip_network

from broker.config.settings import Settings

# Where SDKs look for credentials of instances and containers: routers send these not beyond the machine's networks.
_METADATA_NETWORKS = (ip_network("169.254.0.0/16"), ip_network("fe80::/10"), ip_network("fd00:ec2::/32"))


def faults_of_exposure(settings: Settings) -> Iterator[str]:
    """Refused: answers of the API hold secret keys."""
    listen = settings.listen
    if not is_loopback(listen.api) and not settings.tls.certificate_file and not listen.allow_plain_http:
        yield (
            f"listen.api: {listen.api} is not on this machine alone, and secret keys would cross the network as they "
            "are: set [tls], or listen.allow_plain_http = true where a proxy with TLS is in front"
        )
    is_forward_shown = listen.forward and not is_loopback(listen.forward)
    if is_forward_shown and not settings.tls.certificate_file and not listen.allow_plain_http:
        yield (
            f"listen.forward: {listen.forward} is not on this machine alone, and tokens of others would cross the "
            "network as they are: set [tls], or listen.allow_plain_http = true"
        )
    if listen.forward_grpc and not is_loopback(listen.forward_grpc):
        yield (
            f"listen.forward_grpc: {listen.forward_grpc} is not on this machine alone, and gRPC is served there only, "
            "without TLS: put Envoy on this machine, or use listen.forward, which speaks TLS"
        )


def warnings_of_exposure(settings: Settings) -> Iterator[str]:
    """Logged at start, and shown by `broker config check`."""
    listen = settings.listen
    operations = {"listen.operations": listen.operations, "gateway.operations": settings.gateway.operations}
    for name, address in operations.items():
        if not is_loopback(address) and not listen.allow_public_operations:
            yield (
                f"{name}: {address} is not on this machine alone, and all who reach it read the metrics without a "
                "signature; listen.allow_public_operations = true says that this is meant"
            )
    shown = [one for one in listen.metadata if not is_loopback(one) and not _is_for_metadata(one)]
    if shown and not listen.allow_public_metadata:
        yield (
            f"listen.metadata: {', '.join(shown)} is not on this machine alone, and the credentials of instances and "
            "containers cross the network as they are; listen.allow_public_metadata = true says that this is meant"
        )


def _is_for_metadata(address: str) -> bool:
    try:
        host = ip_address(address.rpartition(":")[0].strip("[]"))
    except ValueError:
        return False
    return any(host in network for network in _METADATA_NETWORKS)


def is_loopback(address: str) -> bool:
    """Whether HOST:PORT can be reached from this machine alone; a text that is no address has faults of its own."""
    host = address.rpartition(":")[0].strip("[]")
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host in ("localhost", "")
