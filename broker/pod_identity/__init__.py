"""EKS Pod Identity on any Kubernetes: pods have roles by associations, and trade their service account tokens for them.

Owns the part of `eks` that manages associations, and `eks-auth`, which AWS's own agent and `broker agent` call on each
node. Never creates a cluster: the operator declares whose tokens are accepted (`broker apply`). Which pod may have a
role is decided by three at once: who asks may do `eks-auth:AssumeRoleForPodIdentity`, the account has an association,
and the role trusts `pods.eks.amazonaws.com`. Obeys the EKS and EKS Auth API references.
"""

from broker.pod_identity import associations, assume_role_for_pod_identity, clusters, tagging

__all__ = ["associations", "assume_role_for_pod_identity", "clusters", "tagging"]
