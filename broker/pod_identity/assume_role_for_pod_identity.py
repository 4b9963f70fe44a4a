"""AssumeRoleForPodIdentity: an agent on a node trades a pod's service account token for the pod's credentials."""

from broker.assertions.service_account_token import AUDIENCE, PodClaims
from broker.errors import Refusal
from broker.operation import Call, Prepared, operation
from broker.pod_identity.clusters import named_cluster
from broker.pod_identity.pods import proven_pod
from broker.pod_identity.role_sessions import PodSession, pod_session
from broker.protocol.shapes import eks_auth as shapes
from broker.storage.collections import POD_IDENTITY_ASSOCIATIONS
from broker.storage.pod_identity_records import Cluster, PodIdentityAssociation, association_key


@operation("eks-auth:AssumeRoleForPodIdentity", prepare=named_cluster)
async def assume_role_for_pod_identity(
    call: Call, request: shapes.AssumeRoleForPodIdentityRequest, prepared: Prepared[Cluster]
) -> shapes.AssumeRoleForPodIdentityResponse:
    """`instanceId` and `zone` are in the journal only: the token does not say where its pod's machine is."""
    cluster = prepared.found
    pod = await proven_pod(call, cluster, request.token, request.eks_node_name)
    association = await _association_of(call, cluster, pod)
    session = await pod_session(call, cluster, association, pod)
    return _answer(pod, association, session)


async def _association_of(call: Call, cluster: Cluster, pod: PodClaims) -> PodIdentityAssociation:
    key = association_key(cluster.cluster_name, pod.namespace, pod.service_account)
    association = await call.store.find(POD_IDENTITY_ASSOCIATIONS, call.account, key)
    if association is None:
        message = (
            f"No pod identity association found for service account {pod.namespace}/{pod.service_account}."
        )
        raise Refusal("ResourceNotFoundException", message)
    return association


def _answer(
    pod: PodClaims, association: PodIdentityAssociation, session: PodSession
) -> shapes.AssumeRoleForPodIdentityResponse:
    return shapes.AssumeRoleForPodIdentityResponse(
        subject=shapes.Subject(namespace=pod.namespace, service_account=pod.service_account),
        audience=AUDIENCE,
        pod_identity_association=shapes.PodIdentityAssociation(
            association_arn=association.arn, association_id=association.association_id
        ),
        assumed_role_user=shapes.AssumedRoleUser(arn=session.arn, assume_role_id=session.assumed_role_id),
        credentials=shapes.Credentials(
            session_token=session.credentials.session_token,
            secret_access_key=session.credentials.secret_access_key,
            access_key_id=session.credentials.access_key_id,
            expiration=session.credentials.expiration,
        ),
    )
