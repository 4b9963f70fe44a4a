"""A cluster of Kubernetes as Pod Identity sees it: an issuer with a key, and the tokens of its pods."""

import json
import secrets
import time
import uuid
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

AUDIENCE = "pods.eks.amazonaws.com"


@dataclass(frozen=True)
class Pod:
    """A pod that runs on a node, with a service account."""

    name: str
    namespace: str = "apps"
    service_account: str = "web"
    node: str = "node-1"
    uid: str = field(default_factory=lambda: str(uuid.uuid4()))


@dataclass(frozen=True)
class KubernetesCluster:
    """The issuer of a cluster, whose key is published nowhere: `key_set` is what an operator copies."""

    name: str = field(default_factory=lambda: f"cluster-{secrets.token_hex(4)}")
    issuer: str = "https://kubernetes.default.svc.cluster.local"
    key_id: str = field(default_factory=lambda: secrets.token_hex(20))

    @cached_property
    def key(self) -> rsa.RSAPrivateKey:
        return rsa.generate_private_key(public_exponent=65537, key_size=2048)

    @property
    def key_set(self) -> dict[str, Any]:
        public = json.loads(RSAAlgorithm.to_jwk(self.key.public_key()))
        public.pop("key_ops", None)
        return {"keys": [{**public, "kid": self.key_id, "use": "sig", "alg": "RS256"}]}

    def claims(self, pod: Pod, *, lifetime: int = 3600, audience: str = AUDIENCE) -> dict[str, Any]:
        """As kube-apiserver writes them (1.30)."""
        now = int(time.time())
        return {
            "aud": [audience],
            "exp": now + lifetime,
            "iat": now,
            "iss": self.issuer,
            "jti": str(uuid.uuid4()),
            "kubernetes.io": {
                "namespace": pod.namespace,
                "node": {"name": pod.node, "uid": str(uuid.uuid4())},
                "pod": {"name": pod.name, "uid": pod.uid},
                "serviceaccount": {"name": pod.service_account, "uid": str(uuid.uuid4())},
            },
            "nbf": now,
            "sub": f"system:serviceaccount:{pod.namespace}:{pod.service_account}",
        }

    def sign(self, claims: dict[str, Any], key: rsa.RSAPrivateKey | None = None) -> str:
        return jwt.encode(claims, key or self.key, "RS256", headers={"kid": self.key_id})

    def token(self, pod: Pod, **options: Any) -> str:
        """What the kubelet puts into the pod's volume."""
        return self.sign(self.claims(pod, **options))
