"""DescribeCluster and ListClusters: the clusters that the operator declared, so that clients find them by name."""

from typing import Any

from broker.access.resource import Resource
from broker.errors import Refusal
from broker.operation import Absent, Call, Prepared, no_resource, operation
from broker.pod_identity.pages import page_after
from broker.protocol.shapes import eks as shapes
from broker.storage.collections import CLUSTERS
from broker.storage.pod_identity_records import Cluster


def cluster_arn(call: Call, name: str) -> str:
    """The ARN that a cluster of this name would have."""
    return f"arn:aws:eks:{call.facts.region}:{call.account}:cluster/{name}"


def no_such_cluster(name: str) -> Refusal:
    return Refusal("ResourceNotFoundException", f"No cluster found for name: {name}.")


async def found_cluster(call: Call, name: str) -> Prepared[Cluster] | Absent:
    """The cluster of the caller's account."""
    cluster = await call.store.find(CLUSTERS, call.account, name)
    if cluster is None:
        return Absent(Resource(cluster_arn(call, name)), no_such_cluster(name))
    return Prepared(Resource(cluster.arn, tags=cluster.tags), cluster)


async def described_cluster(call: Call, request: shapes.DescribeClusterRequest) -> Prepared[Cluster] | Absent:
    return await found_cluster(call, request.name)


async def named_cluster(call: Call, request: Any) -> Prepared[Cluster] | Absent:
    return await found_cluster(call, request.cluster_name)


@operation("eks:DescribeCluster", prepare=described_cluster)
async def describe_cluster(
    call: Call, request: shapes.DescribeClusterRequest, prepared: Prepared[Cluster]
) -> shapes.DescribeClusterResponse:
    cluster = prepared.found
    review = cluster.token_review
    return shapes.DescribeClusterResponse(
        cluster=shapes.Cluster(
            name=cluster.cluster_name,
            arn=cluster.arn,
            created_at=float(cluster.created_at),
            endpoint=review.server if review is not None else None,
            identity=shapes.Identity(oidc=shapes.OIDC(issuer=cluster.issuer)),
            status="ACTIVE",
            tags=cluster.tags,
        )
    )


@operation("eks:ListClusters", prepare=no_resource)
async def list_clusters(
    call: Call, request: shapes.ListClustersRequest, prepared: Prepared[None]
) -> shapes.ListClustersResponse:
    """All clusters are external ones, as AWS calls those that it does not run; so `include` changes nothing."""
    if request.include and set(request.include) != {"all"}:
        raise Refusal("InvalidParameterException", "include can have the value all only.")
    found, next_token = page_after(
        await call.store.scan(CLUSTERS, call.account),
        lambda cluster: cluster.cluster_name,
        request.next_token,
        request.max_results,
    )
    return shapes.ListClustersResponse(
        clusters=tuple(cluster.cluster_name for cluster in found), next_token=next_token
    )
